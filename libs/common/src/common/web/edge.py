"""The outermost layers of every HTTP app, around FastAPI."""

import logging
import re
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common import telemetry
from common.settings import EdgeSettings
from common.telemetry import Metrics
from common.web import etags, problems
from common.web.auth import Caller
from common.web.cross_origin import CrossOrigin
from common.web.problems import Problem

MAX_BODY_BYTES: Final = 256 * 1024

PUBLIC: Final = "public"
INTERNAL: Final = "internal"

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_PROBES: Final = frozenset({"read_live", "read_ready", "read_metrics"})  # asked every few seconds
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_CHARSET: Final = re.compile(r';\s*charset\s*=\s*"?([^";\s]*)', re.IGNORECASE)
_TOKEN: Final = re.compile(r"[A-Za-z0-9._-]{1,24}")

_log: Final = logging.getLogger(__name__)


class OnPort:
    """The app as one of its ports serves it.

    `PUBLIC` has the API and the health of the process. `INTERNAL` has these too: other services ask some
    routes of the API, and also metrics, the OpenAPI document and internal routes. Without this wrapper an app
    serves everything.
    """

    def __init__(self, app: ASGIApp, port: str) -> None:
        self._app = app
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["port"] = self._port
        await self._app(scope, receive, send)


def security_headers(settings: EdgeSettings) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that every answer has, refusals too."""
    found = [
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"content-security-policy", b"frame-ancestors 'none'"),
        (b"referrer-policy", b"no-referrer"),
    ]
    if settings.hsts_seconds:
        found.append((b"strict-transport-security", b"max-age=%d" % settings.hsts_seconds))
    return tuple(found)


class Edge:
    """Request id, trace, metrics, one log line, security headers; inside it CORS and `Guard`."""

    def __init__(self, inner: ASGIApp, state: Any, settings: EdgeSettings) -> None:
        self._service: str = state.service
        self._metrics: Metrics = state.metrics
        self._in_flight = 0
        self._metrics.read("http_requests_in_flight", lambda: self._in_flight)
        self._secure = security_headers(settings)
        self._inner: ASGIApp = Guard(inner, self._service)
        if settings.origins:
            self._inner = CrossOrigin(self._inner, settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        exchange = _Exchange(scope, send, self._secure)
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
                    await self._inner(scope, receive, exchange.send)
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
    """One request and its answer, which gets its last headers here."""

    __slots__ = ("_may_be_known", "_secure", "_send", "_without_body", "request_id", "status", "traced")

    def __init__(self, scope: Scope, send: Send, secure: tuple[tuple[bytes, bytes], ...]) -> None:
        self._send = send
        self._secure = secure
        self._may_be_known: str | None = None
        self._without_body = False
        self.status = 0
        self.traced: str | None = None
        self.request_id = ""
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                self.request_id = value.decode()
            elif name == b"traceparent":
                self.traced = value.decode("latin-1")
            elif name == b"if-none-match" and scope["method"] in {"GET", "HEAD"}:
                known = value.decode("latin-1")
                self._may_be_known = f"{self._may_be_known}, {known}" if self._may_be_known else known
        self.request_id = self.request_id or uuid4().hex
        scope.setdefault("state", {})["request_id"] = self.request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._complete(message)
        elif self._without_body and message["type"] == "http.response.body":
            message["body"] = b""
        await self._send(message)

    def _complete(self, message: Message) -> None:
        headers = [*message["headers"], (b"x-request-id", self.request_id.encode()), *self._secure]
        given = {name: value for name, value in headers if name in {b"etag", b"cache-control"}}
        if b"cache-control" not in given:
            headers.append((b"cache-control", b"no-store"))
        if (
            self._may_be_known is not None
            and message["status"] == HTTPStatus.OK
            and b"etag" in given
            and etags.is_named(self._may_be_known, given[b"etag"].decode())
        ):
            message["status"] = int(HTTPStatus.NOT_MODIFIED)
            self._without_body = True
            headers = [each for each in headers if each[0] not in {b"content-length", b"content-type"}]
        self.status = message["status"]
        message["headers"] = headers


class Guard:
    """Refuses what no route has to see, bounds the body, and answers 500 for the unexpected."""

    def __init__(self, inner: ASGIApp, service: str) -> None:
        self._inner = inner
        self._internal = (f"/{service}/v1/internal/", f"/{service}/development/")
        self._operations = frozenset({f"/{service}/metrics", f"/{service}/openapi.json"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            refusal = self._misplaced(scope) or _unreadable(scope)
            if refusal is not None:
                await problems.response(scope, refusal)(scope, receive, send_noted)
            else:
                await self._inner(scope, _bounded(receive), send_noted)
        except Exception as error:
            answer = problems.unexpected(scope, error)
            if started:
                raise  # half an answer is out: the connection ends, which no client takes for success
            await answer(scope, receive, send)

    def _misplaced(self, scope: Scope) -> Problem | None:
        path = scope["path"]
        if scope.get("port") == PUBLIC and (path in self._operations or path.startswith(self._internal)):
            return Problem(404, "not-found", HTTPStatus.NOT_FOUND.description)
        return None


def _unreadable(scope: Scope) -> Problem | None:
    """Why a body is refused by the headers alone."""
    sent = 0
    encoding, media_type = "", ""
    for name, value in scope["headers"]:
        if name == b"content-length":
            sent = int(value) if value.isdigit() else 0
        elif name == b"transfer-encoding":
            sent = sent or 1
        elif name == b"content-encoding":
            encoding = f"{encoding},{value.decode('latin-1')}"
        elif name == b"content-type":
            media_type = value.decode("latin-1")
    if sent > MAX_BODY_BYTES:
        return Problem(413, "body-too-large", f"A body has at most {MAX_BODY_BYTES} bytes.")
    if not sent:
        return None
    coded = [each.strip() for each in encoding.split(",") if each.strip().lower() not in {"", "identity"}]
    if coded:
        detail = f"Send the body without the content encoding {_named(coded[0])}."
        headers = {"Accept-Encoding": "identity"}
        return Problem(415, "content-encoding-not-supported", detail, headers=headers)
    charset = _CHARSET.search(media_type)
    if charset is not None and charset[1].lower() not in _CHARSETS:
        return Problem(
            415, "media-type-not-supported", f"Send the body in UTF-8, not in {_named(charset[1])}."
        )
    return None


def _named(value: str) -> str:
    """A name of an encoding that may be said again; other texts may hold anything."""
    return value if _TOKEN.fullmatch(value) else "that was named"


def _bounded(receive: Receive) -> Receive:
    size = 0

    async def receive_bounded() -> Message:
        nonlocal size
        message = await receive()
        if message["type"] == "http.request":
            size += len(message.get("body", b""))
            if size > MAX_BODY_BYTES:
                # This class passes through FastAPI's reading of the body, any other would become a 400.
                raise HTTPException(413)
        return message

    return receive_bounded
