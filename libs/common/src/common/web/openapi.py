"""The OpenAPI document: what every route may answer is said once, no framework's default is left."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from common.web import etags, idempotency
from common.web.auth import current_caller
from common.web.deps import preferred_wait
from common.web.limits import RateLimit
from common.web.problems import ProblemDetails, declared
from common.web.progress import given_last_event_id

# Headers that dependencies read by themselves: name, whether one must send it, and what for.
_HEADERS: Final[dict[Any, tuple[str, bool, str]]] = {
    idempotency.required_key: (
        "Idempotency-Key",
        True,
        "New for each intent, the same when sent again",
    ),
    etags.required_version: ("If-Match", True, "The ETag of what was read"),
    etags.optional_version: ("If-Match", False, "The ETag of what was read; needed to replace"),
    preferred_wait: ("Prefer", False, "wait=N: answer later, when there is more to say; at most 10 seconds"),
    given_last_event_id: ("Last-Event-ID", False, "Go on after this event"),
}
_FRAMEWORK: Final = ("HTTPValidationError", "ValidationError")


def install(app: FastAPI) -> None:
    def _document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _made(app)
        return app.openapi_schema

    app.openapi = _document  # type: ignore[method-assign]


def _made(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version=app.openapi_version,
        routes=app.routes,
        separate_input_output_schemas=False,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FRAMEWORK:
        schemas.pop(name, None)
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas["Problem"] = problem
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    needed = {route.name: set(_dependencies(route.dependant)) for route in _routes(app.routes)}
    for operation in _operations(document):
        _complete(operation, needed.get(operation["operationId"], set()))
    for schema in schemas.values():
        _cents_are_int64(schema)
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document.get("paths", {}).values():
        yield from (each for each in path.values() if isinstance(each, dict) and "operationId" in each)


def _routes(routes: Any) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):  # how FastAPI keeps an included router
            yield from _routes(route.original_router.routes)


def _dependencies(dependant: Any) -> Iterator[Any]:
    yield dependant.call
    for each in dependant.dependencies:
        yield from _dependencies(each)


def _complete(operation: dict[str, Any], needed: set[Any]) -> None:
    codes = {422, 500, 503}
    if needed & {current_caller, idempotency.required_key}:
        operation["security"] = [{"bearer": []}]
        codes |= {401, 403, 404}
    if any(isinstance(each, RateLimit) for each in needed):
        codes |= {429}
    if "requestBody" in operation:
        codes |= {400, 413, 415}
    if idempotency.required_key in needed:
        codes |= {400, 409}
    if needed & {etags.required_version, etags.optional_version}:
        codes |= {412, 428}
    responses = operation["responses"]
    for code in sorted(codes):
        if str(code) not in responses or code == 422:  # noqa: PLR2004 - FastAPI has put its own there
            responses[str(code)] = declared(code)
    operation["responses"] = dict(sorted(responses.items()))
    for dependency in (each for each in _HEADERS if each in needed):
        name, required, about = _HEADERS[dependency]
        header = {"name": name, "in": "header", "required": required, "description": about}
        operation.setdefault("parameters", []).append(header | {"schema": {"type": "string"}})
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _without_null(parameter.get("schema", {}))


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query string cannot say null; `X | None` in Python means that it may be left out."""
    options = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if len(options) == 1 and len(schema["anyOf"]) > 1:
        merged: dict[str, Any] = {name: value for name, value in schema.items() if name != "anyOf"}
        merged.update(options[0])
        return merged
    return schema


def _cents_are_int64(schema: dict[str, Any]) -> None:
    for name, value in schema.get("properties", {}).items():
        if name.endswith("_cents"):
            for each in (value, *value.get("anyOf", [])):
                if each.get("type") == "integer":
                    each["format"] = "int64"
