"""`keys rotate`: every patient's key is wrapped anew, and the data opens without the old master key."""

import base64
import secrets
from uuid import uuid4

import pytest
from sqlalchemy import text

from common import vault
from common.crypto import Keyring
from common.events.topics import SERVICES
from local.configuration import Secrets
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
            await vault.seal(session, before, each, "fièvre", field="reason", now=NOW, kind="kept")
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
            await vault.open(session, after, each, value, field="reason", kind="kept")
            for each, value in zip(patients, sealed, strict=True)
        }
    assert (names, opened) == ({"second"}, {"fièvre"})
