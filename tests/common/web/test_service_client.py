"""One service asks another: with a token of its own, in bounded time, at most so many at once."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from common import telemetry
from common.settings import ServiceIdentity
from common.web.service_client import ServiceAway, ServiceClient
from support.eventually import eventually
from support.records import NOW

IDENTITY = ServiceIdentity(token_url="http://issuer/token", client_id="documents", client_secret="secret")


class Outside:
    """The issuer and the target in one."""

    def __init__(self) -> None:
        self.tokens = 0
        self.seen: list[httpx.Request] = []
        self.running = self.most = 0
        self.refuse = 0
        self.hold: asyncio.Event | None = None

    def client(self, **options: Any) -> ServiceClient:
        return ServiceClient("http://target", IDENTITY, transport=httpx.MockTransport(self.answer), **options)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "issuer":
            assert (
                request.content == b"grant_type=client_credentials&client_id=documents&client_secret=secret"
            )
            self.tokens += 1
            return httpx.Response(200, json={"access_token": f"t{self.tokens}", "expires_in": 600})
        self.seen.append(request)
        self.running += 1
        self.most = max(self.most, self.running)
        if self.hold is not None:
            await self.hold.wait()
        self.running -= 1
        if self.refuse:
            self.refuse -= 1
            return httpx.Response(401)
        return httpx.Response(200, json={})


async def test_a_token_is_asked_for_once_until_it_is_about_to_end() -> None:
    outside, times = Outside(), [NOW]
    async with outside.client(now=lambda: times[-1]) as client:
        await client.get("/claims/v1/a")
        await client.get("/claims/v1/b")
        times.append(NOW + timedelta(seconds=571))
        await client.post("/claims/v1/c", json={"x": 1})

    assert [each.headers["authorization"] for each in outside.seen] == ["Bearer t1", "Bearer t1", "Bearer t2"]


async def test_a_refused_token_is_replaced_once() -> None:
    outside = Outside()
    outside.refuse = 1
    async with outside.client() as client:
        answer = await client.get("/claims/v1/a")
        outside.refuse = 2
        still = await client.get("/claims/v1/a")

    assert (answer.status_code, still.status_code) == (200, 401)
    assert outside.tokens == 3


async def test_the_trace_goes_along() -> None:
    outside = Outside()
    async with outside.client() as client:
        with telemetry.span("handler", kind="consumer") as here:
            await client.get("/claims/v1/a")

    sent = outside.seen[0].headers["traceparent"]
    assert sent[:36] == here[:36]
    assert sent != here


async def test_no_answer_in_time_is_away() -> None:
    outside = Outside()
    outside.hold = asyncio.Event()
    async with outside.client() as client:
        with pytest.raises(ServiceAway):
            await client.get("/claims/v1/a", seconds=0.02)


async def test_at_most_so_many_ask_at_once() -> None:
    outside = Outside()
    outside.hold = asyncio.Event()
    async with outside.client(cap=2) as client:
        asking = asyncio.gather(*(client.get("/claims/v1/a") for _ in range(5)))
        await eventually(lambda: outside.running == 2)
        outside.hold.set()
        await asking

    assert (outside.most, len(outside.seen)) == (2, 5)


@pytest.mark.parametrize(
    "answer", [httpx.Response(500), httpx.Response(200, json={"no": "token"}), httpx.Response(200)]
)
async def test_an_issuer_without_a_token_is_away(answer) -> None:
    transport = httpx.MockTransport(lambda _: answer)
    async with ServiceClient("http://target", IDENTITY, transport=transport) as client:
        with pytest.raises(ServiceAway):
            await client.get("/claims/v1/a")
