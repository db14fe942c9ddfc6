"""One bare hop: commit an event, wake a relay, send it, read it, commit that it was read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final, Self
from uuid import uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.ground import CONNECTIONS
from local.broker import CONSUMER, PRODUCER, Broker

_PARTITIONS: Final = 12
_BATCH: Final = 1000
_BODY: Final = b"{}".ljust(600)
_POLL: Final = 0.25
_WITHIN: Final = 30.0

_WRITE: Final = "INSERT INTO outbox (topic, key, sequence, headers, body) VALUES ($1, $2, 1, '{}', $3)"
_OLDEST: Final = "SELECT id, key, body FROM outbox ORDER BY id LIMIT $1"
_SENT: Final = "DELETE FROM outbox WHERE id = ANY ($1)"
_CLAIM: Final = """
    INSERT INTO inbox (topic, key, applied) VALUES ($1, $2, int8multirange(int8range(1, 1, '[]')))
    ON CONFLICT (topic, key) DO NOTHING
"""


@dataclass(slots=True)
class Hop:
    topic: str
    pool: Any
    producer: Any
    consumer: Any
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    began: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def running(cls, dsn: str, broker: Broker, *, topic: str) -> AsyncIterator[Self]:
        """`topic`: a new one."""
        await broker.create_topic(topic, _PARTITIONS)
        servers = broker.bootstrap_servers
        producer = AIOKafkaProducer(bootstrap_servers=servers, **PRODUCER)
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, **CONSUMER)  # alone: no group
        await producer.start()
        await consumer.start()
        try:
            async with asyncpg.create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
                hop = cls(topic, pool, producer, consumer)
                async with asyncio.TaskGroup() as group:
                    loops = [group.create_task(hop._relay()), group.create_task(hop._consume())]
                    try:
                        yield hop
                    finally:
                        for each in loops:
                            each.cancel()
        finally:
            await consumer.stop()
            await producer.stop()

    async def send(self, number: int, *, per_second: float) -> list[float]:
        """So many events at this pace; the seconds from before each commit to after that of its reader."""
        self.seconds.clear()
        start = perf_counter()
        async with asyncio.TaskGroup() as group:
            for each in range(number):
                await asyncio.sleep(max(start + each / per_second - perf_counter(), 0))
                group.create_task(self._write())
        async with asyncio.timeout(_WITHIN):
            while len(self.seconds) < number:
                self.arrived.clear()
                await self.arrived.wait()
        return list(self.seconds)

    async def _write(self) -> None:
        key = str(uuid4())
        self.began[key] = perf_counter()
        await self.pool.execute(_WRITE, self.topic, key, _BODY)
        self.woken.set()

    async def _relay(self) -> None:
        while True:
            rows = await self.pool.fetch(_OLDEST, _BATCH)
            if not rows:
                try:
                    async with asyncio.timeout(_POLL):
                        await self.woken.wait()
                except TimeoutError:
                    continue
                self.woken.clear()
                continue
            sent = [
                await self.producer.send(self.topic, row["body"], key=row["key"].encode()) for row in rows
            ]
            await asyncio.gather(*sent)
            await self.pool.execute(_SENT, [row["id"] for row in rows])

    async def _consume(self) -> None:
        while True:
            for records in (await self.consumer.getmany(timeout_ms=250)).values():
                for record in records:
                    key = record.key.decode()
                    await self.pool.execute(_CLAIM, self.topic, key)
                    self.seconds.append(perf_counter() - self.began.pop(key))
                    self.arrived.set()
