"""The HTTP application every service starts from: edge, problems, health, metrics, its OpenAPI document."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import AwareDatetime
from sqlalchemy import text

from common import telemetry
from common.clock import Clock
from common.db import Direct, Sessions
from common.settings import EdgeSettings, Environment
from common.telemetry import Metrics
from common.wake import Changes, Wake
from common.web import openapi, problems
from common.web.auth import Verifier
from common.web.edge import Edge
from common.web.permissions import Permissions
from common.web.problems import Problem
from common.web.progress import Progress
from common.web.schemas import In, Out

_READY_SECONDS: Final = 1.0

_log: Final = logging.getLogger(__name__)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Check = Callable[[], Awaitable[list[str]]]


class HealthRead(Out):
    status: str
    degraded: list[str]


class ClockUpdate(In):
    shift_seconds: int


class ClockRead(Out):
    now: AwareDatetime
    shift_seconds: int


def base_app(  # noqa: PLR0913 - the whole of what an HTTP process is made of
    *,
    service: str,
    title: str,
    version: str,
    environment: Environment,
    clock: Clock,
    sessions: Sessions,
    direct: Direct | None = None,
    verifier: Verifier,
    cursor_key: bytes,
    permissions: Permissions | None,
    wake: Wake | None = None,
    lifespan: Lifespan | None = None,
    about: openapi.About | None = None,
    degraded: Check | None = None,
    edge: EdgeSettings | None = None,
) -> FastAPI:
    """An app without routes of its own. What opens only while it runs, the lifespan sets in `app.state`.

    `degraded` names outside systems that are away although the process is ready for other requests. The
    issuer is added here when its signing keys cannot be fetched.
    """
    app = _app(service, title, version, lifespan, about, edge)
    app.state.sessions = sessions
    app.state.direct = direct
    app.state.clock = clock
    app.state.verifier = verifier
    app.state.cursor_key = cursor_key
    app.state.permissions = permissions
    app.state.wake = wake
    changes = wake.changes if wake else Changes()
    app.state.progress = Progress(sessions, changes, app.state.stopping)

    async def database() -> list[str]:
        async with asyncio.timeout(_READY_SECONDS), sessions() as session:
            await session.execute(text("SELECT 1"))
        return []

    async def away() -> list[str]:
        found = await degraded() if degraded is not None else []
        return found if await _has_signing_keys(app.state.verifier) else [*found, "signing-keys"]

    _include_operations(app, service, environment, clock, database, away)
    return app


async def _has_signing_keys(verifier: Verifier) -> bool:
    try:
        async with asyncio.timeout(_READY_SECONDS):
            return await verifier.can_fetch_keys()
    except TimeoutError:
        return False


def ops_app(
    *, service: str, environment: Environment, clock: Clock, metrics: Metrics, ready: Check
) -> FastAPI:
    """Health and metrics of a worker. `ready` says what is missing: nothing means ready."""
    app = _app(service, f"{service} worker", "0", None)
    app.state.metrics = metrics
    _include_operations(app, service, environment, clock, ready)
    return app


def _app(
    service: str,
    title: str,
    version: str,
    lifespan: Lifespan | None,
    about: openapi.About | None = None,
    edge: EdgeSettings | None = None,
) -> FastAPI:
    @asynccontextmanager
    async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Routes are tried one after the other: these two, which nobody is in a hurry for, come last.
        routes = app.router.routes
        routes[:] = routes[2:] + routes[:2]
        async with AsyncExitStack() as running:
            if hasattr(app.state, "progress"):  # an API; a worker's app has nobody who waits
                await running.enter_async_context(app.state.progress.sweeping())
            if lifespan is not None:
                await _enter(running, lifespan(app))
            yield
        app.state.stopping.set()

    app = FastAPI(
        title=title,
        version=version,
        openapi_url=f"/{service}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan,
        telemetry=telemetry.FASTAPI_OFF,
    )
    app.state.service = service
    app.state.metrics = Metrics(service)
    app.state.stopping = asyncio.Event()  # set first of all when the process is told to end
    app.add_middleware(Edge, state=app.state, settings=edge or EdgeSettings())
    problems.install(app)
    openapi.install(app, about)
    return app


async def _enter(running: AsyncExitStack, lifespan: AbstractAsyncContextManager[None]) -> None:
    try:
        await running.enter_async_context(lifespan)
    except Exception:
        # uvicorn logs it as text, with the messages of the exceptions: our formatter leaves that out
        _log.critical("the application does not start", exc_info=True)
        raise


def _include_operations(
    app: FastAPI,
    service: str,
    environment: Environment,
    clock: Clock,
    ready: Check,
    degraded: Check | None = None,
) -> None:
    router = APIRouter(prefix=f"/{service}", include_in_schema=False)

    @router.get("/health/live")
    async def read_live() -> HealthRead:
        return HealthRead(status="live", degraded=[])

    @router.get("/health/ready")
    async def read_ready() -> HealthRead:
        missing = ["stopping"] if app.state.stopping.is_set() else []
        try:
            missing += await ready()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is why we are not ready
            missing.append(type(error).__name__)
        if missing:
            raise Problem(503, "not-ready", ", ".join(missing), headers={"Retry-After": "1"})
        return HealthRead(status="ready", degraded=await degraded() if degraded is not None else [])

    @router.get("/metrics")
    async def read_metrics(request: Request) -> Response:
        metrics: Metrics = request.app.state.metrics
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    if environment == "development":

        @router.put("/development/clock")
        async def shift_clock(wanted: ClockUpdate) -> ClockRead:
            try:
                clock.advance(timedelta(seconds=wanted.shift_seconds))
            except (ValueError, OverflowError):
                raise Problem(409, "clock-goes-back", "This clock does not go back.") from None
            return ClockRead(now=clock.now(), shift_seconds=int(clock.shift.total_seconds()))

    app.include_router(router)
