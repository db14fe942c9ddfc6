"""What the consumer owes its service on whatever log: the fake, the embedded broker, a real Kafka."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar, Protocol
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from common.clock import Clock
from common.db import Sessions
from common.errors import DomainError, Refusal
from common.events.base import AppointmentFact
from common.events.envelope import Meta
from common.messaging import history
from common.messaging.consumer import Consumer, Limits
from common.messaging.delivery import redrive
from common.messaging.kafka import Log
from common.messaging.publishing import partition_of
from common.messaging.records import APPLIED, Outcome, Record
from common.messaging.routes import Routes
from common.messaging.tables import DeadLetterRow, HistoryRow, InboxRow
from common.settings import KafkaSettings
from support.eventually import eventually
from support.records import NOW, record

PARTITIONS = 4
NOBODY = KafkaSettings(bootstrap_servers="127.0.0.1:1")  # the tests open the log themselves


class Noted(AppointmentFact):
    topic: ClassVar[str] = "test.appointment"
    type: ClassVar[str] = "test.noted"
    version: ClassVar[int] = 1


class MovedOn(DomainError):
    code: ClassVar[str] = "moved-on"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class Cluster(Protocol):
    async def create(self, topic: str, partitions: int) -> None: ...
    async def send(self, topic: str, records: Sequence[Record]) -> None: ...
    def open_log(self, group: str) -> Log: ...


@dataclass(slots=True)
class Reader:
    """A service that notes what it applies, and goes wrong where a test says so."""

    sessions: Sessions
    cluster: Cluster
    topics: tuple[str, ...]
    group: str = field(default_factory=lambda: uuid4().hex)
    before: Callable[[AsyncSession, UUID, int], Awaitable[None]] | None = None
    last: Consumer | None = None

    def routes(self) -> Routes:
        routes = Routes()

        @routes.on(Noted)
        async def on_noted(session: AsyncSession, event: Noted, meta: Meta, _: datetime) -> Outcome:
            if self.before is not None:
                await self.before(session, event.appointment_id, meta.sequence)
            history.add(session, event.appointment_id, sequence=meta.sequence, fact=meta.type, at=meta.time)
            return APPLIED

        return routes

    def waiting(self) -> int:
        """How many portions wait for a lane of the last member."""
        return sum(len(each.waiting) for each in self.last.lanes) if self.last else 0

    def member(self, **limits: int) -> Consumer:
        self.last = Consumer(
            "booking",
            self.routes(),
            self.sessions,
            NOBODY,
            Clock(read=lambda: NOW),
            limits=Limits(**limits),
            topics=self.topics,
            open_log=lambda: self.cluster.open_log(self.group),
        )
        return self.last

    async def applied(self) -> dict[UUID, list[int]]:
        """The sequences of each appointment, in the order of the commits."""
        found: dict[UUID, list[int]] = defaultdict(list)
        async with self.sessions() as session:
            for row in await session.scalars(select(HistoryRow).order_by(HistoryRow.id)):
                found[row.appointment_id].append(row.sequence or 0)
        return dict(found)

    async def letters(self) -> list[tuple[str, str]]:
        async with self.sessions() as session:
            rows = await session.scalars(select(DeadLetterRow).order_by(DeadLetterRow.id))
            return [(row.key, row.reason) for row in rows]


def facts(appointment_id: UUID, *sequences: int) -> list[Record]:
    return [record(Noted(appointment_id=appointment_id), sequence=each) for each in sequences]


def on_partition(number: int) -> UUID:
    """An appointment whose events stand on this partition."""
    return next(each for each in iter(uuid4, None) if partition_of(str(each), PARTITIONS) == number)


@asynccontextmanager
async def running(consumer: Consumer) -> AsyncIterator[Consumer]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(consumer.run(stop))
        try:
            yield consumer
        finally:
            stop.set()


class ConsumerContract:
    """One member in its group."""

    within: ClassVar[float] = 10

    @pytest.fixture
    async def reader(self, pool: Sessions, cluster: Cluster) -> Reader:
        topics = (f"test.{uuid4().hex}",)
        for topic in topics:
            await cluster.create(topic, PARTITIONS)
        return Reader(pool, cluster, topics)

    async def send(self, reader: Reader, records: Sequence[Record]) -> None:
        await reader.cluster.send(reader.topics[0], records)

    async def until_applied(self, reader: Reader, expected: dict[UUID, list[int]]) -> None:
        async def all_there() -> bool:
            assert await reader.applied() == expected
            return True

        await eventually(all_there, within=self.within)

    async def test_what_came_before_the_first_start_is_read_in_order(self, reader: Reader) -> None:
        keys = [uuid4() for _ in range(7)]
        await self.send(reader, [each for n in range(1, 41) for key in keys for each in facts(key, n)])

        async with running(reader.member()):
            await self.until_applied(reader, {key: list(range(1, 41)) for key in keys})

        assert await reader.letters() == []

    async def test_a_restart_goes_on_where_the_offsets_stand(self, reader: Reader) -> None:
        key = uuid4()
        seen: list[int] = []

        async def note(_session: AsyncSession, _key: UUID, sequence: int) -> None:
            seen.append(sequence)

        reader.before = note
        await self.send(reader, facts(key, 1, 2, 3))
        async with running(reader.member()):
            await self.until_applied(reader, {key: [1, 2, 3]})
        async with reader.sessions.begin() as session:
            await session.execute(text("DELETE FROM inbox"))  # offsets alone keep them from coming again

        await self.send(reader, facts(key, 4))
        async with running(reader.member()):
            await self.until_applied(reader, {key: [1, 2, 3, 4]})

        assert seen == [1, 2, 3, 4]

    async def test_records_that_come_twice_are_applied_once(self, reader: Reader) -> None:
        key, other = uuid4(), uuid4()
        await self.send(reader, [*facts(key, 1, 2, 1), *facts(other, 1), *facts(key, 2, 3)])

        async with running(reader.member()):
            await self.until_applied(reader, {key: [1, 2, 3], other: [1]})
            await self.send(reader, [*facts(key, 1, 2, 3, 3, 4), *facts(other, 1, 2)])
            await self.until_applied(reader, {key: [1, 2, 3, 4], other: [1, 2]})

    async def test_a_bug_parks_its_key_after_three_tries_and_nothing_else(
        self, reader: Reader, caplog: pytest.LogCaptureFixture
    ) -> None:
        bad, good = on_partition(1), on_partition(1)
        tries: Counter[int] = Counter()

        async def stumble(_session: AsyncSession, key: UUID, sequence: int) -> None:
            if (key, sequence) == (bad, 2):
                tries[sequence] += 1
                raise LookupError

        reader.before = stumble
        await self.send(reader, [*facts(bad, 1, 2, 3), *facts(good, 1), *facts(bad, 4), *facts(good, 2)])

        async with running(reader.member()):
            await self.until_applied(reader, {bad: [1], good: [1, 2]})
            expected = [(str(bad), "LookupError"), (str(bad), "parked"), (str(bad), "parked")]
            await eventually(lambda: self._letters_are(reader, expected), within=self.within)

        assert tries == {2: 4}  # the batch, and three times alone
        said = [each.getMessage() for each in caplog.records if each.name.startswith("common.")]
        [letter] = [each for each in said if each.startswith("dead letter: ")]
        assert letter.endswith(", LookupError")
        assert str(bad) not in " ".join(said), "a key may be the id of a patient"

    async def test_a_redrive_brings_a_parked_key_back_in_order(self, reader: Reader) -> None:
        key, failing = uuid4(), True

        async def stumble(_session: AsyncSession, _key: UUID, _sequence: int) -> None:
            if failing:
                raise LookupError

        reader.before = stumble
        await self.send(reader, facts(key, 1, 2))
        async with running(reader.member()):
            expected = [(str(key), "LookupError"), (str(key), "parked")]
            await eventually(lambda: self._letters_are(reader, expected), within=self.within)
            failing = False

            redriven = await redrive(reader.topics[0], str(key), reader.routes(), reader.sessions, now=NOW)
            await self.send(reader, facts(key, 3))
            await self.until_applied(reader, {key: [1, 2, 3]})

        assert (redriven.outcomes, redriven.left, redriven.reason) == ((APPLIED, APPLIED), 0, None)
        assert await reader.letters() == []

    async def test_a_lost_database_connection_is_waited_for(self, reader: Reader) -> None:
        held, free = on_partition(0), on_partition(1)
        losses = 3

        async def lose(session: AsyncSession, key: UUID, _sequence: int) -> None:
            nonlocal losses
            if key == held and losses:
                losses -= 1
                await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

        reader.before = lose
        await self.send(reader, [*facts(held, 1, 2), *facts(free, 1, 2)])

        async with running(reader.member()):
            await self.until_applied(reader, {held: [1, 2], free: [1, 2]})

        assert losses == 0
        assert await reader.letters() == []

    async def test_while_one_partition_waits_the_others_go_on(self, reader: Reader) -> None:
        held, free = on_partition(0), on_partition(1)
        away = True

        async def refuse(_session: AsyncSession, key: UUID, _sequence: int) -> None:
            if key == held and away:
                raise ConnectionRefusedError

        reader.before = refuse
        await self.send(reader, [*facts(held, 1), *facts(free, 1)])

        async with running(reader.member()):
            await self.until_applied(reader, {free: [1]})
            await self.send(reader, facts(free, 2, 3))
            await self.until_applied(reader, {free: [1, 2, 3]})
            away = False
            await self.until_applied(reader, {held: [1], free: [1, 2, 3]})

    async def test_a_version_nobody_reads_stops_its_partition_and_marks_nothing(self, reader: Reader) -> None:
        newer, other = on_partition(2), on_partition(3)
        [first, second] = facts(newer, 1, 2)
        headers = {**first.headers, "ce_dataschema": "urn:event:test.noted:v2"}
        await self.send(reader, [replace(first, headers=headers), second, *facts(other, 1)])

        async with running(reader.member()) as consumer:
            await self.until_applied(reader, {other: [1]})
            told = await eventually(
                lambda: [each for each in consumer.health() if "stopped" in each], within=self.within
            )

        assert told == [f"{reader.topics[0]}/2 stopped: test.noted v2 needs a newer release"]
        assert await reader.letters() == []
        async with reader.sessions() as session:
            assert list(await session.scalars(select(InboxRow.key))) == [str(other)]

    async def test_a_record_without_an_envelope_is_listed_once(self, reader: Reader) -> None:
        key = uuid4()
        [broken, *rest] = facts(key, 1, 1, 2)
        await self.send(reader, [replace(broken, headers={"ce_type": "\0"}), *rest])

        async with running(reader.member()):
            await self.until_applied(reader, {key: [1, 2]})
        reader.group = uuid4().hex  # a group without offsets reads everything again
        async with running(reader.member()) as consumer:
            await eventually(lambda: self._is_idle(consumer), within=self.within)
            await self.send(reader, facts(key, 3))
            await self.until_applied(reader, {key: [1, 2, 3]})

        assert await reader.letters() == [(str(key), "envelope-unreadable")]

    async def test_a_conflict_among_many_is_ignored_and_takes_nobody_with_it(self, reader: Reader) -> None:
        late, others = on_partition(0), [on_partition(0) for _ in range(5)]

        async def refuse(_session: AsyncSession, key: UUID, _sequence: int) -> None:
            if key == late:
                raise MovedOn

        reader.before = refuse
        await self.send(reader, [each for key in (others[0], late, *others[1:]) for each in facts(key, 1)])

        async with running(reader.member()):
            await self.until_applied(reader, {key: [1] for key in others})

        assert await reader.letters() == []

    async def test_what_waits_for_a_lane_shares_a_commit_and_fails_alone(self, reader: Reader) -> None:
        held, waiting = on_partition(0), [on_partition(number) for number in (1, 2, 3)]
        begun, go_on = asyncio.Event(), asyncio.Event()
        bad = waiting[1]
        transactions: dict[tuple[UUID, int], object] = {}

        async def note(session: AsyncSession, key: UUID, sequence: int) -> None:
            if key == held:
                begun.set()
                await go_on.wait()
            transactions[key, sequence] = await session.scalar(text("SELECT txid_current()"))
            if (key, sequence) == (bad, 2):
                raise LookupError

        reader.before = note
        await self.send(reader, facts(held, 1))
        async with running(reader.member(lanes=1)):
            await begun.wait()
            await self.send(reader, [each for key in waiting for each in facts(key, 1)])
            await eventually(lambda: reader.waiting() == len(waiting), within=self.within)
            go_on.set()
            await self.until_applied(reader, {key: [1] for key in (held, *waiting)})
            assert len({transactions[key, 1] for key in waiting}) == 1

            begun.clear()
            go_on.clear()
            await self.send(reader, facts(held, 2))
            await begun.wait()
            await self.send(reader, [each for key in waiting for each in facts(key, 2)])
            await eventually(lambda: reader.waiting() == len(waiting), within=self.within)
            go_on.set()
            await self.until_applied(
                reader, {key: [1, 2] for key in (held, *waiting) if key != bad} | {bad: [1]}
            )
            expected = [(str(bad), "LookupError")]
            await eventually(lambda: self._letters_are(reader, expected), within=self.within)

    async def test_too_many_parked_keys_stop_the_consumer_until_a_redrive(self, reader: Reader) -> None:
        bad, good = [uuid4() for _ in range(3)], uuid4()
        failing = True

        async def stumble(_session: AsyncSession, key: UUID, _sequence: int) -> None:
            if key in bad and failing:
                raise LookupError

        reader.before = stumble
        await self.send(reader, [each for key in bad for each in facts(key, 1)])
        async with running(reader.member(parked=2)) as consumer:
            await eventually(lambda: self._letters_number(reader, 3), within=self.within)
            await eventually(lambda: any("parked" in each for each in consumer.health()))
            await self.send(reader, facts(good, 1))
            failing = False

            await redrive(reader.topics[0], str(bad[0]), reader.routes(), reader.sessions, now=NOW)

            await self.until_applied(reader, {bad[0]: [1], good: [1]})
            await eventually(lambda: self._is_idle(consumer), within=self.within)

    async def test_a_stop_finishes_the_record_in_hand_and_leaves_the_rest(self, reader: Reader) -> None:
        key = uuid4()
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def wait(_session: AsyncSession, _key: UUID, sequence: int) -> None:
            if sequence == 2:
                begun.set()
                await go_on.wait()

        reader.before = wait
        await self.send(reader, facts(key, 1, 2, 3))
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(reader.member(batch=1).run(stop))
            await begun.wait()
            stop.set()
            await asyncio.sleep(0)
            go_on.set()
        assert await reader.applied() == {key: [1, 2]}

        async with running(reader.member()):
            await self.until_applied(reader, {key: [1, 2, 3]})

    async def _letters_are(self, reader: Reader, expected: list[tuple[str, str]]) -> bool:
        assert await reader.letters() == expected
        return True

    async def _letters_number(self, reader: Reader, expected: int) -> bool:
        return len(await reader.letters()) == expected

    def _is_idle(self, consumer: Consumer) -> bool:
        return consumer.health() == []


class GroupContract(ConsumerContract):
    """Several members in one group and one event loop; librdkafka's mock cannot do that."""

    async def test_members_share_the_work_and_each_record_is_applied_once(self, reader: Reader) -> None:
        keys = [on_partition(number) for number in range(PARTITIONS) for _ in range(3)]
        seen: Counter[tuple[UUID, int]] = Counter()

        async def note(_session: AsyncSession, key: UUID, sequence: int) -> None:
            seen[key, sequence] += 1

        reader.before = note
        async with running(reader.member()), running(reader.member()):
            for n in range(1, 31):
                await self.send(reader, [each for key in keys for each in facts(key, n)])
            await self.until_applied(reader, {key: list(range(1, 31)) for key in keys})

    async def test_a_rebalance_in_mid_work_loses_nothing_and_repeats_nothing(self, reader: Reader) -> None:
        key = on_partition(0)
        many = [on_partition(number) for number in range(PARTITIONS)]
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def wait(_session: AsyncSession, at: UUID, sequence: int) -> None:
            if (at, sequence) == (key, 2):
                begun.set()
                await go_on.wait()

        reader.before = wait
        await self.send(reader, facts(key, *range(1, 21)))
        async with running(reader.member(batch=1)):
            await begun.wait()
            async with running(reader.member(batch=1)):  # joins while a record is in hand
                await self.send(reader, [each for other in many for each in facts(other, 1, 2, 3)])
                go_on.set()
                expected = {key: list(range(1, 21)), **{other: [1, 2, 3] for other in many}}
                await self.until_applied(reader, expected)
            await self.send(reader, [each for other in many for each in facts(other, 4)])  # and leaves
            await self.until_applied(
                reader, {key: list(range(1, 21)), **{other: [1, 2, 3, 4] for other in many}}
            )

        assert await reader.letters() == []
