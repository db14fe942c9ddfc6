"""Every answer that is no success, as RFC 9457 problem details. Only here refusals become statuses."""

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import asyncpg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import exc
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import Scope

from common import outages
from common.errors import DomainError, Refusal
from common.printable import LINES, ONE_LINE, composed, named, unprintable
from common.web.problem_catalogue import Language, preferred, title_of

STATUS: Final = {Refusal.NOT_FOUND: 404, Refusal.CONFLICT: 409, Refusal.INVALID: 422, Refusal.FORBIDDEN: 403}
MEDIA_TYPE: Final = "application/problem+json"

_CODES: Final = {
    400: "malformed-request",
    401: "token-missing",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "media-type-not-supported",
    429: "too-many-requests",
    500: "internal-error",
    503: "service-unavailable",
}
_log = logging.getLogger(__name__)


class FieldError(BaseModel):
    """What is wrong with one value of the request."""

    model_config = ConfigDict(frozen=True)

    pointer: str = Field(description="JSON Pointer to the value, below /body, /query, /path or /header")
    code: str
    detail: str


class ProblemDetails(BaseModel):
    """RFC 9457. `type` is stable and stands in the catalogue of errors; other members belong to it."""

    model_config = ConfigDict(frozen=True, title="Problem", extra="allow")

    type: str = Field(description="urn:problem:<code>; stable", examples=["urn:problem:not-found"])
    title: str = Field(description="For people, in the language of Accept-Language: English or French")
    status: int
    detail: str = Field(description="For people; may change")
    instance: str = Field(description="The path of the request")
    request_id: str = Field(description="To tell support; also in the header X-Request-ID")
    errors: list[FieldError] | None = None


class Problem(Exception):
    """An answer the web layer itself decides on; what the domain refuses is a DomainError."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.extra = extra


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Problem:
    """What a route raises to answer with another status than the domain's refusals have."""
    return Problem(status, code, detail, errors=errors, headers=headers, extra=extra)


def response(scope: Scope, refused: Problem) -> Response:
    """The problem as the answer to the request of `scope`, its title in the language that one asks for."""
    language = _language(scope)
    body: dict[str, Any] = dict(refused.extra or {})
    body |= {
        "type": f"urn:problem:{refused.code}",
        "title": title_of(refused.code, language),
        "status": refused.status,
        "detail": refused.detail,
        "instance": scope["path"],
        "request_id": scope.get("state", {}).get("request_id", ""),
    }
    if refused.errors is not None:
        body["errors"] = list(refused.errors)
    headers = {"Content-Language": language, **(refused.headers or {})}
    return JSONResponse(body, refused.status, headers, MEDIA_TYPE)


def _language(scope: Scope) -> Language:
    for name, value in scope.get("headers", ()):
        if name == b"accept-language":
            return preferred(value.decode("latin-1"))
    return "en"


def responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: the problems it answers besides those every route may."""
    return {code: declared(code) for code in codes}


def declared(code: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(code).phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def install(app: FastAPI) -> None:
    app.add_exception_handler(DomainError, _on_domain_error)
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(exc.SQLAlchemyError, _on_database_error)
    for error in (asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError, TimeoutError):
        app.add_exception_handler(error, _on_database_error)


def unexpected(scope: Scope, error: BaseException) -> Response:
    """500 for what nobody expected. Logged here, once; the answer says nothing but the request's id."""
    _log.error("unexpected %s", type(error).__name__, exc_info=error)
    return response(scope, Problem(500, _CODES[500], "Something went wrong here; the request id names it."))


async def _on_domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)  # noqa: S101
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    _log.info("refused %s", error.code)
    return response(
        request.scope,
        Problem(STATUS[error.refusal], error.code, str(error), headers=headers, extra=error.extra),
    )


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101
    return response(request.scope, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = error.status_code
    if status == HTTPStatus.BAD_REQUEST and error.__cause__ is not None:  # FastAPI could not parse the body
        return response(request.scope, Problem(400, "malformed-json", "The body is not JSON."))
    code = _CODES.get(status) or HTTPStatus(status).phrase.lower().replace(" ", "-")
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed(request))
    detail = HTTPStatus(status).description or HTTPStatus(status).phrase
    return response(request.scope, Problem(status, code, detail, headers=headers))


def _allowed(request: Request) -> list[str]:
    """Every method some route of this path takes; the router only names those of the first one."""
    found = []
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        scope = dict(request.scope, method=method)
        if any(route.matches(dict(scope))[0] is Match.FULL for route in request.app.router.routes):
            found.append(method)
    return found


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return response(request.scope, Problem(400, "malformed-json", "The body is not JSON."))
    in_body = any(each["loc"][:1] == ("body",) for each in found)
    if in_body and not _is_json(request):
        return response(request.scope, Problem(415, _CODES[415], "Send the body as application/json."))
    errors = [
        {
            "pointer": _pointer(_in_request(each, error.body)),
            "code": _code(each),
            "detail": _said(each),
        }
        for each in found
    ]
    return response(
        request.scope, Problem(422, "invalid-request", "The request does not fit its schema.", errors=errors)
    )


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not media_type:
        return (
            request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers
        )
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


# A key may be whatever the client sent, a number of somebody among them: only what looks like a field is said
# again.
_FIELD: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}[0-9]{0,3}")


def _in_request(error: Mapping[str, Any], body: Any) -> list[int | str]:
    """Where the value is in what was sent: pydantic also names the member of a union that it took."""
    location = error["loc"]
    if location[:1] != ("body",):
        return list(location)
    found: list[int | str] = ["body"]
    value = body
    for number, part in enumerate(location[1:], start=2):
        sent = (
            part in value if isinstance(value, Mapping) else isinstance(value, list) and isinstance(part, int)
        )
        if sent:
            value = value[part]
        if sent or (number == len(location) and error["type"] == "missing"):
            found.append(part)
    return found


def _pointer(location: Sequence[int | str]) -> str:
    return "".join(
        f"/{each}" if isinstance(each, int) or _FIELD.fullmatch(each) else "/?" for each in location
    )


def _unprintable(error: Mapping[str, Any]) -> str | None:
    """The character for which a printed text is refused, if that is the reason."""
    pattern = error.get("ctx", {}).get("pattern")
    if error["type"] != "string_pattern_mismatch" or pattern not in (ONE_LINE, LINES):
        return None
    return unprintable(composed(error["input"]), pattern=pattern)


def _code(error: Mapping[str, Any]) -> str:
    if _unprintable(error) is not None:
        return "character-not-printable"
    code: str = error["type"].replace("_", "-")
    return code


def _said(error: Mapping[str, Any]) -> str:
    """Pydantic's sentence without what it quotes of the input."""
    message: str = error["msg"]
    character = _unprintable(error)
    if character is not None:
        return f"No document can show the character {named(character)}."
    if error["type"] == "union_tag_invalid":
        return f"{error['ctx']['discriminator']} should be one of {error['ctx']['expected_tags']}"
    if error["type"].endswith(("_parsing", "_from_date_parsing", "_inexact")):
        return message.partition(",")[0].partition(" found")[0]
    return message.removeprefix("Value error, ")


_BUSY: Final = {"40001", "40P01", "55P03", "57014", "53300", "57P01", "57P02", "57P03"}
_TEXT: Final = {"22021", "22P05"}  # NUL, or what the encoding cannot hold: our schemas let it through


async def _on_database_error(request: Request, error: Exception) -> Response:
    original = getattr(error, "orig", None)
    state = getattr(original, "sqlstate", None) or getattr(error, "sqlstate", None)
    if state in _TEXT:
        return response(
            request.scope, Problem(422, "invalid-request", "A text holds characters that cannot be stored.")
        )
    away = isinstance(error, (exc.TimeoutError, ConnectionError, TimeoutError, asyncpg.InterfaceError))
    away = away or getattr(error, "connection_invalidated", False) or (state or "").startswith("08")
    if away or state in _BUSY:
        outages.report(_log, "database", state or error, "a request is answered with 503")
        return response(
            request.scope,
            Problem(503, "database-busy", "Nothing was done; try again.", headers={"Retry-After": "1"}),
        )
    return unexpected(request.scope, error)
