"""A migrated database of any service, with real commits, and what speaks to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import URL

from common.db import Sessions, engine_of, sessions_of
from common.settings import PostgresSettings
from support.postgres import Server


@pytest.fixture(scope="session")
async def templates(server: Server) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    made: dict[str, str] = {}
    async with AsyncExitStack() as stack:

        async def template(service: str) -> str:
            if service not in made:
                made[service] = await stack.enter_async_context(server.template(service))
            return made[service]

        yield template


@pytest.fixture
async def database(
    server: Server, templates: Callable[[str], Awaitable[str]]
) -> AsyncIterator[Callable[[str], Awaitable[URL]]]:
    async with AsyncExitStack() as stack:

        async def database(service: str) -> URL:
            return await stack.enter_async_context(server.clone(await templates(service)))

        yield database


@pytest.fixture
async def sessions_on() -> AsyncIterator[Callable[[URL], Sessions]]:
    async with AsyncExitStack() as stack:

        def sessions_on(url: URL) -> Sessions:
            dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
            engine = engine_of(PostgresSettings(dsn=dsn), name="test", pool=8)
            stack.push_async_callback(engine.dispose)
            return sessions_of(engine, None)

        yield sessions_on
