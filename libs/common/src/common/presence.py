"""Which processes of a service run, and which master keys each of them knows.

A rotation wraps every patient's key with the active master key. A process that does not know that key could
open none of them any more, so `keys rotate` asks here first. Each process writes a row every 15 s; times are
those of the machines, which may differ by a few seconds.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common import outages
from common.crypto import Keyring
from common.db import Sessions
from common.messaging.failures import is_infrastructure
from common.web.tables import ProcessRow

Role = Literal["api", "worker"]

EVERY_SECONDS: Final = 15.0
ALIVE: Final = timedelta(seconds=60)  # a process that was seen so recently counts as running
_KEPT: Final = timedelta(hours=1)
_LAST_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 1.0

_log: Final = logging.getLogger(__name__)


def known_keys(keyring: Keyring) -> list[str]:
    """NAME:FINGERPRINT of each master key: the same name with another key is not the same key."""
    return [f"{name}:{_fingerprint(key)}" for name, key in sorted(keyring.master.items())]


async def announce(
    session: AsyncSession, process_id: UUID, role: Role, keyring: Keyring, *, now: datetime
) -> None:
    """Says that this process runs. Removes the rows of processes that were killed long ago."""
    row = {"role": role, "master_keys": known_keys(keyring), "seen_at": now}
    written = insert(ProcessRow).values(id=process_id, **row)
    await session.execute(written.on_conflict_do_update(index_elements=["id"], set_=row))
    await session.execute(delete(ProcessRow).where(ProcessRow.seen_at < now - _KEPT))


async def withdraw(session: AsyncSession, process_id: UUID) -> None:
    await session.execute(delete(ProcessRow).where(ProcessRow.id == process_id))


async def list_without_active_key(
    session: AsyncSession, keyring: Keyring, *, now: datetime
) -> Sequence[ProcessRow]:
    """The running processes that do not know the active master key of `keyring`."""
    active = f"{keyring.active}:{_fingerprint(keyring.master[keyring.active])}"
    running = select(ProcessRow).where(ProcessRow.seen_at > now - ALIVE).order_by(ProcessRow.seen_at)
    return [row for row in await session.scalars(running) if active not in row.master_keys]


@asynccontextmanager
async def announced(
    role: Role,
    keyring: Keyring,
    sessions: Callable[[], Sessions | None],
    *,
    now: Callable[[], datetime],
    every: float = EVERY_SECONDS,
) -> AsyncIterator[UUID]:
    """Announces this process every `every` seconds while the context is open. `sessions` may have none."""
    process_id = uuid4()

    async def announce_once() -> bool:
        opened = sessions()
        if opened is None:
            return False
        try:
            async with opened.begin() as session:
                await announce(session, process_id, role, keyring, now=now())
        except Exception as error:  # noqa: BLE001  the process works without it; a rotation has to wait
            if is_infrastructure(error):
                outages.report(_log, "database", error, "this process is not announced")
            else:
                _log.exception("this process is not announced")
            return False
        return True

    async def keep_announcing() -> None:
        while True:
            pause = every if await announce_once() else min(every, _AGAIN_SECONDS)
            await asyncio.sleep(pause)

    try:
        async with asyncio.TaskGroup() as group:
            announcing = group.create_task(keep_announcing())
            try:
                yield process_id
            finally:
                announcing.cancel()
    finally:
        opened = sessions()
        if opened is not None:
            with suppress(Exception):  # the row ends by itself
                async with asyncio.timeout(_LAST_SECONDS), opened.begin() as session:
                    await withdraw(session, process_id)


def _fingerprint(key: bytes) -> str:
    return hashlib.blake2b(b"fingerprint", key=key, digest_size=6).hexdigest()
