"""`keys rotate`: every patient's key is wrapped anew, and the data opens without the old master key."""

import base64
import secrets
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from common import presence, vault
from common.crypto import Keyring
from common.events.topics import SERVICES
from local.configuration import Secrets
from support.eventually import eventually
from support.records import NOW


@pytest.mark.parametrize("service", SERVICES)
async def test_a_rotation_wraps_every_key_and_the_old_master_key_may_go(
    installed, sessions_on, service: str
) -> None:
    ours = await installed(service)
    sessions = sessions_on(ours.database)
    kept = Secrets.kept_in(ours.directory)
    first, index = (base64.b64decode(kept[f"{service}.{name}"]) for name in ("master", "index"))
    second = secrets.token_bytes(32)
    before = Keyring(master={"first": first}, active="first", index=index, service=service)
    patients = [uuid4() for _ in range(3)]
    async with sessions.begin() as session:
        sealed = [
            await vault.encrypt(session, before, each, "fièvre", field="reason", now=NOW, kind="kept")
            for each in patients
        ]
    prefix = f"{service.upper()}_KEYS__"
    ours.told = {
        f"{prefix}MASTER__SECOND": base64.b64encode(second).decode(),
        f"{prefix}ACTIVE": "second",
    }

    rotated, again = await ours.run("keys", "rotate"), await ours.run("keys", "rotate")

    assert (rotated[0], rotated[1].splitlines()[-1]) == (0, "wrapped 3 keys anew")
    assert (again[0], again[1].splitlines()[-1]) == (0, "wrapped 0 keys anew")
    after = Keyring(master={"second": second}, active="second", index=index, service=service)
    async with sessions() as session:
        names = set(await session.scalars(text("SELECT master_key FROM data_key")))
        opened = {
            await vault.decrypt(session, after, each, value, field="reason", kind="kept")
            for each, value in zip(patients, sealed, strict=True)
        }
    assert (names, opened) == ({"second"}, {"fièvre"})


async def test_a_rotation_waits_until_every_running_process_knows_the_new_key(installed, sessions_on) -> None:
    payment = await installed("payment")
    sessions = sessions_on(payment.database)
    kept = Secrets.kept_in(payment.directory)
    first, index = (base64.b64decode(kept[f"payment.{name}"]) for name in ("master", "index"))
    before = Keyring(master={"first": first}, active="first", index=index, service="payment")
    async with sessions.begin() as session:
        await vault.encrypt(session, before, uuid4(), "fièvre", field="reason", now=NOW)
    new = {
        "PAYMENT_KEYS__MASTER__SECOND": base64.b64encode(secrets.token_bytes(32)).decode(),
        "PAYMENT_KEYS__ACTIVE": "second",
    }

    async def announced(count: int) -> bool:
        async with sessions() as session:
            return await session.scalar(text("SELECT count(*) FROM process")) == count

    async with payment.process("api") as api, payment.process("worker") as worker:
        await eventually(lambda: announced(2), within=40)
        payment.told = new
        refused = await payment.run("keys", "rotate")
        async with sessions() as session:
            untouched = list(await session.scalars(text("SELECT master_key FROM data_key")))
        await api.stop()
        await worker.stop()
    left = await announced(0)
    async with payment.process("api"), payment.process("worker"):
        await eventually(lambda: announced(2), within=40)
        rotated = await payment.run("keys", "rotate")

    assert refused[0] == 1
    assert "2 running processes do not have the master key second" in refused[1]
    assert "api " in refused[1]
    assert "worker " in refused[1]
    assert untouched == ["first"]
    assert left, "a process that ends takes its row with it"
    assert (rotated[0], rotated[1].splitlines()[-1]) == (0, "wrapped 1 keys anew")


async def test_a_killed_process_counts_for_a_minute_and_another_key_of_the_name_is_noticed(
    installed, sessions_on
) -> None:
    booking = await installed("booking")
    sessions = sessions_on(booking.database)
    keys = [secrets.token_bytes(32) for _ in range(3)]
    ours = Keyring(master={"a": keys[0], "b": keys[1]}, active="b", index=keys[0], service="booking")
    other = Keyring(master={"a": keys[0], "b": keys[2]}, active="a", index=keys[0], service="booking")
    async with sessions.begin() as session:
        await presence.announce(session, uuid4(), "api", ours, now=NOW)
        await presence.announce(session, uuid4(), "worker", other, now=NOW)
    minute = timedelta(seconds=61)

    async with sessions.begin() as session:
        now = await presence.list_without_active_key(session, ours, now=NOW + timedelta(seconds=59))
        later = await presence.list_without_active_key(session, ours, now=NOW + minute)
        await presence.announce(session, uuid4(), "api", ours, now=NOW + timedelta(hours=2))
        rows = await session.scalar(text("SELECT count(*) FROM process"))
        stored = str((await session.execute(text("SELECT master_keys FROM process"))).all())

    assert [each.role for each in now] == ["worker"]
    assert later == []
    assert rows == 1, "who was killed long ago is forgotten"
    assert base64.b64encode(keys[0]).decode() not in stored
    assert keys[0].hex() not in stored
