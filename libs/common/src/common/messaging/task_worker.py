"""Leases due tasks and runs their handlers, several side by side.

A lease is taken in a transaction of its own, skipping what others hold, and names a token that the task's
second transaction checks. It counts in real time: moving the business clock neither ends nor prolongs it. A
worker holds an advisory lock under a number of its own for as long as it lives; the leases of one whose
lock is gone, by kill -9 or a lost connection, are free at once, and any worker takes them up.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, Double, String, bindparam, text

from common import outages, telemetry
from common.clock import Clock
from common.db import Sessions
from common.messaging import connections
from common.messaging.failures import is_infrastructure, system_of
from common.messaging.tasks import (
    FAILED,
    Done,
    LeaseLost,
    Registered,
    Retry,
    TaskContext,
    Tasks,
    cause_of,
)
from common.telemetry import Metrics
from common.wake import Wake

_POLL: Final = 0.25  # seconds: what a lost wake-up costs at most, and how late a due time may be seen
_RECLAIM_EVERY: Final = 5.0
_DRAIN: Final = 15.0
_BACKOFF: Final = 0.5
_ALIVE: Final = 7_352_003  # first half of the advisory lock, any number; the second is the worker's

_LEASE: Final = text("""
    WITH due AS (
        SELECT kind, key FROM task
        WHERE outcome IS NULL AND due_at <= :now AND (lease_until IS NULL OR lease_until <= :real)
            AND kind = ANY (:kinds)
        ORDER BY due_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    UPDATE task SET attempt = task.attempt + 1, lease_token = :token, lease_worker = :worker,
        lease_until = CAST(:real AS timestamptz) + known.seconds * INTERVAL '1 second'
    FROM due JOIN unnest(:kinds, :seconds) AS known (kind, seconds) ON known.kind = due.kind
    WHERE task.kind = due.kind AND task.key = due.key
    RETURNING task.due_at, task.kind, task.key, task.payload, task.cause, task.attempt
""").bindparams(bindparam("kinds", type_=ARRAY(String)), bindparam("seconds", type_=ARRAY(Double)))

_RECLAIM: Final = """
    UPDATE task SET lease_token = NULL, lease_until = NULL, lease_worker = NULL
    WHERE outcome IS NULL AND lease_worker IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND classid = $1 AND objid::bigint = lease_worker
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
"""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Leased:
    token: UUID
    kind: str
    key: str
    payload: dict[str, Any] | None
    cause: dict[str, str] | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Performed:
    kind: str
    key: str
    outcome: str  # of the task, or why it goes on


class TaskWorker:
    def __init__(
        self,
        service: str,
        tasks: Tasks,
        sessions: Sessions,
        clock: Clock,
        wake: Wake,
        *,
        dsn: str,
        resources: Any,
        direct: Any = None,
        at_once: int = 8,
        metrics: Metrics | None = None,
    ) -> None:
        """`at_once` bounds how many handlers run side by side."""
        self._name = f"{service} tasks"
        self._tasks = tasks
        self._sessions = sessions
        self._clock = clock
        self._wake = wake
        self._dsn = dsn
        self._resources = resources
        self._direct = direct
        self._at_once = at_once
        self._metrics = metrics

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`: then nothing is leased, and what runs has 15 s to end."""
        while not stop.is_set():
            try:
                async with _alive(self._dsn, self._name) as (connection, number):
                    await self._work(connection, number, stop)
            except* connections.LOST as errors:
                outages.report(_log, "database", errors.exceptions[0], "the task worker begins again")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_BACKOFF):
                        await stop.wait()

    async def _work(self, connection: Any, number: int, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            running: set[asyncio.Task[None]] = set()
            reclaimed = -_RECLAIM_EVERY
            while not stop.is_set():
                now = asyncio.get_running_loop().time()
                if now - reclaimed >= _RECLAIM_EVERY:
                    await connection.execute(_RECLAIM, _ALIVE)
                    reclaimed = now
                free = self._at_once - len(running)
                leased = await self._lease(free, number) if free else []
                for each in leased:
                    task = group.create_task(self._perform(each))
                    running.add(task)
                    task.add_done_callback(running.discard)
                if len(leased) < free:
                    await self._wake.wait("task", _POLL)
                elif len(running) == self._at_once:  # else some ended meanwhile, and more may be due
                    await asyncio.wait(running, timeout=_POLL, return_when=asyncio.FIRST_COMPLETED)
            if running:
                _, left = await asyncio.wait(running, timeout=_DRAIN)
                for task in left:
                    task.cancel()  # its lease is free as soon as this worker's lock is

    async def _lease(self, limit: int, number: int) -> list[Leased]:
        try:
            return await lease(self._tasks, self._sessions, clock=self._clock, limit=limit, worker=number)
        except Exception as error:
            if not is_infrastructure(error):
                raise
            outages.report(_log, "database", error, "no tasks are leased")
            return []

    async def _perform(self, leased: Leased) -> None:
        try:
            performed = await perform(
                leased,
                self._tasks,
                self._sessions,
                clock=self._clock,
                resources=self._resources,
                direct=self._direct,
            )
        except Exception as error:
            if not is_infrastructure(error):
                raise
            # Even the failure could not be recorded; the lease runs out, and the task is done again.
            outages.report(_log, "database", error, f"the end of a {leased.kind} is not recorded")
            return
        if self._metrics is not None:
            self._metrics.count("tasks_finished_total", kind=performed.kind, outcome=performed.outcome)


@asynccontextmanager
async def _alive(dsn: str, name: str) -> AsyncIterator[tuple[Any, int]]:
    """Holds the lock that tells this worker is there; yields its connection and its number."""
    number = secrets.randbelow(2**31)
    connection = await connections.connect(dsn, name=name)
    try:
        await connection.execute("SELECT pg_advisory_lock($1, $2)", _ALIVE, number)
        yield connection, number
    finally:
        await connections.close(connection)


async def lease(tasks: Tasks, sessions: Sessions, *, clock: Clock, limit: int, worker: int) -> list[Leased]:
    """Takes at most `limit` due tasks of the registered kinds, the longest due first, and commits that."""
    token = uuid4()
    parameters = {
        "kinds": list(tasks.by_kind),
        "seconds": [each.lease.total_seconds() for each in tasks.by_kind.values()],
        "now": clock.now(),
        "real": clock.read(),
        "limit": limit,
        "token": token,
        "worker": worker,
    }
    async with sessions.begin() as session:
        rows = await session.execute(_LEASE, parameters)
        # The rows of an UPDATE come in the order of its plan.
        return [Leased(token, *row) for _, *row in sorted(rows, key=lambda row: row[:3])]


async def perform(
    leased: Leased,
    tasks: Tasks,
    sessions: Sessions,
    *,
    clock: Clock,
    resources: Any,
    direct: Any = None,
) -> Performed:
    """Runs the handler of a leased task and records how it ended."""
    registered = tasks.by_kind[leased.kind]
    context = TaskContext(
        kind=leased.kind,
        key=leased.key,
        payload=leased.payload or {},
        attempt=leased.attempt,
        sessions=sessions,
        direct=direct,
        clock=clock,
        resources=resources,
        token=leased.token,
        cause=cause_of(leased.cause),
    )
    parent = context.cause.traceparent if context.cause else None
    with telemetry.span(f"task {leased.kind}", parent=parent):
        return Performed(leased.kind, leased.key, await _outcome(context, registered))


async def run_due(
    tasks: Tasks, sessions: Sessions, *, clock: Clock, resources: Any, direct: Any = None, limit: int = 100
) -> list[Performed]:
    """Leases what is due and runs it, one after the other: for tests and commands, without a worker."""
    leased = await lease(tasks, sessions, clock=clock, limit=limit, worker=0)
    about = {"clock": clock, "resources": resources, "direct": direct}
    return [await perform(each, tasks, sessions, **about) for each in leased]


async def _outcome(context: TaskContext, registered: Registered) -> str:
    try:
        # Cancelled before the lease ends: two workers never do one task at the same time.
        async with asyncio.timeout(registered.lease.total_seconds() * 0.9):
            done = await registered.handler(context)
        if context.recorded is None:
            async with context.sessions.begin() as session:
                await context.record(session, done)
            context.recorded = done
    except LeaseLost:
        _log.warning("the lease of a %s is lost", context.kind)
        return "lease-lost"
    except Retry as error:
        if error.system is not None:
            outages.report(_log, error.system, error.reason, f"a {context.kind} waits")
        return await _again(context, registered, error)
    except Exception as error:  # noqa: BLE001  that of a bug is logged, with its stack
        if context.recorded is not None:
            _log.exception("a %s failed after its end was recorded", context.kind)
            return context.recorded.code
        if is_infrastructure(error):
            outages.report(_log, system_of(error), error, f"a {context.kind} waits")
        else:
            _log.exception("a %s failed, attempt %s", context.kind, context.attempt)
        delay = registered.retries.after(context.attempt)
        return await _again(context, registered, Retry(delay, type(error).__name__))
    return _told(context.recorded)


async def _again(context: TaskContext, registered: Registered, failed: Retry) -> str:
    if context.attempt >= registered.retries.attempts:
        _log.error("a %s is given up after %s attempts: %s", context.kind, context.attempt, failed.reason)
        await context.give_up(failed.reason, registered.given_up)
        return FAILED
    due_at = context.clock.now() + failed.after
    await context.postpone(due_at=due_at, attempt=context.attempt, reason=failed.reason)
    return "retry"


def _told(done: Done) -> str:
    return done.code if done.again_at is None else "later"
