"""The HTTP server as a client on a socket meets it: limits, malformed requests, ports, proxies."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import Request
from pydantic import ValidationError

from common.settings import EdgeSettings, HttpSettings
from common.web import server
from local.platform import free_ports
from support.eventually import eventually
from support.small_app import small_app
from support.tokens import Issuer


@asynccontextmanager
async def served(monkeypatch, edge: EdgeSettings | None = None) -> AsyncIterator[tuple[int, int]]:
    """The public and the internal port of an app that is served as a process serves it."""
    monkeypatch.setattr(server, "_NOTICE_SECONDS", 0)
    app = small_app(None, verifier=Issuer().verifier(), edge=edge)

    @app.get("/small/v1/internal/answer")
    async def read_answer() -> dict[str, Any]:
        return {}

    @app.get("/small/v1/caller")
    async def read_caller(request: Request) -> dict[str, Any]:
        assert request.client
        return {"host": request.client.host, "scheme": request.url.scheme}

    public, internal = free_ports(2)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            server.serve(
                app, HttpSettings(port=public), internal=HttpSettings(port=internal), edge=edge, stop=stop
            )
        )
        try:
            for port in (public, internal):
                await eventually(lambda port=port: is_live(port), within=20)
            yield public, internal
        finally:
            stop.set()


async def is_live(port: int) -> bool:
    try:
        return (await get(port, "/small/health/live")).status_code == 200
    except httpx.TransportError:
        return False


async def get(port: int, path: str, **options: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        return await client.get(path, **options)


async def said_to(port: int, request: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and problem of the answer to bytes that are written as they are."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)  # until the server closes
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    return int(status.split()[1]), headers, json.loads(body)


LONG = b"x" * 100_000
UNREADABLE = [
    pytest.param(b"GET /small/" + LONG + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "url-too-long", id="path"),
    pytest.param(
        b"GET /small?q=" + LONG * 10 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "url-too-long", id="query"
    ),
    pytest.param(
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + LONG + b"\r\n\r\n", 431, "headers-too-large", id="header"
    ),
    pytest.param(
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", 431, "headers-too-large", id="many headers"
    ),
    pytest.param(
        b"GET / HTTP/1.1\r\n" + LONG + b": b\r\n\r\n", 431, "headers-too-large", id="name of a header"
    ),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "malformed-request", id="TLS"),
    pytest.param(b"no request at all\r\n\r\n", 400, "malformed-request", id="text"),
    pytest.param(b"BREW /small HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed-request", id="method"),
    pytest.param(b"GET /small\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed-request", id="byte in path"),
    pytest.param(b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400, "malformed-request", id="line of header"),
    pytest.param(
        b"POST /small/v1/plain HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
        "malformed-request",
        id="chunk",
    ),
]


@pytest.mark.parametrize(("request_bytes", "status", "code"), UNREADABLE)
async def test_what_cannot_be_read_is_a_problem_with_its_headers(
    monkeypatch, request_bytes, status, code
) -> None:
    async with served(monkeypatch, EdgeSettings(hsts_seconds=60)) as (port, _):
        answered, headers, problem = await said_to(port, request_bytes)
        after = await get(port, "/small/health/live")

    assert (answered, problem["status"], problem["type"]) == (status, status, f"urn:problem:{code}")
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == problem["request_id"]
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["strict-transport-security"] == "max-age=60"
    assert int(headers["content-length"]) < 1000
    assert after.status_code == 200


async def test_a_long_url_below_the_limit_and_a_long_token_reach_the_application(monkeypatch) -> None:
    async with served(monkeypatch) as (port, _):
        answer = await get(port, "/small/v1/caller?q=" + "x" * 7_000, headers={"X-Token": "y" * 20_000})

    assert answer.status_code == 200


async def test_garbage_behind_a_request_does_not_answer_in_its_place(monkeypatch) -> None:
    request = b"GET /small/v1/caller HTTP/1.1\r\nHost: a\r\n\r\n"
    async with served(monkeypatch) as (port, _):
        status, _, body = await said_to(port, request + b"garbage\r\n\r\n")

    assert (status, body) == (200, {"host": "127.0.0.1", "scheme": "http"})


async def test_operations_and_internal_routes_are_on_a_port_of_their_own(monkeypatch) -> None:
    on_both = ["/small/health/live", "/small/v1/caller"]
    inside = ["/small/metrics", "/small/openapi.json", "/small/v1/internal/answer"]
    async with served(monkeypatch) as (public, internal):
        found = {
            (path, port is public): (await get(port, path)).status_code
            for path in (*on_both, *inside)
            for port in (public, internal)
        }
        hidden = await get(public, "/small/metrics")
        doubled = [
            (await get(public, path)).status_code
            for path in (
                "/small//metrics",
                "/small/%6detrics",
                "/small/v1/../metrics",
                "/small/v1/internal%2fanswer",
            )
        ]

    assert found == {
        **{(path, public_port): 200 for path in on_both for public_port in (True, False)},
        **{
            (path, public_port): 404 if public_port else 200
            for path in inside
            for public_port in (True, False)
        },
    }
    assert hidden.json()["type"] == "urn:problem:not-found"
    assert doubled == [404] * 4


FORWARDED = [
    ("", "203.0.113.9", "127.0.0.1"),
    ("10.0.0.0/8", "203.0.113.9", "127.0.0.1"),
    ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
    ("127.0.0.0/8, 10.0.0.0/8", "1.1.1.1, 203.0.113.9, 10.3.4.5", "203.0.113.9"),
    ("127.0.0.1", "203.0.113.9, 10.3.4.5", "10.3.4.5"),
    ("127.0.0.1,2001:db8::/32", "2001:db9::1, 2001:db8::7", "2001:db9::1"),
    ("127.0.0.1", "", "127.0.0.1"),
]


@pytest.mark.parametrize(("trusted", "forwarded", "client"), FORWARDED)
async def test_the_address_of_a_client_comes_from_trusted_proxies_alone(
    monkeypatch, trusted, forwarded, client
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own variable decides nothing here
    headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
    async with served(monkeypatch, EdgeSettings(trusted_proxies=trusted)) as (port, _):
        answer = (await get(port, "/small/v1/caller", headers=headers)).json()

    trusts_us = trusted.startswith("127")
    assert answer == {"host": client, "scheme": "https" if trusts_us else "http"}


async def test_a_proxy_that_sends_a_line_of_its_own_is_read_as_one_list(monkeypatch) -> None:
    headers = [("X-Forwarded-For", "6.6.6.6, 203.0.113.9"), ("X-Forwarded-For", "10.3.4.5")]
    async with served(monkeypatch, EdgeSettings(trusted_proxies="127.0.0.1,10.0.0.0/8")) as (port, _):
        answer = (await get(port, "/small/v1/caller", headers=headers)).json()

    assert answer["host"] == "203.0.113.9"


@pytest.mark.parametrize("trusted", ["*", "0.0.0.0/0", "::/0", "10.0.0.1/8", "proxy.example", "10.0.0.0/33"])
def test_nobody_is_trusted_by_mistake(trusted) -> None:
    with pytest.raises(ValidationError):
        EdgeSettings(trusted_proxies=trusted)


@pytest.mark.parametrize(
    "origins", ["*", "null", "https://app.example/", "app.example", "https://*.example", "https://a b"]
)
def test_an_origin_is_exact(origins) -> None:
    with pytest.raises(ValidationError):
        EdgeSettings(allowed_origins=origins)
