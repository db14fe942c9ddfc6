"""Composition root of the HTTP process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from booking.api import agendas, appointments, internal, patients, practitioners
from booking.api.auth import OwnPermissions
from booking.api.backlog import Backlog, watched
from booking.api.document import ABOUT
from booking.settings import Settings
from booking.usecases.requests import RequestResources
from common import vault
from common.clock import Clock
from common.db import direct_pool, engine_of, sessions_of
from common.wake import Wake
from common.web import access
from common.web.app import base_app
from common.web.auth import Verifier


def create_app(settings: Settings, *, clock: Clock, wake: Wake) -> FastAPI:
    engine = engine_of(settings.postgres, name="booking-api", pool=settings.postgres.api_pool)
    sessions = sessions_of(engine, wake)
    keyring = vault.keyring_of(settings.keys, service="booking")
    backlog = Backlog(settings.most_unsent)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = direct_pool(settings.postgres, name="booking-hot", size=settings.postgres.direct_pool)
        async with pool as direct, watched(backlog, direct):
            app.state.direct = direct
            app.state.resources = RequestResources(direct, sessions, keyring, wake, settings.decide_within)
            yield
        await engine.dispose()

    app = base_app(
        service="booking",
        title="Booking",
        version="1",
        environment=settings.environment,
        clock=clock,
        sessions=sessions,
        verifier=Verifier(settings.tokens),
        cursor_key=settings.keys.cursor_key,
        permissions=OwnPermissions(),
        wake=wake,
        lifespan=lifespan,
        about=ABOUT,
        edge=settings.edge,
    )
    app.state.backlog = backlog
    for routes in (appointments, agendas, practitioners, patients, internal):  # the busiest first
        app.include_router(routes.router)
    app.include_router(access.routes("booking"))
    return app
