"""Connections are bounded and named, and a commit wakes whom it wrote for."""

from collections.abc import AsyncIterator, Collection
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import exc, text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.db import NoRoom, check_room, direct_pool, engine_of, sessions_of
from common.settings import PostgresSettings
from common.transaction import notes_of
from common.web.tables import PractitionerKeyRow
from support.small_app import client_of, small_app
from support.tokens import Issuer


class Woken:
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.ids: list[UUID] = []

    def set(self, kind: str) -> None:
        self.kinds.append(kind)

    def changed(self, ids: Collection[UUID]) -> None:
        self.ids.extend(ids)


@pytest.fixture
def settings(committed) -> PostgresSettings:
    dsn = committed.set(drivername="postgresql").render_as_string(hide_password=False)
    return PostgresSettings(dsn=dsn)


@pytest.fixture
async def engine_in_use(settings) -> AsyncIterator[AsyncEngine]:
    engine = engine_of(settings, name="small-api", pool=2)
    yield engine
    await engine.dispose()


async def test_a_connection_says_whose_it_is_and_gives_up_in_time(engine_in_use) -> None:
    async with engine_in_use.connect() as connection:
        said = [
            await connection.scalar(text(f"SHOW {name}"))
            for name in (
                "application_name",
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
            )
        ]

    assert said == ["small-api", "5s", "2s", "10s"]


async def test_only_a_commit_wakes_and_only_once(engine_in_use) -> None:
    woken = Woken()
    sessions = sessions_of(engine_in_use, woken)
    async with sessions() as session:
        notes_of(session).wakes.add("task")
        await session.execute(text("SELECT 1"))
        await session.rollback()
        notes_of(session).wakes.add("outbox")
        async with session.begin_nested():
            await session.execute(text("SELECT 1"))
        before = list(woken.kinds)
        await session.commit()
        await session.execute(text("SELECT 1"))
        await session.commit()

    assert (before, woken.kinds) == ([], ["outbox"])


async def test_pools_that_the_server_cannot_hold_stop_the_start(engine_in_use) -> None:
    await check_room(engine_in_use, wanted=10)

    with pytest.raises(NoRoom, match="1000000"):
        await check_room(engine_in_use, wanted=1_000_000)


async def test_a_session_that_reads_refuses_to_write(engine_in_use) -> None:
    app = small_app(sessions_of(engine_in_use, None), verifier=Issuer().verifier())
    async with client_of(app) as client:
        answer = await client.get("/small/v1/write-while-reading")

    assert answer.status_code == 500


async def test_an_error_of_the_database_quotes_no_values(engine_in_use) -> None:
    one = uuid4()
    async with sessions_of(engine_in_use, None)() as session:
        session.add(PractitionerKeyRow(practitioner_id=one, rpps="Dupont"))
        await session.flush()
        session.expunge_all()
        session.add(PractitionerKeyRow(practitioner_id=one, rpps="Dupont"))
        with pytest.raises(exc.IntegrityError) as refused:
            await session.flush()

    assert "Dupont" not in str(refused.value)


async def test_a_raw_connection_comes_back_clean_after_a_transaction_was_left_open(settings) -> None:
    async with direct_pool(settings, name="small-direct", size=1) as pool:
        async with pool.acquire() as connection:
            await connection.execute("BEGIN")
            await connection.execute("CREATE TABLE left_behind ()")
        name = await pool.fetchval("SHOW application_name")
        table = await pool.fetchval("SELECT to_regclass('left_behind')")
        payload = await pool.fetchval("SELECT '{}'::jsonb")
        with pytest.raises(asyncpg.QueryCanceledError):
            await pool.execute("BEGIN; SET LOCAL statement_timeout = 10; SELECT pg_sleep(1)")
        assert await pool.fetchval("SELECT 1") == 1

    assert (name, table, payload) == ("small-direct", None, "{}")
