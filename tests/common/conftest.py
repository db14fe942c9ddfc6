from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from sqlalchemy import URL, func, select

from common.db import Sessions, engine_of, sessions_of
from common.messaging.tables import DeadLetterRow, InboxRow, TaskRow
from common.settings import PostgresSettings
from common.wake import LocalWake
from support.fixtures import database_of

# The messaging tables, as the migrations of a service make them.
template, engine = database_of("payment", "head")


@pytest.fixture
def left_behind(sessions: Sessions) -> Callable[[], Awaitable[list[int]]]:
    async def left_behind() -> list[int]:
        """How many marks, dead letters and tasks."""
        async with sessions() as session:
            counts = [select(func.count()).select_from(row) for row in (InboxRow, DeadLetterRow, TaskRow)]
            return [await session.scalar(count) or 0 for count in counts]

    return left_behind


@pytest.fixture
def wake() -> LocalWake:
    return LocalWake()


@pytest.fixture
def dsn(committed: URL) -> str:
    return committed.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
async def pool(dsn: str, wake: LocalWake) -> AsyncIterator[Sessions]:
    """Sessions on connections of their own, whose commits are real and wake."""
    engine = engine_of(PostgresSettings(dsn=dsn), name="test", pool=8)
    yield sessions_of(engine, wake)
    await engine.dispose()
