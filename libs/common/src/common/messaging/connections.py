"""One direct connection to PostgreSQL, for what must hold a session: a lock, or a batch of the relay."""

from typing import Any, Final

import asyncpg

from common import connecting

# What a lost or refused one raises; the client's internal error: cut in the middle of an answer.
LOST: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_SETTINGS: Final = {
    "statement_timeout": "5000",
    "lock_timeout": "2000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "jit": "off",
}


async def connect(dsn: str, *, name: str, **settings: str) -> Any:
    """An asyncpg connection, shown to the database's administrator as `name`. JSON comes as text."""
    return await connecting.connect(
        dsn,
        timeout=5,
        command_timeout=10,
        server_settings={**_SETTINGS, **settings, "application_name": name},
    )


async def close(connection: Any) -> None:
    """Ends it, politely if the server still answers."""
    if connection.is_closed():
        return
    try:
        await connection.close(timeout=1)
    except (*LOST, TimeoutError):
        connection.terminate()
