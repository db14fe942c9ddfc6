"""Work that calls out or waits for a time: written in the transaction that decides it, done outside of any.

`add` writes a task, `Tasks` says who does which kind, `TaskContext` is what a handler works with. A handler
first calls out, with the task's key as the idempotency key of the call, and then records what happened in a
second transaction, `context.finish()`: it locks the root row and reads what arrived meanwhile. The worker
that leases tasks is in task_worker.py.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn
from uuid import UUID

from sqlalchemy import ARRAY, String, bindparam, case, event, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from common.clock import Clock
from common.db import Sessions
from common.messaging.tables import TaskRow
from common.outages import System
from common.transaction import Cause, notes_of

DONE_CODE: Final = "done"
FAILED: Final = "failed"

_FINISH: Final = text("""
    UPDATE task SET outcome = :outcome, finished_at = :now, reason = NULL,
        lease_token = NULL, lease_until = NULL, lease_worker = NULL
    WHERE kind = :kind AND key = :key AND lease_token = :token
    RETURNING true
""")
_SETTLE: Final = text("""
    WITH free AS MATERIALIZED (
        SELECT kind, key FROM task WHERE kind = :kind AND key = ANY (:keys) FOR UPDATE SKIP LOCKED
    )
    UPDATE task SET outcome = :outcome, finished_at = :now, reason = NULL
    FROM free
    WHERE task.kind = free.kind AND task.key = free.key AND outcome IS NULL AND lease_token IS NULL
""").bindparams(bindparam("keys", type_=ARRAY(String)))
_POSTPONE: Final = text("""
    UPDATE task SET due_at = :due_at, attempt = :attempt, reason = :reason,
        first_due_at = CASE WHEN :failed THEN COALESCE(first_due_at, due_at) END,
        lease_token = NULL, lease_until = NULL, lease_worker = NULL
    WHERE kind = :kind AND key = :key AND lease_token = :token
    RETURNING true
""")


def add(
    session: AsyncSession,
    kind: str,
    key: str,
    *,
    due_at: datetime,
    payload: dict[str, Any] | None = None,
    again: bool = False,
) -> None:
    """Writes a task at the next flush. `key` makes it unique, and its call safe to repeat: a business key.

    Adding one that is open keeps the earlier `due_at` and the first payload. Adding one that is finished does
    nothing, or with `again` opens it anew; a task that goes on itself says `context.later`. The payload holds
    ids and amounts only.
    """
    notes = notes_of(session)
    row = TaskRow(kind=kind, key=key, due_at=due_at, attempt=0, payload=payload, cause=_as_json(notes.cause))
    row.again = again
    session.add(row)
    notes.wakes.add("task")


async def settle(
    session: AsyncSession, kind: str, keys: Sequence[str], *, outcome: str, now: datetime
) -> None:
    """Finishes tasks that somebody has done by the way. One that is just being done is left to its worker."""
    await session.execute(_SETTLE, {"kind": kind, "keys": list(keys), "outcome": outcome, "now": now})


@event.listens_for(Session, "before_flush")
def _upsert(session: Session, *_: object) -> None:
    """A task may exist already, and an ORM insert knows no ON CONFLICT."""
    rows = [row for row in session.new if isinstance(row, TaskRow)]
    if not rows:
        return
    for again in (False, True):
        alike = [_values(row) for row in rows if row.again is again]
        if alike:
            session.connection().execute(_upsert_of(again=again), alike)  # one round trip for all of them
    for row in rows:
        session.expunge(row)


def _values(row: TaskRow) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "key": row.key,
        "attempt": 0,
        "due_at": row.due_at,
        "payload": row.payload,
        "cause": row.cause,
    }


def _upsert_of(*, again: bool) -> Any:
    statement = insert(TaskRow)
    earlier = func.least(TaskRow.due_at, statement.excluded.due_at)
    if not again:
        return statement.on_conflict_do_update(
            index_elements=["kind", "key"],
            set_={"due_at": earlier},
            where=TaskRow.outcome.is_(None),
        )
    opened = TaskRow.outcome.is_not(None)
    return statement.on_conflict_do_update(
        index_elements=["kind", "key"],
        set_={
            "due_at": case((opened, statement.excluded.due_at), else_=earlier),
            "first_due_at": case((opened, None), else_=TaskRow.first_due_at),
            "payload": case((opened, statement.excluded.payload), else_=TaskRow.payload),
            "cause": case((opened, statement.excluded.cause), else_=TaskRow.cause),
            "attempt": case((opened, 0), else_=TaskRow.attempt),
            "reason": case((opened, None), else_=TaskRow.reason),
            "outcome": None,
            "finished_at": None,
        },
    )


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long after a failed attempt the next one follows, and after how many there is none."""

    first: timedelta = timedelta(seconds=1)
    factor: int = 2
    longest: timedelta = timedelta(minutes=5)
    attempts: int = 12

    def after(self, attempt: int) -> timedelta:
        # the exponent is bounded, or a task that is retried for days overflows
        times: int = self.factor ** min(attempt - 1, 20)
        return min(self.first * times, self.longest)


@dataclass(frozen=True, slots=True)
class Done:
    """What a handler returns: an outcome that is counted, or the time to go on."""

    code: str = DONE_CODE
    again_at: datetime | None = None


DONE: Final = Done()


class Retry(Exception):
    """Raised by `context.retry`: this attempt led nowhere, the next one follows after a given time."""

    def __init__(self, after: timedelta, reason: str, system: System | None = None) -> None:
        super().__init__(reason)
        self.after = after
        self.reason = reason
        self.system = system


class LeaseLost(Exception):
    """Somebody else does this task by now; what was written in this transaction is rolled back."""


@dataclass(slots=True)
class TaskContext:
    """What a handler works with. `resources` is whatever the service gave its worker: clients, settings."""

    kind: str
    key: str
    payload: Mapping[str, Any]
    attempt: int
    sessions: Sessions
    direct: Any
    clock: Clock
    resources: Any
    token: UUID
    cause: Cause | None = None
    recorded: Done | None = None
    _again_at: datetime | None = None

    @asynccontextmanager
    async def finish(self, *, outcome: str = DONE_CODE) -> AsyncIterator[AsyncSession]:
        """The second transaction: what the handler writes in it commits together with the task's end.

        Lock the root row first. Raises LeaseLost, and rolls back, when the lease went to somebody else. After
        `context.later(...)` the task is not finished but goes on at that time.
        """
        async with self.sessions.begin() as session:
            if self.cause is not None:
                notes_of(session).cause = self.cause
            yield session
            done = Done(outcome, self._again_at)
            await self.record(session, done)
        self.recorded = done

    def later(self, due_at: datetime) -> Done:
        """Goes on at `due_at`, without a failed attempt: `return context.later(...)`, or in `finish()`."""
        self._again_at = due_at
        return Done(again_at=due_at)

    def retry(self, after: timedelta, reason: str, *, system: System | None = None) -> NoReturn:
        """Ends this attempt; `reason` is a code, it is listed and counted.

        `system` is the outside system that failed, if one did: it is warned about, once a minute.
        """
        raise Retry(after, reason, system)

    async def record(self, session: AsyncSession, done: Done) -> None:
        about = {"kind": self.kind, "key": self.key, "token": self.token}
        if done.again_at is None:
            ended = await session.scalar(_FINISH, {**about, "outcome": done.code, "now": self.clock.now()})
        else:
            postponed = {"due_at": done.again_at, "attempt": 0, "reason": None, "failed": False}
            ended = await session.scalar(_POSTPONE, {**about, **postponed})
        if ended is None:
            raise LeaseLost(f"{self.kind} {self.key}")

    async def postpone(self, *, due_at: datetime, attempt: int, reason: str) -> None:
        """Records an attempt that failed. A lost lease is no matter: somebody else has the task."""
        about = {"kind": self.kind, "key": self.key, "token": self.token}
        async with self.sessions.begin() as session:
            failed = {"due_at": due_at, "attempt": attempt, "reason": reason, "failed": True}
            await session.execute(_POSTPONE, {**about, **failed})

    async def give_up(self, reason: str, given_up: "GivenUp | None" = None) -> None:
        """No attempt is left: the task is `failed`, with the reason of its last attempt."""
        about = {"kind": self.kind, "key": self.key, "token": self.token}
        async with self.sessions.begin() as session:
            ended = await session.scalar(_FINISH, {**about, "outcome": FAILED, "now": self.clock.now()})
            if ended is not None:
                row = await session.get_one(TaskRow, (self.kind, self.key))
                row.reason = reason
                if given_up is not None:
                    await given_up(session, self.key, reason)


TaskHandler = Callable[[TaskContext], Awaitable[Done]]
# (session, key of the task, reason of its last attempt): writes what the caller who waits will read
GivenUp = Callable[[AsyncSession, str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Registered:
    handler: TaskHandler
    lease: timedelta
    retries: Backoff
    given_up: GivenUp | None


@dataclass(slots=True)
class Tasks:
    """Which handler does which kind of task."""

    by_kind: dict[str, Registered] = field(default_factory=dict)

    def on(
        self,
        kind: str,
        *,
        lease: timedelta = timedelta(seconds=30),
        retries: Backoff | None = None,
        given_up: GivenUp | None = None,
    ) -> Callable[[TaskHandler], TaskHandler]:
        """`lease` is also the longest one attempt may take: then it is cancelled and tried again.

        `given_up` runs in the transaction that fails a task for which no attempt is left.
        """

        def register(handler: TaskHandler) -> TaskHandler:
            if kind in self.by_kind:
                raise ValueError(f"two handlers for {kind}")
            self.by_kind[kind] = Registered(handler, lease, retries or Backoff(), given_up)
            return handler

        return register


def _as_json(cause: Cause | None) -> dict[str, str] | None:
    if cause is None:
        return None
    written = {"correlation_id": str(cause.correlation_id), "causation_id": str(cause.causation_id)}
    return written if cause.traceparent is None else {**written, "traceparent": cause.traceparent}


def cause_of(written: Mapping[str, str] | None) -> Cause | None:
    if written is None:
        return None
    correlation_id, causation_id = UUID(written["correlation_id"]), UUID(written["causation_id"])
    return Cause(correlation_id, causation_id, written.get("traceparent"))
