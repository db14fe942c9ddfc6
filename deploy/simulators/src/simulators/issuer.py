"""An OIDC issuer for development: anybody gets a token for anybody. Its keys outlive a restart."""

import json
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import parse_qs
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import asyncpg
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from joserfc import jwt
from joserfc.jwk import ECKey

from common.clock import wall
from common.settings import Environment
from common.telemetry import FASTAPI_OFF

PREFIX: Final = "/simulators/issuer"
CONTROLS_PREFIX: Final = "/simulators/controls/issuer"
PERSON: Final = "urn:dev:person"  # the grant that asks for no password

_ROLES: Final = frozenset({"patient", "practitioner", "pharmacist", "support", "administrator"})
_SERVICE_LIFE: Final = timedelta(minutes=10)
_PERSON_LIFE: Final = timedelta(hours=12)
_LOCK: Final = 7_352_412  # the first key is made by one process at a time
_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS issuer_key (
        kid text PRIMARY KEY, private text NOT NULL, created_at timestamptz NOT NULL
    )
"""


class NotForProduction(Exception):
    """Whoever reaches this issuer can be anybody."""


class _Refused(Exception):
    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


@dataclass(frozen=True, slots=True)
class Issuer:
    """Keys and tokens. Time is the machine's: no shift of the business clock keeps a token alive."""

    pool: asyncpg.Pool
    url: str
    audience: str
    clients: Mapping[str, str]
    now: Callable[[], datetime]

    async def create_keys(self) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_TABLES)
            if not await connection.fetchval("SELECT EXISTS (SELECT FROM issuer_key)"):
                await self._add_key(connection)

    async def rotate(self) -> str:
        """The next tokens carry a new key; those in the field stay good."""
        async with self.pool.acquire() as connection:
            return await self._add_key(connection)

    async def public_keys(self) -> dict[str, Any]:
        rows = await self.pool.fetch("SELECT private FROM issuer_key ORDER BY created_at DESC, kid")
        keys = [ECKey.import_key(json.loads(row["private"])) for row in rows]
        return {"keys": [key.as_dict(private=False) for key in keys]}

    async def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        match form.get("grant_type"):
            case "client_credentials":
                return await self._issued(self._client(form), _SERVICE_LIFE)
            case "urn:dev:person":
                return await self._issued(_person(form), _life(form))
            case _:
                raise _Refused(400, "unsupported_grant_type")

    def _client(self, form: Mapping[str, str]) -> dict[str, Any]:
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        known = self.clients.get(client)
        if known is None or not compare_digest(known.encode(), secret.encode()):
            raise _Refused(401, "invalid_client")
        subject = uuid5(NAMESPACE_URL, f"{self.url}/clients/{client}")
        return {"sub": str(subject), "roles": ["service"], "client_id": client}

    async def _issued(self, claims: dict[str, Any], life: timedelta) -> dict[str, Any]:
        row = await self.pool.fetchrow("SELECT private FROM issuer_key ORDER BY created_at DESC, kid LIMIT 1")
        key = ECKey.import_key(json.loads(row["private"]))
        now = int(self.now().timestamp())
        seconds = int(life.total_seconds())
        own = {"iss": self.url, "aud": self.audience, "iat": now, "exp": now + seconds, "jti": str(uuid4())}
        token = jwt.encode({"alg": "ES256", "kid": key.kid, "typ": "JWT"}, {**claims, **own}, key)
        return {"access_token": token, "token_type": "Bearer", "expires_in": seconds}

    async def _add_key(self, connection: Any) -> str:
        name = uuid4().hex
        key = ECKey.generate_key("P-256", {"kid": name, "use": "sig", "alg": "ES256"}, private=True)
        private = json.dumps(key.as_dict(private=True))
        await connection.execute("INSERT INTO issuer_key VALUES ($1, $2, $3)", name, private, self.now())
        return name


def _person(form: Mapping[str, str]) -> dict[str, Any]:
    role = form.get("role", "")
    try:
        subject = UUID(form.get("subject", ""))
    except ValueError:
        raise _Refused(400, "invalid_request") from None
    rpps = form.get("rpps")
    if role not in _ROLES or (role == "practitioner") != (rpps is not None):
        raise _Refused(400, "invalid_request")
    return {"sub": str(subject), "roles": [role]} | ({"rpps": rpps} if rpps else {})


def _life(form: Mapping[str, str]) -> timedelta:
    """How long, if the caller wants it otherwise: below zero for a token that has expired."""
    try:
        return timedelta(seconds=int(form.get("expires_in", _PERSON_LIFE.total_seconds())))
    except (ValueError, OverflowError):
        raise _Refused(400, "invalid_request") from None


router = APIRouter(prefix=PREFIX)


@router.get("/.well-known/openid-configuration")
async def read_configuration(request: Request) -> dict[str, Any]:
    url = request.app.state.issuer.url
    return {
        "issuer": url,
        "jwks_uri": f"{url}/jwks.json",
        "token_endpoint": f"{url}/token",
        "grant_types_supported": ["client_credentials", PERSON],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
    }


@router.get("/jwks.json")
async def read_keys(request: Request) -> dict[str, Any]:
    issuer: Issuer = request.app.state.issuer
    return await issuer.public_keys()


@router.post("/token")
async def create_token(request: Request) -> JSONResponse:
    """RFC 6749: form in, JSON out, never to be cached."""
    issuer: Issuer = request.app.state.issuer
    headers = {"Cache-Control": "no-store"}
    try:
        return JSONResponse(await issuer.token(await _form(request)), headers=headers)
    except _Refused as refused:
        if refused.status == 401:  # noqa: PLR2004
            headers["WWW-Authenticate"] = "Basic"
        return JSONResponse({"error": refused.error}, refused.status, headers)


async def _form(request: Request) -> dict[str, str]:
    try:
        parsed = parse_qs((await request.body()).decode(), max_num_fields=20)
        form = {name: values[0] for name, values in parsed.items()}
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            client, _, secret = b64decode(credentials, validate=True).decode().partition(":")
            form |= {"client_id": client, "client_secret": secret}
    except ValueError:
        raise _Refused(400, "invalid_request") from None
    return form


controls = APIRouter(prefix=CONTROLS_PREFIX)


@controls.post("/rotation")
async def rotate_key(request: Request) -> dict[str, str]:
    issuer: Issuer = request.app.state.issuer
    return {"kid": await issuer.rotate()}


def create_app(
    dsn: str,
    *,
    issuer: str,
    audience: str,
    clients: Mapping[str, str],
    environment: Environment = "production",
    now: Callable[[], datetime] = wall,
) -> FastAPI:
    """`issuer` is its public address with PREFIX; `clients` are secrets by client id.

    Raises NotForProduction.
    """
    if environment == "production":
        raise NotForProduction("the issuer simulator gives anybody a token for anybody")
    return _app("Issuer simulator", PREFIX, router, dsn, issuer, audience, clients, now)


def create_controls(dsn: str, *, environment: Environment = "production") -> FastAPI:
    """A separate app that replaces the signing key. Raises NotForProduction."""
    if environment == "production":
        raise NotForProduction("the issuer simulator is not for production")
    return _app("Issuer controls", CONTROLS_PREFIX, controls, dsn, "", "", {}, wall)


def _app(
    title: str,
    prefix: str,
    routes: APIRouter,
    dsn: str,
    url: str,
    audience: str,
    clients: Mapping[str, str],
    now: Callable[[], datetime],
) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn, min_size=0, max_size=2) as pool:
            app.state.issuer = Issuer(pool, url, audience, clients, now)
            await app.state.issuer.create_keys()
            yield

    app = FastAPI(
        telemetry=FASTAPI_OFF,
        title=title,
        lifespan=lifespan,
        openapi_url=f"{prefix}/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.include_router(routes)
    return app
