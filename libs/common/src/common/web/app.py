"""The HTTP application every service starts from: edge, problems, health, metrics, its OpenAPI document."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import AwareDatetime
from sqlalchemy import text
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common import telemetry
from common.clock import Clock
from common.db import Direct, Sessions
from common.settings import Environment
from common.telemetry import Metrics
from common.wake import Changes, Wake
from common.web import openapi, problems
from common.web.auth import Caller, Verifier
from common.web.problems import Problem
from common.web.progress import Progress
from common.web.rights import Rights
from common.web.schemas import In, Out

MAX_BODY_BYTES: Final = 256 * 1024

_READY_SECONDS: Final = 1.0
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")

_PROBES: Final = frozenset({"read_live", "read_ready", "read_metrics"})  # asked every few seconds

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

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
    rights: Rights | None,
    wake: Wake | None = None,
    lifespan: Lifespan | None = None,
    about: openapi.About | None = None,
    degraded: Check | None = None,
) -> FastAPI:
    """An app without routes of its own. What opens only while it runs, the lifespan sets in `app.state`.

    `degraded` names outside systems that are away although the process is ready for other requests. The
    issuer is added here when its signing keys cannot be fetched.
    """
    app = _app(service, title, version, lifespan, about)
    app.state.sessions = sessions
    app.state.direct = direct
    app.state.clock = clock
    app.state.verifier = verifier
    app.state.cursor_key = cursor_key
    app.state.rights = rights
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
    service: str, title: str, version: str, lifespan: Lifespan | None, about: openapi.About | None = None
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
    app.add_middleware(Edge, state=app.state)
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


class Edge:
    """Outermost of our code: request id, trace, body size, metrics, one log line, 500 for the unexpected."""

    def __init__(self, inner: ASGIApp, state: Any) -> None:
        self._inner = inner
        self._service: str = state.service
        self._metrics: Metrics = state.metrics
        self._in_flight = 0
        self._metrics.read("http_requests_in_flight", lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        bound = telemetry.bind(service=self._service, request_id=exchange.request_id)
        self._in_flight += 1
        began = perf_counter()
        method = scope["method"] if scope["method"] in _METHODS else "other"
        attributes = {"http.request.method": method, "request_id": exchange.request_id}
        try:
            with telemetry.span(
                f"{method} {self._service}", kind="server", parent=exchange.traced, attributes=attributes
            ):
                try:
                    await exchange.run(self._inner)
                finally:
                    self._tell(scope, method, exchange.status, perf_counter() - began)
        finally:
            telemetry.unbind(bound)
            self._in_flight -= 1

    def _tell(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        """Metrics, log line and span of a request: by the template of its route, for the path holds ids."""
        route = scope.get("route")
        name, template = getattr(route, "name", "none"), getattr(route, "path", "none")
        self._metrics.count("http_requests_total", method=method, route=name, status=str(status))
        self._metrics.observe("http_request_seconds", seconds, method=method, route=name)
        telemetry.describe_span(
            name=f"{method} {template}",
            failed=status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == 0,
            **{"http.route": template, "http.response.status_code": status},
        )
        caller: Caller | None = scope.get("caller")
        _log.log(
            logging.DEBUG if name in _PROBES else logging.INFO,
            "%s %s %s",
            method,
            template,
            status,
            extra={
                "method": method,
                "route": template,
                "status": status,
                "ms": round(seconds * 1000, 1),
                "caller": "+".join(sorted(caller.roles)) or "none" if caller else "nobody",
            },
        )


class _Exchange:
    """One request and its answer."""

    __slots__ = ("_declared", "_receive", "_scope", "_send", "_size", "request_id", "status", "traced")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._size = 0
        self._declared = 0
        self.status = 0
        self.traced: str | None = None
        self.request_id = ""
        for name, value in scope["headers"]:
            if name == b"content-length":
                self._declared = int(value) if value.isdigit() else 0
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                self.request_id = value.decode()
            elif name == b"traceparent":
                self.traced = value.decode("latin-1")
        self.request_id = self.request_id or uuid4().hex
        scope.setdefault("state", {})["request_id"] = self.request_id

    async def run(self, inner: ASGIApp) -> None:
        try:
            if self._declared > MAX_BODY_BYTES:
                answer = problems.response(self._scope, _too_large())
                await answer(self._scope, self._receive, self._send_named)
            else:
                await inner(self._scope, self._receive_bounded, self._send_named)
        except Exception as error:
            answer = problems.unexpected(self._scope, error)
            if self.status:
                raise  # half an answer is out: the connection ends, which no client takes for success
            await answer(self._scope, self._receive, self._send_named)

    async def _receive_bounded(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._size += len(message.get("body", b""))
            if self._size > MAX_BODY_BYTES:
                # This class passes through FastAPI's reading of the body, any other would become a 400.
                raise HTTPException(413)
        return message

    async def _send_named(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.request_id.encode())]
        await self._send(message)


def _too_large() -> Problem:
    return Problem(413, "body-too-large", f"A body has at most {MAX_BODY_BYTES} bytes.")
