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
from local.configuration import SERVICES, Addresses, Broker, Secrets, settings_of

_DOCUMENTS: Final = "docs/openapi"
_SAMPLE_KEY: Final = sample_key("documents-of-the-contract")


def generated(root: Path) -> dict[Path, str]:
    """Every OpenAPI document by its path below `root`."""
    documents = {service: document_of(service) for service in SERVICES}
    documents["platform"] = merged(documents)
    files: dict[Path, str] = {}
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
    operations: dict[str, str] = {}
    for service, document in documents.items():
        for path, item in document["paths"].items():
            paths[path] = item
            for operation in (
                each for each in item.values() if isinstance(each, dict) and "operationId" in each
            ):
                other = operations.setdefault(operation["operationId"], service)
                if other != service:
                    raise ValueError(f"operation {operation['operationId']} is in {other} and in {service}")
        for kind, named in document.get("components", {}).items():
            for name, component in named.items():
                known = components.setdefault(kind, {}).setdefault(name, component)
                if known != component:
                    raise ValueError(f"{kind} {name} differs between {service} and a service before it")
    first = next(iter(documents.values()))
    return {
        "openapi": first["openapi"],
        "info": {**first["info"], "title": "Teleconsultation platform"},
        "paths": dict(sorted(paths.items())),
        "components": components,
    }


def down_converted(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same contract in OpenAPI 3.0.3, for generators that read 3.1 badly."""
    converted: dict[str, Any] = _down(document)
    return {**converted, "openapi": "3.0.3"}


def _down(part: Any) -> Any:
    if isinstance(part, list):
        return [_down(each) for each in part]
    if not isinstance(part, dict):
        return part
    schema = {name: _down(each) for name, each in part.items()}
    _null_union(schema)
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    for bound in ("Minimum", "Maximum"):
        exclusive = schema.get(f"exclusive{bound}")
        if isinstance(exclusive, int) and not isinstance(exclusive, bool):
            schema[bound.lower()] = exclusive
            schema[f"exclusive{bound}"] = True
    if schema.get("type") == "string" and "contentMediaType" in schema:
        schema.pop("contentMediaType")
        schema["format"] = "binary"
    # a schema's examples are a list in 3.1; in media types and parameters they are a map and stay
    if isinstance(schema.get("examples"), list):
        examples = schema.pop("examples")
        schema.setdefault("example", examples[0])
    return schema


def _null_union(schema: dict[str, Any]) -> None:
    alternatives = schema.get("anyOf")
    if not isinstance(alternatives, list) or {"type": "null"} not in alternatives:
        return
    others = [each for each in alternatives if each != {"type": "null"}]
    schema.pop("anyOf")
    if len(others) > 1:
        schema["anyOf"] = others
    elif "$ref" in others[0]:
        schema["allOf"] = others
    else:
        schema.update({name: each for name, each in others[0].items() if name not in schema})
    schema["nullable"] = True


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
