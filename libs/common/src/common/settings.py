"""The pieces a service's Settings is made of. Production is the default and refuses samples."""

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Environment = Literal["development", "production"]

SAMPLE: Final = "sample"  # how every secret begins that the repository shows; decoded, for keys in base64

_KEY_BYTES: Final = 32


class Piece(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PostgresSettings(Piece):
    """One database and one role; each pool is a bound, and their sum stays below max_connections."""

    dsn: SecretStr  # postgresql://...
    api_pool: int = Field(default=10, ge=1)
    worker_pool: int = Field(default=8, ge=1)
    direct_pool: int = Field(default=10, ge=1)

    @property
    def api_connections(self) -> int:
        """The most an API process opens: its pools, and the one that wakes other processes."""
        return self.api_pool + self.direct_pool + 1

    @property
    def worker_connections(self) -> int:
        """The most a worker opens: its pool, the relay's, the one of its leases, and the one that wakes."""
        return self.worker_pool + 3


class KafkaSettings(Piece):
    bootstrap_servers: str
    profile: Literal["kafka", "embedded"] = "kafka"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ca_file: Path | None = None
    replication_factor: int = Field(default=-1, ge=-1)  # -1: as the cluster says


ClaimPath = Annotated[str, Field(min_length=1)]  # dots lead into objects: realm_access.roles


class TokenSettings(Piece):
    """Who issues the tokens this service accepts, and where they say who calls: see docs/identity.md."""

    issuer: str
    jwks_url: str
    audience: str  # one of the token's audiences
    subject_claim: ClaimPath = "sub"  # whose account it is: a UUID, or any text from which one is made
    roles_claim: ClaimPath = "roles"
    rpps_claim: ClaimPath = "rpps"  # the number of a practitioner
    client_claim: ClaimPath = "client_id"  # the app or service that holds the token, for the access log


class ServiceIdentity(Piece):
    """Who this service is when it asks another one."""

    token_url: str
    client_id: str
    client_secret: SecretStr


def _is_key(value: SecretStr) -> SecretStr:
    try:
        key = base64.b64decode(value.get_secret_value(), validate=True)
    except ValueError:
        raise ValueError("a key is base64 text") from None
    if len(key) != _KEY_BYTES:
        raise ValueError(f"a key has {_KEY_BYTES} bytes")
    return value


Key = Annotated[SecretStr, AfterValidator(_is_key)]


class KeySettings(Piece):
    """Keys of this service alone, each base64 of 32 bytes."""

    master: dict[str, Key]  # by name; a row of data_key names the one that wraps it
    active: str  # the master key new data keys are wrapped by
    index: Key  # of the keyed hashes one can search by
    cursor: Key  # of signed page cursors

    @model_validator(mode="after")
    def _active_is_known(self) -> Self:
        if self.active not in self.master:
            raise ValueError("the active master key is not among the master keys")
        return self

    @property
    def cursor_key(self) -> bytes:
        return base64.b64decode(self.cursor.get_secret_value())


class TelemetrySettings(Piece):
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otlp_endpoint: str | None = None  # nothing is exported without one


class RetentionSettings(Piece):
    """How long what nobody asks about any more is kept; docs/retention.toml gives the reasons."""

    # longer than the topics keep an event, or a reader that was away could not be helped
    archive: timedelta = Field(default=timedelta(days=400), ge=timedelta(days=31))
    idempotency: timedelta = Field(default=timedelta(days=30), ge=timedelta(days=1))
    tasks: timedelta = Field(default=timedelta(days=90), ge=timedelta(days=1))  # after they are finished
    access_log: timedelta = Field(default=timedelta(days=1096), ge=timedelta(days=184))
    history: timedelta = Field(default=timedelta(days=1096), ge=timedelta(days=184))


class HttpSettings(Piece):
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)


class ServiceSettings(BaseSettings):
    """What every service must be told. A service adds its own fields and its `env_prefix`."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", frozen=True)

    environment: Environment = "production"
    postgres: PostgresSettings
    kafka: KafkaSettings
    tokens: TokenSettings
    identity: ServiceIdentity
    keys: KeySettings
    telemetry: TelemetrySettings = TelemetrySettings()
    retention: RetentionSettings = RetentionSettings()
    http: HttpSettings = HttpSettings()
    ops: HttpSettings = HttpSettings(port=9000)  # health and metrics of the worker
    booking_url: str | None = None  # whom to ask for rights nobody told this service of
    clock_shift: timedelta = timedelta()

    @model_validator(mode="after")
    def _fit_for_production(self) -> Self:
        if self.environment == "production":
            refuse_in_production(self, clock_shift=self.clock_shift)
        return self


def refuse_in_production(settings: BaseModel, *, clock_shift: timedelta) -> None:
    """Raises ValueError naming the settings that only development may have."""
    found = [name for name, value in _leaves(settings) if _is_sample(value)]
    found += [name for name, value in _leaves(settings) if isinstance(value, str) and "/simulators/" in value]
    if clock_shift:
        found.append("clock_shift")
    if found:
        raise ValueError(
            f"production refuses sample secrets, simulators and a shifted clock: {', '.join(found)}"
        )


def sample_key(purpose: str) -> str:
    """A key for development, base64 of 32 bytes, which production refuses."""
    return base64.b64encode(f"{SAMPLE}-{purpose}".encode().ljust(_KEY_BYTES, b".")[:_KEY_BYTES]).decode()


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        value = {field: getattr(value, field) for field in type(value).model_fields}
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _is_sample(value: Any) -> bool:
    if not isinstance(value, SecretStr):
        return False
    text = value.get_secret_value()
    if text.startswith((SAMPLE, "change-me")) or f":{SAMPLE}" in text:  # also as the password in a DSN
        return True
    try:
        return base64.b64decode(text, validate=True).startswith(SAMPLE.encode())
    except ValueError:
        return False
