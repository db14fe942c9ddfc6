"""Wakes the relay and the task worker after a commit, inside one process and between processes.

Losing a wake-up costs time and never an event: both poll every 250 ms besides.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Literal, Protocol, get_args

import asyncpg

Kind = Literal["outbox", "task"]

_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_CHANNEL: Final = "wake"
_COALESCE: Final = 0.002  # seconds: at most one NOTIFY of a kind in this time
_RECONNECT: Final = 1.0
_IDLE_CHECK: Final = 15.0

# the client's internal error comes when it is cut in the middle of an answer
_LOST: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_log: Final = logging.getLogger(__name__)


class Wake(Protocol):
    """One per service, not per process: the first who waits takes the wake-up."""

    def set(self, kind: Kind) -> None:
        """Says that a transaction which wrote something of this kind is committed. Never blocks."""

    async def wait(self, kind: Kind, timeout: float) -> None:  # noqa: ASYNC109
        """Returns when something was written since the last call, or after `timeout` seconds."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """What connects this process with the others, for as long as it is open."""


class LocalWake:
    """For an API and a worker in one process and one event loop."""

    def __init__(self) -> None:
        self._events: Final[dict[Kind, asyncio.Event]] = {kind: asyncio.Event() for kind in _KINDS}

    def set(self, kind: Kind) -> None:
        self._events[kind].set()

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

    def __init__(self, dsn: str, *, listens: bool = True) -> None:
        self._dsn = dsn
        self._listens = listens  # an API process only speaks
        self._local = LocalWake()
        self._pending: set[Kind] = set()
        self._written = asyncio.Event()

    def set(self, kind: Kind) -> None:
        self._local.set(kind)
        self._pending.add(kind)
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
                connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=5)
            except _LOST as error:
                _log.warning("no connection to wake other processes: %s", type(error).__name__)
                await asyncio.sleep(_RECONNECT)
                continue
            try:
                await self._speak(connection)
            except _LOST as error:
                _log.warning("lost the connection that wakes other processes: %s", type(error).__name__)
                await asyncio.sleep(_RECONNECT)
            finally:
                connection.terminate()

    async def _speak(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        if self._listens:
            await connection.add_listener(_CHANNEL, self._hear)
        while True:
            try:
                async with asyncio.timeout(_IDLE_CHECK):
                    await self._written.wait()
            except TimeoutError:
                await connection.execute("SELECT 1")  # a listener does not notice that it was cut off
            self._written.clear()
            kinds, self._pending = self._pending, set()
            for kind in kinds:
                await connection.execute("SELECT pg_notify($1, $2)", _CHANNEL, kind)
            if kinds:
                await asyncio.sleep(_COALESCE)

    def _hear(self, _connection: object, _pid: int, _channel: str, kind: str) -> None:
        for each in _KINDS:
            if each == kind:
                self._local.set(each)
