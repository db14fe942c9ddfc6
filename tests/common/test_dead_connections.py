"""Connections that the server has closed are replaced before anybody meets them."""

import pytest
from sqlalchemy import event, text

from common.db import direct_pool, engine_of, sessions_of
from common.settings import PostgresSettings

CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def settings(dsn) -> PostgresSettings:
    return PostgresSettings(dsn=dsn)


async def cut_all(settings) -> None:
    killer = engine_of(settings, name="killer", pool=1)
    async with killer.connect() as connection:
        await connection.execute(text(CUT))
    await killer.dispose()


async def test_the_next_transaction_works_on_every_kind_of_pool(settings) -> None:
    engine = engine_of(settings, name="test", pool=3)
    sessions = sessions_of(engine, None)
    async with sessions() as one, sessions() as two:  # two connections are in the pool afterwards
        await one.execute(text("SELECT 1"))
        await two.execute(text("SELECT 1"))
    async with direct_pool(settings, name="test", size=2) as pool:
        await pool.fetchval("SELECT 1")
        await cut_all(settings)
        found = []
        for _ in range(3):
            async with sessions.begin() as session:
                found.append(await session.scalar(text("SELECT 1")))
            found.append(await pool.fetchval("SELECT 1"))
    await engine.dispose()

    assert found == [1] * 6


async def test_a_live_connection_is_not_asked_unless_it_was_idle_for_long(settings, monkeypatch) -> None:
    engine = engine_of(settings, name="test", pool=1)
    pings: list[object] = []
    real = engine.sync_engine.dialect.do_ping

    def ping(connection: object) -> bool:
        pings.append(connection)
        return bool(real(connection))

    monkeypatch.setattr(engine.sync_engine.dialect, "do_ping", ping)
    for _ in range(3):
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    soon = len(pings)
    monkeypatch.setattr("common.db._ASK_AFTER", -1.0)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    await engine.dispose()

    assert (soon, len(pings)) == (0, 1)


async def test_a_connection_that_does_not_answer_after_a_pause_is_replaced(settings, monkeypatch) -> None:
    engine = engine_of(settings, name="test", pool=1)
    opened: list[object] = []
    event.listen(engine.sync_engine, "connect", lambda *about: opened.append(about))
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    monkeypatch.setattr("common.db._ASK_AFTER", -1.0)
    monkeypatch.setattr(engine.sync_engine.dialect, "do_ping", lambda _: bool(len(opened) > 1))

    async with engine.connect() as connection:
        found = await connection.scalar(text("SELECT 1"))
    await engine.dispose()

    assert (found, len(opened)) == (1, 2)
