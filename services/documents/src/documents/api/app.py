"""Composition root of the HTTP process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from common import vault
from common.clock import Clock
from common.db import engine_of, sessions_of
from common.wake import Wake
from common.web import access
from common.web.app import base_app
from common.web.auth import Verifier
from common.web.permissions import GrantedPermissions
from common.web.service_client import ServiceClient
from documents.api import checking, reading, writing
from documents.api.document import ABOUT
from documents.settings import Settings
from documents.storage import Storage


def create_app(settings: Settings, *, clock: Clock, wake: Wake) -> FastAPI:
    engine = engine_of(settings.postgres, name="documents-api", pool=settings.postgres.api_pool)
    booking = ServiceClient(settings.booking_url, settings.identity) if settings.booking_url else None
    storage = Storage(settings.storage_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            if booking is not None:
                await stack.enter_async_context(booking)
            yield

    app = base_app(
        service="documents",
        title="Documents",
        version="1",
        environment=settings.environment,
        clock=clock,
        sessions=sessions_of(engine, wake),
        verifier=Verifier(settings.tokens),
        cursor_key=settings.keys.cursor_key,
        permissions=GrantedPermissions(booking),
        wake=wake,
        lifespan=lifespan,
        about=ABOUT,
        edge=settings.edge,
        degraded=storage.problems,
    )
    app.state.keyring = vault.keyring_of(settings.keys, service="documents")
    app.state.storage = storage
    storage.metrics = app.state.metrics
    for routes in (writing, reading, checking):
        app.include_router(routes.router)
    app.include_router(access.routes("documents"))
    return app
