"""Which web applications of other origins may call (CORS), and what their scripts may send and read."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Final, cast

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from common.web import problems
from common.web.problems import Problem

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SENT: Final = (
    "Accept-Language",
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "X-Request-ID",
    "traceparent",
)
READ: Final = (
    "Content-Disposition",
    "Content-Language",
    "Deprecation",
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Sunset",
    "WWW-Authenticate",
    "X-Request-ID",
)
_PREFLIGHT_SECONDS: Final = 600  # how long a browser keeps the answer to a preflight


class CrossOrigin(CORSMiddleware):
    """Starlette's middleware for exact origins, without cookies; a preflight is refused with a problem."""

    def __init__(self, inner: ASGIApp, origins: Collection[str]) -> None:
        super().__init__(
            inner,
            allow_origins=frozenset(origins),
            allow_methods=METHODS,
            allow_headers=SENT,
            expose_headers=READ,
            max_age=_PREFLIGHT_SECONDS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        if answer.status_code == HTTPStatus.OK:
            return Response(status_code=204, headers=kept)
        return cast("Response", _RefusedPreflight(bytes(answer.body).decode(), kept))


class _RefusedPreflight:
    def __init__(self, why: str, headers: dict[str, str]) -> None:
        self._refusal = Problem(403, "cross-origin-refused", f"{why}.", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await problems.response(scope, self._refusal)(scope, receive, send)
