"""The platform as production runs it, once for all tests here: real servers, no Docker."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from local import kafka
from local.configuration import SERVICES
from local.errors import LocalError
from local.platform import free_ports
from support.production import keycloak, partners, platform, postgres_tls, s3
from support.production.__main__ import fetch
from support.production.certificates import Authority
from support.production.platform import Outside, Platform

_IN_CI = os.environ.get("CI") == "true"  # noqa: TID251 - a skip is a failure there


@pytest.fixture(scope="session")
async def production() -> AsyncIterator[Platform]:
    try:
        await fetch()
    except LocalError as error:
        if _IN_CI:
            raise
        pytest.skip(str(error))
    # not one of pytest's: another user enters it
    with TemporaryDirectory(prefix="production-") as place:
        directory = Path(place)
        directory.chmod(0o755)
        async with AsyncExitStack() as stack:
            outside, apis = await _outside(stack, directory)
            yield await stack.enter_async_context(platform.running(directory, outside, apis))


async def _outside(stack: AsyncExitStack, directory: Path) -> tuple[Outside, dict[str, int]]:
    """Everything that a platform brings, and a port for each API."""
    (place := directory / "postgres").mkdir()
    authority = Authority.in_directory(place)
    database = await stack.enter_async_context(postgres_tls.running(place, authority))
    bucket = await stack.enter_async_context(s3.running(directory, "documents"))
    log = await stack.enter_async_context(kafka.running(directory / "kafka"))
    issuer = await stack.enter_async_context(keycloak.running(directory, SERVICES))
    *numbers, port = free_ports(len(SERVICES) + 1)
    apis = dict(zip(SERVICES, numbers, strict=True))
    books = await database.connect("postgres")
    await books.execute("CREATE DATABASE partners")
    await books.close()
    dsn = f"{database.dsn('postgres', 'partners')}?sslmode=verify-full&sslrootcert={database.ca_file}"
    outsiders = await stack.enter_async_context(
        partners.running(dsn, port=port, payment=f"http://127.0.0.1:{apis['payment']}")
    )
    return Outside(database, log, issuer, bucket, outsiders), apis
