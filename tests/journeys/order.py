"""One order of everything that happens in a journey: which delivery, task, webhook or person comes next.

Whatever can happen is late by a number of steps that the order's chance gives it; what has waited longest is
next. A chance that always says 0 is the order in which things happened. What belongs to one key and topic
reaches one reader in its order, as Kafka promises; everything else may overtake everything else, may come
twice, and may fall between a call to the provider and its answer.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from common.events.topics import TOPICS
from common.messaging.delivery import deliver, deliver_batch
from common.messaging.records import Ending, Record
from common.messaging.task_worker import Leased, perform
from journeys.world import SERVICES, World, read_headers

Chance = Callable[[int], int]  # a number below the given one; 0 is the plain case

_LATE: Final = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 100)  # steps
_PATIENT: Final = 1_000  # a person who waits until nothing else happens
_NOTES: Final = 15  # facts that decide nothing come in company
_MOST_STEPS: Final = 600
_LOST: Final = 30  # one call in so many finds nobody, or loses its answer
_RETRIES_WITHIN: Final = timedelta(minutes=5)
_TIMERS_WITHIN: Final = (timedelta(hours=12), timedelta(days=60))
_NOT_OURS: Final = frozenset({"extend-agenda", "poll-returns"})
# Booking shows these and decides nothing by them.
_SHOWN: Final = frozenset(
    {
        *("claims.quote-issued", "claims.care-priced", "claims.balance-opened", "claims.balance-settled"),
        *(
            f"claims.leg-{fact}"
            for fact in ("opened", "sent", "acknowledged", "paid", "rejected", "reversed")
        ),
        *("payment.hold-expired", "payment.hold-released", "payment.captured", "payment.short"),
        *("documents.issued", "documents.withdrawn"),
    }
)
_LEASE: Final = """
    UPDATE task SET attempt = attempt + 1, lease_token = $3, lease_worker = 0,
        lease_until = $4::timestamptz + interval '1 hour'
    WHERE kind = $1 AND key = $2 AND outcome IS NULL
    RETURNING payload, cause, attempt
"""
_OPEN: Final = "SELECT kind, key, due_at FROM task WHERE outcome IS NULL AND lease_token IS NULL"
# What the ids in a task's key stand for, so that two runs of one order name their steps alike.
_NAMES: Final = {
    "claims": "SELECT id, payer_kind FROM leg WHERE appointment_id = $1",
    "payment": "SELECT id, 'hold ' || attempt FROM hold WHERE appointment_id = $1",
    "documents": "SELECT id, kind || coalesce(' ' || folder, '') FROM document WHERE appointment_id = $1",
}
_ENDED_BADLY: Final = frozenset({Ending.REJECTED, Ending.PARKED})


def in_order(_: int) -> int:
    return 0


@dataclass
class Act:
    """What a person does next, once what they see allows it and the time has come."""

    name: str
    do: Callable[[], Awaitable[None]]
    ready: Callable[[], Awaitable[bool]]
    of: frozenset[str] = frozenset()  # the services whose word they wait for
    at: datetime | None = None


@dataclass
class _Item:
    label: str
    turn: int


@dataclass
class _Parcel(_Item):
    reader: str
    record: Record
    note: bool


@dataclass
class _Task(_Item):
    service: str
    kind: str
    key: str
    due_at: datetime


@dataclass
class _Webhook(_Item):
    body: str


@dataclass
class Order:
    """Plays what was set going in the world, together with `acts`, until nothing is left to happen."""

    world: World
    chance: Chance
    acts: deque[Act] = field(default_factory=deque)
    names: dict[UUID, str] = field(default_factory=dict)
    late: Mapping[str, int] = field(
        default_factory=dict
    )  # steps, of what is named here, whatever chance says
    in_flight: deque[Callable[[], Awaitable[None]]] = field(default_factory=deque)
    trace: list[str] = field(default_factory=list)
    sent: list[Record] = field(default_factory=list)  # every event of this order
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    appointment_id: UUID | None = None
    _serial: int = 0
    _lanes: dict[tuple[str, str, str], deque[_Parcel]] = field(default_factory=dict)
    _again: list[_Parcel] = field(default_factory=list)
    _webhooks: list[_Webhook] = field(default_factory=list)
    _tasks: dict[tuple[str, str, str], _Task] = field(default_factory=dict)
    _poll: _Item | None = None
    _act: _Item | None = None
    _running: set[tuple[str, str, str]] = field(default_factory=set)
    _touched: set[str] = field(default_factory=lambda: set(SERVICES))  # since somebody last looked
    _failure: BaseException | None = None  # of a step inside of a task, which would only try again
    _duplicates: int = 0
    _timers_within: timedelta = timedelta()

    async def play(self) -> None:
        self.world.between.before = self._before
        self.world.between.after = self._after
        self.world.gateway.shuffle = self._shuffled
        self._timers_within = _TIMERS_WITHIN[self.chance(8) == 7]
        try:
            await self.look()
            while await self._step() or await self._wait():
                assert len(self.trace) < _MOST_STEPS, f"no end: {self.trace[-40:]}"
            await self._forget_timers()
        finally:
            self.world.between.before = self.world.between.after = _nothing_happens
            self.world.gateway.shuffle = list

    async def _forget_timers(self) -> None:
        """Those of the far future, which no later order may meet."""
        for service, kind, key in self._tasks:
            await self.world.lens(service).execute("DELETE FROM task WHERE kind = $1 AND key = $2", kind, key)

    async def replay(self, records: Sequence[Record]) -> None:
        """Forgets in all services what was applied, and publishes it again to whom it may concern."""
        for service in self.world.services.values():
            await service.lens.execute("TRUNCATE inbox")
        for record in records:
            for reader in TOPICS[record.topic].readers:
                self._post(reader, record)

    # --- what happens next --------------------------------------------------------------------------------

    async def _step(self) -> bool:
        item = await self._next()
        if item is None:
            return False
        self.trace.append(item.label)
        match item:
            case _Parcel():
                await self._deliver(item)
            case _Task():
                await self._perform(item)
            case _Webhook():
                self._webhooks.remove(item)
                self._touched.add("payment")
                await self.world.send_webhook(item.body)
            case _ if item is self._poll:
                self._poll = None
                await self._run("claims", "poll-returns", "payers")
            case _:
                await self._acted()
        if self._failure is not None:
            raise self._failure
        await self.look()
        return True

    async def _next(self) -> _Item | None:
        now = self.world.now
        found: list[_Item] = [lane[0] for lane in self._lanes.values() if lane]
        found += self._again
        found += self._webhooks
        found += [task for task in self._tasks.values() if task.due_at <= now]
        if self._poll is not None:
            found.append(self._poll)
        if self.acts:
            act = self.acts[0]
            unseen = not act.of or act.of & self._touched
            if self._act is None and unseen and await act.ready():
                late = (_PATIENT, *_LATE)[self.chance(1 + len(_LATE))]
                self._act = self._item(act.name, self.late.get(act.name, late))
            if self._act is not None:
                found.append(self._act)
        self._touched.clear()
        return min(found, key=lambda item: item.turn, default=None)

    async def _wait(self) -> bool:
        """Moves the clock to the next timer: a retry while somebody still acts, in the end all of them."""
        within = _RETRIES_WITHIN if self.acts else self._timers_within
        due = min((task.due_at for task in self._tasks.values()), default=None)
        if due is None or due > self.world.now + within:
            assert not self.acts, f"{self.acts[0].name} waits for ever: {self.trace}"
            return False
        self._clock_to(due)
        return True

    def _clock_to(self, at: datetime) -> None:
        self.world.clock.shift += max(at - self.world.now, timedelta())

    def _item(self, label: str, late: int) -> _Item:
        return _Item(label, self._turn(late))

    def _turn(self, late: int) -> int:
        # in ten thousandths, so that no two have the same turn
        self._serial += 1
        return (self._serial + late) * 10_000 + self._serial

    def _late(self, label: str) -> int:
        return self.late[label] if label in self.late else _LATE[self.chance(len(_LATE))]

    # --- doing it -----------------------------------------------------------------------------------------

    async def _deliver(self, parcel: _Parcel) -> None:
        service = self.world.services[parcel.reader]
        self._touched.add(parcel.reader)
        now = self.world.now
        if parcel in self._again:
            self._again.remove(parcel)
            outcome = await deliver(parcel.record, service.routes, service.sessions, now=now)
            assert outcome.ending is Ending.DUPLICATE, (parcel.label, outcome)
            return
        lane = self._lanes[parcel.reader, parcel.record.topic, parcel.record.key]
        parcels = [lane.popleft()]
        while lane and lane[0].note:
            parcels.append(lane.popleft())
        records = [each.record for each in parcels]
        if len(records) == 1:
            outcomes = [await deliver(records[0], service.routes, service.sessions, now=now)]
        else:
            outcomes = await deliver_batch(records, service.routes, service.sessions, now=now)
        for each, outcome in zip(parcels, outcomes, strict=True):
            assert outcome.ending not in _ENDED_BADLY, (each.label, outcome)
            assert outcome.ending is not Ending.DUPLICATE, each.label
        if not parcel.note and self._duplicates < 6 and self.chance(4) == 3:
            self._duplicates += 1
            label = f"again {parcel.label}"
            self._again.append(
                _Parcel(label, self._turn(self._late(label)), parcel.reader, parcel.record, parcel.note)
            )

    async def _perform(self, task: _Task) -> None:
        del self._tasks[task.service, task.kind, task.key]
        await self._run(task.service, task.kind, task.key)

    async def _run(self, name: str, kind: str, key: str) -> None:
        service = self.world.services[name]
        self._touched.add(name)
        token = uuid4()
        row = await service.lens.fetchrow(_LEASE, kind, key, token, self.world.clock.read())
        if row is None:
            return
        payload, cause = (row[name] and read_headers(row[name]) for name in ("payload", "cause"))
        leased = Leased(token, kind, key, payload, cause, row["attempt"])
        self._running.add((name, kind, key))
        try:
            done = await perform(
                leased,
                service.tasks,
                service.sessions,
                clock=self.world.clock,
                resources=service.resources,
            )
        finally:
            self._running.discard((name, kind, key))
        assert done.outcome not in {"failed", "lease-lost"}, (kind, done.outcome)
        service.bell.set("task")  # it may go on later

    async def _acted(self) -> None:
        act = self.acts.popleft()
        self._act = None
        self._touched.update(SERVICES)
        if act.at is not None:
            self._clock_to(act.at)
        await act.do()

    # --- between a call and its answer --------------------------------------------------------------------

    async def _before(self) -> str:
        return await self._meanwhile((0, 0, 0, 0, 0, 0, 1, 3))

    async def _after(self) -> str:
        return await self._meanwhile((0, 0, 0, 0, 1, 2, 4, 8), answered=True)

    async def _meanwhile(self, steps: Sequence[int], *, answered: bool = False) -> str:
        if len(self._running) > 1:
            return ""
        drawn = self.chance(_LOST + 1)
        try:
            await self.look()
            if answered and self.in_flight:
                await self.in_flight.popleft()()
                await self._rest()
            for _ in range(steps[drawn % len(steps)]):
                await self._step()
        except BaseException as failure:
            self._failure = failure
            raise
        if drawn == _LOST:
            self.trace.append("lost")
            return "lost"
        return ""

    async def _rest(self) -> None:
        """All that can happen by now."""
        await self.look()
        while await self._step():
            pass

    def _shuffled(self, items: list[Any]) -> list[Any]:
        left, shuffled = list(items), []
        while left:
            shuffled.append(left.pop(self.chance(len(left))))
        return shuffled

    # --- what there is to happen --------------------------------------------------------------------------

    async def look(self) -> None:
        for name in SERVICES:
            bell = self.world.services[name].bell
            if "outbox" in bell.rung:
                await self._look_at_outbox(name)
            if "task" in bell.rung:
                await self._look_at_tasks(name)
            bell.rung.clear()
        await self._look_outside()

    async def _look_at_outbox(self, name: str) -> None:
        rows = await self.world.lens(name).fetch(
            "DELETE FROM outbox RETURNING id, topic, key, sequence, headers, body"
        )
        for row in sorted(rows, key=lambda row: row["id"]):
            origin = f"0@{row['sequence']}"
            record = Record(row["topic"], row["key"], origin, read_headers(row["headers"]), row["body"])
            self.sent.append(record)
            if self.world.archive is not None:
                self.world.archive.append(record)
            numbered = (record.topic, record.key)
            self.sequences[numbered] = self.sequences.get(numbered, 0) + 1
            assert row["sequence"] == self.sequences[numbered], (record, self.sequences[numbered], self.trace)
            for reader in TOPICS[record.topic].readers:
                self._post(reader, record)

    def _post(self, reader: str, record: Record) -> None:
        fact = record.headers["ce_type"]
        unread = not self.world.services[reader].routes.reads(fact)
        note = unread or (reader == "booking" and fact in _SHOWN)
        lane = self._lanes.setdefault((reader, record.topic, record.key), deque())
        label = f"{fact} -> {reader}"
        turn = self._turn(_NOTES if note and label not in self.late else self._late(label))
        lane.append(_Parcel(label, turn, reader, record, note))

    async def _look_at_tasks(self, name: str) -> None:
        rows = await self.world.lens(name).fetch(_OPEN)
        open_ = {}
        for row in rows:
            if row["kind"] in _NOT_OURS:
                continue
            label = await self._label(name, row["kind"], row["key"])
            open_[name, row["kind"], row["key"]] = (label, row["due_at"])
        known = {key: task for key, task in self._tasks.items() if key[0] == name}
        for key in known:
            if key not in open_:
                del self._tasks[key]
        for key, (label, due_at) in sorted(open_.items(), key=lambda entry: entry[1]):
            if key in known:
                known[key].due_at = due_at
            elif key not in self._running:
                self._tasks[key] = _Task(label, self._turn(self._late(label)), *key, due_at)

    async def _label(self, name: str, kind: str, key: str) -> str:
        parts = key.split(":")
        try:
            first = UUID(parts[0])
        except ValueError:
            return f"{kind} {key}"
        if first not in self.names and self.appointment_id is not None and name in _NAMES:
            rows = await self.world.lens(name).fetch(_NAMES[name], self.appointment_id)
            self.names.update({row[0]: row[1] for row in rows})
        return " ".join([kind, self.names.get(first, "it"), *parts[1:]])

    async def _look_outside(self) -> None:
        if self.world.gateway.returns_wait:
            self.world.gateway.returns_wait = False
            if self._poll is None:
                self._poll = self._item("poll", self._late("poll"))
        if not self.world.between.called:
            return
        self.world.between.called = False
        rows = await self.world.books.fetch(
            "UPDATE card_event SET delivered_at = next_at WHERE delivered_at IS NULL RETURNING seq, body"
        )
        for row in sorted(rows, key=lambda row: row["seq"]):
            fate = self.chance(4)
            for copy in range(2 if fate == 3 else 1):
                label = "webhook again" if copy else "webhook"
                self._webhooks.append(_Webhook(label, self._turn(self._late(label)), row["body"]))


async def _nothing_happens() -> str:
    return ""
