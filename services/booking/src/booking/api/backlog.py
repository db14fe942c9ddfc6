"""Whether events pile up: then nothing more is booked until the broker has them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from booking import hot
from common import outages
from common.db import Direct

_EVERY_SECONDS: Final = 1.0
_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Backlog:
    most: int
    full: bool = False

    async def look(self, direct: Direct) -> None:
        was, self.full = self.full, await hot.count_unsent(direct, at_most=self.most + 1) > self.most
        if self.full and not was:
            _log.error("more than %s events are unsent: no new bookings", self.most)


@asynccontextmanager
async def watched(backlog: Backlog, direct: Direct) -> AsyncIterator[None]:
    """Looks once a second for as long as it is open."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await backlog.look(direct)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                outages.report(_log, "database", error, "the backlog cannot be counted")

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
