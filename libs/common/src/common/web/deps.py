"""FastAPI dependencies every service uses."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Final

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from common.clock import Clock
from common.db import Direct, Sessions
from common.transaction import notes_of
from common.web.pages import Cursor, CursorKey, Limit

__all__ = [
    "Cursor",
    "CursorKey",
    "DirectDep",
    "Limit",
    "Now",
    "Prefer",
    "Reading",
    "SessionsDep",
    "Transaction",
]

MAX_WAIT_SECONDS: Final = 10.0


async def _transaction(request: Request) -> AsyncIterator[AsyncSession]:
    # Not sessions.begin(): rights may give the connection back before the first write (rights.py).
    sessions: Sessions = request.app.state.sessions
    async with sessions() as session:
        yield session
        await session.commit()


async def _reading(request: Request) -> AsyncIterator[AsyncSession]:
    sessions: Sessions = request.app.state.sessions
    async with sessions() as session:
        notes_of(session).read_only = True
        yield session


async def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


async def _direct(request: Request) -> Direct:
    direct: Direct = request.app.state.direct
    return direct


async def _now(request: Request) -> datetime:
    clock: Clock = request.app.state.clock
    return clock.now()


async def preferred_wait(
    request: Request,
) -> float:
    for part in request.headers.get("prefer", "").replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        if name.strip().lower() == "wait" and value.strip().strip('"').isdecimal():
            return min(float(value.strip().strip('"')), MAX_WAIT_SECONDS)
    return 0.0  # a preference that cannot be read is no error (RFC 7240)


# scope="function": commit after serialising, before the first byte leaves. With FastAPI's default scope the
# client has its 201 before the commit is tried.
Transaction = Annotated[AsyncSession, Depends(_transaction, scope="function")]
Reading = Annotated[AsyncSession, Depends(_reading, scope="function")]
SessionsDep = Annotated[Sessions, Depends(_sessions)]
DirectDep = Annotated[Direct, Depends(_direct)]
Now = Annotated[datetime, Depends(_now)]
Prefer = Annotated[float, Depends(preferred_wait)]
