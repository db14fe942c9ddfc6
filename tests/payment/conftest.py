"""Payment's migrated database, and the service with a card provider beside it."""

from collections.abc import AsyncIterator

import pytest

from support.fixtures import database_of
from support.payments import Desk, running_desk
from support.postgres import Server

template, engine = database_of("payment")


@pytest.fixture(scope="session")
async def office(server: Server, template: str) -> AsyncIterator[object]:
    async with server.clone(template) as ours, server.clone("template1") as theirs:
        dsn = theirs.set(drivername="postgresql").render_as_string(hide_password=False)
        async with running_desk(ours, dsn) as begin:
            yield begin


@pytest.fixture
async def desk(office) -> Desk:
    """Nothing has happened yet, and it is 2030-06-01 09:00 UTC."""
    begun: Desk = await office()
    return begun
