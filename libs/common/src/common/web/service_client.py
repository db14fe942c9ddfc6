"""How one service asks another: its own token, short timeouts, a cap per target, the trace carried on."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Self

import httpx

from common import telemetry
from common.clock import wall
from common.settings import ServiceIdentity

CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 5.0
_EARLY_SECONDS: Final = 30  # a token is renewed this long before its end


class ServiceAway(Exception):
    """No answer in time, or none that can be used. Whether it did something is not known."""


class ServiceClient:
    """`base_url` has no path. Answers of any status are returned; raises ServiceAway when there is none."""

    def __init__(
        self,
        base_url: str,
        identity: ServiceIdentity,
        *,
        cap: int = 20,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], datetime] = wall,
    ) -> None:
        self._identity = identity
        self._now = now
        self._free = asyncio.Semaphore(cap)
        self._renewing = asyncio.Lock()
        self._token = ""
        self._until = 0.0
        self._http = httpx.AsyncClient(
            base_url=base_url,
            transport=transport,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=cap, max_keepalive_connections=cap),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(
        self, path: str, *, params: Mapping[str, str] | None = None, seconds: float = READ_SECONDS
    ) -> httpx.Response:
        return await self.request("GET", path, params=params, seconds=seconds)

    async def post(self, path: str, *, json: Any, seconds: float = READ_SECONDS) -> httpx.Response:
        return await self.request("POST", path, json=json, seconds=seconds)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = READ_SECONDS,
    ) -> httpx.Response:
        """One request within `seconds` in all, the wait for a free place and a fresh token among them."""
        try:
            async with asyncio.timeout(seconds), self._free:
                with telemetry.span(f"{method} {path.split('/')[1]}", kind="client") as traceparent:
                    answer = await self._send(method, path, params, json, headers, traceparent)
                    if answer.status_code == httpx.codes.UNAUTHORIZED:
                        self._until = 0.0  # keys were changed: once more with a new token
                        answer = await self._send(method, path, params, json, headers, traceparent)
                    return answer
        except (httpx.HTTPError, TimeoutError) as error:
            raise ServiceAway(type(error).__name__) from error

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        json: Any,
        headers: Mapping[str, str] | None,
        traceparent: str,
    ) -> httpx.Response:
        own = {"authorization": f"Bearer {await self._fresh_token()}", "traceparent": traceparent}
        return await self._http.request(
            method, path, params=params, json=json, headers={**own, **(headers or {})}
        )

    async def _fresh_token(self) -> str:
        async with self._renewing:
            now = self._now().timestamp()
            if now >= self._until:
                answer = await self._http.post(
                    self._identity.token_url,
                    data={
                        "grant_type": "client_credentials",
                        "client_id": self._identity.client_id,
                        "client_secret": self._identity.client_secret.get_secret_value(),
                    },
                )
                answer.raise_for_status()
                try:
                    body = answer.json()
                    self._token = body["access_token"]
                    self._until = now + float(body.get("expires_in", 60)) - _EARLY_SECONDS
                except (ValueError, KeyError, TypeError):
                    raise ServiceAway("the issuer gave no token") from None
            return self._token
