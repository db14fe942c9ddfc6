"""Engines, sessions, direct connections, and the rules every table shares."""

import enum
import time
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from common import connecting
from common.money import Cents
from common.settings import PostgresSettings
from common.transaction import WakeKind, notes_of

Sessions = async_sessionmaker[AsyncSession]

COLUMN_TYPES: Final[dict[Any, Any]] = {
    Cents: sa.BigInteger,
    datetime: sa.DateTime(timezone=True),
    dict: JSONB,
    dict[str, str]: JSONB,
    dict[str, Any]: JSONB,
    enum.Enum: sa.Enum(
        enum.Enum, native_enum=False, length=32, values_callable=lambda e: [m.value for m in e]
    ),
}

# A statement that hangs, a lock nobody gives up and a forgotten transaction end by themselves; a peer that is
# gone is noticed. jit off: our statements are short, and compiling one costs more than running it.
_SERVER_SETTINGS: Final = {
    "statement_timeout": "5000",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "10000",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "jit": "off",
}
_CONNECT_SECONDS: Final = 5
_ASK_AFTER: Final = 30.0  # seconds idle, after which a connection is asked whether it is still there


def violated_constraint(error: DBAPIError) -> str | None:
    """The name of the constraint that refused a statement, where one did."""
    driver = getattr(error.orig, "__cause__", None)  # the dialect hides the driver's own error behind its own
    name: str | None = getattr(driver, "constraint_name", None)
    return name


class Direct(Protocol):
    """An asyncpg pool, or one of its connections where a transaction is open: for hot.py and who calls it."""

    async def execute(self, query: str, *args: object) -> str: ...
    async def fetch(self, query: str, *args: object) -> list[Any]: ...
    async def fetchrow(self, query: str, *args: object) -> Any: ...
    async def fetchval(self, query: str, *args: object) -> Any: ...


class Wakes(Protocol):
    """Whom a commit wakes: the relay, the task worker and waiting requests, in this process or another."""

    def set(self, kind: WakeKind) -> None: ...
    def changed(self, ids: Collection[UUID]) -> None: ...


def new_metadata() -> sa.MetaData:
    """One per service: two services loaded in one test run never see each other's tables."""
    return sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def engine_of(settings: PostgresSettings, *, name: str, pool: int) -> AsyncEngine:
    """At most `pool` connections, shown to the database's administrator as `name`. Opens none yet."""
    url, server = settings.url, {**_SERVER_SETTINGS, "application_name": name}

    async def connected() -> Any:
        return await connecting.connect(url, timeout=_CONNECT_SECONDS, server_settings=server)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connected,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=_CONNECT_SECONDS,
        pool_use_lifo=True,
        hide_parameters=True,  # an error that is logged quotes no personal data
    )
    replace_dead_connections(engine)
    return engine


def replace_dead_connections(engine: AsyncEngine) -> None:
    """A connection that the server has closed is replaced before a transaction begins on it.

    The driver knows a closed socket without asking. Only a connection that was idle for long is asked: a
    network that dropped it says nothing. Asking each time would cost every transaction a round trip.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def _note(_: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _check(connection: Any, record: Any, _: Any) -> None:
        if connection.driver_connection.is_closed():
            raise sa.exc.DisconnectionError("the server has closed this connection")
        idle = time.monotonic() - record.info.get("idle_since", time.monotonic())
        if idle > _ASK_AFTER and not _answers(engine, connection):
            raise sa.exc.DisconnectionError("this connection does not answer any more")


def _answers(engine: AsyncEngine, connection: Any) -> bool:
    try:
        return engine.sync_engine.dialect.do_ping(connection)
    except Exception:  # noqa: BLE001 - whatever it is, the connection is of no use
        return False


def sessions_of(engine: AsyncEngine, wake: Wakes | None) -> Sessions:
    """Sessions that wake the relay and the tasks they wrote for, after the commit and never before."""

    class WakingSession(Session):
        pass

    if wake is not None:
        _wake_after_commit(WakingSession, wake)
    event.listen(WakingSession, "before_flush", _refuse_to_write_while_reading)
    return async_sessionmaker(engine, expire_on_commit=False, sync_session_class=WakingSession)


def direct_pool(settings: PostgresSettings, *, name: str, size: int) -> asyncpg.Pool:
    """Raw asyncpg for hot statements, to be entered with `async with`. JSON goes in and out as text.

    A connection goes back without RESET ALL, which costs a round trip: whoever takes one leaves no session
    state behind (SET LOCAL and transaction-level locks only). Opens none yet: a database that is away at the
    start is waited for.
    """
    return asyncpg.create_pool(
        **connecting.arguments(settings.url),
        min_size=0,
        max_size=size,
        timeout=_CONNECT_SECONDS,
        command_timeout=10,
        reset=_keep,
        server_settings={**_SERVER_SETTINGS, "application_name": name},
    )


class NoRoom(Exception):
    """The server takes fewer connections than the pools may open: found at the start, not under load."""


async def check_room(engine: AsyncEngine, *, wanted: int) -> None:
    """`wanted` is the sum of the pools of every process on this server. Raises NoRoom."""
    async with engine.connect() as connection:
        room = await connection.scalar(
            sa.text(
                "SELECT current_setting('max_connections')::int"
                " - current_setting('superuser_reserved_connections')::int"
            )
        )
    if wanted > room:
        raise NoRoom(f"the pools may open {wanted} connections, the server takes {room}")


async def _keep(_: object) -> None:
    """Asyncpg has rolled back an open transaction by now; there is nothing else to clean."""


def _wake_after_commit(sessions: type[Session], wake: Wakes) -> None:
    @event.listens_for(sessions, "after_commit")
    def _after_commit(session: Session) -> None:
        if session.get_nested_transaction() is None:  # a savepoint is no commit yet
            notes = notes_of(session)
            while notes.wakes:
                wake.set(notes.wakes.pop())
            if notes.changed:
                ids, notes.changed = notes.changed, set()
                wake.changed(ids)

    @event.listens_for(sessions, "after_rollback")
    def _after_rollback(session: Session) -> None:
        notes = notes_of(session)
        notes.wakes.clear()
        notes.changed.clear()


def _refuse_to_write_while_reading(session: Session, *_: object) -> None:
    if notes_of(session).read_only:
        raise RuntimeError("this session only reads: nothing would commit what is written here")
