"""Waiting for what comes after the commit: `Prefer: wait`, and server-sent events from the history.

A request that waits holds no connection. It asks the database when a commit changed the thing it waits for: a
worker or another API process tells so by NOTIFY, and one connection per process listens for all requests.
"""

import asyncio
import contextlib
import json
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from common import outages
from common.db import Sessions
from common.messaging import history
from common.messaging.failures import is_infrastructure
from common.messaging.tables import HistoryRow
from common.wake import Changes, Watcher
from common.web.problems import Problem

Answer = TypeVar("Answer")

STREAMS_PER_ACCOUNT: Final = (
    20  # open at once in one process: phones, tabs, and what a client forgot to close
)

_ASK_AGAIN: Final = 1.0  # seconds: how late a wait may see a change whose notification was lost
_SWEEP_SECONDS: Final = 15.0  # the same for streams, by one statement for all of them
_KEEP_ALIVE_SECONDS: Final = 15.0
_STREAM_SECONDS: Final = 300.0  # then the client comes back with Last-Event-ID, to whichever process is there
_BATCH: Final = 100
_MAX_ID: Final = 2**63 - 1

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """The waiting requests of one process."""

    sessions: Sessions
    changes: Changes = field(default_factory=Changes)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _open: Counter[UUID] = field(default_factory=Counter)

    async def wait_until(
        self, check: Callable[[AsyncSession], Awaitable[Answer | None]], seconds: float, *, about: UUID
    ) -> Answer | None:
        """The first answer of `check` that is not None, or None after `seconds`. With 0 seconds it asks once.

        It asks in a new transaction each time: at once, whenever `about` changes, and once a second.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        with self.changes.watch(about) as watcher:
            while True:
                watcher.changed.clear()
                async with self.sessions() as session:
                    answer = await check(session)
                left = until - loop.time()
                if answer is not None or left <= 0:
                    return answer
                await _wait(watcher.changed, min(_ASK_AGAIN, left))

    def stream(
        self,
        appointment_id: UUID,
        last_event_id: int,
        *,
        account: UUID,
        is_last: Callable[[HistoryRow], bool] = lambda _: False,
        keep_alive: float = _KEEP_ALIVE_SECONDS,
        longest: float = _STREAM_SECONDS,
    ) -> StreamingResponse:
        """Facts of an appointment as they come, until one is the last. Check the caller's permission before.

        Raises Problem `too-many-streams` (429) when the account has too many of them open.
        """
        if self._open[account] >= STREAMS_PER_ACCOUNT:
            detail = f"An account has at most {STREAMS_PER_ACCOUNT} event streams open at once."
            raise Problem(429, "too-many-streams", detail, headers={"Retry-After": "5"})
        events = self._counted(
            account, self._events(appointment_id, last_event_id, is_last, keep_alive, longest)
        )
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    @asynccontextmanager
    async def sweeping(self, *, every: float = _SWEEP_SECONDS) -> AsyncIterator[None]:
        """Wakes the streams whose notification was lost, while the context is open."""
        async with asyncio.TaskGroup() as group:
            sweeping = group.create_task(self._sweep_for_ever(every))
            try:
                yield
            finally:
                sweeping.cancel()

    async def _sweep_for_ever(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await self._sweep()
            except Exception as error:
                if not is_infrastructure(error):
                    raise
                outages.report(_log, "database", error, "streams are not checked for lost notifications")

    async def _sweep(self) -> None:
        seen = self.changes.of_facts()
        if not seen:
            return
        async with self.sessions() as session:
            newest = await history.last_ids(session, seen.keys())
        self.changes.tell([each for each, last_id in newest.items() if last_id > seen[each]])

    async def _counted(self, account: UUID, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        async with contextlib.aclosing(events):
            with self._counting(account):
                async for each in events:
                    yield each

    @contextmanager
    def _counting(self, account: UUID) -> Iterator[None]:
        self._open[account] += 1
        try:
            yield
        finally:
            self._open[account] -= 1
            if self._open[account] <= 0:
                del self._open[account]

    async def _events(
        self,
        appointment_id: UUID,
        last_id: int,
        is_last: Callable[[HistoryRow], bool],
        keep_alive: float,
        longest: float,
    ) -> AsyncGenerator[bytes]:
        loop = asyncio.get_running_loop()
        until = loop.time() + longest
        yield b"retry: 1000\n\n"
        with self.changes.watch(appointment_id) as watcher:
            watcher.last_id = last_id
            watcher.changed.set()
            while loop.time() < until and not self.stopping.is_set():
                if not watcher.changed.is_set():
                    yield b": still here\n\n"
                else:
                    watcher.changed.clear()
                    for row in await self._newer(appointment_id, watcher):
                        yield _event(row)
                        if is_last(row):
                            return
                await _wait_for_either(watcher.changed, self.stopping, min(keep_alive, until - loop.time()))

    async def _newer(self, appointment_id: UUID, watcher: Watcher) -> list[HistoryRow]:
        """The next facts, at most 100; when there are more, the watcher stays awake for them."""
        last_id = watcher.last_id or 0
        async with self.sessions() as session:
            rows = list(await history.after(session, appointment_id, last_id, _BATCH))
        if rows:
            watcher.last_id = rows[-1].id
        if len(rows) == _BATCH:
            watcher.changed.set()
        return rows


def no_more_events() -> Response:
    """Tells the client's EventSource to stop: 204 is the answer after which it does not come back."""
    return Response(status_code=204)


def last_event_id(request: Request) -> int:
    """Where a stream that was interrupted goes on; 0 from the start. Raises 422 for what we never sent."""
    given = request.headers.get("last-event-id", "")
    if not given:
        return 0
    if not given.isascii() or not given.isdecimal() or int(given) > _MAX_ID:
        raise Problem(422, "last-event-id-invalid", "Last-Event-ID is not one of ours.")
    return int(given)


async def given_last_event_id(request: Request) -> int:
    return last_event_id(request)


async def _progress(request: Request) -> Progress:
    progress: Progress = request.app.state.progress
    return progress


LastEventId = Annotated[int, Depends(given_last_event_id)]
ProgressDep = Annotated[Progress, Depends(_progress)]


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _wait_for_either(first: asyncio.Event, second: asyncio.Event, seconds: float) -> None:
    waits = [asyncio.ensure_future(each.wait()) for each in (first, second)]
    try:
        await asyncio.wait(waits, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()


def _event(row: HistoryRow) -> bytes:
    at = row.at.isoformat().replace("+00:00", "Z")
    about = str(row.about_id) if row.about_id is not None else None
    data = json.dumps({"id": row.id, "fact": row.fact, "sequence": row.sequence, "about_id": about, "at": at})
    return f"id: {row.id}\nevent: {row.fact}\ndata: {data}\n\n".encode()
