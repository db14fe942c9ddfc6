"""How every connection to PostgreSQL is opened: several hosts, TLS, and one TLS context per process."""

import ssl
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import asyncpg

_TLS: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey")


def arguments(url: str) -> dict[str, Any]:
    """What asyncpg takes for an address with libpq's TLS parameters: `dsn` and `ssl`.

    Raises OSError or ssl.SSLError when a file of certificates cannot be read.
    """
    scheme, _, rest = url.partition("://")
    address, _, query = rest.partition("?")
    given = dict(parse_qsl(query))
    mode, authority, certificate, key = (given.pop(name, None) for name in _TLS)
    dsn = f"{scheme.partition('+')[0]}://{address}" + (f"?{urlencode(given)}" if given else "")
    if mode is None or mode == "prefer":
        return {"dsn": dsn} if mode is None else {"dsn": dsn, "ssl": "prefer"}
    if mode == "disable":
        return {"dsn": dsn, "ssl": False}
    return {"dsn": dsn, "ssl": _context(mode, authority, certificate, key)}


async def connect(url: str, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection of asyncpg. Raises what `arguments` and asyncpg raise."""
    return await asyncpg.connect(**arguments(url), **options)


@lru_cache(maxsize=16)
def _context(mode: str, authority: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """One for all connections: reading the authorities for each of them costs more than the handshake."""
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = mode == "verify-full"
    if mode == "require" and authority is None:  # with an authority it is verified, as libpq does
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
