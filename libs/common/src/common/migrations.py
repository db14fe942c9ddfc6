"""Runs a service's migrations: one deployer at a time, and never long in the way of the running release."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any, Final

from alembic import context
from sqlalchemy import Connection, MetaData, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from common import connecting
from common.messaging.tables import Base as Messaging
from common.web.tables import Base as Web

_LOCK: Final = 7_352_001  # any number, the same in every deployer
_MADE_AT_RUN_TIME: Final = re.compile(r"^outbox_archive_\d{8}$")  # a partition a day, by the relay


def run(metadata: MetaData | Sequence[MetaData]) -> None:
    """The whole of a service's env.py; `alembic -x dsn=...` names the database.

    `metadata`: what the service declares; the tables of messaging and web are added.
    """
    declared = [metadata] if isinstance(metadata, MetaData) else list(metadata)
    every = dict.fromkeys([*declared, Messaging.metadata, Web.metadata])
    asyncio.run(_run(context.get_x_argument(as_dictionary=True)["dsn"], list(every)))


async def _run(dsn: str, metadata: Sequence[MetaData]) -> None:
    async def connected() -> Any:
        return await connecting.connect(dsn)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connected, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate, metadata)
        await connection.commit()
    await engine.dispose()


def _migrate(connection: Connection, metadata: Sequence[MetaData]) -> None:
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
    connection.commit()  # the lock stays; inside a transaction alembic would put all migrations into one
    context.configure(
        connection,
        target_metadata=metadata,
        compare_server_default=True,
        include_name=_is_declared,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        # A migration that cannot get its lock fails; waiting, it would stop every query behind it.
        connection.execute(text("SET lock_timeout = '4s'"))
        connection.execute(text("SET statement_timeout = '5s'"))
        context.run_migrations()


def _is_declared(name: str | None, kind: str, _parents: Any) -> bool:
    """Not so the archive's partitions: they come and go with the days, and no model knows them."""
    return not (kind == "table" and name is not None and _MADE_AT_RUN_TIME.match(name))
