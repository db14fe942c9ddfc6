"""Which exceptions mean: the same again, later."""

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from common.db import engine_of, sessions_of
from common.messaging.failures import is_infrastructure
from common.settings import PostgresSettings


@pytest.mark.parametrize(
    ("error", "passes_by"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (PoolTimeoutError(), True),
        (asyncpg.DeadlockDetectedError(), True),
        (asyncpg.SerializationError(), True),
        (asyncpg.LockNotAvailableError(), True),
        (asyncpg.CannotConnectNowError(), True),
        (asyncpg.TooManyConnectionsError(), True),
        (asyncpg.UniqueViolationError(), False),
        (asyncpg.QueryCanceledError(), False),
        (LookupError(), False),
        (ValueError(), False),
    ],
)
def test_what_passes_by_and_what_does_not(error: Exception, *, passes_by: bool) -> None:
    assert is_infrastructure(error) is passes_by


@pytest.mark.parametrize(
    ("statement", "passes_by"),
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", True),
        ("DO $$ BEGIN RAISE serialization_failure; END $$", True),
        ("DO $$ BEGIN RAISE deadlock_detected; END $$", True),
        ("DO $$ BEGIN RAISE lock_not_available; END $$", True),
        ("DO $$ BEGIN RAISE unique_violation; END $$", False),
        ("SELECT 1 / 0", False),
        ("SELECT nonsense", False),
    ],
)
async def test_what_the_database_says_is_judged_by_its_state(pool, statement, *, passes_by) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with pool() as session:
            await session.execute(text(statement))

    assert is_infrastructure(raised.value) is passes_by


async def test_a_server_that_is_not_there_passes_by(tmp_path) -> None:
    engine = engine_of(PostgresSettings(dsn=f"postgresql://x@/x?host={tmp_path}"), name="test", pool=1)
    with pytest.raises(OSError) as raised:  # noqa: PT011  any of them: no socket, refused
        async with sessions_of(engine, None)() as session:
            await session.execute(text("SELECT 1"))
    await engine.dispose()

    assert is_infrastructure(raised.value)
