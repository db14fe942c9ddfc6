"""Composition root of the HTTP process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from common.clock import Clock
from common.db import engine_of, sessions_of
from common.wake import Wake
from common.web.app import base_app
from common.web.auth import Verifier
from payment.api import appointments, cards, ledger, webhooks
from payment.api.document import ABOUT
from payment.settings import Settings


def create_app(settings: Settings, *, clock: Clock, wake: Wake) -> FastAPI:
    engine = engine_of(settings.postgres, name="payment-api", pool=settings.postgres.api_pool)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = base_app(
        service="payment",
        title="Payment",
        version="1",
        environment=settings.environment,
        clock=clock,
        sessions=sessions_of(engine, wake),
        verifier=Verifier(settings.tokens),
        cursor_key=settings.keys.cursor_key,
        permissions=None,  # who pays is in our own rows
        wake=wake,
        lifespan=lifespan,
        about=ABOUT,
        edge=settings.edge,
    )
    app.state.webhook_secret = settings.webhook_secret.get_secret_value()
    for routes in (appointments, cards, ledger, webhooks):
        app.include_router(routes.router)
    return app
