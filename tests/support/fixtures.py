"""Fixtures every service's conftest makes for itself."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from support.postgres import Server


def database_of(service: str, revision: str = "head") -> tuple[Any, Any]:
    """The migrated template of a service, and the engine of one clone for tests that roll back."""

    @pytest.fixture(scope="session")
    async def template(server: Server) -> AsyncIterator[str]:
        async with server.template(service, revision) as name:
            yield name

    @pytest.fixture(scope="session")
    async def engine(server: Server, template: str) -> AsyncIterator[AsyncEngine]:
        async with server.clone(template) as url:
            engine = create_async_engine(url)
            yield engine
            await engine.dispose()

    return template, engine
