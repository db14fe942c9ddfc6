"""A key is answered once: again, at once, with another body, after a refusal. Commits are real here."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, Response
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import create_async_engine

from common.db import Sessions, sessions_of
from common.web import idempotency
from common.web.tables import IdempotencyRow, PractitionerKeyRow
from support.records import NOW
from support.small_app import client_of, small_app
from support.tokens import Issuer

LATER = NOW.replace(hour=12)
JSON = {"content-type": "application/json"}
PATH = "/small/v1/things"


@pytest.fixture
async def real(committed) -> AsyncIterator[Sessions]:
    engine = create_async_engine(committed)
    yield sessions_of(engine, None)
    await engine.dispose()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def app(real, issuer) -> FastAPI:
    return small_app(real, verifier=issuer.verifier())


@pytest.fixture
async def client(app) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
def headers(issuer) -> dict[str, str]:
    return issuer.bearer(subject=uuid4()) | {"Idempotency-Key": "one"}


async def made(sessions) -> tuple[int, int]:
    """Things and records."""
    async with sessions() as session:
        things = await session.scalar(select(func.count()).select_from(PractitionerKeyRow))
        records = await session.scalar(select(func.count()).select_from(IdempotencyRow))
    return things or 0, records or 0


async def test_a_second_request_with_the_key_reads_what_the_first_made(client, real, headers) -> None:
    first = await client.post(PATH, json={"rpps": "1", "count": 2}, headers=headers)
    second = await client.post(PATH, content=b'{"count":2,  "rpps":"1"}', headers=headers | JSON)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert await made(real) == (1, 1)


async def test_another_body_under_the_key_is_422(client, real, headers) -> None:
    await client.post(PATH, json={"rpps": "1"}, headers=headers)
    other = await client.post(PATH, json={"rpps": "2"}, headers=headers)

    assert (other.status_code, other.json()["type"]) == (422, "urn:problem:idempotency-key-reused")
    assert await made(real) == (1, 1)


async def test_a_key_belongs_to_its_caller(client, real, headers, issuer) -> None:
    await client.post(PATH, json={"rpps": "1"}, headers=headers)
    somebody = issuer.bearer(subject=uuid4()) | {"Idempotency-Key": "one"}
    other = await client.post(PATH, json={"rpps": "2"}, headers=somebody)

    assert other.status_code == 201
    assert await made(real) == (2, 2)


async def test_while_the_first_runs_the_second_is_told_to_come_back(app, client, real, headers) -> None:
    app.state.held, app.state.reached = asyncio.Event(), asyncio.Event()
    first = asyncio.ensure_future(client.post(PATH, json={"rpps": "1"}, headers=headers))
    await app.state.reached.wait()

    second = await client.post(PATH, json={"rpps": "1"}, headers=headers)
    app.state.held.set()

    assert (second.status_code, second.json()["type"]) == (409, "urn:problem:request-in-flight")
    assert second.headers["retry-after"] == "1"
    assert (await first).status_code == 201
    assert await made(real) == (1, 1)


async def test_of_many_at_once_one_is_done(client, real, headers) -> None:
    answers = await asyncio.gather(
        *(client.post(PATH, json={"rpps": "1"}, headers=headers) for _ in range(8))
    )

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert await made(real) == (1, 1)


async def test_a_refused_request_leaves_no_record_and_may_be_tried_again(client, real, headers) -> None:
    refused = await client.post(PATH, json={"rpps": "full"}, headers=headers)
    nothing = await made(real)
    again = await client.post(PATH, json={"rpps": "1"}, headers=headers)

    assert (refused.status_code, refused.json()["next"]) == (409, ["monday"])
    assert refused.headers["retry-after"] == "7"
    assert nothing == (0, 0)
    assert again.status_code == 201


@pytest.mark.parametrize(
    ("key", "code"),
    [(None, "missing"), ("", "invalid"), ("a b", "invalid"), ("x" * 256, "invalid")],
)
async def test_a_key_that_is_missing_or_not_one_is_400(client, real, issuer, key, code) -> None:
    headers = issuer.bearer() | ({} if key is None else {"Idempotency-Key": key})
    response = await client.post(PATH, json={"rpps": "1"}, headers=headers)

    assert (response.status_code, response.json()["type"]) == (400, f"urn:problem:idempotency-key-{code}")
    assert await made(real) == (0, 0)


async def test_a_record_that_the_lock_did_not_show_ends_as_in_flight(real) -> None:
    key = idempotency.Key("ab" * 32, b"f", Response())
    async with real.begin() as session:
        await idempotency.finish(session, key, status=201, reference="r", now=NOW)

    async with real() as session:
        with pytest.raises(idempotency.InFlight):
            await idempotency.finish(session, key, status=201, reference="r", now=NOW)


async def test_the_same_on_a_raw_connection(committed, real) -> None:
    key = idempotency.Key("cd" * 32, b"f", Response())
    engine = create_async_engine(committed)
    async with engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        async with raw.transaction():
            first = await idempotency.begin_direct(raw, key)
            await idempotency.finish_direct(raw, key, status=201, reference="r", now=NOW)
        async with raw.transaction():
            again = await idempotency.begin_direct(raw, key)
    await engine.dispose()

    assert (first, again) == (None, "r")
    assert await made(real) == (0, 1)


def test_the_lock_fits_a_bigint() -> None:
    assert idempotency.Key("ff" * 32, b"", Response()).lock == -1
