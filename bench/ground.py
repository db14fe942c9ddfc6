"""Where a run takes place: an embedded PostgreSQL with fsync on, a filled booking database, a broker."""

import argparse
import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from bench.issuer import Issuer
from booking.domain.identity import Identity, Sex
from booking.usecases.patients import BORN_ON, IDENTITY
from common import vault
from common.clock import wall
from common.crypto import KEY_BYTES, Keyring
from common.events.base import PRICED_SPECIALTIES
from common.events.topics import TOPICS
from common.ids import uuid7
from common.settings import KafkaSettings, KeySettings, PostgresSettings
from local import broker as embedded
from local import postgres
from local.configuration import Addresses, Broker, Secrets, as_environment, settings_of
from local.paths import REPOSITORY
from local.processes import Child, start_child

PATIENTS: Final = 10_000
PRACTITIONERS: Final = 500
OFFERS: Final = 10_000
SPECIALTIES: Final = sorted(PRICED_SPECIALTIES)[:10]  # as many practitioners of each
CONNECTIONS: Final = 8  # of every pool, ours and the baselines'
PARTITIONS: Final = 12
_TEMPLATE: Final = "booking"

_ADD_PRACTITIONERS: Final = """
    INSERT INTO practitioner (id, version, rpps, biller_id, billing_number, profession, specialty, sector,
        zone, agreed_company, third_party_payment, currency, fee_cents, title, first_name, last_name,
        display_name, sort_name, street, postal_code, city, phone, languages, time_zone, words, created_at,
        agenda_revision)
    SELECT id, 1, (10000000000 + number)::text, id, '296991102', 'physician',
        ($3::text[])[number % cardinality($3::text[]) + 1], 's1', 'metropole', false, 'full', 'EUR', 2500,
        'Docteur', 'Claire', 'Morel', 'Dr Claire Morel', 'morel claire ' || number,
        '3 place du Marché', '75004', 'Paris', '+33 1 23 45 67 89', ARRAY['fr'], 'Europe/Paris',
        to_tsvector('simple', 'claire morel paris'), $2, 1
    FROM (SELECT number, uuidv7() AS id FROM generate_series(1, $1::int) AS number) AS made
"""
# Quarters of an hour from the next one on; every tenth is taken, as in an agenda that people use.
_ADD_OFFERS: Final = """
    INSERT INTO offer (id, practitioner_id, practitioner_no, profession, specialty, starts_at, ends_at, mode,
        taken_by)
    SELECT uuidv7(), p.id, p.no, p.profession, p.specialty, $1::timestamptz + number * interval '15 minutes',
        $1::timestamptz + (number + 1) * interval '15 minutes', 'video',
        CASE WHEN number % 10 = 9 THEN uuidv7() END
    FROM practitioner AS p CROSS JOIN generate_series($2::int, $3::int) AS number
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done: all of it, or just enough to see that it works."""

    repetitions: int
    share: float

    def of(self, number: int) -> int:
        return max(int(number * self.share), 1)


@dataclass(frozen=True, slots=True)
class Account:
    id: UUID
    patient_id: UUID


@dataclass(frozen=True, slots=True)
class Ground:
    directory: Path
    server: postgres.Postgres
    broker: embedded.Broker
    issuer: Issuer
    secrets: Secrets
    accounts: Sequence[Account] = field(repr=False)

    async def clone(self, name: str) -> str:
        """A database of its own with everybody in it; its DSN."""
        await self._admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await self._admin(f'CREATE DATABASE "{name}" TEMPLATE {_TEMPLATE} OWNER {_TEMPLATE}')
        return self.dsn(name)

    async def create(self, name: str) -> str:
        """An empty database; its DSN."""
        await self._admin(f'CREATE DATABASE "{name}" OWNER {_TEMPLATE}')
        return self.dsn(name)

    def dsn(self, name: str) -> str:
        url = make_url(self.server.dsn(_TEMPLATE)).set(database=name)
        return url.render_as_string(hide_password=False)

    async def drop(self, name: str) -> None:
        await self._admin(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def _admin(self, statement: str) -> None:
        connection = await asyncpg.connect(self.server.admin_dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    @property
    def kafka(self) -> KafkaSettings:
        return KafkaSettings(bootstrap_servers=self.broker.bootstrap_servers, profile="embedded")

    def booking(self, dsn: str, *, port: int) -> dict[str, str]:
        """The environment of a booking process on this database, with the pools of the baselines."""
        told = settings_of(
            "booking",
            dsn=dsn,
            broker=Broker(self.broker.bootstrap_servers, "embedded"),
            addresses=Addresses.behind_one_port(port),
            kept=self.secrets,
            directory=self.directory,
            shift=timedelta(),
        )
        pools = dict.fromkeys(("api_pool", "worker_pool", "direct_pool"), CONNECTIONS)
        told["postgres"] = {"dsn": dsn, **pools}
        told["tokens"] = self.issuer.settings.model_dump()
        told["http"] = {"port": port}
        return as_environment("booking", told)

    async def start(self, name: str, *arguments: str, told: dict[str, str]) -> Child:
        """A Python process of this environment that ends with this one."""
        return await start_child(
            name,
            [sys.executable, *arguments],
            env={"PATH": "/usr/bin:/bin", **told},
            log=self.directory / f"{name}.log",
            directory=REPOSITORY,
        )


def postgres_settings(dsn: str) -> PostgresSettings:
    return PostgresSettings.model_validate(
        {"dsn": dsn} | dict.fromkeys(("api_pool", "worker_pool", "direct_pool"), CONNECTIONS)
    )


@asynccontextmanager
async def prepared(directory: Path) -> AsyncIterator[Ground]:
    """Started, migrated and filled; ended afterwards. Call it from the main thread: children end with it."""
    with postgres.running(
        directory / "postgres", databases=(_TEMPLATE,), max_connections=400, dies_with_parent=True
    ) as server:
        await asyncio.to_thread(migrate, "booking", server.dsn(_TEMPLATE))
        kept = Secrets.kept_in(directory)
        accounts = await _fill(server.dsn(_TEMPLATE), kept)
        topics = dict.fromkeys(TOPICS, PARTITIONS)
        async with embedded.running(topics) as broker, Issuer.serving() as issuer:
            yield Ground(directory, server, broker, issuer, kept, accounts)


def migrate(service: str, dsn: str) -> None:
    url = make_url(dsn).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    options = argparse.Namespace(x=[f"dsn={url}"])
    command.upgrade(Config(REPOSITORY / "services" / service / "alembic.ini", cmd_opts=options), "head")


async def _fill(dsn: str, kept: Secrets) -> list[Account]:
    """Set by set: 10,000 people who each act for themselves and consented, practitioners, their times."""
    now = wall()
    people = [Account(uuid4(), uuid7(now)) for _ in range(PATIENTS)]
    keyring = vault.keyring_of(keys_of(kept), service="booking")
    connection = await asyncpg.connect(dsn)
    try:
        await add_people(connection, keyring, people, now=now)
        await connection.execute(_ADD_PRACTITIONERS, PRACTITIONERS, now, SPECIALTIES)
        await add_offers(connection, OFFERS, first=0)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    return people


def keys_of(kept: Secrets) -> KeySettings:
    """The keys of booking, as `Ground.booking` tells them to the process."""
    return KeySettings.model_validate(
        {
            "master": {"first": kept["booking.master"]},
            "active": "first",
            "index": kept["booking.index"],
            "cursor": kept["booking.cursor"],
        }
    )


async def add_people(connection: Any, keyring: Keyring, people: Sequence[Account], *, now: datetime) -> None:
    patients, keys = [], []
    for number, person in enumerate(people):
        key = secrets.token_bytes(KEY_BYTES)
        wrapped, master = keyring.wrap(key, owner=f"{person.patient_id}/erasable")
        keys.append((person.patient_id, "erasable", wrapped, master, now))
        opened = vault.PatientKey(keyring, person.patient_id, key)
        identity = _identity(number)
        born_on = opened.encrypt(identity.birth_date.isoformat(), field=BORN_ON)
        encrypted = opened.encrypt(identity.to_json_text(), field=IDENTITY)
        hashed = keyring.blind_index(identity.search_form(), field=IDENTITY)
        patients.append((person.patient_id, 1, 1, encrypted, born_on, hashed, now))
    columns = ["id", "version", "revision", "identity", "born_on", "identity_hash", "created_at"]
    await connection.copy_records_to_table("patient", records=patients, columns=columns)
    columns = ["patient_id", "kind", "wrapped", "master_key", "created_at"]
    await connection.copy_records_to_table("data_key", records=keys, columns=columns)
    links = [(each.id, each.patient_id, "self", now) for each in people]
    columns = ["account_id", "patient_id", "relation", "since"]
    await connection.copy_records_to_table("link", records=links, columns=columns)
    consents = [(uuid7(now), each.patient_id, each.id, "2026-01", "app", now) for each in people]
    columns = ["id", "patient_id", "account_id", "text_version", "channel", "given_at"]
    await connection.copy_records_to_table("consent", records=consents, columns=columns)


async def add_offers(connection: Any, number: int, *, first: int) -> None:
    """So many more over all practitioners, whose times so far end at the `first` quarter."""
    each = number // PRACTITIONERS
    hour = wall().replace(minute=0, second=0, microsecond=0)
    begin = hour.astimezone(UTC) + timedelta(hours=3)
    await connection.execute(_ADD_OFFERS, begin, first, first + each - 1, timeout=300)


def _identity(number: int) -> Identity:
    return Identity(
        first_names="Camille",
        birth_name=f"Martin {number}",
        used_name=None,
        birth_date=date(1950 + number % 50, number % 12 + 1, number % 28 + 1),
        sex=Sex.FEMALE,
        address=None,
        phone=None,
        email=None,
    )
