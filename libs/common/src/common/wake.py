"""Wake-ups after a commit, inside one process and between processes.

There are two kinds of waiters: the worker (relay and tasks), and requests that wait until a thing changed
(`Prefer: wait`, event streams). A lost wake-up costs time and never an event: the worker polls every 250 ms,
requests look again after a while.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, get_args
from uuid import UUID

import asyncpg

from common import connecting, outages

Kind = Literal["outbox", "task"]
Channel = Literal["wake", "changed"]

_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_WAKE: Final[Channel] = "wake"  # payload: a kind
_CHANGED: Final[Channel] = "changed"  # payload: ids in hexadecimal, separated by commas
_IDS_PER_NOTIFY: Final = 200  # PostgreSQL takes at most 8,000 bytes
_COALESCE: Final = 0.002  # seconds: at most one NOTIFY of a kind in this time
_RECONNECT: Final = 1.0
_IDLE_CHECK: Final = 15.0
_NOTIFY: Final = (
    "SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS told (channel, payload)"
)

# the client's internal error comes when it is cut in the middle of an answer
_LOST: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_log: Final = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Watcher:
    """One request that waits for one thing."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    last_id: int | None = None  # of the newest fact it has seen; None: it waits for something else than facts


class Changes:
    """Tells the requests of this process that a thing they wait for has changed."""

    def __init__(self) -> None:
        self._watchers: dict[UUID, set[Watcher]] = {}

    @contextmanager
    def watch(self, thing_id: UUID) -> Iterator[Watcher]:
        """A watcher that `tell` wakes from now on, until the block ends."""
        watcher = Watcher()
        self._watchers.setdefault(thing_id, set()).add(watcher)
        try:
            yield watcher
        finally:
            self._watchers[thing_id].discard(watcher)
            if not self._watchers[thing_id]:
                del self._watchers[thing_id]

    def tell(self, ids: Collection[UUID]) -> None:
        for each in ids:
            for watcher in self._watchers.get(each, ()):
                watcher.changed.set()

    def tell_all(self) -> None:
        """After a lost connection: any change may have been missed."""
        self.tell(self._watchers)

    def of_facts(self) -> dict[UUID, int]:
        """The appointments whose facts are watched, and the smallest last fact id of the watchers of each."""
        seen: dict[UUID, int] = {}
        for appointment_id, watchers in self._watchers.items():
            ids = [each.last_id for each in watchers if each.last_id is not None]
            if ids:
                seen[appointment_id] = min(ids)
        return seen


class Wake(Protocol):
    """One object per service and process; all parts of the process share it."""

    @property
    def changes(self) -> Changes:
        """The waiting requests of this process."""

    def set(self, kind: Kind) -> None:
        """Says that a transaction which wrote something of this kind is committed. Never blocks."""

    def changed(self, ids: Collection[UUID]) -> None:
        """Says that a transaction which changed these things is committed. Never blocks."""

    async def wait(self, kind: Kind, timeout: float) -> None:  # noqa: ASYNC109
        """Returns when something was written since the last call, or after `timeout` seconds.

        When several wait for a kind, one wake-up is for one of them.
        """

    def running(self) -> AbstractAsyncContextManager[None]:
        """Connects this process with the others while the context is open."""


class LocalWake:
    """For an API and a worker in one process and one event loop."""

    def __init__(self) -> None:
        self.changes: Final = Changes()
        self._events: Final[dict[Kind, asyncio.Event]] = {kind: asyncio.Event() for kind in _KINDS}

    def set(self, kind: Kind) -> None:
        self._events[kind].set()

    def changed(self, ids: Collection[UUID]) -> None:
        self.changes.tell(ids)

    async def wait(self, kind: Kind, timeout: float) -> None:  # noqa: ASYNC109
        event = self._events[kind]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await event.wait()
        event.clear()

    def running(self) -> AbstractAsyncContextManager[None]:
        return contextlib.nullcontext()


class NotifyWake:
    """Between processes, by NOTIFY on a connection of its own.

    Never inside a business transaction: there it serialises the commits of the whole database.
    """

    def __init__(self, dsn: str, *, hears: Channel) -> None:
        """A worker hears `wake`, an API process hears `changed`. Both speak on both."""
        self._dsn = dsn
        self._hears = hears
        self._local = LocalWake()
        self._kinds: set[Kind] = set()
        self._ids: set[UUID] = set()
        self._written = asyncio.Event()

    @property
    def changes(self) -> Changes:
        return self._local.changes

    def set(self, kind: Kind) -> None:
        self._local.set(kind)
        self._kinds.add(kind)
        self._written.set()

    def changed(self, ids: Collection[UUID]) -> None:
        self._local.changed(ids)
        self._ids.update(ids)
        self._written.set()

    async def wait(self, kind: Kind, timeout: float) -> None:  # noqa: ASYNC109
        await self._local.wait(kind, timeout)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            speaking = group.create_task(self._speak_for_ever())
            try:
                yield
            finally:
                speaking.cancel()

    async def _speak_for_ever(self) -> None:
        while True:
            try:
                connection = await connecting.connect(self._dsn, timeout=5, command_timeout=5)
            except _LOST as error:
                outages.report(_log, "database", error, "no connection to wake other processes")
                await asyncio.sleep(_RECONNECT)
                continue
            try:
                await self._speak(connection)
            except _LOST as error:
                outages.report(_log, "database", error, "lost the connection that wakes other processes")
                await asyncio.sleep(_RECONNECT)
            finally:
                connection.terminate()

    async def _speak(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await connection.add_listener(self._hears, self._hear)
        self.changes.tell_all()  # what changed while nobody listened
        while True:
            try:
                async with asyncio.timeout(_IDLE_CHECK):
                    await self._written.wait()
            except TimeoutError:
                await connection.execute("SELECT 1")  # a listener does not notice that it was cut off
            self._written.clear()
            told = self._take()
            if told:
                channels, payloads = zip(*told, strict=True)
                await connection.execute(_NOTIFY, channels, payloads)
                await asyncio.sleep(_COALESCE)

    def _take(self) -> list[tuple[Channel, str]]:
        """What other processes have not been told yet."""
        told: list[tuple[Channel, str]] = [(_WAKE, kind) for kind in self._kinds]
        ids = [each.hex for each in self._ids]
        told += [
            (_CHANGED, ",".join(ids[first : first + _IDS_PER_NOTIFY]))
            for first in range(0, len(ids), _IDS_PER_NOTIFY)
        ]
        self._kinds, self._ids = set(), set()
        return told

    def _hear(self, _connection: object, _pid: int, channel: str, payload: str) -> None:
        if channel == _CHANGED:
            self.changes.tell([UUID(hex=each) for each in payload.split(",")])
            return
        for each in _KINDS:
            if each == payload:
                self._local.set(each)
