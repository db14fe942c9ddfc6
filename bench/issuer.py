"""An issuer of tokens for the run: one key, and an address where services read its public half."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import ECKey

from common.settings import TokenSettings

_LIFE_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Issuer:
    settings: TokenSettings
    key: ECKey

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator[Self]:
        key = ECKey.generate_key("P-256", {"kid": "bench", "use": "sig", "alg": "ES256"}, private=True)
        body = json.dumps({"keys": [key.as_dict(private=False)]}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        answer = f"{head}Connection: close\r\n\r\n".encode() + body

        async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(tell, "127.0.0.1", 0) as server:
            address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            settings = TokenSettings(issuer=address, jwks_url=f"{address}/jwks.json", audience="bench")
            yield cls(settings, key)

    def token(self, subject: UUID, *, role: str = "patient") -> str:
        """As from a real issuer: ES256, an hour."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.settings.issuer,
            "aud": self.settings.audience,
            "sub": str(subject),
            "roles": [role],
            "iat": now,
            "exp": now + _LIFE_SECONDS,
        }
        return jwt.encode({"alg": "ES256", "kid": "bench"}, claims, self.key, algorithms=["ES256"])
