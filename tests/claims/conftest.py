"""Claims as an app, routes and tasks on one connection that is rolled back, and the payers beside it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from claims.api.app import create_app
from claims.consumers import routes_of
from claims.tasks import Resources, http_gateway, http_rights, start_polling, tasks
from claims.usecases.config import ClaimsConfig
from common.clock import Clock
from common.db import Sessions
from common.events.booking import PatientLinkedV1, PractitionerPublishedV1
from common.messaging.delivery import deliver
from common.messaging.records import Outcome, Record
from common.messaging.routes import Routes
from common.messaging.tables import OutboxRow
from common.messaging.task_worker import Performed, run_due
from common.wake import LocalWake
from simulators.payers import create_app as create_payers
from simulators.payers import create_controls
from simulators.payers_books import Books
from support.claims import ACCOUNT, GATEWAY_KEY, ISSUER, PATIENT, RPPS, Facts, settings_for
from support.fixtures import database_of
from support.postgres import Server
from support.records import NOW, record

template, engine = database_of("claims")


@pytest.fixture
def clock() -> Clock:
    return Clock(read=lambda: NOW)


@pytest.fixture
async def app(engine: AsyncEngine, sessions: Sessions, clock: Clock) -> AsyncIterator[FastAPI]:
    app = create_app(settings_for(engine.url), clock=clock, wake=LocalWake())
    app.state.verifier = ISSUER.verifier()
    app.state.sessions = sessions
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://claims/claims/v1") as client:
        yield client


@dataclass
class World:
    """Claims as the other services see it: facts go in, events come out, tasks run when told to."""

    sessions: Sessions
    config: ClaimsConfig
    clock: Clock
    routes: Routes
    resources: Any = None

    async def hear(self, *records: Record) -> list[Outcome]:
        return [await deliver(each, self.routes, self.sessions, now=self.clock.now()) for each in records]

    async def work(self, rounds: int = 1) -> list[Performed]:
        """Runs what is due; `rounds` times, a poll interval apart."""
        done: list[Performed] = []
        for _ in range(rounds):
            done += await run_due(tasks, self.sessions, clock=self.clock, resources=self.resources)
            self.clock.shift += timedelta(seconds=1)
        return done

    async def published(self, appointment_id: UUID) -> list[tuple[str, dict[str, Any]]]:
        """The events of an appointment in their order."""
        query = select(OutboxRow).where(OutboxRow.key == str(appointment_id)).order_by(OutboxRow.sequence)
        async with self.sessions() as session:
            rows = (await session.scalars(query)).all()
        return [(row.headers["ce_type"].removeprefix("claims."), json.loads(row.body)) for row in rows]


@pytest.fixture
async def world(app: FastAPI, clock: Clock) -> World:
    config = app.state.config
    return World(app.state.sessions, config, clock, routes_of(config), Resources(config, _NoGateway()))


class _NoGateway:
    """For tests without payers: whatever should be sent is only looked at in the database."""

    async def send(self, batch: Any) -> None:
        raise AssertionError(f"nothing should be sent: {batch.id}")

    async def returns(self, *, after: str | None) -> Any:
        raise AssertionError(f"nothing should be fetched: {after}")


@pytest.fixture(scope="session")
async def payers_database(server: Server) -> AsyncIterator[str]:
    """The DSN of a database for the payers."""
    async with server.clone("template1") as url:
        yield url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
async def books(payers_database: str) -> str:
    """The payers' books, empty."""
    async with Books(payers_database, Clock()).opened() as pool:
        await pool.execute(
            "TRUNCATE payer_batch, payer_claim, payer_script, payer_return, payer_rights_script"
        )
    return payers_database


@dataclass
class Payers:
    """The payers over HTTP: the gateway claims talks to, and the controls."""

    gateway: FastAPI
    controls: httpx.AsyncClient

    def transport(self) -> httpx.ASGITransport:
        return httpx.ASGITransport(app=self.gateway)

    async def script(self, **script: Any) -> None:
        answer = await self.controls.post("/scripts", json=script)
        assert answer.status_code == 201, answer.text

    async def script_rights(self, **script: Any) -> None:
        await self.controls.delete("/rights-scripts")
        answer = await self.controls.post("/rights-scripts", json=script)
        assert answer.status_code == 201, answer.text


@pytest.fixture
async def payers(books: str, clock: Clock) -> AsyncIterator[Payers]:
    gateway, controls = create_payers(books, clock, key=GATEWAY_KEY), create_controls(books, clock)
    transport = httpx.ASGITransport(app=controls)
    base_url = "http://payers/simulators/controls/payers"
    async with (
        gateway.router.lifespan_context(gateway),
        controls.router.lifespan_context(controls),
        httpx.AsyncClient(transport=transport, base_url=base_url) as client,
    ):
        yield Payers(gateway, client)


@pytest.fixture
async def paying_world(world: World, payers: Payers) -> AsyncIterator[World]:
    """The world with payers that answer."""
    gateway = http_gateway("http://payers/simulators/payers", GATEWAY_KEY, transport=payers.transport())
    world.resources = Resources(world.config, gateway)
    await start_polling(world.sessions, now=world.clock.now())
    yield world
    await gateway.close()


@pytest.fixture
async def verifying_world(paying_world: World, payers: Payers, app: FastAPI) -> AsyncIterator[World]:
    """The world whose payers also tell rights: they are looked up before anything rests on them."""
    world = paying_world
    terms = replace(world.config.terms, look_up_rights=True)
    world.config = app.state.config = replace(world.config, terms=terms)
    world.routes = routes_of(world.config)
    url = "http://payers/simulators/payers"
    rights = http_rights(url, GATEWAY_KEY, transport=payers.transport(), seconds=1)
    world.resources = Resources(world.config, world.resources.gateway, rights)
    yield world
    await rights.close()


@pytest.fixture
def linked(world: World) -> Callable[..., Awaitable[None]]:
    """Lets the account act for the patient, and the practitioner's token speak for them."""

    async def linked(facts: Facts, **published_too: Any) -> None:
        published = PractitionerPublishedV1.model_validate(
            {
                "practitioner_id": facts.practitioner_id,
                "rpps": RPPS,
                "biller_id": facts.biller_id,
                "profession": "physician",
                "specialty": "01",
                "sector": "s1",
                "zone": "metropole",
                "agreed_company": False,
                "third_party_payment": "full",
                "currency": "EUR",
                "fee_cents": 2500,
            }
            | published_too
        )
        await world.hear(
            record(PatientLinkedV1(patient_id=facts.patient_id, account_id=ACCOUNT)), record(published)
        )

    return linked


@pytest.fixture
def given_coverage(
    client: httpx.AsyncClient, linked: Callable[..., Awaitable[None]]
) -> Callable[..., Awaitable[httpx.Response]]:
    async def given_coverage(facts: Facts, *, etag: str | None = None, **body: Any) -> httpx.Response:
        await linked(facts)
        headers = PATIENT | ({"If-Match": etag} if etag else {})
        answer = await client.put(f"/patients/{facts.patient_id}/coverage", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer

    return given_coverage
