"""Tokens as an issuer would sign them, and a verifier that trusts them, without any network."""

import time
import warnings
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from common.settings import TokenSettings
from common.web.auth import Verifier

TOKENS: Final = TokenSettings(
    issuer="http://issuer.test", jwks_url="http://issuer.test/jwks.json", audience="platform"
)
Key = ECKey | RSAKey | OKPKey | OctKey


def elliptic_key(name: str = "first") -> ECKey:
    return ECKey.generate_key("P-256", {"kid": name}, private=True)


@dataclass
class Issuer:
    """What it was asked is in `asked`; with `away` it answers 500."""

    keys: list[Any] = field(default_factory=lambda: [elliptic_key()])
    asked: int = 0
    away: bool = False

    def verifier(self, settings: TokenSettings = TOKENS, **options: Any) -> Verifier:
        return Verifier(settings, transport=httpx.MockTransport(self._answer), **options)

    def token(
        self,
        role: str = "patient",
        *,
        subject: UUID | None = None,
        rpps: str | None = None,
        key: Any = None,
        algorithm: str = "ES256",
        **overrides: Any,
    ) -> str:
        signing = key or self.keys[0]
        now = int(time.time())
        claims = {
            "iss": TOKENS.issuer,
            "aud": TOKENS.audience,
            "sub": str(subject or uuid4()),
            "exp": now + 86_400,  # a run of all tests may take long
            "iat": now,
            "roles": [role],
        }
        if rpps is not None:
            claims["rpps"] = rpps
        claims = {name: value for name, value in (claims | overrides).items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # joserfc on the old name of EdDSA
            return jwt.encode({"alg": algorithm, "kid": signing.kid}, claims, signing, algorithms=[algorithm])

    def bearer(self, role: str = "patient", **options: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(role, **options)}"}

    def _answer(self, _: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.away:
            return httpx.Response(500)
        return httpx.Response(200, json={"keys": [key.as_dict(private=False) for key in self.keys]})
