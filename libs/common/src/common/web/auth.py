"""Who is calling: JSON Web Tokens of any OIDC issuer, checked here and remembered briefly."""

import asyncio
import hashlib
import json
import logging
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

import httpx
from fastapi import Depends, Request
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    InvalidKeyTypeError,
    JoseError,
    SecurityWarning,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import KeySet

from common import outages
from common.clock import wall
from common.settings import TokenSettings
from common.web.problems import Problem
from common.web.token_claims import account_id, claim_at, names_at, text_at

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA", "Ed25519")  # the last two are one: RFC 9864 renamed it

_KEYS_SECONDS: Final = 600  # a key that the issuer withdrew is refused after this
_REFETCH_SECONDS: Final = 10  # at most one question to the issuer in this time, whatever tokens name
_TOKEN_SECONDS: Final = 60  # a verified token is believed this long, never beyond its end
_TOKENS: Final = 4096
_MAX_TOKEN_CHARACTERS: Final = 8192
_LEEWAY_SECONDS: Final = 5

_log = logging.getLogger(__name__)


class Role(StrEnum):
    PATIENT = "patient"
    PRACTITIONER = "practitioner"
    PHARMACIST = "pharmacist"
    SUPPORT = "support"
    ADMINISTRATOR = "administrator"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Caller:
    """`subject` is a patient's account; a practitioner is known by `rpps`; `client` holds the token."""

    subject: UUID
    roles: frozenset[Role]
    rpps: str | None = None
    client: str | None = None


class _UnknownKey(Exception):
    pass


class Verifier:
    """Checks signature, issuer, audience and time. Time is the machine's, never the shifted clock."""

    def __init__(
        self,
        settings: TokenSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], datetime] = wall,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._now = now
        self._keys: dict[str | None, Any] = {}
        self._fetched_at = 0.0
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._failing = False
        self._verified: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        """Raises Problem 401 token-invalid or token-expired, 503 when the issuer's keys cannot be had."""
        now = self._now().timestamp()
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        known = self._verified.get(digest)
        if known is not None and now < known[1]:
            self._verified.move_to_end(digest)
            return known[0]
        caller, until = await self._check(token, now)
        self._verified[digest] = (caller, min(until, now + _TOKEN_SECONDS))
        if len(self._verified) > _TOKENS:
            self._verified.popitem(last=False)
        return caller

    async def can_fetch_keys(self) -> bool:
        """Whether the last fetch of the signing keys worked; fetches them where they are missing or old.

        False: tokens signed with a new key are refused, and all of them while there is no key at all.
        """
        now = self._now().timestamp()
        if self._failing or now - self._fetched_at > _KEYS_SECONDS:
            with suppress(Problem):
                await self._fetch(now)
        return not self._failing

    async def _check(self, token: str, now: float) -> tuple[Caller, float]:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise _invalid("too-long")
        if now - self._fetched_at > _KEYS_SECONDS:
            await self._fetch(now)
        try:
            claims = self._claims(token)
        except _UnknownKey:
            await self._fetch(now)
            try:
                claims = self._claims(token)
            except _UnknownKey:
                raise _invalid("unknown-key") from None
        return self._caller(claims, now)

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            with warnings.catch_warnings():  # the old name of EdDSA is warned about, and still the usual one
                warnings.simplefilter("ignore", SecurityWarning)
                return jwt.decode(token, self._key_of, algorithms=list(ALGORITHMS)).claims
        except _UnknownKey:
            raise
        except BadSignatureError:
            raise _invalid("signature") from None
        except (UnsupportedAlgorithmError, InvalidKeyTypeError):
            raise _invalid("algorithm") from None
        except (JoseError, ValueError, TypeError, KeyError, json.JSONDecodeError):
            raise _invalid("not-a-token") from None

    def _key_of(self, token: Any) -> Any:
        key_id = token.headers().get("kid")
        key = self._keys.get(key_id)
        if key is None and key_id is None and len(self._keys) == 1:
            key = next(iter(self._keys.values()))
        if key is None:
            raise _UnknownKey
        return key

    def _caller(self, claims: Mapping[str, Any], now: float) -> tuple[Caller, float]:
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        expires, begins = claims.get("exp"), claims.get("nbf", 0)
        if claims.get("iss") != self._settings.issuer:
            raise _invalid("issuer")
        if self._settings.audience not in audiences:
            raise _invalid("audience")
        if not isinstance(expires, (int, float)) or not isinstance(begins, (int, float)):
            raise _invalid("times")
        if now >= expires + _LEEWAY_SECONDS:
            _log_rejected("expired")
            raise _refused("token-expired", "The token has expired.", "invalid_token")
        if begins > now + _LEEWAY_SECONDS:
            raise _invalid("not-yet-valid")
        told = self._settings
        try:
            subject = account_id(told.issuer, claim_at(claims, told.subject_claim))
            roles = names_at(claims, told.roles_claim)
        except ValueError:
            raise _invalid("claims") from None
        caller = Caller(
            subject=subject,
            roles=frozenset(Role(each) for each in roles if each in set(Role)),
            rpps=text_at(claims, told.rpps_claim),
            client=text_at(claims, told.client_claim),
        )
        return caller, expires + _LEEWAY_SECONDS

    async def _fetch(self, now: float) -> None:
        """Reads the issuer's keys, but not again within `_REFETCH_SECONDS`: bad tokens cost us nothing."""
        async with self._fetching:
            if now - self._tried_at < _REFETCH_SECONDS:
                if not self._keys:
                    raise _issuer_away()
                return
            self._tried_at = now - _REFETCH_SECONDS + 1  # an issuer that starts is asked again soon
            try:
                async with httpx.AsyncClient(
                    transport=self._transport, timeout=httpx.Timeout(5, connect=1)
                ) as client:
                    answer = await client.get(self._settings.jwks_url)
                answer.raise_for_status()
                keys = KeySet.import_key_set(answer.json()).keys
            except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
                outages.report(_log, "issuer", error, "the signing keys cannot be fetched")
                self._failing = True
                if not self._keys:
                    raise _issuer_away() from None
                return  # the keys we have stay good
            self._keys = {key.kid: key for key in keys}
            self._fetched_at = self._tried_at = now
            self._failing = False


def _invalid(reason: str) -> Problem:
    _log_rejected(reason)
    return _refused("token-invalid", "The token is not valid here.", "invalid_token")


def _log_rejected(reason: str) -> None:
    """For the operator: the caller learns only that the token is not valid. No token, no claim, no key id."""
    _log.info("token rejected: %s", reason, extra={"reason": reason})


def _refused(code: str, detail: str, error: str | None) -> Problem:
    challenge = "Bearer" if error is None else f'Bearer error="{error}"'
    return Problem(401, code, detail, headers={"WWW-Authenticate": challenge})


def _issuer_away() -> Problem:
    return Problem(503, "issuer-away", "Tokens cannot be checked now.", headers={"Retry-After": "2"})


async def current_caller(request: Request) -> Caller:
    """Who calls; found once per request, however many dependencies ask."""
    known: Caller | None = request.scope.get("caller")
    if known is not None:
        return known
    header = request.headers.get("authorization")
    if header is None:
        raise _refused("token-missing", "Send a bearer token.", None)
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _refused("token-missing", "Send a bearer token.", None)
    verifier: Verifier = request.app.state.verifier
    caller = await verifier.verify(token.strip())
    request.scope["caller"] = caller
    return caller


CallerDep = Annotated[Caller, Depends(current_caller)]


class WithRole:
    """The dependency behind `requires`; the OpenAPI document names its roles."""

    def __init__(self, roles: frozenset[Role]) -> None:
        self.roles = roles

    async def __call__(self, caller: CallerDep) -> Caller:
        if not caller.roles & self.roles:
            raise Problem(403, "role-missing", f"This needs the role {' or '.join(sorted(self.roles))}.")
        return caller


def requires(*roles: Role) -> Any:
    """A dependency, in Annotated or `dependencies=`: the caller with one of these roles, else 403."""
    return Depends(WithRole(frozenset(roles)))
