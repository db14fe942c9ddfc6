"""What production refuses, and what the storage keeps."""

import base64
from pathlib import Path

import pytest
from obstore.exceptions import AlreadyExistsError
from pydantic import SecretStr, ValidationError
from sqlalchemy import make_url

from documents.settings import Settings
from documents.storage import FileMissing, Storage
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

    with pytest.raises(ValidationError, match="seal_file or"):
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
