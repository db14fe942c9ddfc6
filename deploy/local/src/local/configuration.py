"""What each service is told when the platform runs on this machine, in one process or in eight."""

import base64
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

from pydantic import SecretStr

from common.settings import PostgresSettings

SERVICES: Final = ("booking", "payment", "claims", "documents")
AUDIENCE: Final = "teleconsultation"

ISSUER: Final = "/simulators/issuer"
CARD_PROVIDER: Final = "/simulators/card"
PAYERS: Final = "/simulators/payers"

_API_POOL: Final = 8
_WORKER_POOL: Final = 8
_DIRECT_POOL: Final = 8
_SIMULATORS_POOLS: Final = 20  # of all of them together


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made at the first start and kept with the data they open."""

    values: Mapping[str, str]

    @classmethod
    def kept_in(cls, directory: Path) -> Self:
        path = directory / "secrets.json"
        if path.exists():
            return cls(json.loads(path.read_text(encoding="utf-8")))
        made = {f"{service}.{name}": _key() for service in SERVICES for name in ("master", "index", "cursor")}
        made |= {f"{service}.client": secrets.token_urlsafe(32) for service in SERVICES}
        made |= {name: secrets.token_urlsafe(32) for name in ("provider", "webhook", "gateway")}
        # written whole or not at all: half a file would lock the data for ever
        draft = path.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(made, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        return cls(made)

    def __getitem__(self, name: str) -> str:
        return self.values[name]


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True)
class Broker:
    bootstrap_servers: str
    profile: str  # embedded or kafka


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where each HTTP API answers; `front` also serves the simulators.

    `internal` is the port of each service for metrics, OpenAPI and the routes that other services ask.
    """

    front: str
    apis: Mapping[str, str]
    internal: Mapping[str, str]

    @classmethod
    def behind_one_port(cls, port: int) -> Self:
        front = f"http://127.0.0.1:{port}"
        return cls(front, dict.fromkeys(SERVICES, front), dict.fromkeys(SERVICES, front))

    @classmethod
    def apart(cls, port: int, ports: Mapping[str, int], internal: Mapping[str, int]) -> Self:
        def at(numbers: Mapping[str, int]) -> dict[str, str]:
            return {name: f"http://127.0.0.1:{each}" for name, each in numbers.items()}

        return cls(f"http://127.0.0.1:{port}", at(ports), at(internal))


def most_connections() -> int:
    """What all parts together may open on the one database server."""
    pools = PostgresSettings(
        dsn=SecretStr(""), api_pool=_API_POOL, worker_pool=_WORKER_POOL, direct_pool=_DIRECT_POOL
    )
    return len(SERVICES) * (pools.api_connections + pools.worker_connections) + _SIMULATORS_POOLS


def settings_of(
    service: str,
    *,
    dsn: str,
    broker: Broker,
    addresses: Addresses,
    kept: Secrets,
    directory: Path,
    shift: timedelta,
) -> dict[str, Any]:
    """The settings of a service as nested plain values."""
    front = addresses.front
    told: dict[str, Any] = {
        "environment": "development",
        "clock_shift": f"PT{int(shift.total_seconds())}S",
        "postgres": {
            "dsn": dsn,
            "api_pool": _API_POOL,
            "worker_pool": _WORKER_POOL,
            "direct_pool": _DIRECT_POOL,
        },
        "kafka": {"bootstrap_servers": broker.bootstrap_servers, "profile": broker.profile},
        "tokens": {
            "issuer": front + ISSUER,
            "jwks_url": f"{front}{ISSUER}/jwks.json",
            "audience": AUDIENCE,
        },
        "identity": {
            "token_url": f"{front}{ISSUER}/token",
            "client_id": service,
            "client_secret": kept[f"{service}.client"],
        },
        "keys": {
            "master": {"first": kept[f"{service}.master"]},
            "active": "first",
            "index": kept[f"{service}.index"],
            "cursor": kept[f"{service}.cursor"],
        },
        "booking_url": addresses.internal["booking"],
    }
    own: dict[str, dict[str, Any]] = {
        "booking": {},
        "payment": {
            "provider_url": front + CARD_PROVIDER,
            "provider_key": kept["provider"],
            "webhook_secret": kept["webhook"],
        },
        "claims": {
            "gateway_url": front + PAYERS,
            "gateway_key": kept["gateway"],
            "rights_url": front + PAYERS,
            # the simulators answer at once, and nobody here wants to wait for company
            "claiming": {"gather_for": "PT0.1S", "poll_every": "PT0.3S", "poll_idle_every": "PT2S"},
        },
        "documents": {
            "claims_url": addresses.internal["claims"],
            "public_url": addresses.apis["documents"],
            "storage_url": (directory / "storage").as_uri(),
            "seal_directory": str(directory / "seal"),
        },
    }
    return told | own[service]


def as_environment(service: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """The same settings as the variables a process of its own reads: BOOKING_POSTGRES__DSN and the like."""
    return dict(_flat(service.upper() + "_", settings))


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name.upper()}__", value)
        else:
            yield f"{prefix}{name.upper()}", str(value)
