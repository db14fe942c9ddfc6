"""The OpenAPI document: what every route may answer is said once, no framework's default is left."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from common.web import etags, idempotency
from common.web.auth import WithRole, current_caller
from common.web.deprecation import Deprecated
from common.web.deps import preferred_wait
from common.web.limits import RateLimit
from common.web.openapi_enums import Coded, name_enums, open_enums
from common.web.problem_catalogue import CATALOGUE, CatalogueEntry
from common.web.problems import MEDIA_TYPE, ProblemDetails, declared
from common.web.progress import given_last_event_id
from common.web.schemas import FIRST_YEAR, LAST_YEAR


@dataclass(frozen=True, slots=True)
class About:
    """What a document says besides its routes: words of its own, its tags, better names of its schemas.

    `growing` are enums of answers, by those names, that a release may widen: clients read them as text.
    `enums` are closed enums that stand in several places, by the name they get. `coded` are texts whose
    values grow. `problems` are the codes of the refusals of each operation.
    """

    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    growing: frozenset[str] = frozenset()
    enums: Mapping[str, Sequence[str]] = field(default_factory=dict)
    coded: Mapping[str, Coded] = field(default_factory=dict)
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)


# Headers that dependencies read by themselves: name, whether one must send it, what for, and its schema.
_HEADERS: Final[dict[Any, tuple[str, bool, str, dict[str, Any]]]] = {
    idempotency.required_key: (
        "Idempotency-Key",
        True,
        "New for each intent, the same when sent again",
        {"type": "string", "pattern": idempotency.KEY_PATTERN, "minLength": 1, "maxLength": 255},
    ),
    etags.required_version: ("If-Match", True, "The ETag of what was read", {"type": "string"}),
    etags.optional_version: (
        "If-Match",
        False,
        "The ETag of what was read; needed to replace",
        {"type": "string"},
    ),
    preferred_wait: (
        "Prefer",
        False,
        "wait=N: answer later, when there is more to say; at most 10 seconds",
        {"type": "string"},
    ),
    given_last_event_id: ("Last-Event-ID", False, "Go on after this event", {"type": "string"}),
}
_PARAMETERS: Final = {
    "cursor": "`next_cursor` of the page before; left out: the first page",
    "limit": "How many items a page has at most",
}
_ANSWER_HEADERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "X-Request-ID": ("Names this request in our logs; one that you send is kept", {"type": "string"}),
    "Content-Language": ("The language of `title`", {"type": "string", "enum": ["en", "fr"]}),
    "Retry-After": ("Seconds after which the same request may go well", {"type": "integer"}),
    "WWW-Authenticate": ("How to sign in", {"type": "string"}),
    "ETag": ("The version; send it back as If-Match to change what you read", {"type": "string"}),
    "Idempotency-Replayed": (
        "`true` when the key was known: nothing was done again",
        {"type": "string", "enum": ["true"]},
    ),
    "RateLimit": ("Requests left, and seconds until there are more", {"type": "string"}),
    "RateLimit-Policy": ("How many requests in how many seconds", {"type": "string"}),
    "Deprecation": ("Since when one should not use it any more, RFC 9745", {"type": "string"}),
    "Sunset": ("When it ends, RFC 8594", {"type": "string"}),
    "Link": ("What to use in its place", {"type": "string"}),
}
_REFUSALS: Final = {
    400: ("BadRequest", "What was sent cannot be read"),
    401: ("Unauthorized", "No valid token"),
    403: ("Forbidden", "Not for this role or this person"),
    404: ("NotFound", "Not there, not there yet, or not for this caller"),
    409: ("Conflict", "The state of things does not allow it"),
    412: ("PreconditionFailed", "It has changed since it was read"),
    413: ("ContentTooLarge", "The body is too large"),
    414: ("UriTooLong", "The URL is too long"),
    415: ("UnsupportedMediaType", "Only application/json is taken"),
    422: ("UnprocessableContent", "The request does not fit its schema or the rules"),
    428: ("PreconditionRequired", "If-Match is missing"),
    429: ("TooManyRequests", "Too many requests from this address"),
    500: ("InternalServerError", "Something went wrong here"),
    503: ("ServiceUnavailable", "Not now; nothing was done"),
}
_LATER: Final = frozenset({404, 409, 429, 503})  # may carry Retry-After
_FRAMEWORK: Final = ("HTTPValidationError", "ValidationError")
_SUCCESS: Final = re.compile("2..|304")


_CONVENTIONS: Final = (
    "Amounts are whole cents beside their currency. Times are RFC 3339 and go out in UTC. They lie "
    f"in the years {FIRST_YEAR} to {LAST_YEAR}. The range `from`/`to` of a list includes `from` and excludes "
    "`to`. Long lists have cursors. A refusal is a problem (RFC 9457) whose `type` stands in the catalogue "
    "of errors; its title is French where Accept-Language prefers French. Every answer names its "
    "request in X-Request-ID."
)


def bounded(why: str) -> dict[str, Any]:
    """For `openapi_extra` of a list without cursor: why it stays short."""
    return {"x-bounded": why}


def install(app: FastAPI, about: About | None = None) -> None:
    def _document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _made(app, about or About())
        return app.openapi_schema

    app.openapi = _document  # type: ignore[method-assign]


def _made(app: FastAPI, about: About) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version=app.openapi_version,
        routes=app.routes,
        separate_input_output_schemas=False,
    )
    document["info"] |= {
        "description": f"{about.description}\n\n{_CONVENTIONS}".strip(),
        "contact": {"name": "The platform team"},
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    document["servers"] = [{"url": "/", "description": "The host that serves this document"}]
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FRAMEWORK:
        schemas.pop(name, None)
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {})
    schemas["Problem"] = problem
    document["components"]["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token of the issuer; its roles say what it may do",
        }
    }
    used = {route.operation_id or route.name: route for route in _routes(app.routes)}
    needed = {name: set(_dependencies(route.dependant)) for name, route in used.items()}
    versioned = {
        _answer(operation)
        for operation in _operations(document)
        if needed[operation["operationId"]] & {etags.required_version, etags.optional_version}
    }
    for operation in _operations(document):
        needs = needed[operation["operationId"]]
        _complete(operation, needs)
        has_version = _answer(operation) in versioned
        if has_version and _answer(operation) and "GET" in (used[operation["operationId"]].methods or ()):
            _may_be_known(operation)
        _name_headers(operation, needs, versioned=has_version)
    _name_refusals(document, app.state.service)
    for schema in schemas.values():
        _cents_are_int64(schema)
        _plain(schema)
    _whole(document)
    _rename(document, about.names)
    for name in about.growing:
        grows = document["components"]["schemas"][name]
        grows["x-extensible-enum"] = grows.pop("enum")
    name_enums(document, about.enums)
    open_enums(document, about.coded)
    for operation in _operations(document):
        operation["x-problem-types"] = _problem_types(operation, about)
    document["components"]["schemas"] = dict(sorted(document["components"]["schemas"].items()))
    _tag(document, about.tags)
    return document


def problems_of(package: str) -> Mapping[str, Sequence[str]]:
    """The codes of the refusals of each operation, as `make docs` found them in the code of the service."""
    text = files(package).joinpath("problems.json").read_text(encoding="utf-8")
    found: dict[str, list[str]] = json.loads(text)
    return found


def _problem_types(operation: Mapping[str, Any], about: About) -> list[str]:
    """The `type`s of its refusals: those of its own code, and those that every such operation shares."""
    own = about.problems.get(operation["operationId"], ())
    codes = {
        each.code
        for each in CATALOGUE.values()
        if str(each.status) in operation["responses"]
        and (each.code in own or "all" in each.services)
        and each.code not in _NOT_PUBLIC
    }
    return [f"urn:problem:{code}" for code in sorted(codes)]


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
    operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
    if needed & {current_caller, idempotency.required_key}:
        operation["security"] = [{"bearer": []}]
        codes |= {401, 403, 404}
        _say_roles(operation, needed)
    else:
        operation["security"] = []
    if any(isinstance(each, RateLimit) for each in needed):
        codes |= {429}
    if any(each["in"] == "query" for each in operation.get("parameters", ())):
        codes |= {414}
    if "requestBody" in operation:
        codes |= {400, 413, 415}
    if idempotency.required_key in needed:
        # The key is kept with a hash of the body, which is read even where none belongs.
        codes |= {400, 409, 413}
    if needed & {etags.required_version, etags.optional_version}:
        codes |= {412, 428}
    responses = operation["responses"]
    for code in sorted(codes):
        if str(code) not in responses or code == 422:  # noqa: PLR2004 - FastAPI has put its own there
            responses[str(code)] = declared(code)
    operation["responses"] = dict(sorted(responses.items()))
    _complete_parameters(operation, needed)


def _complete_parameters(operation: dict[str, Any], needed: set[Any]) -> None:
    for dependency in (each for each in _HEADERS if each in needed):
        name, required, about, schema = _HEADERS[dependency]
        header = {"name": name, "in": "header", "required": required, "description": about}
        operation.setdefault("parameters", []).append(header | {"schema": schema})
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _without_null(parameter.get("schema", {}))
        parameter["schema"].pop("title", None)
        if "description" not in parameter:
            parameter["description"] = _PARAMETERS.get(parameter["name"]) or _words(parameter["name"])
        parameter["schema"].pop("description", None)
        if parameter["name"].endswith("_cents"):
            parameter["schema"]["format"] = "int64"


def _may_be_known(operation: dict[str, Any]) -> None:
    """A client that has the current version is told so, without the body."""
    header = {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}}
    header["description"] = "The ETag of what the caller has; 304 while it is the current one"
    operation.setdefault("parameters", []).append(header)
    known = {"304": {"description": "If-None-Match names the current version"}}
    operation["responses"] = dict(sorted((operation["responses"] | known).items()))


def _words(name: str) -> str:
    """`appointment_id` is `Id of the appointment`."""
    thing, _, last = name.rpartition("_")
    return f"Id of the {thing.replace('_', ' ')}" if last == "id" else name.replace("_", " ").capitalize()


def _say_roles(operation: dict[str, Any], needed: set[Any]) -> None:
    checks = [each.roles for each in needed if isinstance(each, WithRole)]
    if checks:
        roles = frozenset.intersection(*checks)
        told = f"Roles: {', '.join(sorted(roles))}."
        operation["description"] = f"{operation.get('description', '')}\n\n{told}".strip()


def _name_headers(operation: dict[str, Any], needed: set[Any], *, versioned: bool) -> None:
    names = ["X-Request-ID"]
    names += ["ETag"] if versioned else []
    names += ["Idempotency-Replayed"] if idempotency.required_key in needed else []
    names += ["RateLimit", "RateLimit-Policy"] if any(isinstance(each, RateLimit) for each in needed) else []
    if any(isinstance(each, Deprecated) for each in needed):
        names += ["Deprecation", "Sunset", "Link"]
        operation["deprecated"] = True
    for code, answer in operation["responses"].items():
        if _SUCCESS.fullmatch(code):
            answer["headers"] = _headers(*names)


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name.replace('-', '')}"} for name in names}


def _name_refusals(document: dict[str, Any], service: str) -> None:
    """Each refusal is one shared response, with the problems of this service as its examples."""
    used = set()
    for operation in _operations(document):
        for code in [each for each in operation["responses"] if not _SUCCESS.fullmatch(each)]:
            operation["responses"][code] = {"$ref": f"#/components/responses/{_REFUSALS[int(code)][0]}"}
            used.add(int(code))
    document["components"]["responses"] = {
        _REFUSALS[code][0]: _refusal(code, service) for code in sorted(used)
    }
    document["components"]["headers"] = {
        name.replace("-", ""): {"description": about, "schema": schema}
        for name, (about, schema) in _ANSWER_HEADERS.items()
        if f"#/components/headers/{name.replace('-', '')}" in set(_references(document))
    }


def _refusal(code: int, service: str) -> dict[str, Any]:
    names = ["X-Request-ID", "Content-Language"]
    names += ["Retry-After"] if code in _LATER else []
    names += ["WWW-Authenticate"] if code == 401 else []  # noqa: PLR2004 - said once, in the line above
    names += ["RateLimit", "RateLimit-Policy"] if code == 429 else []  # noqa: PLR2004
    known = [
        each
        for each in CATALOGUE.values()
        if each.status == code and {"all", service} & set(each.services) and each.code not in _NOT_PUBLIC
    ]
    return {
        "description": _REFUSALS[code][1],
        "headers": _headers(*names),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {each.code: _example(each) for each in known},
            }
        },
    }


_NOT_PUBLIC: Final = frozenset({"clock-goes-back", "not-ready"})


def _example(known: CatalogueEntry) -> dict[str, Any]:
    value = {
        "type": f"urn:problem:{known.code}",
        "title": known.title,
        "status": known.status,
        "detail": known.title,
        "instance": "/",
        "request_id": "0f6c1d2e3b4a49588d7c6b5a4f3e2d1c",
    }
    return {"summary": known.title, "description": known.do, "value": value}


def _answer(operation: Mapping[str, Any]) -> str | None:
    """The schema of the success; None for anything but one object."""
    for code, answer in operation["responses"].items():
        if _SUCCESS.fullmatch(code):
            schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
            reference: str | None = schema.get("$ref")
            return reference
    return None


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from _references(each)
    elif isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for each in part.values():
            yield from _references(each)


def _rename(document: dict[str, Any], names: Mapping[str, str]) -> None:
    """Better names for those who read the whole; raises ValueError when one is taken or names nothing."""
    schemas = document["components"]["schemas"]
    for old, new in names.items():
        if new in schemas:
            raise ValueError(f"{new} is the name of another schema")
        if old not in schemas:
            raise ValueError(f"there is no schema {old} to call {new}")
        schemas[new] = schemas.pop(old) | {"title": new}

    def renamed(reference: str) -> str:
        start, _, name = reference.rpartition("/")
        return f"{start}/{names.get(name, name)}" if start == "#/components/schemas" else reference

    _each_reference(document, renamed)
    document["components"]["schemas"] = dict(sorted(schemas.items()))


def _each_reference(part: Any, change: Callable[[str], str]) -> None:
    if isinstance(part, list):
        for each in part:
            _each_reference(each, change)
    elif isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            part["$ref"] = change(part["$ref"])
        if isinstance(part.get("discriminator"), dict):
            mapping = part["discriminator"].get("mapping", {})
            part["discriminator"]["mapping"] = {name: change(each) for name, each in mapping.items()}
        for each in part.values():
            _each_reference(each, change)


def _tag(document: dict[str, Any], tags: Mapping[str, str]) -> None:
    used = {tag for operation in _operations(document) for tag in operation.get("tags", ())}
    document["tags"] = [{"name": name, "description": tags.get(name, name)} for name in sorted(used)]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query string cannot say null; `X | None` in Python means that it may be left out."""
    options = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if len(options) == 1 and len(schema["anyOf"]) > 1:
        merged: dict[str, Any] = {name: value for name, value in schema.items() if name != "anyOf"}
        merged.update(options[0])
        return merged
    return schema


def _plain(schema: dict[str, Any]) -> None:
    """A title that only says the name of its field again is noise in generated clients."""
    for value in schema.get("properties", {}).values():
        value.pop("title", None)


def _whole(part: Any) -> None:
    """A bound of 7.0 is 7; some generators would write the first one into code that has no such literal."""
    if isinstance(part, list):
        for each in part:
            _whole(each)
    elif isinstance(part, dict):
        for name, value in part.items():
            if isinstance(value, float) and value.is_integer():
                part[name] = int(value)
            else:
                _whole(value)


def _cents_are_int64(schema: dict[str, Any]) -> None:
    for name, value in schema.get("properties", {}).items():
        for each in (value, *value.get("anyOf", [])):
            if each.get("type") == "integer" and (name.endswith("cents") or name == "id"):
                each["format"] = "int64"
            inner = each.get("additionalProperties")
            if each.get("type") == "object" and isinstance(inner, dict) and inner.get("type") == "integer":
                inner["format"] = "int64"  # amounts by name
