"""The public HTTP API as an app's back end calls it: one caller per person, with a token of their own."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx

from local.configuration import AUDIENCE, ISSUER, Addresses

_TRIES: Final = 40
_LONGEST_WAIT: Final = 1.0


class JourneyFailed(Exception):
    """A journey did not come to its end; one line says where."""


class Refused(JourneyFailed):
    """The API answered with a problem that the journey did not expect."""

    def __init__(self, method: str, path: str, status: int, problem: Mapping[str, Any]) -> None:
        code = str(problem.get("type", "")).rpartition(":")[2]
        detail = f"{problem.get('detail', '')} {problem.get('errors', '')}".strip()
        super().__init__(f"{method} {path} answered {status} {code}: {detail}")
        self.status = status
        self.code = code
        self.problem = problem


class Api:
    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses
        self.http = httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=20))
        self._people: dict[tuple[str, str], Person] = {}

    async def aclose(self) -> None:
        await self.http.aclose()

    def patient(self, account_id: str) -> "Person":
        return self._person("patient", account_id)

    def practitioner(self, subject: str, rpps: str) -> "Person":
        return self._person("practitioner", subject, rpps=rpps)

    def administrator(self, subject: str) -> "Person":
        return self._person("administrator", subject)

    def with_token(self, token: str) -> "Person":
        """Somebody who has logged in elsewhere."""
        return Person(self, {}, token)

    def _person(self, role: str, subject: str, **claims: str) -> "Person":
        return self._people.setdefault(
            (role, subject), Person(self, {"role": role, "subject": subject, **claims})
        )


class Person:
    """Somebody with a token. What another service will create by event is waited for, as the API asks."""

    def __init__(self, api: Api, claims: Mapping[str, str], token: str | None = None) -> None:
        self._api = api
        self._claims = claims
        self._token = token
        self._once = asyncio.Lock()

    async def get(self, path: str, **parameters: Any) -> Any:
        return (await self._call("GET", path, params=parameters)).json()

    async def content(self, path: str) -> bytes:
        return (await self._call("GET", path)).content

    async def post(self, path: str, body: Any = None, *, key: str | None = None, wait: int = 0) -> Any:
        """`key` is the idempotency key: the same call under the same key comes to the same thing."""
        headers = {"Idempotency-Key": key} if key else {}
        if wait:
            headers["Prefer"] = f"wait={wait}"
        response = await self._call("POST", path, json=body if body is not None else {}, headers=headers)
        return response.json() if response.content else None

    async def put(self, path: str, body: Any) -> Any:
        """Replaces what is there, whatever its version."""
        headers = {}
        there = await self._send("GET", path)
        if there.status_code == httpx.codes.OK and "etag" in there.headers:
            headers["If-Match"] = there.headers["etag"]
        return (await self._call("PUT", path, json=body, headers=headers)).json()

    async def _call(self, method: str, path: str, **content: Any) -> httpx.Response:
        response = await self._send(method, path, **content)
        for _ in range(_TRIES):
            later = response.headers.get("Retry-After")
            if response.is_success or later is None:
                break
            await asyncio.sleep(min(float(later), _LONGEST_WAIT))
            response = await self._send(method, path, **content)
        if response.is_success:
            return response
        try:
            problem = response.json()
        except ValueError:
            problem = {}
        raise Refused(method, path, response.status_code, problem)

    async def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        service = path.split("/")[1]
        headers = content.pop("headers", {}) | {"Authorization": f"Bearer {await self._bearer()}"}
        base = self._api.addresses.apis.get(service, self._api.addresses.front)
        return await self._api.http.request(method, base + path, headers=headers, **content)

    async def _bearer(self) -> str:
        async with self._once:
            if self._token is None:
                form = {"grant_type": "urn:dev:person", "audience": AUDIENCE, **self._claims}
                response = await self._api.http.post(self._api.addresses.front + ISSUER + "/token", data=form)
                response.raise_for_status()
                self._token = str(response.json()["access_token"])
        return self._token
