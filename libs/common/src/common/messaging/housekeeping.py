"""Removes what is old, in small batches, one process at a time: docs/retention.toml says what and why.

The inbox is in no list: what it remembers makes every replay harmless, so it outlives the archive.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import CursorResult, text

from common.db import Sessions
from common.settings import RetentionSettings

_LOCK: Final = 7_352_004  # any number, the same in every process of a service
_BATCH: Final = 1000  # rows a statement removes: far below the five seconds one may take

_ALONE: Final = text("SELECT pg_try_advisory_xact_lock(:lock)")

_log: Final = logging.getLogger(__name__)


class AlreadyAtWork(Exception):
    """Another process is keeping house on this database."""


@dataclass(frozen=True, slots=True)
class Purge:
    """What of a table is old. `kept` names its age in the service's retention settings."""

    table: str
    kept: str
    old: str  # a query: the ctid of at most :limit rows whose time was over before :before


# Rows that may still change are locked and skipped where somebody else holds them. An append-only table is
# read from its lowest id, so that the query stays short however large the table is.
COMMON: Final = (
    Purge(
        "idempotency",
        "idempotency",
        "SELECT ctid FROM idempotency WHERE created_at < :before LIMIT :limit FOR UPDATE SKIP LOCKED",
    ),
    Purge(
        "rate_limit",
        "rate_limits",
        "SELECT ctid FROM rate_limit WHERE full_at < :before LIMIT :limit FOR UPDATE SKIP LOCKED",
    ),
    Purge(
        "task",
        "tasks",
        "SELECT ctid FROM task WHERE outcome <> 'failed' AND finished_at < :before"
        " LIMIT :limit FOR UPDATE SKIP LOCKED",
    ),
    Purge(
        "access_log",
        "access_log",
        "SELECT ctid FROM (SELECT ctid, at FROM access_log ORDER BY id LIMIT :limit) AS oldest"
        " WHERE at < :before",
    ),
    Purge(
        "history",
        "history",
        "SELECT ctid FROM (SELECT ctid, at FROM history ORDER BY id LIMIT :limit) AS oldest"
        " WHERE at < :before",
    ),
)


@dataclass(frozen=True, slots=True)
class House:
    """What a service keeps: the tables every service has, its own, and for how long."""

    own: tuple[Purge, ...] = ()
    retention: RetentionSettings = field(default_factory=RetentionSettings)

    @property
    def purges(self) -> tuple[Purge, ...]:
        return COMMON + self.own


async def keep_house(
    house: House, sessions: Sessions, *, now: datetime, batch: int = _BATCH
) -> Mapping[str, int]:
    """Removes everything that is old; returns how many rows of which table.

    Every batch is a transaction of its own. Raises AlreadyAtWork when another process is at it.
    """
    removed = {}
    for purge in house.purges:
        age: timedelta = getattr(house.retention, purge.kept)
        removed[purge.table] = await _purge(purge, sessions, before=now - age, batch=batch)
    if any(removed.values()):
        _log.info("removed what is old", extra={"removed": removed})
    return removed


async def _purge(purge: Purge, sessions: Sessions, *, before: datetime, batch: int) -> int:
    statement = text(f'DELETE FROM "{purge.table}" WHERE ctid = ANY (ARRAY({purge.old}))')  # noqa: S608 - ours
    removed = 0
    while True:
        async with sessions.begin() as session:
            if not await session.scalar(_ALONE, {"lock": _LOCK}):
                raise AlreadyAtWork
            done = await session.execute(statement, {"before": before, "limit": batch})
        gone = done.rowcount if isinstance(done, CursorResult) else 0
        removed += gone
        if gone == 0:
            return removed
