"""Tasks: written once, leased by one, done in a second transaction or tried again."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from common.clock import Clock
from common.messaging import history, tasks
from common.messaging.runner import measure_backlog
from common.messaging.tables import HistoryRow, TaskRow
from common.messaging.task_worker import Performed, TaskWorker, lease, perform, run_due
from common.messaging.tasks import DONE, Backoff, Done, LeaseLost, TaskContext, Tasks
from common.telemetry import Metrics
from common.transaction import Cause, notes_of
from support.eventually import eventually
from support.records import NOW

KEY = uuid4()
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> Clock:
    return Clock(read=lambda: NOW)


async def given_task(sessions: Any, kind: str = "call", key: str = "k", **about: Any) -> None:
    async with sessions.begin() as session:
        tasks.add(session, kind, key, **{"due_at": NOW, **about})


async def stored(sessions: Any, kind: str = "call", key: str = "k") -> TaskRow:
    async with sessions() as session:
        return await session.get_one(TaskRow, (kind, key))


def registry(handler: Any, kind: str = "call", **options: Any) -> Tasks:
    registered = Tasks()
    registered.on(kind, **options)(handler)
    return registered


async def note(context: TaskContext) -> Done:
    async with context.finish() as session:
        history.note(session, KEY, context.key, at=NOW)
    return DONE


async def noted(sessions: Any) -> list[str]:
    async with sessions() as session:
        return list(await session.scalars(select(HistoryRow.fact).order_by(HistoryRow.id)))


async def test_a_due_task_is_done_and_its_outcome_commits_with_what_it_wrote(sessions, clock) -> None:
    await given_task(sessions, payload={"hold_id": "h"})

    performed = await run_due(registry(note), sessions, clock=clock, resources=None)

    assert performed == [Performed("call", "k", "done")]
    assert await noted(sessions) == ["k"]
    row = await stored(sessions)
    assert (row.outcome, row.finished_at, row.attempt, row.lease_token) == ("done", NOW, 1, None)
    assert await run_due(registry(note), sessions, clock=clock, resources=None) == []


async def test_a_task_waits_for_its_time_by_the_shifted_clock(sessions, clock) -> None:
    await given_task(sessions, due_at=NOW + timedelta(hours=2))

    early = await run_due(registry(note), sessions, clock=clock, resources=None)
    clock.shift = timedelta(hours=2)
    late = await run_due(registry(note), sessions, clock=clock, resources=None)

    assert (early, late) == ([], [Performed("call", "k", "done")])


@pytest.mark.parametrize(
    ("again", "kept"),
    [(NOW + SECOND, NOW), (NOW - SECOND, NOW - SECOND)],
)
async def test_adding_an_open_task_keeps_the_earlier_time(sessions, again, kept) -> None:
    await given_task(sessions, payload={"n": 1})
    await given_task(sessions, due_at=again, payload={"n": 2})

    row = await stored(sessions)
    assert (row.due_at, row.payload) == (kept, {"n": 1})


async def test_two_adds_in_one_transaction_are_one_task(sessions) -> None:
    async with sessions.begin() as session:
        tasks.add(session, "call", "k", due_at=NOW)
        tasks.add(session, "call", "k", due_at=NOW - SECOND)

    assert (await stored(sessions)).due_at == NOW - SECOND


async def test_a_finished_task_stays_finished_unless_it_is_added_again(sessions, clock) -> None:
    await given_task(sessions)
    await run_due(registry(note), sessions, clock=clock, resources=None)

    await given_task(sessions, due_at=NOW + SECOND)
    left = await stored(sessions)
    await given_task(sessions, due_at=NOW + SECOND, payload={"n": 2}, again=True)
    opened = await stored(sessions)

    assert left.outcome == "done"
    assert (opened.outcome, opened.finished_at, opened.attempt, opened.due_at, opened.payload) == (
        None,
        None,
        0,
        NOW + SECOND,
        {"n": 2},
    )


async def test_a_task_that_is_rolled_back_was_never_added(sessions) -> None:
    async with sessions() as session:
        tasks.add(session, "call", "k", due_at=NOW)
        await session.rollback()

    async with sessions() as session:
        assert (await session.scalars(select(TaskRow))).all() == []


async def test_a_failure_is_tried_again_later_each_time(sessions, clock, caplog) -> None:
    async def fail(_: TaskContext) -> Done:
        raise LookupError

    await given_task(sessions)
    backoff = Backoff(first=SECOND, factor=3, longest=timedelta(seconds=5), attempts=4)
    waits, outcomes = [], []
    with caplog.at_level(logging.CRITICAL):
        for _ in range(4):
            work = registry(fail, retries=backoff)
            [performed] = await run_due(work, sessions, clock=clock, resources=None)
            outcomes.append(performed.outcome)
            row = await stored(sessions)
            waits.append(row.due_at - clock.now())
            clock.shift = row.due_at - NOW

    assert waits[:3] == [SECOND, SECOND * 3, SECOND * 5]
    assert outcomes == ["retry", "retry", "retry", "failed"]
    assert (row.outcome, row.reason, row.attempt) == ("failed", "LookupError", 4)
    assert await run_due(registry(note), sessions, clock=clock, resources=None) == []


async def test_a_handler_says_when_to_try_again_and_why(sessions, clock) -> None:
    async def ask(context: TaskContext) -> Done:
        context.retry(timedelta(minutes=1), "provider-unknown")

    await given_task(sessions)

    await run_due(registry(ask), sessions, clock=clock, resources=None)

    row = await stored(sessions)
    assert (row.due_at, row.reason, row.attempt) == (NOW + timedelta(minutes=1), "provider-unknown", 1)


async def test_going_on_later_counts_as_no_failure(sessions, clock) -> None:
    async def poll(context: TaskContext) -> Done:
        return context.later(NOW + SECOND)

    async def poll_and_note(context: TaskContext) -> Done:
        async with context.finish() as session:
            history.note(session, KEY, "asked", at=NOW)
            return context.later(NOW + SECOND * 2)

    await given_task(sessions)
    first = await run_due(registry(poll), sessions, clock=clock, resources=None)
    between = await stored(sessions)
    clock.shift = SECOND
    second = await run_due(registry(poll_and_note), sessions, clock=clock, resources=None)
    after = await stored(sessions)

    assert [each.outcome for each in (*first, *second)] == ["later", "later"]
    assert [(row.attempt, row.due_at, row.outcome) for row in (between, after)] == [
        (0, NOW + SECOND, None),
        (0, NOW + SECOND * 2, None),
    ]
    assert await noted(sessions) == ["asked"]


@pytest.mark.parametrize("plan", ["enable_nestloop", "enable_hashjoin"])
async def test_the_longest_due_is_done_first_whatever_the_plan_of_the_statement(
    sessions, clock, plan
) -> None:
    ages = [7, 3, 9, 1, 8, 2, 6, 4, 5, 0]
    for age in ages:
        await given_task(sessions, key=f"task-{age}", due_at=NOW - age * SECOND)
    async with sessions.begin() as session:
        await session.execute(text(f"SET LOCAL {plan} = off"))

        leased = await lease(registry(note), sessions, clock=clock, limit=20, worker=1)

    assert [each.key for each in leased] == [f"task-{age}" for age in sorted(ages, reverse=True)]


async def test_a_lease_that_went_to_somebody_else_rolls_the_second_transaction_back(sessions, clock) -> None:
    await given_task(sessions)
    [leased] = await lease(registry(note), sessions, clock=clock, limit=1, worker=1)

    performed = await perform(
        replace(leased, token=uuid4()), registry(note), sessions, clock=clock, resources=None
    )

    assert performed.outcome == "lease-lost"
    assert await noted(sessions) == []
    assert (await stored(sessions)).lease_token == leased.token


async def test_what_fails_in_the_second_transaction_leaves_nothing(sessions, clock) -> None:
    async def stumble(context: TaskContext) -> Done:
        async with context.finish() as session:
            history.note(session, KEY, "half", at=NOW)
            await session.flush()
            raise LookupError

    await given_task(sessions)

    [performed] = await run_due(registry(stumble), sessions, clock=clock, resources=None)

    assert performed.outcome == "retry"
    assert await noted(sessions) == []


async def test_a_leased_task_is_nobody_elses_until_the_lease_ends_in_real_time(sessions) -> None:
    real = [NOW]
    clock = Clock(read=lambda: real[0])
    await given_task(sessions)
    work = registry(note, lease=timedelta(seconds=30))
    await lease(work, sessions, clock=clock, limit=1, worker=1)

    clock.shift = timedelta(days=1)
    by_shift = await lease(work, sessions, clock=clock, limit=1, worker=2)
    real[0] = NOW + timedelta(seconds=30)
    by_time = await lease(work, sessions, clock=clock, limit=1, worker=2)

    assert by_shift == []
    assert [each.attempt for each in by_time] == [2]


async def test_half_a_lease_cannot_be_stored(sessions) -> None:
    await given_task(sessions)

    with pytest.raises(IntegrityError, match="ck_task_leased_wholly_or_not"):
        async with sessions.begin() as session:
            await session.execute(text("UPDATE task SET lease_token = gen_random_uuid()"))


async def test_a_kind_nobody_registered_stays_where_it_is(sessions, clock) -> None:
    await given_task(sessions, kind="unknown")

    assert await run_due(registry(note), sessions, clock=clock, resources=None) == []


async def test_events_of_a_task_name_the_cause_of_its_transaction(sessions, clock) -> None:
    cause = Cause(uuid4(), uuid4(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    async with sessions.begin() as session:
        notes_of(session).cause = cause
        tasks.add(session, "call", "k", due_at=NOW)
    seen = []

    async def look(context: TaskContext) -> Done:
        async with context.finish() as session:
            seen.append(notes_of(session).cause)
        return DONE

    await run_due(registry(look), sessions, clock=clock, resources=None)

    assert seen == [cause]


async def test_two_workers_never_take_the_same_task(pool, clock) -> None:
    for number in range(40):
        await given_task(pool, key=str(number))
    work = registry(note)

    async def take(worker: int) -> list[str]:
        taken: list[str] = []
        while found := await lease(work, pool, clock=clock, limit=3, worker=worker):
            taken += [each.key for each in found]
        return taken

    shares = await asyncio.gather(*[take(worker) for worker in range(4)])

    assert sorted(key for share in shares for key in share) == sorted(str(number) for number in range(40))


@asynccontextmanager
async def working(work: Tasks, pool: Any, wake: Any, dsn: str, **about: Any) -> AsyncIterator[None]:
    about = {"clock": Clock(read=lambda: NOW), "resources": None, **about}
    clock = about.pop("clock")
    worker = TaskWorker("payment", work, pool, clock, wake, dsn=dsn, **about)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        try:
            yield
        finally:
            stop.set()


async def test_a_worker_runs_several_at_once_and_no_more_than_it_may(pool, wake, dsn) -> None:
    running, most, go_on = 0, 0, asyncio.Event()

    async def wait(_: TaskContext) -> Done:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1
        return DONE

    for number in range(7):
        await given_task(pool, key=str(number))
    async with working(registry(wait), pool, wake, dsn, at_once=3):
        await eventually(lambda: running == 3)
        go_on.set()
        await eventually(lambda: all_done(pool, 7))

    assert most == 3


async def all_done(pool: Any, number: int) -> bool:
    async with pool() as session:
        outcomes = list(await session.scalars(select(TaskRow.outcome)))
    return outcomes == ["done"] * number


class Deaf:
    """A wake-up that comes when the test is over."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def wait(self, _: str, __: float) -> None:
        await self.over.wait()


async def test_a_backlog_is_worked_off_without_waiting_for_anything(pool, dsn) -> None:
    deaf = Deaf()
    for number in range(30):
        await given_task(pool, key=str(number))

    async with working(registry(note), pool, deaf, dsn, at_once=3):
        try:
            await eventually(lambda: all_done(pool, 30))
        finally:
            deaf.over.set()


async def test_what_is_done_by_the_way_is_finished_unless_somebody_is_at_it(pool, clock) -> None:
    for key in ("mine", "other", "apart"):
        await given_task(pool, key=key)
    [leased] = await lease(registry(note), pool, clock=clock, limit=1, worker=1)
    free = [key for key in ("mine", "other") if key != leased.key]

    async with pool.begin() as session:
        await tasks.settle(session, "call", [leased.key, *free], outcome="by-the-way", now=NOW)

    outcomes = {key: (await stored(pool, key=key)).outcome for key in {leased.key, *free}}
    assert outcomes == {leased.key: None} | dict.fromkeys(free, "by-the-way")


async def test_a_commit_wakes_the_worker(pool, wake, dsn) -> None:
    async with working(registry(note), pool, wake, dsn):
        await given_task(pool)
        await eventually(lambda: all_done(pool, 1))


async def test_the_leases_of_a_worker_that_is_gone_are_free_at_once(pool, wake, dsn, clock) -> None:
    await given_task(pool)
    [leased] = await lease(registry(note, lease=timedelta(days=1)), pool, clock=clock, limit=1, worker=4711)

    async with working(registry(note), pool, wake, dsn):
        await eventually(lambda: all_done(pool, 1))

    assert (await stored(pool)).attempt == 2
    assert leased.attempt == 1


async def test_a_stop_lets_a_running_task_end_and_starts_no_other(pool, wake, dsn) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(context: TaskContext) -> Done:
        begun.set()
        await go_on.wait()
        return await note(context)

    await given_task(pool, key="first")
    await given_task(pool, key="second", due_at=NOW + SECOND)
    clock = Clock(read=lambda: NOW)
    stop = asyncio.Event()
    worker = TaskWorker("payment", registry(wait), pool, clock, wake, dsn=dsn, resources=None, at_once=1)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        await begun.wait()
        clock.shift = SECOND
        stop.set()
        go_on.set()

    assert (await stored(pool, key="first")).outcome == "done"
    assert (await stored(pool, key="second")).attempt == 0


async def test_an_attempt_that_outlasts_its_lease_is_cancelled(sessions, clock, caplog) -> None:
    async def hang(_: TaskContext) -> Done:
        await asyncio.Event().wait()
        raise AssertionError

    await given_task(sessions)
    with caplog.at_level(logging.CRITICAL):
        work = registry(hang, lease=timedelta(milliseconds=50))
        [performed] = await run_due(work, sessions, clock=clock, resources=None)

    assert performed.outcome == "retry"
    assert (await stored(sessions)).reason == "TimeoutError"


def test_a_kind_has_one_handler() -> None:
    work = registry(note)

    with pytest.raises(ValueError, match="two handlers for call"):
        work.on("call")(note)


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (10_000, 300)]
)
def test_the_pause_doubles_up_to_its_longest(attempt: int, seconds: int) -> None:
    assert Backoff().after(attempt) == timedelta(seconds=seconds)


async def test_a_lost_lease_is_told_to_who_finishes(sessions, clock) -> None:
    async def finish_late(context: TaskContext) -> Done:
        async with context.sessions.begin() as session:
            await session.execute(text("UPDATE task SET lease_token = gen_random_uuid()"))
        with pytest.raises(LeaseLost):
            async with context.finish() as session:
                history.note(session, KEY, "late", at=NOW)
        return DONE

    await given_task(sessions)

    [performed] = await run_due(registry(finish_late), sessions, clock=clock, resources=None)

    assert performed.outcome == "lease-lost"
    assert await noted(sessions) == []


async def test_the_age_of_a_task_counts_from_when_it_was_first_due(sessions, clock) -> None:
    async def again(context: TaskContext) -> Done:
        context.retry(timedelta(hours=1), "card-provider-away")

    async def goes_on(context: TaskContext) -> Done:
        return context.later(context.clock.now() + timedelta(minutes=10))

    metrics = Metrics("x")

    async def ages() -> tuple[str, str]:
        await measure_backlog(registry(again), sessions, clock, metrics)
        lines = dict(line.rsplit(" ", 1) for line in metrics.exposition().decode().splitlines())
        about = '{kind="call",service="x"}'
        return lines[f"tasks_oldest_seconds{about}"], lines[f"tasks_due{about}"]

    await given_task(sessions)
    clock.shift = timedelta(minutes=1)
    await run_due(registry(again), sessions, clock=clock, resources=None)
    clock.shift = timedelta(minutes=30)
    waiting = await ages()
    clock.shift = timedelta(minutes=61)
    await run_due(registry(again), sessions, clock=clock, resources=None)
    tried_twice = await ages()
    clock.shift = timedelta(minutes=121)
    await run_due(registry(goes_on), sessions, clock=clock, resources=None)
    went_on = await ages()
    clock.shift = timedelta(minutes=132)
    due_anew = await ages()

    assert waiting == ("1800.0", "0.0")
    assert tried_twice == ("3660.0", "0.0")
    assert went_on == ("0.0", "0.0")
    assert due_anew == ("60.0", "1.0")
