"""Waiting for what another transaction does: by `Prefer: wait`, and as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from common.db import Sessions, sessions_of
from common.messaging import history
from common.wake import LocalWake
from common.web.problems import Problem
from common.web.progress import STREAMS_PER_ACCOUNT, Progress
from common.web.tables import PractitionerKeyRow
from support.eventually import eventually
from support.records import NOW
from support.small_app import client_of, small_app
from support.tokens import Issuer


@pytest.fixture
async def engine_in_use(committed) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(committed, pool_size=1, max_overflow=0)
    yield engine
    await engine.dispose()


@pytest.fixture
def wake() -> LocalWake:
    return LocalWake()


@pytest.fixture
def real(engine_in_use, wake) -> Sessions:
    return sessions_of(engine_in_use, wake)


@pytest.fixture
def app(real, wake) -> FastAPI:
    return small_app(real, verifier=Issuer().verifier(), wake=wake)


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


async def test_a_fact_comes_while_one_listens_between_signs_of_life(real, engine_in_use, wake) -> None:
    appointment_id, stopping = uuid4(), asyncio.Event()
    progress = Progress(real, wake.changes, stopping)
    stream = progress.stream(
        appointment_id, 0, account=uuid4(), is_last=lambda row: row.fact == "small.ended", keep_alive=0.01
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


class Statements:
    """Counts the statements that an engine sends."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.count = 0
        event.listen(engine.sync_engine, "before_cursor_execute", self._seen)

    def _seen(self, *_: object) -> None:
        self.count += 1


async def test_a_thousand_open_streams_ask_nothing_until_one_of_them_changes(
    real, engine_in_use, wake
) -> None:
    progress, appointments = Progress(real, wake.changes), [uuid4() for _ in range(1000)]
    streams = [
        progress.stream(each, 0, account=uuid4(), keep_alive=0.01).body_iterator for each in appointments
    ]
    for stream in streams:
        assert await anext(stream) == b"retry: 1000\n\n"
        assert await anext(stream) == b": still here\n\n"  # it has asked once
    statements = Statements(engine_in_use)

    for _ in range(3):
        for stream in streams[:100]:
            assert await anext(stream) == b": still here\n\n"
    idle = statements.count
    await noted(real, appointments[7], "small.begun")
    written = statements.count
    chunk = await anext(streams[7])
    for stream in streams:
        await stream.aclose()

    assert (idle, statements.count - written) == (0, 1)
    assert b"event: small.begun" in chunk
    assert wake.changes.of_facts() == {}


async def test_a_stream_whose_notification_was_lost_is_woken_by_the_sweep(engine_in_use, wake) -> None:
    silent = sessions_of(engine_in_use, None)  # its commits wake nobody
    progress, appointment_id = Progress(silent, wake.changes), uuid4()
    async with progress.sweeping(every=0.01):
        stream = progress.stream(appointment_id, 0, account=uuid4()).body_iterator
        assert await anext(stream) == b"retry: 1000\n\n"
        next_chunk = asyncio.ensure_future(anext(stream))
        await eventually(lambda: wake.changes.of_facts() == {appointment_id: 0})
        await noted(silent, appointment_id, "small.begun")
        async with asyncio.timeout(10):
            chunk = await next_chunk
        await stream.aclose()

    assert b"event: small.begun" in chunk


async def test_an_account_has_a_bounded_number_of_open_streams(real, wake) -> None:
    progress, account = Progress(real, wake.changes), uuid4()
    streams = [progress.stream(uuid4(), 0, account=account).body_iterator for _ in range(STREAMS_PER_ACCOUNT)]
    for stream in streams:
        await anext(stream)

    with pytest.raises(Problem) as refused:
        progress.stream(uuid4(), 0, account=account)
    other = progress.stream(uuid4(), 0, account=uuid4())
    await streams.pop().aclose()
    again = progress.stream(uuid4(), 0, account=account)
    for stream in streams:
        await stream.aclose()

    assert (refused.value.status, refused.value.code) == (429, "too-many-streams")
    assert (other.status_code, again.status_code) == (200, 200)


async def test_a_wait_asks_when_something_changed_and_once_a_second(real, engine_in_use, wake) -> None:
    thing, asked = uuid4(), 0
    statements = Statements(engine_in_use)

    async def check(session) -> int | None:
        nonlocal asked
        asked += 1
        await session.execute(text("SELECT 1"))
        return asked if asked == 2 else None

    waiting = asyncio.ensure_future(Progress(real, wake.changes).wait_until(check, 10, about=thing))
    await eventually(lambda: asked == 1)
    wake.changed([uuid4()])
    wake.changed([thing])
    async with asyncio.timeout(0.9):
        assert await waiting == 2

    assert statements.count == 2
