"""How often one address may ask what anybody may ask, counted by all processes of a service together."""

import hmac
import math
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from fastapi import Depends, Request, Response
from sqlalchemy import text

from common.clock import Clock
from common.db import Sessions
from common.web.problems import Problem

_NETWORK_BITS: Final = 64  # whoever has an IPv6 address has at least a network of this size

# A bucket is kept as the time when all its requests have come back. A request moves that time by what one
# request needs to come back; it is refused where not even one has come back. A time that no bucket can have
# comes from a process whose clock was wrong, and does not count.
_TAKE: Final = text("""
    WITH taken AS (
        INSERT INTO rate_limit AS bucket (key, full_at)
        VALUES (:key, CAST(:now AS timestamptz) + CAST(:each AS interval))
        ON CONFLICT (key) DO UPDATE SET full_at = CAST(:each AS interval) + CASE
            WHEN bucket.full_at > CAST(:impossible AS timestamptz) THEN CAST(:now AS timestamptz)
            ELSE greatest(bucket.full_at, CAST(:now AS timestamptz)) END
        WHERE bucket.full_at <= CAST(:latest AS timestamptz)
           OR bucket.full_at > CAST(:impossible AS timestamptz)
        RETURNING full_at
    )
    SELECT full_at, true AS granted FROM taken
    UNION ALL
    SELECT full_at, false FROM rate_limit WHERE key = :key AND NOT EXISTS (SELECT FROM taken)
""")


class RateLimit:
    """The dependency behind `rate_limited`; the OpenAPI document knows a limited route by it."""

    def __init__(self, name: str, requests: int, seconds: int) -> None:
        self._name = name
        self._policy = f'"{name}";q={requests};w={seconds}'
        self._each = timedelta(seconds=seconds) / requests
        self._window = (
            self._each * requests
        )  # a whole number of requests, also where the division was rounded

    async def __call__(self, request: Request, response: Response) -> None:
        state = request.app.state
        clock: Clock = state.clock
        now = clock.now()
        address = request.client.host if request.client else "unknown"
        granted, full_at = await self.take(state.sessions, self._key(state.cursor_key, address), now)
        again = math.ceil(max(timedelta(), full_at - self._latest(now)).total_seconds())
        if not granted:
            again = max(1, again)
            headers = {
                "Retry-After": str(again),
                "RateLimit-Policy": self._policy,
                "RateLimit": f'"{self._name}";r=0;t={again}',
            }
            raise Problem(429, "too-many-requests", "Too many requests from this address.", headers=headers)
        left = (now + self._window - full_at) // self._each
        response.headers["RateLimit-Policy"] = self._policy
        response.headers["RateLimit"] = f'"{self._name}";r={left};t={0 if left else again}'

    def _latest(self, now: datetime) -> datetime:
        """Until when a bucket that has one request left is full again."""
        return now + self._window - self._each

    def _key(self, secret: bytes, address: str) -> bytes:
        """A hash that cannot be turned back into an address without the service's key."""
        told = f"rate-limit\0{self._name}\0{_holder(address)}"
        return hmac.digest(secret, told.encode(), "sha256")

    async def take(self, sessions: Sessions, key: bytes, now: datetime) -> tuple[bool, datetime]:
        """Whether a request was left, and when the bucket is full again."""
        latest = self._latest(now)
        given = {"key": key, "now": now, "each": self._each, "latest": latest}
        async with sessions.begin() as session:
            row = (await session.execute(_TAKE, given | {"impossible": now + 2 * self._window})).one_or_none()
        # No row: another process has just made it, and it was empty before this statement could see it.
        return (row.granted, row.full_at) if row is not None else (False, latest + self._each)


def _holder(address: str) -> str:
    """Who is counted: an IPv4 address, or the network of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{int(parsed) >> (128 - _NETWORK_BITS):x}::/{_NETWORK_BITS}"
    return str(parsed)


def rate_limited(name: str, *, requests: int, seconds: int) -> Any:
    """A dependency for public routes: `requests` per `seconds` and address in all processes, else 429."""
    return Depends(RateLimit(name, requests, seconds))
