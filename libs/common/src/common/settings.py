"""The pieces a service's Settings is made of. Production is the default and refuses samples."""

import base64
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

Environment = Literal["development", "production"]

SAMPLE: Final = "sample"  # how every secret begins that the repository shows; decoded, for keys in base64

_KEY_BYTES: Final = 32


class Piece(BaseModel):
    """A group of settings. The text below a field is its description in docs/configuration.md."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )


SslMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]


class PostgresSettings(Piece):
    """One database and one role; each pool is a bound, and their sum stays below max_connections."""

    dsn: SecretStr
    """`postgresql://user:password@host:port/database`. Several hosts, separated by commas, are tried in their
    order; add `?target_session_attrs=read-write` to find the primary among them."""
    sslmode: SslMode = "prefer"
    """As libpq: `verify-full` checks certificate and host name, `verify-ca` the certificate, `require` only
    encrypts, `prefer` encrypts when the server can, `disable` never does."""
    ca_file: Path | None = None
    """PEM of the authority that signed the server's certificate. None: the authorities of the system."""
    cert_file: Path | None = None
    """PEM of a client certificate, for servers that ask for one."""
    key_file: Path | None = None
    """PEM of the key of the client certificate."""
    api_pool: int = Field(default=10, ge=1)
    """The most connections of an API process for requests."""
    worker_pool: int = Field(default=8, ge=1)
    """The most connections of a worker: half for events, half for tasks."""
    direct_pool: int = Field(default=10, ge=1)
    """The most connections of an API process for single statements on hot paths."""

    @property
    def url(self) -> str:
        """The address with its TLS settings, as `common.connecting.connect` takes it. A secret."""
        tls = {"sslmode": self.sslmode, "sslrootcert": self.ca_file, "sslcert": self.cert_file}
        tls["sslkey"] = self.key_file
        given = urlencode({name: str(value) for name, value in tls.items() if value is not None})
        dsn = self.dsn.get_secret_value()
        return f"{dsn}{'&' if '?' in dsn else '?'}{given}"

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
    """`host:port` of one or more brokers, separated by commas; the others are found through them."""
    profile: Literal["kafka", "embedded"] = "kafka"
    """`embedded` only for the broker that `make run` starts inside its process."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Whether the connection is encrypted (SSL) and whether the client logs in (SASL)."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the client logs in."""
    sasl_username: str | None = None
    """The user of the login."""
    sasl_password: SecretStr | None = None
    """The password of the login."""
    ca_file: Path | None = None
    """PEM of the authority that signed the brokers' certificates. None: the authorities of the system."""
    cert_file: Path | None = None
    """PEM of a client certificate, for brokers that ask for one."""
    key_file: Path | None = None
    """PEM of the key of the client certificate."""
    replication_factor: int = Field(default=-1, ge=-1)
    """Copies of each partition that `topics create` asks for; -1: as many as the cluster says."""


ClaimPath = Annotated[str, Field(min_length=1)]  # dots lead into objects: realm_access.roles


class TokenSettings(Piece):
    """Who issues the tokens this service accepts, and where they say who calls: see docs/identity.md."""

    issuer: str
    """The `iss` of the tokens."""
    jwks_url: str
    """Where the issuer publishes its signing keys."""
    audience: str
    """One of the audiences of each token."""
    subject_claim: ClaimPath = "sub"
    """Where the token says whose account it is: a UUID, or any text from which one is made."""
    roles_claim: ClaimPath = "roles"
    """Where the token lists the roles of the caller; a dot leads into an object."""
    rpps_claim: ClaimPath = "rpps"
    """Where the token says the number of a practitioner."""
    client_claim: ClaimPath = "client_id"
    """Where the token names the app or service that holds it, for the access log."""


class ServiceIdentity(Piece):
    """Who this service is when it asks another one."""

    token_url: str
    """Where the service gets a token for itself (client credentials)."""
    client_id: str
    """Its name at the issuer."""
    client_secret: SecretStr
    """Its secret at the issuer."""


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

    master: dict[str, Key]
    """Master keys by names of your choice: `..._KEYS__MASTER__NAME`. A data key names its master key."""
    active: str
    """The name of the master key that wraps new data keys."""
    index: Key
    """The key of the hashes that encrypted values are found by."""
    cursor: Key
    """The key that signs page cursors."""

    @model_validator(mode="after")
    def _active_is_known(self) -> Self:
        if self.active not in self.master:
            raise refused(["active"], "no master key has this name")
        return self

    @property
    def cursor_key(self) -> bytes:
        return base64.b64decode(self.cursor.get_secret_value())


class TelemetrySettings(Piece):
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least severe lines that are logged."""
    otlp_endpoint: str | None = None
    """Where traces are sent, as OTLP over HTTP. None: nothing is exported."""


class RetentionSettings(Piece):
    """How long what nobody asks about any more is kept; docs/retention.toml gives the reasons."""

    # longer than the topics keep an event, or a reader that was away could not be helped
    archive: timedelta = Field(default=timedelta(days=400), ge=timedelta(days=31))
    """Events that were sent."""
    idempotency: timedelta = Field(default=timedelta(days=30), ge=timedelta(days=1))
    """Records of idempotency keys."""
    rate_limits: timedelta = Field(default=timedelta(days=1), ge=timedelta(hours=1))
    """Counters of rate limits, after their requests have come back."""
    tasks: timedelta = Field(default=timedelta(days=90), ge=timedelta(days=1))
    """Tasks, after they are finished."""
    access_log: timedelta = Field(default=timedelta(days=1096), ge=timedelta(days=184))
    """Entries of the access log."""
    history: timedelta = Field(default=timedelta(days=1096), ge=timedelta(days=184))
    """Facts of the appointments' histories."""


class HttpSettings(Piece):
    host: str = "127.0.0.1"
    """The address that is listened on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """The port that is listened on."""


def _each(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _are_origins(value: str) -> str:
    for each in _each(value):
        if not _ORIGIN.fullmatch(each):
            raise ValueError("an origin is a scheme, a host and perhaps a port, without a path or a wildcard")
    return value


def _are_networks(value: str) -> str:
    for each in _each(value):
        try:
            network = ip_network(each)
        except ValueError:
            raise ValueError("a proxy is an address or a network such as 10.1.0.0/16") from None
        if network.prefixlen == 0:
            raise ValueError("a network that holds every address would trust everybody")
    return value


_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9.-]+(:[0-9]{1,5})?")


class EdgeSettings(Piece):
    """What stands between the API and the internet: web applications of other origins, proxies."""

    allowed_origins: Annotated[str, AfterValidator(_are_origins)] = ""
    """Origins whose web applications may call (CORS), separated by commas, such as `https://app.example`.
    Empty: none."""
    trusted_proxies: Annotated[str, AfterValidator(_are_networks)] = ""
    """Addresses and networks of proxies, separated by commas, whose X-Forwarded-For and X-Forwarded-Proto are
    believed. Empty: none."""
    hsts_seconds: int = Field(default=0, ge=0)
    """For how many seconds browsers use HTTPS alone after an answer (Strict-Transport-Security). 0: nothing
    is said of it."""

    @property
    def origins(self) -> frozenset[str]:
        return frozenset(_each(self.allowed_origins))

    @property
    def proxies(self) -> list[IPv4Network | IPv6Network]:
        return [ip_network(each) for each in _each(self.trusted_proxies)]


class ServiceSettings(BaseSettings):
    """What every service must be told. A service adds its own fields and its `env_prefix`."""

    model_config = SettingsConfigDict(
        env_nested_delimiter="__", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    environment: Environment = "production"
    """`production` refuses sample secrets, simulators and a shifted clock."""
    postgres: PostgresSettings
    kafka: KafkaSettings
    tokens: TokenSettings
    identity: ServiceIdentity
    keys: KeySettings
    telemetry: TelemetrySettings = TelemetrySettings()
    retention: RetentionSettings = RetentionSettings()
    http: HttpSettings = HttpSettings()
    """The API."""
    internal: HttpSettings = HttpSettings(port=9001)
    """The port of an API process for operators and other services: it alone has metrics, OpenAPI and internal
    routes."""
    edge: EdgeSettings = EdgeSettings()
    """What stands between the API and the internet."""
    ops: HttpSettings = HttpSettings(port=9000)
    """Health and metrics of the worker."""
    booking_url: str | None = None
    """Where booking is asked who may see a patient, when no event has told yet. None: it is not asked."""
    clock_shift: timedelta = timedelta()
    """Development only: how far the clock of the service is ahead of the real time."""

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
        raise refused(found, "production refuses sample secrets, simulators and a shifted clock")


def refused(names: Sequence[str], reason: str) -> PydanticCustomError:
    """For validators of several settings: names them (`keys.active`), so that each gets a line of its own."""
    about = {"names": list(names), "named": ", ".join(names), "reason": reason}
    return PydanticCustomError("settings_refused", "{named}: {reason}", about)


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
