"""Four APIs and four workers in production mode, told what deploy/env says, with addresses of here."""

import base64
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from common.clock import wall
from documents.signing import Seal, development_seal
from local.configuration import SERVICES, Addresses
from local.errors import LocalError
from local.kafka import Kafka
from local.paths import REPOSITORY
from local.platform import free_ports
from local.processes import Child, start_child
from support.eventually import eventually
from support.production import keycloak, partners, postgres_tls, s3
from tools.image.sandbox import Sandbox

_LINE: Final = re.compile(r"^(# )?([A-Z0-9_]+)=(.*)$", re.MULTILINE)
_PASSED_ON: Final = ("PATH", "LANG")
_USER: Final = 65534  # as in deploy/Dockerfile
_READY_SECONDS: Final = 90
_COMMAND_SECONDS: Final = 120


class NotInTheFile(Exception):
    """A variable that deploy/env does not name, or one of its samples that nobody replaced."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a platform brings: each is real, but for the partners."""

    postgres: postgres_tls.Server
    kafka: Kafka
    keycloak: keycloak.Keycloak
    bucket: s3.Bucket
    partners: partners.Partners


@dataclass(frozen=True, slots=True)
class Platform:
    addresses: Addresses
    processes: Mapping[str, Child]
    seal: Seal
    logs: Path
    outside: Outside
    user: int  # as whom the processes run


def environment_of(service: str, own: Mapping[str, str]) -> dict[str, str]:
    """The variables of deploy/env/SERVICE.env, where those of `own` replace a value or a comment.

    Raises NotInTheFile.
    """
    file = REPOSITORY / "deploy" / "env" / f"{service}.env"
    found = _LINE.findall(file.read_text(encoding="utf-8"))
    unknown = own.keys() - {name for _, name, _ in found}
    if unknown:
        raise NotInTheFile(f"{file.name} does not name {', '.join(sorted(unknown))}")
    told: dict[str, str] = {name: value for comment, name, value in found if not comment} | dict(own)
    samples = [name for name, value in told.items() if "sample" in value or ".example" in value]
    if samples:
        raise NotInTheFile(f"{', '.join(samples)} of {file.name} is still a sample")
    return told


def _own(service: str, outside: Outside, addresses: Addresses, ops: int, seal_file: Path) -> dict[str, str]:
    """What a deployment gives a value of its own, by the name without the service's prefix."""
    issuer = outside.keycloak
    told = {
        "ENVIRONMENT": "production",
        "HTTP__HOST": "127.0.0.1",
        "HTTP__PORT": str(urlsplit(addresses.apis[service]).port),
        "INTERNAL__HOST": "127.0.0.1",
        "INTERNAL__PORT": str(urlsplit(addresses.internal[service]).port),
        "OPS__HOST": "127.0.0.1",
        "OPS__PORT": str(ops),
        "POSTGRES__DSN": outside.postgres.dsn(service),
        "POSTGRES__SSLMODE": "verify-full",
        "POSTGRES__CA_FILE": str(outside.postgres.ca_file),
        "KAFKA__BOOTSTRAP_SERVERS": outside.kafka.bootstrap_servers,
        "TOKENS__ISSUER": issuer.issuer,
        "TOKENS__JWKS_URL": issuer.jwks_url,
        "TOKENS__ROLES_CLAIM": "realm_access.roles",
        "TOKENS__CLIENT_CLAIM": "azp",
        "IDENTITY__TOKEN_URL": issuer.token_url,
        "IDENTITY__CLIENT_SECRET": issuer.secrets[service],
        **{name: _key() for name in ("KEYS__MASTER__FIRST", "KEYS__INDEX", "KEYS__CURSOR")},
        "BOOKING_URL": addresses.internal["booking"],
    }
    more = {
        "booking": {},
        "payment": {
            "PROVIDER_URL": outside.partners.card_provider,
            "PROVIDER_KEY": outside.partners.provider_key,
            "WEBHOOK_SECRET": outside.partners.webhook_secret,
        },
        "claims": {
            "GATEWAY_URL": outside.partners.insurers,
            "GATEWAY_KEY": outside.partners.gateway_key,
            "RIGHTS_URL": outside.partners.insurers,
            # the insurers here answer at once, and a test does not wait half a minute to ask again
            "CLAIMING__GATHER_FOR": "PT0.1S",
            "CLAIMING__POLL_EVERY": "PT0.5S",
            "CLAIMING__POLL_IDLE_EVERY": "PT2S",
        },
        "documents": {
            "CLAIMS_URL": addresses.internal["claims"],
            "PUBLIC_URL": addresses.apis["documents"],
            "STORAGE_URL": f"s3://{outside.bucket.name}/files",
            "SEAL_FILE": str(seal_file),
            "SEAL_FORMAT": "pem",
        },
    }
    return {f"{service.upper()}_{name}": value for name, value in (told | more[service]).items()}


@asynccontextmanager
async def running(directory: Path, outside: Outside, apis: Mapping[str, int]) -> AsyncIterator[Platform]:
    """Migrated, with its topics, and ready. A process that has not ended by itself is killed at the end.

    Where this machine allows it, each runs as the image's user on a read-only file system.
    """
    logs = directory / "logs"
    logs.mkdir()
    seal = development_seal(directory / "seal", now=wall())
    [seal_file] = (directory / "seal").iterdir()
    numbers = iter(free_ports(2 * len(SERVICES)))
    internal, operations = (dict(zip(SERVICES, numbers, strict=False)) for _ in range(2))
    addresses = Addresses.apart(1, apis, internal)
    machine = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}  # noqa: TID251
    (temporary := directory / "tmp").mkdir()
    temporary.chmod(0o1777)
    machine |= {"TMPDIR": str(temporary), "HOME": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    told = {}
    for service in SERVICES:
        own = _own(service, outside, addresses, operations[service], seal_file)
        told[service] = machine | environment_of(service, own)
    # in production the seal is a file, and a folder for one made at the start is refused beside it
    del told["documents"]["DOCUMENTS_SEAL_DIRECTORY"]
    told["documents"] |= outside.bucket.environment

    if os.geteuid() == 0:
        for each in (seal_file.parent, seal_file):
            os.chown(each, _USER, _USER)
    sandbox = Sandbox.of(directory, directory, [temporary], str(_USER), needed=[REPOSITORY])

    changes = "setpriv" in sandbox.prefix or not sandbox.limits
    user = _USER if changes else os.geteuid()

    async def started(service: str, *arguments: str) -> Child:
        name = "-".join((service, *arguments))
        argv = [*sandbox.prefix, sys.executable, "-m", service, *arguments]
        return await start_child(name, argv, env=told[service], log=logs / f"{name}.log")

    async with AsyncExitStack() as stack:
        for command in (("migrate",), ("topics", "create")):
            for service in SERVICES:
                child = await started(service, *command)
                stack.push_async_callback(child.kill)
                assert await child.wait() == 0, child.last_lines(10)
        processes = {}
        for service in SERVICES:
            for role in ("api", "worker"):
                child = processes[f"{service}-{role}"] = await started(service, role)
                stack.push_async_callback(child.kill)
        for service, port in (*apis.items(), *operations.items()):
            url = f"http://127.0.0.1:{port}/{service}/health/ready"
            await eventually(partial(_ready, url, processes), within=_READY_SECONDS, every=0.1)
        yield Platform(addresses, processes, seal, logs, outside, user)


async def _ready(url: str, processes: Mapping[str, Child]) -> bool:
    for child in processes.values():
        if child.returncode is not None:
            raise LocalError(f"{child.name} ended: {child.last_lines(10)}")
    async with httpx.AsyncClient(timeout=5) as client:
        try:
            answer = await client.get(url)
        except httpx.TransportError:
            return False
        assert answer.is_success, f"{url}: {answer.text}"
        return True


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
