"""A PostgreSQL server, the brokers, and a migrated database that is rolled back or committed to."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker

from common.db import Sessions
from support.broker import embedded_broker, kafka_broker, own_kafka_broker
from support.kafka_count import KafkaCount
from support.postgres import Server, running_server
from support.workers import SlowFirst

__all__ = ["embedded_broker", "kafka_broker", "own_kafka_broker"]


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(KafkaCount())
    config.pluginmanager.register(SlowFirst())


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    # Not one of pytest's: it removes those of all but the last three runs, also of one that still goes on.
    with TemporaryDirectory(prefix="test-postgres-") as directory, running_server(Path(directory)) as server:
        yield server


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.connect() as connection:
        outer = await connection.begin()
        yield connection
        await outer.rollback()


@pytest.fixture
def sessions(connection: AsyncConnection) -> Sessions:
    """One connection, all of it rolled back: quick, and blind to what only a commit shows."""
    return async_sessionmaker(connection, expire_on_commit=False, join_transaction_mode="create_savepoint")


@pytest.fixture
async def committed(server: Server, template: str) -> AsyncIterator[URL]:
    """A database of the test's own, for races, the relay, idempotency and kills: commits are real."""
    async with server.clone(template) as url:
        yield url
