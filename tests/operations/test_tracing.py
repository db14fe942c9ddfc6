"""One trace from the request over outbox and broker to the handler of another service, and on from there."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import select

from booking import worker as booking_worker
from booking.api.app import create_app
from booking.settings import Settings
from common import telemetry
from common.clock import Clock
from common.events.booking import PatientLinkedV1
from common.events.envelope import Meta
from common.messaging import tasks
from common.messaging.records import APPLIED, Outcome
from common.messaging.routes import Routes
from common.messaging.runner import run_worker
from common.messaging.tables import OutboxArchiveRow, OutboxRow
from common.messaging.tasks import DONE, Done, TaskContext, Tasks
from common.settings import KafkaSettings, PostgresSettings
from common.transaction import notes_of
from common.wake import LocalWake
from support.booking import ISSUER, keyed, settings_for
from support.eventually import eventually
from support.services import dsn_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
PROFILE = {
    "relation": "self",
    "first_names": "Camille",
    "birth_name": "Le Goff",
    "birth_date": "1985-05-14",
    "sex": "female",
}


def reader(seen: dict[str, str | None]) -> tuple[Routes, Tasks]:
    routes, work = Routes(), Tasks()

    @routes.on(PatientLinkedV1)
    async def handle(session: Any, event: PatientLinkedV1, _: Meta, now: datetime) -> Outcome:
        seen["handler"] = telemetry.traceparent()
        seen["cause"] = notes_of(session).cause.traceparent
        tasks.add(session, "answer", str(event.patient_id), due_at=now)
        return APPLIED

    @work.on("answer")
    async def answer(_: TaskContext) -> Done:
        seen["task"] = telemetry.traceparent()
        return DONE

    return routes, work


async def test_a_request_its_event_and_what_it_sets_off_are_one_trace(
    database, sessions_on, own_broker
) -> None:
    ours, theirs = await database("booking"), await database("payment")
    kafka = KafkaSettings(bootstrap_servers=own_broker.bootstrap_servers, profile="embedded")
    settings: Settings = settings_for(ours).model_copy(update={"kafka": kafka})
    clock, wake, stop = Clock(), LocalWake(), asyncio.Event()
    seen: dict[str, str | None] = {}
    routes, work = reader(seen)
    app = create_app(settings, clock=clock, wake=wake)
    app.state.verifier = ISSUER.verifier()
    sent = keyed(ISSUER.bearer("patient", subject=uuid4())) | {"traceparent": PARENT}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://booking") as client,
    ):
        answer = await client.post("/booking/v1/patients", json=PROFILE, headers=sent)
    assert answer.status_code == 201, answer.text
    async with sessions_on(ours)() as session:
        [row] = await session.scalars(select(OutboxRow))

    async with asyncio.TaskGroup() as group:
        group.create_task(booking_worker.run(settings, clock=clock, wake=wake, stop=stop))
        group.create_task(
            run_worker(
                service="payment",
                routes=routes,
                tasks=work,
                sessions=sessions_on(theirs),
                postgres=PostgresSettings(dsn=dsn_of(theirs)),
                kafka=kafka,
                clock=clock,
                wake=LocalWake(),
                resources=None,
                stop=stop,
            )
        )
        await eventually(lambda: "task" in seen, within=30)
        stop.set()

    written = row.headers["traceparent"]
    async with sessions_on(ours)() as session:
        assert await session.scalar(select(OutboxArchiveRow.headers["traceparent"].astext)) == written
    steps = [PARENT, written, seen["handler"], seen["task"]]
    assert [trace_of(each) for each in steps] == [TRACE] * 4
    assert len({span_of(each) for each in steps}) == 4, "each is a step of its own"
    assert seen["cause"] == seen["handler"], "what the handler publishes names it as its parent"


def trace_of(traceparent: str | None) -> str:
    return (traceparent or "").split("-")[1]


def span_of(traceparent: str | None) -> str:
    return (traceparent or "").split("-")[2]
