"""The web tables alone, at their own revision: these tests know no service."""

from collections.abc import AsyncIterator

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from support.postgres import Server

_SERVICE = "payment"


@pytest.fixture(scope="session")
async def template(server: Server) -> AsyncIterator[str]:
    async with server.clone("template1") as url:
        assert url.database is not None
        await server.alembic(command.upgrade, _SERVICE, url.database, "head")
        yield url.database


@pytest.fixture(scope="session")
async def engine(server: Server, template: str) -> AsyncIterator[AsyncEngine]:
    async with server.clone(template) as url:
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        yield engine
        await engine.dispose()
