"""The loop of a reading service: takes records off the log, has them applied, and only then moves the offset.

Partitions run side by side in a few lanes. One transaction is what waits for a lane, of one topic and of each
partition in the order of its offsets: the more comes in, the more share a commit. After an error in it, it
is one record. A partition in work is paused, so the loop keeps reading the others and the group keeps its
member, however long a database is away. What ends how: see delivery.py.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from common import outages
from common.clock import Clock
from common.db import Sessions
from common.events.topics import topics_read_by
from common.messaging import deadletter
from common.messaging.delivery import deliver, deliver_batch, park
from common.messaging.failures import is_infrastructure, system_of
from common.messaging.kafka import KafkaLog, Log, LogRecord
from common.messaging.records import Ending, Outcome, PartitionStopped, Record
from common.messaging.routes import Routes
from common.settings import KafkaSettings
from common.telemetry import Metrics

_READ: Final = 0.25  # seconds one read waits for records
_COMMIT_EVERY: Final = 0.2
_COMMIT_AGAIN: Final = 1.0
_WATCH_EVERY: Final = 2.0
_ANSWER: Final = 5.0  # how long Kafka may take for a commit or a question
_DRAIN: Final = 15.0  # how long the records in hand may take when partitions go or the worker stops
_STALLED: Final = 30.0
_TRIES: Final = 3
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0

_log: Final = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Partition:
    """One partition as long as this member owns it."""

    id: TopicPartition
    moved_at: float
    next: int | None = None  # the offset after the last record that is settled
    committed: int | None = None
    lag: int = 0
    stopped: str | None = None  # why only a newer release goes on
    revoked: asyncio.Event = field(default_factory=asyncio.Event)
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.idle.set()


@dataclass(eq=False, slots=True)
class _Portion:
    """Records of a partition that wait for their lane; `outcomes` once they are applied."""

    partition: _Partition
    records: Sequence[LogRecord]
    outcomes: Sequence[Outcome] | None = None


@dataclass(slots=True)
class _Lane:
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: list[_Portion] = field(default_factory=list)

    def take(self, first: _Portion, *, most: int) -> list[_Portion]:
        """`first`, and as many others of its topic as fit into one transaction."""
        taken, records = [first], len(first.records)
        for each in self.waiting:
            fits = records + len(each.records) <= most and not each.partition.revoked.is_set()
            if each is not first and fits and each.partition.id.topic == first.partition.id.topic:
                taken.append(each)
                records += len(each.records)
        self.waiting = [each for each in self.waiting if each not in taken]
        return taken


@dataclass(frozen=True, slots=True)
class Limits:
    lanes: int = 4  # how many transactions run side by side: less than the pool has connections
    batch: int = 50  # how many records one transaction applies at most
    parked: int = 100  # above so many parked keys the consumer stops until a redrive brings them down


class Consumer:
    def __init__(
        self,
        service: str,
        routes: Routes,
        sessions: Sessions,
        kafka: KafkaSettings,
        clock: Clock,
        *,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        topics: Sequence[str] | None = None,
        open_log: Callable[[], Log] | None = None,
    ) -> None:
        """`topics` are those the service is a declared reader of, unless others are given."""
        self._limits = limits or Limits()
        self._topics = topics or [topic.name for topic in topics_read_by(service)]
        self._routes = routes
        self._sessions = sessions
        self._clock = clock
        self._metrics = metrics
        self._open_log = open_log or (lambda: KafkaLog(service, kafka))
        # Partitions of one number share a lane on every topic: their records are about the same appointments.
        self.lanes = [_Lane() for _ in range(self._limits.lanes)]
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._current: Log | None = None
        self._settled = asyncio.Event()
        self._cluster = "?"
        self._joined = False
        self._halted: str | None = None
        self._reached_at: float | None = None  # when Kafka last answered, by the loop's time
        self._began_at: float | None = None

    def health(self) -> list[str]:
        """What is wrong; nothing means that every position moves or has no lag."""
        now = asyncio.get_running_loop().time()
        problems = []
        last_seen = self._reached_at if self._reached_at is not None else self._began_at
        if self._reached_at is None or (last_seen is not None and now - last_seen > _STALLED):
            problems.append("kafka-unreachable")
        elif not self._joined:
            problems.append("not-in-the-group")
        if self._halted is not None:
            problems.append(self._halted)
        for each in self._partitions.values():
            where = f"{each.id.topic}/{each.id.partition}"
            if each.stopped is not None:
                problems.append(f"{where} stopped: {each.stopped}")
            elif each.lag > 0 and now - each.moved_at > _STALLED:
                problems.append(f"{where} stalled, lag {each.lag}")
        return problems

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`: then the records in hand are finished, offsets committed and the group left."""
        pause = _FIRST_PAUSE
        self._began_at = asyncio.get_running_loop().time()
        while not stop.is_set():
            try:
                await self._consume(stop)
                pause = _FIRST_PAUSE
            except* (KafkaError, OSError) as errors:
                outages.report(_log, "kafka", _names(errors), "the consumer begins again")
            self._joined = False
            await _wait(stop, pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _consume(self, stop: asyncio.Event) -> None:
        log = self._open_log()
        try:
            await log.start(self._topics, revoked=self._revoke, assigned=self._assign)
            self._current = log
            self._cluster = await log.cluster_id()
            self._reached()
            await self._check_parked()
            async with asyncio.TaskGroup() as group:
                loops = [
                    group.create_task(loop)
                    for loop in (self._read(log, group), self._commit(log), self._watch(log))
                ]
                await stop.wait()
                loops[0].cancel()
                await self._finish(self._partitions.values())
                for loop in loops[1:]:
                    loop.cancel()
            await self._commit_settled(log, self._partitions.values())
        finally:
            for each in self._partitions.values():
                each.revoked.set()
            self._partitions = {}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ANSWER):
                    await log.stop()

    # what Kafka's rebalances call

    async def _assign(self, partitions: Iterable[TopicPartition]) -> None:
        now = asyncio.get_running_loop().time()
        self._partitions = {each: _Partition(each, moved_at=now) for each in partitions}
        self._joined = True

    async def _revoke(self, partitions: Iterable[TopicPartition]) -> None:
        going = [self._partitions.pop(each) for each in partitions if each in self._partitions]
        await self._finish(going)
        if self._current is not None:
            await self._commit_settled(self._current, going)

    async def _finish(self, partitions: Iterable[_Partition]) -> None:
        """The record, or batch, in hand; nothing after it."""
        going = list(partitions)
        for each in going:
            each.revoked.set()
        try:
            async with asyncio.timeout(_DRAIN):
                for each in going:
                    await each.idle.wait()
        except TimeoutError:
            _log.warning("records in hand are not finished after %s s", _DRAIN)

    # the three loops

    async def _read(self, log: Log, group: asyncio.TaskGroup) -> None:
        while True:
            for each, records in (await log.read(_READ)).items():
                partition = self._partitions.get(each)
                if partition is None:
                    # Passing them by would lose them: the client counts them as read.
                    raise IllegalStateError(f"records of {each}, which this member does not own")
                log.pause(each)
                partition.idle.clear()
                group.create_task(self._work(log, partition, records))

    async def _commit(self, log: Log) -> None:
        while True:
            await self._settled.wait()
            self._settled.clear()
            if await self._commit_settled(log, list(self._partitions.values())):
                await asyncio.sleep(_COMMIT_EVERY)
            else:
                self._settled.set()
                await asyncio.sleep(_COMMIT_AGAIN)

    async def _watch(self, log: Log) -> None:
        while True:
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_ANSWER):
                    lags = await log.lags()
                self._reached()
                for each, (position, end) in lags.items():
                    self._measure(each, position, end)
            if self._halted is not None:  # a redrive tells nobody, and records need not come
                await self._check_parked()
            await asyncio.sleep(_WATCH_EVERY)

    # one partition

    async def _work(self, log: Log, partition: _Partition, records: Sequence[LogRecord]) -> None:
        try:
            if partition.next is None:
                partition.next = records[0].offset
            for start in range(0, len(records), self._limits.batch):
                await self._until_not_halted(partition)
                if not await self._apply_batch(partition, records[start : start + self._limits.batch]):
                    break
            if partition.stopped is None and not partition.revoked.is_set():
                log.resume(partition.id)
        finally:
            partition.idle.set()

    async def _apply_batch(self, partition: _Partition, records: Sequence[LogRecord]) -> bool:
        """False: nothing more of this partition."""
        lane, portion = self._lane(partition), _Portion(partition, records)
        lane.waiting.append(portion)
        try:
            async with lane.busy:
                if portion in lane.waiting:  # else another one has taken it along
                    if partition.revoked.is_set():
                        return False
                    await self._apply_together(lane.take(portion, most=self._limits.batch))
        finally:
            if portion in lane.waiting:
                lane.waiting.remove(portion)
        if portion.outcomes is not None:
            self._settle(partition, records, portion.outcomes)
            return True
        for each in records:
            if partition.revoked.is_set() or not await self._apply_one(partition, each):
                return False
        return True

    async def _apply_together(self, portions: Sequence[_Portion]) -> None:
        """In one transaction; where it fails, whatever it is, going one by one finds the record."""
        records = [self._record(each.partition, raw) for each in portions for raw in each.records]
        if len(records) == 1:
            return
        now = self._clock.now()
        try:
            outcomes = await deliver_batch(
                records, self._routes, self._sessions, now=now, metrics=self._metrics
            )
        except Exception as error:  # noqa: BLE001
            topic = portions[0].partition.id.topic
            _log.info("a batch of %s goes one by one: %s", topic, type(error).__name__)
            return
        for each in portions:
            each.outcomes, outcomes = outcomes[: len(each.records)], outcomes[len(each.records) :]

    async def _apply_one(self, partition: _Partition, raw: LogRecord) -> bool:
        record = self._record(partition, raw)
        failures = tries = 0
        reason: str | None = None  # of giving up
        while True:
            try:
                async with self._lane(partition).busy:
                    now = self._clock.now()
                    if reason is None:
                        outcome = await deliver(
                            record, self._routes, self._sessions, now=now, metrics=self._metrics
                        )
                    else:
                        outcome = await park(record, self._sessions, reason=reason, now=now)
            except PartitionStopped as error:
                partition.stopped = str(error)
                _log.error("%s/%s stopped: %s", *partition.id, error)
                return False
            except Exception as error:  # noqa: BLE001  that of a bug is logged, with its stack
                if is_infrastructure(error):
                    failures += 1
                    outages.report(_log, system_of(error), error, f"{record.topic} {record.origin} waits")
                    pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE)
                else:
                    tries += 1
                    _log.exception("%s of %s failed, try %s", record.origin, record.topic, tries)
                    reason = type(error).__name__ if tries >= _TRIES else None
                    pause = _FIRST_PAUSE * 2**tries
                if await _wait(partition.revoked, pause):
                    return False
            else:
                self._settle(partition, [raw], [outcome])
                if outcome.ending is Ending.REJECTED:
                    where = {"topic": record.topic, "origin": record.origin, "reason": outcome.code}
                    _log.warning(
                        "dead letter: %s of %s, %s", record.origin, record.topic, outcome.code, extra=where
                    )
                    await self._check_parked()
                return True

    def _settle(
        self, partition: _Partition, records: Sequence[LogRecord], outcomes: Sequence[Outcome]
    ) -> None:
        partition.next = records[-1].offset + 1
        partition.moved_at = asyncio.get_running_loop().time()
        self._settled.set()
        if self._metrics is None:
            return
        for outcome in outcomes:
            self._metrics.count("consumer_records_total", topic=partition.id.topic, outcome=outcome.ending)
            if outcome.ending is Ending.IGNORED:
                self._metrics.count("consumer_ignored_total", topic=partition.id.topic, reason=outcome.code)

    def _lane(self, partition: _Partition) -> _Lane:
        number: int = partition.id.partition
        return self.lanes[number % len(self.lanes)]

    def _record(self, partition: _Partition, raw: LogRecord) -> Record:
        return Record(
            topic=partition.id.topic,
            key=_text(raw.key),
            origin=f"{self._cluster}/{partition.id.partition}@{raw.offset}",
            headers={_text(name.encode()): _text(value) for name, value in raw.headers},
            body=raw.value or b"",
        )

    # limits, offsets, measures

    async def _until_not_halted(self, partition: _Partition) -> None:
        while self._halted is not None and not await _wait(partition.revoked, 1.0):
            await self._check_parked()

    async def _check_parked(self) -> None:
        try:
            async with self._sessions() as session:
                parked = await deadletter.count_parked(session)
        except Exception as error:
            if not is_infrastructure(error):
                raise
            return
        over = parked > self._limits.parked
        self._halted = f"{parked} keys are parked, the limit is {self._limits.parked}" if over else None
        if self._metrics is not None:
            self._metrics.set("parked_keys", parked)
        if over:
            _log.error("the consumer stops: %s", self._halted)

    async def _commit_settled(self, log: Log, partitions: Iterable[_Partition]) -> bool:
        due = {
            each.id: (each, each.next)
            for each in partitions
            if each.next is not None and each.next != each.committed
        }
        if not due:
            return True
        try:
            async with asyncio.timeout(_ANSWER):
                await log.commit({each: offset for each, (_, offset) in due.items()})
        except (KafkaError, IllegalStateError, TimeoutError) as error:
            # They are read again and known as duplicates. The next commit carries these offsets too.
            outages.report(_log, "kafka", error, "offsets are not committed")
            return False
        for partition, offset in due.values():
            partition.committed = offset
        return True

    def _measure(self, where: TopicPartition, position: int, end: int) -> None:
        partition = self._partitions.get(where)
        if partition is None:
            return
        partition.lag = max(end - (partition.next if partition.next is not None else position), 0)
        if partition.lag == 0:
            partition.moved_at = asyncio.get_running_loop().time()
        if self._metrics is not None:
            labels = {"topic": where.topic, "partition": str(where.partition)}
            self._metrics.set("consumer_lag_records", partition.lag, **labels)

    def _reached(self) -> None:
        self._reached_at = asyncio.get_running_loop().time()


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Whether it was set within these seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def _names(errors: BaseExceptionGroup[BaseException]) -> str:
    return ", ".join(type(each).__name__ for each in errors.exceptions)


def _text(raw: bytes | None) -> str:
    """What PostgreSQL can store, whatever was sent: it takes no NUL in a text."""
    return (raw or b"").decode(errors="replace").replace("\0", "\ufffd")
