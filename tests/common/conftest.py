from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import func, select

from common.db import Sessions
from common.messaging.tables import DeadLetterRow, InboxRow, TaskRow
from support.fixtures import database_of

# The messaging tables, as the migrations of a service make them.
template, engine = database_of("payment", "payment_messaging")


@pytest.fixture
def left_behind(sessions: Sessions) -> Callable[[], Awaitable[list[int]]]:
    async def left_behind() -> list[int]:
        """How many marks, dead letters and tasks."""
        async with sessions() as session:
            counts = [select(func.count()).select_from(row) for row in (InboxRow, DeadLetterRow, TaskRow)]
            return [await session.scalar(count) or 0 for count in counts]

    return left_behind
