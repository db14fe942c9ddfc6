"""A PostgreSQL server for tests, and databases cloned from a migrated template."""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from local import postgres

_SERVICES: Final = Path(__file__).parents[2] / "services"


@dataclass(frozen=True, slots=True)
class Server:
    url: URL

    @asynccontextmanager
    async def template(self, service: str, revision: str = "head") -> AsyncIterator[str]:
        """A database as the migrations of `service` make it. Cloning needs nobody connected to it."""
        async with self._database(service) as name:
            await self.alembic(command.upgrade, service, name, revision)
            yield name

    async def alembic(self, action: Callable[..., None], service: str, database: str, *args: str) -> None:
        dsn = self.url.set(database=database).render_as_string(hide_password=False)
        options = argparse.Namespace(x=[f"dsn={dsn}"])
        config = Config(_SERVICES / service / "alembic.ini", cmd_opts=options)
        await asyncio.to_thread(action, config, *args)

    @asynccontextmanager
    async def clone(self, template: str) -> AsyncIterator[URL]:
        async with self._database("clone", f'TEMPLATE "{template}"') as name:
            yield self.url.set(database=name)

    @asynccontextmanager
    async def _database(self, prefix: str, options: str = "") -> AsyncIterator[str]:
        name = f"{prefix}_{uuid4().hex}"
        await self._execute(f'CREATE DATABASE "{name}" {options}')
        try:
            yield name
        finally:
            await self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def _execute(self, statement: str) -> None:
        engine = create_async_engine(self.url, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(statement))
        await engine.dispose()


@contextmanager
def running_server(directory: Path) -> Iterator[Server]:
    """The server that TEST_POSTGRES_DSN names, else an embedded one that lives as long as the tests."""
    dsn = os.environ.get("TEST_POSTGRES_DSN")  # noqa: TID251
    if dsn is not None:
        yield Server(make_url(dsn).set(drivername="postgresql+asyncpg"))
        return
    with postgres.running(directory, databases=(), durable=False, dies_with_parent=True) as embedded:
        yield Server(make_url(embedded.admin_dsn).set(drivername="postgresql+asyncpg"))
