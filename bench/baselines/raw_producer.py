"""A raw aiokafka producer that is given the messages and sends them in batches: no table, no archive."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

_BATCH: Final = 1000  # as many rows as the relay takes at once

Message = tuple[bytes, bytes, Sequence[tuple[str, bytes]]]


@dataclass(frozen=True, slots=True)
class RawProducer:
    producer: Any

    @classmethod
    @asynccontextmanager
    async def started(cls, options: Mapping[str, Any]) -> AsyncIterator[Self]:
        """`options`: those of the relay's producer."""
        producer = AIOKafkaProducer(**options)
        await producer.start()
        try:
            yield cls(producer)
        finally:
            await producer.stop()

    async def send(self, topic: str, messages: Sequence[Message]) -> None:
        """Returns when the broker has acknowledged all of them."""
        for start in range(0, len(messages), _BATCH):
            sent = [
                await self.producer.send(topic, body, key=key, headers=headers)
                for key, body, headers in messages[start : start + _BATCH]
            ]
            await asyncio.gather(*sent)
