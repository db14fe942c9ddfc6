"""A committed documents database behind the app, its routes and its tasks."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import URL, select

from common.clock import Clock
from common.db import Sessions
from common.messaging.delivery import deliver
from common.messaging.records import Outcome, Record
from common.messaging.tables import OutboxRow
from common.messaging.task_worker import Performed, run_due
from common.wake import LocalWake
from common.web.service_client import ServiceClient
from documents.api.app import create_app
from documents.consumers import routes
from documents.rendering.renderer import Renderer
from documents.settings import Settings
from documents.signing import Seal, development_seal
from documents.tasks import Resources, tasks
from support.documents import ISSUER, Others, settings_for
from support.fixtures import database_of
from support.records import NOW

template, engine = database_of("documents")


@pytest.fixture
def clock() -> Clock:
    return Clock(read=lambda: NOW + timedelta(microseconds=123_456))  # as real clocks do


@pytest.fixture
def settings(committed: URL, tmp_path: Path) -> Settings:
    return settings_for(committed, tmp_path)


@pytest.fixture(scope="session")
def kept_seal(tmp_path_factory: pytest.TempPathFactory) -> Seal:
    return development_seal(tmp_path_factory.mktemp("seal"), now=NOW)


@pytest.fixture
async def app(settings: Settings, clock: Clock) -> AsyncIterator[FastAPI]:
    app = create_app(settings, clock=clock, wake=LocalWake())
    app.state.verifier = ISSUER.verifier()
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://documents/documents/v1") as client:
        yield client


@dataclass
class World:
    """Documents as the other services see it: facts go in, events come out, tasks run when told to."""

    sessions: Sessions
    clock: Clock
    resources: Resources
    others: Others

    async def hear(self, *records: Record) -> list[Outcome]:
        return [await deliver(each, routes, self.sessions, now=self.clock.now()) for each in records]

    async def work(self) -> list[Performed]:
        done = await run_due(tasks, self.sessions, clock=self.clock, resources=self.resources)
        self.clock.shift += timedelta(seconds=1)
        return done

    async def published(self, appointment_id: UUID) -> list[tuple[str, dict[str, Any]]]:
        """The events of an appointment in their order."""
        query = select(OutboxRow).where(OutboxRow.key == str(appointment_id)).order_by(OutboxRow.sequence)
        async with self.sessions() as session:
            rows = (await session.scalars(query)).all()
        return [(row.headers["ce_type"].removeprefix("documents."), json.loads(row.body)) for row in rows]


@pytest.fixture
async def world(app: FastAPI, clock: Clock, settings: Settings, kept_seal: Seal) -> AsyncIterator[World]:
    others = Others()
    renderer = Renderer(kept_seal)
    async with (
        ServiceClient("http://booking.test", settings.identity, transport=others.transport()) as booking,
        ServiceClient("http://claims.test", settings.identity, transport=others.transport()) as claims,
    ):
        resources = Resources(
            booking=booking,
            claims=claims,
            renderer=renderer,
            storage=app.state.storage,
            keyring=app.state.keyring,
            public_url=settings.public_url,
        )
        yield World(app.state.sessions, clock, resources, others)
    renderer.close()
