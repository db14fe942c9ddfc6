"""A log in memory that behaves like a Kafka group towards the consumer: the contract tests prove it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from common.messaging.kafka import Rebalanced
from common.messaging.publishing import partition_of
from common.messaging.records import Record

_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class FakeRecord:
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(slots=True)
class FakeCluster:
    partitions: dict[TopicPartition, list[FakeRecord]] = field(default_factory=dict)
    committed: dict[tuple[str, TopicPartition], int] = field(default_factory=dict)
    groups: dict[str, list["FakeLog"]] = field(default_factory=dict)
    down: bool = False
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def create(self, topic: str, partitions: int) -> None:
        self.partitions |= {TopicPartition(topic, number): [] for number in range(partitions)}

    async def send(self, topic: str, records: Sequence[Record]) -> None:
        count = sum(each.topic == topic for each in self.partitions)
        for record in records:
            log = self.partitions[TopicPartition(topic, partition_of(record.key, count))]
            headers = [(name, value.encode()) for name, value in record.headers.items()]
            log.append(FakeRecord(len(log), record.key.encode(), record.body, headers))
        self._arrived.set()

    def open_log(self, group: str) -> "FakeLog":
        return FakeLog(self, group)

    async def arrival(self, seconds: float) -> None:
        self._arrived.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return

    async def rebalance(self, group: str) -> None:
        """Takes all partitions from all members, then deals them out by number, alike on every topic."""
        members = self.groups[group]
        await asyncio.gather(*[each.give_up() for each in members])
        for place, member in enumerate(members):
            mine = [each for each in self.partitions if each.topic in member.topics]
            await member.take([each for each in mine if each.partition % len(members) == place])
        self._arrived.set()


class FakeLog:
    def __init__(self, cluster: FakeCluster, group: str) -> None:
        self._cluster = cluster
        self._group = group
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self.topics: Sequence[str] = ()

    async def start(self, topics: Sequence[str], *, revoked: Rebalanced, assigned: Rebalanced) -> None:
        if self._cluster.down:
            raise KafkaConnectionError
        self.topics, self._revoked, self._assigned = topics, revoked, assigned
        self._cluster.groups.setdefault(self._group, []).append(self)
        await self._cluster.rebalance(self._group)

    async def stop(self) -> None:
        members = self._cluster.groups.get(self._group, [])
        if self in members:
            self._positions = {}
            members.remove(self)
            await self._cluster.rebalance(self._group)

    async def give_up(self) -> None:
        owned, self._positions = list(self._positions), {}
        if owned:
            await self._revoked(owned)

    async def take(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused = set()
        committed = self._cluster.committed
        self._positions = {each: committed.get((self._group, each), 0) for each in partitions}
        await self._assigned(partitions)

    async def read(self, seconds: float) -> Mapping[TopicPartition, Sequence[FakeRecord]]:
        if self._cluster.down:
            raise KafkaConnectionError
        found = self._waiting()
        if not found:
            await self._cluster.arrival(seconds)
            found = self._waiting()
        for each, records in found.items():
            self._positions[each] += len(records)
        return found

    def _waiting(self) -> dict[TopicPartition, Sequence[FakeRecord]]:
        logs = self._cluster.partitions
        ready = {each: at for each, at in self._positions.items() if each not in self._paused}
        return {each: logs[each][at : at + _AT_ONCE] for each, at in ready.items() if at < len(logs[each])}

    def pause(self, partition: TopicPartition) -> None:
        self._paused.add(partition)

    def resume(self, partition: TopicPartition) -> None:
        self._paused.discard(partition)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self._cluster.down:
            raise KafkaConnectionError
        self._cluster.committed |= {(self._group, each): offset for each, offset in offsets.items()}

    async def lags(self) -> Mapping[TopicPartition, tuple[int, int]]:
        logs = self._cluster.partitions
        return {each: (at, len(logs[each])) for each, at in self._positions.items()}

    async def cluster_id(self) -> str:
        return "fake"
