"""The OpenAPI documents: one per service, one for the platform, and a 3.0.3 form of each for mobile apps."""

import json
from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from common.clock import Clock
from common.settings import sample_key
from common.wake import LocalWake
from common.web.problem_catalogue import CATALOGUE, CatalogueEntry
from local.configuration import SERVICES, Addresses, Broker, Secrets, settings_of
from local.examples import illustrate, operations

_DOCUMENTS: Final = "docs/openapi"
_SAMPLE_KEY: Final = sample_key("documents-of-the-contract")
_LICENSE: Final = {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}


def generated(root: Path) -> dict[Path, str]:
    """Every OpenAPI document by its path below `root`, and the page of the problems."""
    documents = {service: document_of(service) for service in SERVICES}
    for document in documents.values():
        illustrate(document)
    documents["platform"] = merged(documents)
    files: dict[Path, str] = {root / "docs/errors.md": problems_page(CATALOGUE)}
    for name, document in documents.items():
        files[root / _DOCUMENTS / f"{name}.json"] = _json(document)
        files[root / _DOCUMENTS / f"{name}.3.0.json"] = _json(down_converted(document))
    return files


def document_of(service: str) -> dict[str, Any]:
    """What the service itself serves; nothing is connected to for it."""
    secrets = {
        f"{name}.{key}": _SAMPLE_KEY for name in SERVICES for key in ("master", "index", "cursor", "client")
    }
    told = settings_of(
        service,
        dsn="postgresql://nobody@127.0.0.1/none",
        broker=Broker("127.0.0.1:9092", "kafka"),
        addresses=Addresses.behind_one_port(8080),
        kept=Secrets(secrets | dict.fromkeys(("provider", "webhook", "gateway"), _SAMPLE_KEY)),
        directory=Path("/nonexistent"),
        shift=timedelta(),
    )
    settings = import_module(f"{service}.settings").Settings(**told)
    app = import_module(f"{service}.api.app").create_app(settings, clock=Clock(), wake=LocalWake())
    document: dict[str, Any] = app.openapi()
    # what operations and development need is not part of the contract
    document["paths"] = {path: item for path, item in document["paths"].items() if f"/{service}/v1/" in path}
    return document


def merged(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One document for the platform; ValueError when two services mean different things by one name."""
    paths: dict[str, Any] = {}
    components: dict[str, dict[str, Any]] = {}
    owners: dict[str, str] = {}
    tags: dict[str, Any] = {}
    for service, document in documents.items():
        paths |= document["paths"]
        for _, _, operation in operations(document):
            other = owners.setdefault(operation["operationId"], service)
            if other != service:
                raise ValueError(f"operation {operation['operationId']} is in {other} and in {service}")
        for tag in document["tags"]:
            if tags.setdefault(tag["name"], tag) != tag:
                raise ValueError(f"tag {tag['name']} differs between {service} and a service before it")
        for kind, named in document.get("components", {}).items():
            known = components.setdefault(kind, {})
            for name, component in named.items():
                if kind == "responses" and name in known:
                    known[name] = _both(known[name], component)
                elif known.setdefault(name, component) != component:
                    raise ValueError(f"{kind} {name} differs between {service} and a service before it")
    first = next(iter(documents.values()))
    said = [f"**{document['info']['title']}**: {_first(document)}" for document in documents.values()]
    conventions = first["info"]["description"].partition("\n\n")[2]
    return {
        "openapi": first["openapi"],
        "info": {
            **first["info"],
            "title": "Teleconsultation platform",
            "description": "\n\n".join([*said, conventions]),
        },
        "servers": first["servers"],
        "paths": dict(sorted(paths.items())),
        "components": {kind: dict(sorted(named.items())) for kind, named in components.items()},
        "tags": [tags[name] for name in sorted(tags)],
    }


def _first(document: Mapping[str, Any]) -> str:
    paragraph: str = document["info"]["description"].partition("\n\n")[0]
    return paragraph


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The same refusal with the problems of both services."""
    examples = _problems_of(one) | _problems_of(other)
    content = {
        media: {**said, "examples": dict(sorted(examples.items()))} for media, said in one["content"].items()
    }
    return {**one, "content": content}


def _problems_of(response: Mapping[str, Any]) -> dict[str, Any]:
    media = next(iter(response["content"].values()))
    found: dict[str, Any] = media["examples"]
    return found


def down_converted(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same contract in OpenAPI 3.0.3, for generators that read 3.1 badly; without the examples."""
    kinds = {name: each.get("type", "object") for name, each in document["components"]["schemas"].items()}
    converted: dict[str, Any] = _down(document, kinds)
    info = {**converted["info"], "license": _LICENSE}
    return {**converted, "openapi": "3.0.3", "info": info}


def _down(part: Any, kinds: Mapping[str, str]) -> Any:
    if isinstance(part, list):
        return [_down(each, kinds) for each in part]
    if not isinstance(part, dict):
        return part
    dropped = {"propertyNames"} | ({"examples"} if isinstance(part.get("examples"), dict) else set())
    schema = {name: _down(each, kinds) for name, each in part.items() if name not in dropped}
    _null_union(schema, kinds)
    if schema.get("additionalProperties") is True:  # means nothing, and breaks the Kotlin client
        schema.pop("additionalProperties")
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        limit = schema.get(exclusive)
        if isinstance(limit, int) and not isinstance(limit, bool):
            schema[bound] = limit
            schema[exclusive] = True
    if schema.get("type") == "string" and "contentMediaType" in schema:
        schema.pop("contentMediaType")
        schema["format"] = "binary"
    if isinstance(schema.get("examples"), list):
        examples = schema.pop("examples")
        schema.setdefault("example", examples[0])
    if isinstance(schema.get("$ref"), str) and len(schema) > 1:  # nothing may stand beside a reference
        schema["allOf"] = [{"$ref": schema.pop("$ref")}]
    return schema


def _null_union(schema: dict[str, Any], kinds: Mapping[str, str]) -> None:
    alternatives = schema.get("anyOf")
    if not isinstance(alternatives, list) or not any(_is_null(each) for each in alternatives):
        return
    others = [each for each in alternatives if not _is_null(each)]
    schema.pop("anyOf")
    if len(others) > 1:
        schema["anyOf"] = others
    elif "$ref" in others[0]:
        schema["type"] = kinds[others[0]["$ref"].rpartition("/")[2]]
        schema["allOf"] = others
    else:
        schema.update({name: each for name, each in others[0].items() if name not in schema})
    schema["nullable"] = True


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"


def problems_page(catalogue: Mapping[str, CatalogueEntry]) -> str:
    """docs/errors.md: every problem, its titles, and what an app does about it."""
    lines = [
        "# Errors",
        "",
        "Generated from `common/web/problems.toml` by `make docs`; do not edit.",
        "",
        "Every refusal is `application/problem+json` (RFC 9457). `type` is `urn:problem:` and a code of this",
        "page: decide by it, never by `title` or `detail`, which are for people. `title` is French where",
        "`Accept-Language` prefers French. `request_id` is what support asks for. `errors` names fields by",
        "JSON Pointer. Other members belong to the code: `time-taken` has `next_offers`, `emergency` has",
        "`numbers`. A code that an app does not know is treated by its status.",
    ]
    for service in ("all", *SERVICES):
        found = [each for each in catalogue.values() if service in each.services]
        lines += ["", f"## {'Every service' if service == 'all' else service.capitalize()}", ""]
        lines += ["| code | status | title | en français | what the app does |", "|---|--:|---|---|---|"]
        lines += [
            f"| `{each.code}` | {each.status} | {each.title} | {each.title_fr} | {each.do} |"
            for each in sorted(found, key=lambda known: (known.status, known.code))
        ]
    return "\n".join(lines) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
