"""How often one address may ask what anybody may ask: a token bucket in memory, no address kept."""

import hmac
import math
import secrets
from collections import OrderedDict
from time import monotonic
from typing import Any, Final

from fastapi import Depends, Request, Response

from common.web.problems import Problem

_ADDRESSES: Final = 50_000


class _Buckets:
    def __init__(self, requests: int, seconds: int) -> None:
        self._requests = requests
        self._rate = requests / seconds
        self._secret = secrets.token_bytes(
            32
        )  # of this process: the hash cannot be turned back into an address
        self._kept: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> tuple[int, float]:
        """Requests left after this one (-1: none was left), and seconds until there is one more."""
        key = hmac.digest(self._secret, address.encode(), "sha256")
        now = monotonic()
        left, at = self._kept.pop(key, (float(self._requests), now))
        left = min(float(self._requests), left + (now - at) * self._rate)
        granted = left >= 1
        left -= 1 if granted else 0
        self._kept[key] = (left, now)
        if len(self._kept) > _ADDRESSES:
            self._kept.popitem(last=False)
        missing = max(0.0, 1 - left)
        return (int(left) if granted else -1), missing / self._rate


class RateLimit:
    """The dependency behind `rate_limited`; the OpenAPI document knows a limited route by it."""

    def __init__(self, name: str, requests: int, seconds: int) -> None:
        self._name = name
        self._policy = f'"{name}";q={requests};w={seconds}'
        self._buckets = _Buckets(requests, seconds)

    async def __call__(self, request: Request, response: Response) -> None:
        left, wait = self._buckets.take(request.client.host if request.client else "unknown")
        if left < 0:
            again = max(1, math.ceil(wait))
            headers = {
                "Retry-After": str(again),
                "RateLimit-Policy": self._policy,
                "RateLimit": f'"{self._name}";r=0;t={again}',
            }
            raise Problem(429, "too-many-requests", "Too many requests from this address.", headers=headers)
        response.headers["RateLimit-Policy"] = self._policy
        response.headers["RateLimit"] = f'"{self._name}";r={left};t={math.ceil(wait)}'


def rate_limited(name: str, *, requests: int, seconds: int) -> Any:
    """A dependency for public routes: `requests` per `seconds` and address in each process, else 429."""
    return Depends(RateLimit(name, requests, seconds))
