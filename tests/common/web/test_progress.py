"""Waiting for what another transaction does: by `Prefer: wait`, and as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from common.db import Sessions, sessions_of
from common.messaging import history
from common.web.progress import event_stream
from common.web.tables import PractitionerKeyRow
from support.records import NOW
from support.small_app import client_of, small_app
from support.tokens import Issuer


@pytest.fixture
async def engine_in_use(committed) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(committed, pool_size=1, max_overflow=0)
    yield engine
    await engine.dispose()


@pytest.fixture
def real(engine_in_use) -> Sessions:
    return sessions_of(engine_in_use, None)


@pytest.fixture
def app(real) -> FastAPI:
    return small_app(real, verifier=Issuer().verifier())


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=0", 0),
        ("respond-async, wait=3", 3),
        ("wait=99", 10),
        ("wait=-1", 0),
        ("wait=x", 0),
        ("return=minimal", 0),
    ],
)
async def test_a_preference_is_read_or_left(sessions, prefer, seconds) -> None:
    async with client_of(small_app(sessions, verifier=Issuer().verifier())) as client:
        async with sessions.begin() as session:
            session.add(PractitionerKeyRow(practitioner_id=uuid4(), rpps="awaited"))
        answer = await client.get("/small/v1/wait", headers={"Prefer": prefer})

    assert answer.json() == {"seconds": seconds, "found": "awaited"}


async def test_who_waits_holds_no_connection_and_sees_the_commit_of_another(app, real) -> None:
    async with client_of(app) as client:
        waiting = asyncio.ensure_future(client.get("/small/v1/wait", headers={"Prefer": "wait=10"}))
        await asyncio.sleep(0)
        async with real.begin() as session:  # the pool has one connection
            session.add(PractitionerKeyRow(practitioner_id=uuid4(), rpps="awaited"))
        answer = await waiting

    assert answer.json() == {"seconds": 10, "found": "awaited"}


async def test_a_wait_ends_when_its_time_is_over(app) -> None:
    async with client_of(app) as client:
        answer = await client.get("/small/v1/wait", headers={"Prefer": "wait=1"})

    assert answer.json() == {"seconds": 1, "found": None}


async def noted(real, appointment_id, *facts: str) -> None:
    async with real.begin() as session:
        for fact in facts:
            history.note(session, appointment_id, fact, at=NOW)


def events(text: str) -> list[tuple[str, str]]:
    """(id, event) of each."""
    parts = filter(None, text.split("\n\n"))
    blocks = [dict(line.split(": ", 1) for line in part.splitlines()) for part in parts]
    return [(block["id"], block["event"]) for block in blocks if "id" in block]


async def test_facts_are_sent_until_the_last_and_from_where_one_stopped(app, real) -> None:
    appointment_id = uuid4()
    await noted(real, appointment_id, "small.begun", "small.moved", "small.ended", "small.after")
    await noted(real, uuid4(), "small.other")
    path = f"/small/v1/appointments/{appointment_id}/events"
    async with client_of(app) as client:
        whole = await client.get(path)
        sent = events(whole.text)
        rest = await client.get(path, headers={"Last-Event-ID": sent[0][0]})

    assert whole.headers["content-type"].startswith("text/event-stream")
    assert [name for _, name in sent] == ["small.begun", "small.moved", "small.ended"]
    assert events(rest.text) == sent[1:]
    assert '"at": "2030-06-01T09:00:00Z"' in whole.text


@pytest.mark.parametrize("given", ["x", "-1", "9" * 30, "1.5"])
async def test_a_last_event_id_we_never_sent_is_422(app, given) -> None:
    async with client_of(app) as client:
        answer = await client.get(
            f"/small/v1/appointments/{uuid4()}/events", headers={"Last-Event-ID": given}
        )

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:last-event-id-invalid")


async def test_a_fact_comes_while_one_listens_between_signs_of_life(real, engine_in_use) -> None:
    appointment_id, stopping = uuid4(), asyncio.Event()
    stream = event_stream(
        real,
        appointment_id,
        0,
        ended=lambda row: row.fact == "small.ended",
        stopping=stopping,
        keep_alive=0.01,
    ).body_iterator
    said = [await anext(stream), await anext(stream)]
    held = engine_in_use.pool.checkedout()
    await noted(real, appointment_id, "small.ended")
    said.extend([chunk async for chunk in stream])

    assert said[:2] == [b"retry: 1000\n\n", b": still here\n\n"]
    assert b"event: small.ended" in said[-1]
    assert held == 0


async def test_a_stream_ends_with_its_process(app) -> None:
    app.state.stopping.set()
    async with client_of(app) as client:
        answer = await client.get(f"/small/v1/appointments/{uuid4()}/events")

    assert answer.text == "retry: 1000\n\n"
