"""What production refuses, and what the storage keeps."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from obstore.exceptions import AlreadyExistsError
from pydantic import SecretStr, ValidationError
from sqlalchemy import make_url

from common.telemetry import Metrics
from documents.settings import Settings
from documents.storage import FileMissing, Storage, StorageAway
from support.documents import settings_for

URL = make_url("postgresql://documents:word@localhost/documents")


def test_production_takes_no_seal_made_here(tmp_path) -> None:
    key = SecretStr(base64.b64encode(b"k" * 32).decode())
    real = {
        "environment": "production",
        "identity": {
            "token_url": "https://issuer.example/token",
            "client_id": "d",
            "client_secret": "s3cret",
        },
        "keys": {"master": {"one": key}, "active": "one", "index": key, "cursor": key},
    }
    told = settings_for(URL, tmp_path).model_dump() | real

    with pytest.raises(ValidationError, match="seal_file"):
        Settings(**told)
    assert Settings(**told | {"seal_directory": None, "seal_file": tmp_path / "seal.pem"}).seal_file


@pytest.mark.parametrize("seals", [{"seal_directory": None}, {"seal_file": Path("seal.pem")}])
def test_there_is_exactly_one_seal(tmp_path, seals) -> None:
    development = settings_for(URL, tmp_path)

    with pytest.raises(ValidationError, match="seal_file: give it or"):
        Settings(**development.model_dump() | seals)


async def test_an_object_is_written_once(tmp_path) -> None:
    storage = Storage((tmp_path / "with space").as_uri())

    await storage.put("2026/11/22/a", b"one")
    await storage.put("2026/11/22/a", b"one")

    assert await storage.get("2026/11/22/a") == b"one"
    with pytest.raises(AlreadyExistsError):
        await storage.put("2026/11/22/a", b"two")
    with pytest.raises(FileMissing):
        await storage.get("2026/11/22/b")
    assert (tmp_path / "with space" / "2026" / "11" / "22" / "a").read_bytes() == b"one"


@pytest.fixture
def away(monkeypatch) -> Storage:
    """An S3 storage on an address where nobody listens."""
    for name, value in {
        "AWS_ENDPOINT": "http://127.0.0.1:1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "x",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }.items():
        monkeypatch.setenv(name, value)
    return Storage("s3://bucket", Metrics("documents"))


async def test_a_storage_that_is_away_says_so_soon_and_is_counted(away, caplog) -> None:
    with pytest.raises(StorageAway):
        await away.get("2026/11/22/a")
    with pytest.raises(StorageAway):
        await away.put("2026/11/22/a", b"one")
    problems = await away.problems()

    assert away.metrics is not None
    shown = away.metrics.exposition().decode()
    assert problems == ["storage"]
    assert [vars(each)["system"] for each in caplog.records] == ["storage"] * 3
    assert "2026/11/22/a" not in caplog.text
    assert 'storage_up{service="documents"} 0.0' in shown
    assert 'storage_failures_total{operation="get",service="documents"} 1.0' in shown
    assert 'storage_failures_total{operation="put",service="documents"} 1.0' in shown


async def _empty_bucket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def _mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(30):
        await writer.wait_closed()


@pytest.fixture
async def bucket(monkeypatch, away) -> AsyncIterator[Callable[..., Awaitable[Storage]]]:
    """An S3 storage without TLS, which the environment allows; it answers as it is told."""
    async with AsyncExitStack() as stack:

        async def bucket(answer) -> Storage:
            server = await stack.enter_async_context(await asyncio.start_server(answer, "127.0.0.1", 0))
            port = server.sockets[0].getsockname()[1]
            monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{port}")
            return Storage("s3://bucket", away.metrics)

        yield bucket


async def test_what_the_environment_says_of_the_client_holds(bucket) -> None:
    storage = await bucket(_empty_bucket)

    assert await storage.problems() == []
    with pytest.raises(FileMissing):
        await storage.get("2026/11/22/a")


async def test_a_storage_that_is_mute_is_given_up(bucket, monkeypatch) -> None:
    monkeypatch.setattr("documents.storage._CALL_SECONDS", 0.2)
    storage = await bucket(_mute)

    with pytest.raises(StorageAway, match="TimeoutError"):
        await storage.get("2026/11/22/a")
    with pytest.raises(StorageAway, match="TimeoutError"):
        await storage.put("2026/11/22/a", b"one")


async def test_a_storage_that_answers_has_no_problems(tmp_path) -> None:
    storage = Storage(tmp_path.as_uri(), Metrics("documents"))

    assert await storage.problems() == []
    assert storage.metrics is not None
    assert 'storage_up{service="documents"} 1.0' in storage.metrics.exposition().decode()
