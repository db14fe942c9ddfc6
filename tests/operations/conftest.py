"""A migrated database of any service, with real commits, and what speaks to it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

from common.db import Sessions, engine_of, sessions_of
from common.settings import PostgresSettings
from local import broker
from local.broker import Broker
from local.republish import topics_with_partitions
from support.postgres import Server
from support.services import ISSUER, Installed, dsn_of
from support.tokens import TOKENS


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
            engine = engine_of(PostgresSettings(dsn=dsn_of(url)), name="test", pool=8)
            stack.push_async_callback(engine.dispose)
            return sessions_of(engine, None)

        yield sessions_on


@pytest.fixture
def installed(
    database: Callable[[str], Awaitable[URL]], tmp_path: Path
) -> Callable[..., Awaitable[Installed]]:
    async def installed(service: str, **options: Any) -> Installed:
        """A service on a migrated database, without a broker unless one is given."""
        return Installed(service, await database(service), tmp_path, **options)

    return installed


@pytest.fixture
async def trusted() -> AsyncIterator[dict[str, str]]:
    """Settings of booking that make it trust the tokens of ISSUER, whose keys are served here."""
    keys = {"keys": [key.as_dict(private=False) for key in ISSUER.keys]}
    body = json.dumps(keys).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + b"connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield {
            "BOOKING_TOKENS__ISSUER": TOKENS.issuer,
            "BOOKING_TOKENS__AUDIENCE": TOKENS.audience,
            "BOOKING_TOKENS__JWKS_URL": f"http://127.0.0.1:{port}/jwks.json",
        }


@pytest.fixture
async def own_broker() -> AsyncIterator[Broker]:
    """With the topics of the platform."""
    async with broker.running(topics_with_partitions()) as running:
        yield running
