"""A patient's data under a key of their own: made once, rotated, destroyed. Some commits are real."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import create_async_engine

from common import vault
from common.crypto import Keyring, NotDecryptable
from common.db import Sessions, sessions_of
from common.vault import DataErased
from common.web.tables import DataKeyRow
from support.records import NOW

PATIENT, OTHER = UUID(int=1), UUID(int=2)
MASTER = {"first": b"1" * 32, "second": b"2" * 32}


def ring(active: str = "first", service: str = "claims", **overrides: Any) -> Keyring:
    return Keyring(**{"master": MASTER, "active": active, "index": b"i" * 32, "service": service} | overrides)


@pytest.fixture
async def real(committed) -> AsyncIterator[Sessions]:
    engine = create_async_engine(committed)
    yield sessions_of(engine, None)
    await engine.dispose()


async def encrypted_by(sessions, keyring: Keyring, **options: Any) -> bytes:
    async with sessions.begin() as session:
        return await vault.encrypt(session, keyring, PATIENT, "secret", field="nir", now=NOW, **options)


async def opened_by(sessions, keyring: Keyring, encrypted: bytes, **options: Any) -> str:
    async with sessions() as session:
        values = {"patient_id": PATIENT, "field": "nir"} | options
        patient_id = values.pop("patient_id")
        return await vault.decrypt(session, keyring, patient_id, encrypted, **values)


async def test_what_is_sealed_opens_for_this_service_patient_and_field_only(sessions) -> None:
    encrypted = await encrypted_by(sessions, ring())
    async with sessions.begin() as session:
        await vault.encrypt(session, ring(), OTHER, "else", field="nir", now=NOW)

    assert await opened_by(sessions, ring(), encrypted) == "secret"
    assert b"secret" not in encrypted
    for keyring, options in (
        (ring(), {"patient_id": OTHER}),
        (ring(), {"field": "phone"}),
        (ring(service="booking"), {}),
    ):
        with pytest.raises(NotDecryptable):
            await opened_by(sessions, keyring, encrypted, **options)


async def test_two_at_once_make_one_key(real) -> None:
    encrypted = await asyncio.gather(*(encrypted_by(real, ring()) for _ in range(5)))

    async with real() as session:
        assert len((await session.scalars(select(DataKeyRow))).all()) == 1
    assert [await opened_by(real, ring(), each) for each in encrypted] == ["secret"] * 5


async def test_a_key_that_was_rolled_back_is_not_used_again(real) -> None:
    keyring = ring()
    async with real() as session:
        await vault.encrypt(session, keyring, PATIENT, "lost", field="nir", now=NOW)
        await vault.encrypt(session, keyring, PATIENT, "lost too", field="nir", now=NOW)
        await session.rollback()

    encrypted = await encrypted_by(real, keyring)

    assert await opened_by(real, ring(), encrypted) == "secret"


async def test_keys_of_many_are_read_at_once(sessions) -> None:
    encrypted = await encrypted_by(sessions, ring())
    keyring = ring()
    async with sessions.begin() as session:
        await vault.read_keys(session, keyring, [PATIENT, OTHER])
        statements: list[str] = []

        def remember(*about: Any) -> None:
            statements.append(about[2].split()[0])

        connection = (await session.connection()).sync_connection
        event.listen(connection, "before_cursor_execute", remember)
        assert await vault.decrypt(session, keyring, PATIENT, encrypted, field="nir") == "secret"
        made = [await vault.encrypt(session, keyring, OTHER, text, field="nir", now=NOW) for text in "ab"]
        event.remove(connection, "before_cursor_execute", remember)

    assert statements == ["INSERT"]  # the key of who had none
    assert [await opened_by(sessions, ring(), each, patient_id=OTHER) for each in made] == ["a", "b"]


async def test_a_key_that_a_savepoint_took_back_is_not_used_again(real) -> None:
    keyring = ring()
    async with real.begin() as session:
        await vault.read_keys(session, keyring, [PATIENT])
        savepoint = await session.begin_nested()
        await vault.encrypt(session, keyring, PATIENT, "lost", field="nir", now=NOW)
        await savepoint.rollback()
        encrypted = await vault.encrypt(session, keyring, PATIENT, "secret", field="nir", now=NOW)

    assert await opened_by(real, ring(), encrypted) == "secret"


async def test_destroying_the_key_erases_and_leaves_what_the_law_keeps(sessions) -> None:
    keyring = ring()
    erased, kept = await encrypted_by(sessions, keyring), await encrypted_by(sessions, keyring, kind="kept")
    await opened_by(sessions, keyring, erased)

    async with sessions.begin() as session:
        await vault.destroy(session, PATIENT, keyring=keyring)

    with pytest.raises(DataErased):
        await opened_by(sessions, keyring, erased)
    assert await opened_by(sessions, keyring, kept, kind="kept") == "secret"


async def test_an_opened_key_is_remembered_for_a_minute(sessions, monkeypatch) -> None:
    keyring = ring()
    encrypted = await encrypted_by(sessions, keyring)
    await opened_by(sessions, keyring, encrypted)
    async with sessions.begin() as session:
        await vault.destroy(session, PATIENT)  # in another process

    assert await opened_by(sessions, keyring, encrypted) == "secret"
    monkeypatch.setattr("common.crypto.monotonic", lambda: float("inf"))
    with pytest.raises(DataErased):
        await opened_by(sessions, keyring, encrypted)


async def test_rotation_wraps_anew_in_batches_and_the_old_master_key_may_go(sessions) -> None:
    encrypted = await encrypted_by(sessions, ring())
    async with sessions.begin() as session:
        await vault.encrypt(session, ring(), OTHER, "else", field="nir", now=NOW)
        await vault.encrypt(session, ring("second"), UUID(int=3), "new", field="nir", now=NOW)

    async with sessions.begin() as session:
        turns = [await vault.rotate(session, ring("second"), batch=1) for _ in range(3)]

    assert turns == [1, 1, 0]
    left = ring("second", master={"second": MASTER["second"]})
    assert await opened_by(sessions, left, encrypted) == "secret"
