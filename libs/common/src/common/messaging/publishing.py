"""Sends rows of the outbox or the archive to Kafka in batches, each key in its order."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError, ProducerClosed
from aiokafka.partitioner import murmur2

from common.messaging.kafka import pace

_CLOSE: Final = 5.0  # seconds
_PATIENCE: Final = 15.0  # longer than a cluster takes to choose another leader

# id, topic, key, headers as JSON text, body: an asyncpg record
Row = Any


@dataclass(frozen=True, slots=True)
class Published:
    acknowledged: list[int]
    error: Exception | None  # what kept the others from being sent, or their acknowledgement from coming


class Publisher:
    """An idempotent producer that has one batch per partition in flight.

    aiokafka would send the next batch of a partition while nobody has looked at the failure of this one; here
    nothing of a key leaves after a row of it failed. After an error it has to be closed and made anew.
    """

    def __init__(self, options: Mapping[str, Any], *, patience: float = _PATIENCE) -> None:
        """`patience`: seconds without any acknowledgement after which the broker counts as away."""
        self._producer = AIOKafkaProducer(**options)
        self._patience = patience
        pace(self._producer.client)

    async def start(self) -> None:
        await self._producer.start()

    async def close(self) -> None:
        """Ends at once. What is still in flight stays in the outbox and goes out again."""
        if self._producer._sender.sender_task is not None:  # noqa: SLF001
            # stop() would first wait for the broker, for ever when it is away
            self._producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001
        try:
            async with asyncio.timeout(_CLOSE):
                await self._producer.stop()
        except TimeoutError:
            await self._producer.client.close()

    async def publish(self, rows: Sequence[Row]) -> Published:
        """Returns when every row is acknowledged, or as many as will be after an error."""
        by_partition: dict[tuple[str, int], list[Row]] = {}
        counts: dict[str, int] = {}
        for row in rows:
            topic = row["topic"]
            if topic not in counts:
                counts[topic] = await self._count_partitions(topic)
            by_partition.setdefault((topic, partition_of(row["key"], counts[topic])), []).append(row)
        lanes = [_Lane(topic, partition, []) for topic, partition in by_partition]
        sending = [
            asyncio.ensure_future(self._send(lane, by_partition[lane.topic, lane.partition]))
            for lane in lanes
        ]
        try:
            away = await self._until_sent(sending, lanes)
        finally:
            for each in sending:
                each.cancel()
            results = await asyncio.gather(*sending, return_exceptions=True)
        error: Exception | None = KafkaTimeoutError() if away else None
        for result in results:
            if isinstance(result, Exception):
                error = result
            elif result is not None and not away:
                raise result
        return Published([each for lane in lanes for each in lane.acknowledged], error)

    async def _count_partitions(self, topic: str) -> int:
        try:
            async with asyncio.timeout(self._patience):
                return len(await self._producer.partitions_for(topic))
        except TimeoutError:
            raise KafkaTimeoutError from None

    async def _until_sent(self, sending: Sequence["asyncio.Future[None]"], lanes: Sequence["_Lane"]) -> bool:
        """True: nothing was acknowledged for as long as `patience`, and something still waits."""
        waiting: set[asyncio.Future[None]] = set(sending)
        while True:
            before = sum(len(each.acknowledged) for each in lanes)
            _, waiting = await asyncio.wait(waiting, timeout=self._patience)
            if not waiting:
                return False
            if sum(len(each.acknowledged) for each in lanes) == before:
                return True

    async def _send(self, lane: "_Lane", rows: Sequence[Row]) -> None:
        for batch, ids in self._batches(rows):
            delivery = await self._producer.send_batch(batch, lane.topic, partition=lane.partition)
            await asyncio.shield(
                delivery
            )  # aiokafka settles it later: it must not be cancelled under its hands
            lane.acknowledged.extend(ids)

    def _batches(self, rows: Sequence[Row]) -> Iterator[tuple[Any, list[int]]]:
        batch: Any = self._producer.create_batch()
        ids: list[int] = []
        for row in rows:
            key, headers = row["key"].encode(), headers_of(row["headers"])
            # The time is the machine's: a broker refuses records from a shifted clock's future.
            if batch.append(key=key, value=row["body"], timestamp=None, headers=headers) is None:
                yield batch, ids
                batch, ids = self._producer.create_batch(), []
                batch.append(key=key, value=row["body"], timestamp=None, headers=headers)
            ids.append(row["id"])
        yield batch, ids


@dataclass(frozen=True, slots=True)
class _Lane:
    topic: str
    partition: int
    acknowledged: list[int]


def headers_of(written: str) -> list[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in json.loads(written).items()]


@lru_cache(maxsize=50_000)
def partition_of(key: str, count: int) -> int:
    """Where Kafka's own clients put a key, so that everybody agrees: murmur2."""
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % count
