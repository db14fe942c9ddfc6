"""The archive of what was published: a partition a day by the clock, made ahead and dropped when old."""

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import asyncpg

_PREFIX: Final = "outbox_archive_"

_MOVE: Final = """
    WITH moved AS (
        DELETE FROM outbox WHERE id = ANY ($1::bigint[]) RETURNING id, topic, key, sequence, headers, body
    )
    INSERT INTO outbox_archive (archived_at, id, topic, key, sequence, headers, body)
    SELECT $2, id, topic, key, sequence, headers, body FROM moved
"""
_PARTITIONS: Final = """
    SELECT child.relname FROM pg_inherits
    JOIN pg_class AS child ON child.oid = inhrelid
    WHERE inhparent = 'outbox_archive'::regclass
    ORDER BY child.relname
"""

_log: Final = logging.getLogger(__name__)


class Archive:
    """As one connection sees it. `keep` is how long a published event can be replayed."""

    def __init__(self, connection: Any, *, keep: timedelta) -> None:
        self._connection = connection
        self._keep = keep
        self._days: set[date] = set()

    async def move(self, ids: Sequence[int], *, now: datetime) -> None:
        """Out of the outbox and into the archive, in one statement."""
        await self._prepare(now)
        await self._connection.execute(_MOVE, ids, now)

    async def _prepare(self, now: datetime) -> None:
        today = now.astimezone(UTC).date()
        tomorrow = today + timedelta(days=1)
        if today not in self._days:
            await self._make(today)
        if tomorrow in self._days:
            return
        try:
            await self._make(tomorrow)
            await prune(self._connection, before=today - self._keep)
        except asyncpg.LockNotAvailableError:
            _log.info("the archive is being read; its next partition is made later")

    async def _make(self, day: date) -> None:
        # names and bounds are no parameters in this statement; both come from a date
        await self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {_PREFIX}{day:%Y%m%d} PARTITION OF outbox_archive"
            f" FOR VALUES FROM ('{day} 00:00+00') TO ('{day + timedelta(days=1)} 00:00+00')"
        )
        self._days.add(day)


async def prune(connection: Any, *, before: date) -> list[str]:
    """Drops the partitions of days before this one; returns their names."""
    names = [row["relname"] for row in await connection.fetch(_PARTITIONS)]
    old = [name for name in names if name < f"{_PREFIX}{before:%Y%m%d}"]
    for name in old:
        await connection.execute(f"DROP TABLE {name}")
    return old
