"""The API reference of an OpenAPI document as plain HTML: no script, nothing from elsewhere."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

Json = Mapping[str, Any]

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_ROLES: Final = re.compile(r"\n*Roles: ([^.]+)\.\s*$")
_LIMITS: Final = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "from {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "to {}",
    "exclusiveMaximum": "less than {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "pattern <code>{}</code>",
}


@dataclass(frozen=True, slots=True)
class Operation:
    name: str  # the operation id, which is its anchor too
    method: str
    path: str
    summary: str
    callers: str
    body: str  # HTML, without a heading


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    about: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A schema, or the refusals of one status."""

    name: str
    anchor: str
    body: str


@dataclass(frozen=True, slots=True)
class Reference:
    title: str
    about: str  # HTML
    groups: tuple[Group, ...]
    refusals: tuple[Entry, ...]
    schemas: tuple[Entry, ...]


def reference(document: Json) -> Reference:
    """What one document says, operations under the first of their tags."""
    members: dict[str, list[Operation]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                told = item[method]
                members.setdefault(told["tags"][0], []).append(_operation(document, method, path, told))
    components = document["components"]
    texts = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    return Reference(
        title=document["info"]["title"],
        about=prose(document["info"].get("description", "")),
        groups=tuple(
            Group(tag, prose(texts.get(tag, "")), tuple(each)) for tag, each in sorted(members.items())
        ),
        refusals=tuple(
            Entry(told["description"], f"refusal-{name}", _refusal(told))
            for name, told in sorted(components.get("responses", {}).items(), key=_status)
        ),
        schemas=tuple(
            Entry(name, f"schema-{name}", _schema(told))
            for name, told in sorted(components["schemas"].items())
        ),
    )


def page(told: Reference, *, others: Iterable[str] = ()) -> str:
    """A page of its own; `others` are the pages beside it."""
    contents = "".join(
        f"<li>{escape(group.title.capitalize())}<ul>"
        + "".join(f'<li><a href="#{each.name}">{escape(each.summary)}</a></li>' for each in group.operations)
        + "</ul></li>"
        for group in told.groups
    )
    parts = [f"<h1>{escape(told.title)}</h1>", told.about, f'<ul class="contents">{contents}</ul>']
    for group in told.groups:
        parts += [f"<h2>{escape(group.title.capitalize())}</h2>", group.about]
        for each in group.operations:
            parts += [f'<h3 id="{each.name}">{escape(each.summary)}</h3>', each.body]
    for title, entries in (("Refusals", told.refusals), ("Schemas", told.schemas)):
        parts.append(f"<h2>{title}</h2>")
        for entry in entries:
            parts += [f'<h3 id="{entry.anchor}">{escape(entry.name)}</h3>', entry.body]
    return _framed(told.title, "".join(parts), others)


def index(about: Mapping[str, Json]) -> str:
    """The first page: every service's document with its operations."""
    parts = ["<h1>API reference</h1>"]
    for name, document in about.items():
        told = reference(document)
        parts += [f'<h2><a href="/docs/{name}">{escape(told.title)}</a></h2>', told.about]
        parts.append(overview(told, link=f"/docs/{name}"))
    return _framed("API reference", "".join(parts), about)


def overview(told: Reference, *, link: str) -> str:
    """One row for each operation; `link` is the page that holds them."""
    rows = "".join(
        f'<tr><td>{_method(each.method)}</td><td class="path"><code>{escape(each.path)}</code></td>'
        f'<td><a href="{link}#{each.name}">{escape(each.summary)}</a></td>'
        f"<td>{escape(each.callers)}</td></tr>"
        for group in told.groups
        for each in group.operations
    )
    return _table(("method", "path", "operation", "who may call it"), rows)


def prose(text: str) -> str:
    """Paragraphs, `code` and **bold** of a description."""
    paragraphs = (each.strip() for each in text.split("\n\n"))
    return "".join(f"<p>{_inline(each)}</p>" for each in paragraphs if each)


def _inline(text: str) -> str:
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)


def _framed(title: str, body: str, others: Iterable[str]) -> str:
    links = "".join(f' <a href="/docs/{each}">{escape(each)}</a>' for each in others)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/docs/reference.css"></head>'
        f'<body class="page"><nav><a href="/docs">API reference</a>{links}</nav>'
        f'<main class="api">{body}</main></body></html>'
    )


def _operation(document: Json, method: str, path: str, told: Json) -> Operation:
    description = told.get("description", "")
    roles = _ROLES.search(description)
    if roles:
        callers = roles[1]
    elif told.get("security", document.get("security")):
        callers = "whoever is signed in and has a right to it"
    else:
        callers = "anybody"
    parts = [
        f'<p class="line">{_method(method)} <code>{escape(path)}</code></p>',
        prose(_ROLES.sub("", description)),
        f"<p><strong>Who may call it:</strong> {escape(callers)}.</p>",
        f"<p><strong>Operation id:</strong> <code>{told['operationId']}</code></p>",
    ]
    if told.get("deprecated"):
        parts.append('<p class="deprecated">Deprecated.</p>')
    if "x-bounded" in told:
        parts.append(f"<p>No cursor: {_inline(str(told['x-bounded']))}</p>")
    parts += [_parameters(told.get("parameters", ())), _request(document, told.get("requestBody"))]
    parts += [_response(document, status, each) for status, each in _answers(told)]
    parts.append(_refused(document, told))
    body = f'<div class="api">{"".join(parts)}</div>'
    return Operation(told["operationId"], method, path, told["summary"], callers, body)


def _parameters(told: Iterable[Json]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{each['in']}</td>"
        f"<td>{_type(each['schema'])}</td><td>{_needed(needed=each.get('required', False))}</td>"
        f"<td>{_inline(each.get('description', ''))}</td></tr>"
        for each in told
    )
    return f"<h4>Parameters</h4>{_table(('name', 'in', 'type', '', 'about'), rows)}" if rows else ""


def _request(document: Json, told: Json | None) -> str:
    if told is None:
        return ""
    return "<h4>Request</h4>" + "".join(
        _content(document, kind, each) for kind, each in told["content"].items()
    )


def _answers(told: Json) -> list[tuple[str, Json]]:
    return [(status, each) for status, each in told["responses"].items() if status.startswith("2")]


def _response(document: Json, status: str, told: Json) -> str:
    headers = "".join(
        f"<tr><td><code>{escape(name)}</code></td>"
        f"<td>{_inline(_found(document, each).get('description', ''))}</td></tr>"
        for name, each in told.get("headers", {}).items()
    )
    content = "".join(_content(document, kind, each) for kind, each in told.get("content", {}).items())
    return f"<h4>Answer {status}</h4>{content or '<p>Without a body.</p>'}" + (
        f"<details><summary>Headers</summary>{_table(('header', 'about'), headers)}</details>"
    ) * bool(headers)


def _content(document: Json, kind: str, told: Json) -> str:
    schema = told.get("schema", {})
    parts = [f"<p><code>{escape(kind)}</code> {_type(schema)}</p>"]
    parts.append(_fields(_found(document, schema)))
    for example in told.get("examples", {}).values():
        value = example.get("value")
        shown = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        summary = escape(example.get("summary", "example"))
        parts.append(
            f"<details><summary>Example: {summary}</summary><pre>{_preformatted(shown)}</pre></details>"
        )
    return "".join(parts)


def _preformatted(text: str) -> str:
    """Without empty lines: they would end a block of HTML inside Markdown."""
    return re.sub(r"\n(?=\n)", "\n&#8203;", escape(text, quote=False).strip("\n"))


def _refused(document: Json, told: Json) -> str:
    rows = ""
    for status, each in told["responses"].items():
        if not status.startswith("2"):
            found = _found(document, each)
            name = each["$ref"].rpartition("/")[2] if "$ref" in each else ""
            about = escape(found["description"])
            linked = f'<a href="#refusal-{name}">{about}</a>' if name else about
            codes = " ".join(f"<code>{escape(code)}</code>" for code in _codes(found))
            rows += f"<tr><td>{status}</td><td>{linked}</td><td>{codes}</td></tr>"
    return (
        "<details><summary>Refusals</summary>"
        f"{_table(('status', 'when', 'codes of this status in this service'), rows)}</details>"
    )


def _codes(told: Json) -> dict[str, Json]:
    content = told.get("content", {}).get("application/problem+json", {})
    return dict(content.get("examples", {}))


def _refusal(told: Json) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(code)}</code></td><td>{_inline(each.get('summary', ''))}</td>"
        f"<td>{_inline(each.get('description', ''))}</td></tr>"
        for code, each in _codes(told).items()
    )
    table = _table(("code", "title", "what the app does"), rows) if rows else ""
    return f'<div class="api">{table}</div>'


def _status(named: tuple[str, Json]) -> tuple[int, str]:
    name, told = named
    statuses = [each["value"]["status"] for each in _codes(told).values()]
    return (statuses[0] if statuses else 0, name)


def _schema(told: Json) -> str:
    about = prose(told.get("description", ""))
    what = _fields(told) or f"<p>{_type(told)}</p>"
    more = "<p>Other members are refused.</p>" if told.get("additionalProperties") is False else ""
    return f'<div class="api">{about}{what}{more}</div>'


def _fields(told: Json) -> str:
    required, fields = set(told.get("required", ())), told.get("properties", {})
    explained = any("description" in each for each in fields.values())
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{_type(each)}</td>"
        f"<td>{_needed(needed=name in required)}</td>"
        + f"<td>{_inline(each.get('description', ''))}</td>" * explained
        + "</tr>"
        for name, each in fields.items()
    )
    return _table(("field", "type", "", *["about"] * explained), rows) if rows else ""


def _type(told: Json) -> str:
    """The type as a person reads it; a schema with a name is a link to it."""
    if "$ref" in told:
        name = told["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{name}">{name}</a>'
    for word in ("anyOf", "oneOf"):
        if word in told:
            return " or ".join(_type(each) for each in told[word])
    for word, more in (("enum", ""), ("x-extensible-enum", " and what later releases add")):
        if word in told:
            return " ".join(f"<code>{escape(str(each))}</code>" for each in told[word]) + more
    if "const" in told:
        return f"<code>{escape(str(told['const']))}</code>"
    kind = str(told.get("type", "anything"))
    if kind == "array":
        words = [f"list of {_type(told.get('items', {}))}"]
    elif isinstance(told.get("additionalProperties"), Mapping):
        words = [f"object of {_type(told['additionalProperties'])}"]
    else:
        words = [f"{kind} ({told['format']})" if "format" in told else kind]
    words += [text.format(escape(str(told[name]))) for name, text in _LIMITS.items() if name in told]
    words = ["not empty" if each == _LIMITS["minLength"].format(1) else each for each in words]
    if told.get("default") is not None:
        words.append(f"else <code>{escape(json.dumps(told['default']))}</code>")
    return ", ".join(words)


def _needed(*, needed: bool) -> str:
    return "required" if needed else "optional"


def _method(method: str) -> str:
    return f'<span class="method {method}">{method.upper()}</span>'


def _table(heads: Iterable[str], rows: str) -> str:
    head = "".join(f"<th>{each}</th>" for each in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _found(document: Json, told: Json) -> Json:
    while "$ref" in told:
        target: Any = document
        for part in told["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        told = target
    return told
