"""TLS to PostgreSQL and Kafka by settings: right ones connect, wrong ones open no connection."""

import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from common.db import direct_pool, engine_of
from common.messaging import connections
from common.messaging.kafka import connection_options
from common.settings import KafkaSettings, PostgresSettings
from common.wake import NotifyWake
from local import kafka
from local.errors import LocalError
from local.platform import free_ports
from support.eventually import eventually
from support.production import postgres_tls
from support.production.certificates import Authority

_IN_CI = os.environ.get("CI") == "true"  # noqa: TID251 - a skip is a failure there


@dataclass(frozen=True, slots=True)
class Database:
    server: postgres_tls.Server
    stranger: Authority

    def settings(self, *, host: str = "127.0.0.1", **tls: Any) -> PostgresSettings:
        dsn = self.server.dsn("booking").replace("127.0.0.1", host)
        return PostgresSettings(dsn=SecretStr(dsn), **tls)


@pytest.fixture(scope="module")
async def database() -> AsyncIterator[Database]:
    # not one of pytest's directories: the user of the server enters it
    with TemporaryDirectory(prefix="tls-") as place:
        directory, other = Path(place), Path(place) / "other"
        directory.chmod(0o755)
        other.mkdir()
        try:
            async with postgres_tls.running(directory, Authority.in_directory(directory)) as server:
                yield Database(server, Authority.in_directory(other))
        except LocalError as error:
            if _IN_CI:
                raise
            pytest.skip(str(error))


async def encrypted(connection: Any) -> bool:
    query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    return bool(await connection.fetchval(query))


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
async def test_every_way_of_connecting_is_encrypted(database, mode) -> None:
    trusted = {} if mode in {"prefer", "require"} else {"ca_file": database.server.ca_file}
    settings = database.settings(sslmode=mode, **trusted)
    engine = engine_of(settings, name="test", pool=1)
    async with engine.connect() as connection:
        by_engine = await connection.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
    await engine.dispose()
    async with direct_pool(settings, name="test", size=1) as pool:
        by_pool = await encrypted(pool)
    own = await connections.connect(settings.url, name="test")
    by_connection = await encrypted(own)
    await connections.close(own)

    assert (by_engine, by_pool, by_connection) == (True, True, True)


async def test_processes_wake_each_other_over_tls(database) -> None:
    settings = database.settings(sslmode="verify-full", ca_file=database.server.ca_file)
    api, worker = NotifyWake(settings.url, hears="changed"), NotifyWake(settings.url, hears="wake")
    heard: list[str] = []
    async with api.running(), worker.running():

        async def woken() -> bool:
            api.set("task")
            await worker.wait("task", 0.05)
            heard.append("task")
            return True

        await eventually(woken, within=10)

    assert heard


@pytest.mark.parametrize(
    ("tls", "error"),
    [
        ({"sslmode": "disable"}, DBAPIError),  # the server takes no connection in clear
        ({"sslmode": "verify-full"}, ssl.SSLCertVerificationError),  # the system does not know its authority
        ({"sslmode": "verify-ca", "ca_file": "stranger"}, ssl.SSLCertVerificationError),
        ({"sslmode": "require", "ca_file": "stranger"}, ssl.SSLCertVerificationError),
        ({"sslmode": "verify-full", "ca_file": Path("/nowhere/ca.pem")}, FileNotFoundError),
    ],
)
async def test_wrong_tls_settings_open_no_connection(database, tls, error) -> None:
    if tls.get("ca_file") == "stranger":
        tls = tls | {"ca_file": database.stranger.certificate_file}
    engine = engine_of(database.settings(**tls), name="test", pool=1)

    with pytest.raises(error):
        async with engine.connect():
            pass
    await engine.dispose()


async def test_another_host_name_passes_only_without_its_check(database) -> None:
    trusted = {"ca_file": database.server.ca_file, "host": "localhost"}  # the certificate is for 127.0.0.1
    checked = engine_of(database.settings(sslmode="verify-full", **trusted), name="test", pool=1)
    unchecked = engine_of(database.settings(sslmode="verify-ca", **trusted), name="test", pool=1)

    with pytest.raises(ssl.SSLCertVerificationError):
        async with checked.connect():
            pass
    async with unchecked.connect() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await checked.dispose()
    await unchecked.dispose()


async def test_of_several_hosts_the_one_that_answers_is_taken(database) -> None:
    [nobody] = free_ports(1)
    right = f"127.0.0.1:{database.server.port}"
    dsn = database.server.dsn("booking").replace(right, f"127.0.0.1:{nobody},{right}")
    settings = PostgresSettings(
        dsn=SecretStr(f"{dsn}?target_session_attrs=read-write"),
        sslmode="verify-full",
        ca_file=database.server.ca_file,
    )
    engine = engine_of(settings, name="test", pool=1)
    async with engine.connect() as connection, direct_pool(settings, name="test", size=1) as pool:
        found = [await connection.scalar(text("SELECT 1")), await pool.fetchval("SELECT 1")]
    await engine.dispose()

    assert found == [1, 1]


@dataclass(frozen=True, slots=True)
class Brokers:
    ports: dict[str, int]
    authority: Authority
    stranger: Authority

    def settings(self, protocol: str, **about: Any) -> KafkaSettings:
        servers = f"127.0.0.1:{self.ports[protocol]}"
        trusted = {"ca_file": self.authority.certificate_file} | about
        return KafkaSettings.model_validate(
            {"bootstrap_servers": servers, "security_protocol": protocol, **trusted}
        )


@pytest.fixture(scope="module")
async def brokers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Brokers]:
    if (reason := kafka.unavailable()) is not None:
        if _IN_CI:
            raise LocalError(reason)
        pytest.skip(reason)
    directory, other = tmp_path_factory.mktemp("kafka-tls"), tmp_path_factory.mktemp("stranger")
    authority = Authority.in_directory(directory)
    certificate, key = authority.issue("127.0.0.1", directory)
    store = directory / "store.pem"
    store.write_bytes(key.read_bytes() + certificate.read_bytes() + authority.certificate_file.read_bytes())
    ports = dict(zip(("SSL", "SASL_SSL"), free_ports(2), strict=True))
    login = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required"
        ' username="booking" password="right" user_booking="right";'
    )
    properties = (
        f"ssl.keystore.type=PEM\nssl.keystore.location={store}\n"
        f"sasl.enabled.mechanisms=PLAIN\nlistener.name.sasl_ssl.plain.sasl.jaas.config={login}\n"
    )
    async with kafka.running(
        directory / "broker", topics={"tried": 1}, listeners=ports, properties=properties
    ):
        yield Brokers(ports, authority, Authority.in_directory(other))


async def send(settings: KafkaSettings) -> None:
    async with AIOKafkaProducer(
        acks="all", request_timeout_ms=5000, **connection_options(settings)
    ) as producer:
        await producer.send_and_wait("tried", b"x")


_LOGIN = {"sasl_mechanism": "PLAIN", "sasl_username": "booking"}


@pytest.mark.kafka
async def test_kafka_takes_records_over_tls_and_with_a_login(brokers) -> None:
    await send(brokers.settings("SSL"))
    await send(brokers.settings("SASL_SSL", **_LOGIN, sasl_password="right"))


@pytest.mark.kafka
@pytest.mark.parametrize("wrong", ["authority", "password", "in clear"])
async def test_kafka_is_not_reached_with_wrong_settings(brokers, wrong) -> None:
    settings = {
        "authority": brokers.settings("SSL", ca_file=brokers.stranger.certificate_file),
        "password": brokers.settings("SASL_SSL", **_LOGIN, sasl_password="wrong"),
        "in clear": brokers.settings("SSL").model_copy(update={"security_protocol": "PLAINTEXT"}),
    }[wrong]

    admin = AIOKafkaAdminClient(request_timeout_ms=5000, **connection_options(settings))
    try:
        with pytest.raises(KafkaConnectionError):
            await admin.start()
    finally:
        await admin.close()
