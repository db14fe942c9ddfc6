"""Composition root of the HTTP process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from claims.api import routes_claims, routes_coverage, routes_quotes, routes_support
from claims.api.document import ABOUT
from claims.settings import Settings
from claims.usecases.config import config_of
from common.clock import Clock
from common.db import engine_of, sessions_of
from common.wake import Wake
from common.web import access
from common.web.app import base_app
from common.web.auth import Verifier
from common.web.permissions import GrantedPermissions
from common.web.service_client import ServiceClient


def create_app(settings: Settings, *, clock: Clock, wake: Wake) -> FastAPI:
    engine = engine_of(settings.postgres, name="claims-api", pool=settings.postgres.api_pool)
    booking = ServiceClient(settings.booking_url, settings.identity) if settings.booking_url else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            if booking is not None:
                await stack.enter_async_context(booking)
            yield

    app = base_app(
        service="claims",
        title="Claims",
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
    )
    app.state.config = config_of(settings.keys, settings.terms, settings.pricing_policy)
    for routes in (routes_coverage, routes_quotes, routes_claims, routes_support):
        app.include_router(routes.router)
    app.include_router(access.routes("claims"))
    return app
