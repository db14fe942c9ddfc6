"""Waiting for what comes after the commit: `Prefer: wait`, and server-sent events from the history."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Final, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import Sessions
from common.messaging import history
from common.messaging.tables import HistoryRow
from common.web.problems import Problem

Answer = TypeVar("Answer")

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.25
_KEEP_ALIVE_SECONDS: Final = 15.0
_STREAM_SECONDS: Final = 300.0  # then the client comes back with Last-Event-ID, to whichever process is there
_BATCH: Final = 100
_MAX_ID: Final = 2**63 - 1


async def wait_until(
    sessions: Sessions, check: Callable[[AsyncSession], Awaitable[Answer | None]], seconds: float
) -> Answer | None:
    """The first answer of `check` that is not None, asked in new transactions for at most `seconds`.

    Holds no connection in between. With 0 seconds it asks once.
    """
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + seconds, _FIRST_PAUSE
    while True:
        async with sessions() as session:
            answer = await check(session)
        left = until - loop.time()
        if answer is not None or left <= 0:
            return answer
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


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


LastEventId = Annotated[int, Depends(given_last_event_id)]


def event_stream(
    sessions: Sessions,
    appointment_id: UUID,
    last_event_id: int,
    *,
    ended: Callable[[HistoryRow], bool],
    stopping: asyncio.Event | None = None,
    keep_alive: float = _KEEP_ALIVE_SECONDS,
    longest: float = _STREAM_SECONDS,
) -> StreamingResponse:
    """Facts of an appointment as they come, until one is the last. Rights are checked before.

    `stopping` is `app.state.stopping`: a process that ends lets its clients go to another one.
    """
    events = _events(sessions, appointment_id, last_event_id, ended, stopping, keep_alive, longest)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(
    sessions: Sessions,
    appointment_id: UUID,
    last_id: int,
    ended: Callable[[HistoryRow], bool],
    stopping: asyncio.Event | None,
    keep_alive: float,
    longest: float,
) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    began = spoke = loop.time()
    pause = _FIRST_PAUSE
    yield b"retry: 1000\n\n"
    while loop.time() - began < longest and not (stopping is not None and stopping.is_set()):
        async with sessions() as session:
            rows = await history.after(session, appointment_id, last_id, _BATCH)
        for row in rows:
            last_id = row.id
            yield _event(row)
            if ended(row):
                return
        if rows:
            spoke, pause = loop.time(), _FIRST_PAUSE
        elif loop.time() - spoke >= keep_alive:
            spoke = loop.time()
            yield b": still here\n\n"
        await asyncio.sleep(min(pause, keep_alive))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _event(row: HistoryRow) -> bytes:
    at = row.at.isoformat().replace("+00:00", "Z")
    data = json.dumps({"fact": row.fact, "sequence": row.sequence, "at": at})
    return f"id: {row.id}\nevent: {row.fact}\ndata: {data}\n\n".encode()
