"""What was really sent and answered in the journeys, put into an OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from local.paths import REPOSITORY

EXAMPLES: Final = REPOSITORY / "docs/openapi/examples"


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation, in the order of the document."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "operationId" in operation:
                yield path, method, operation


def illustrate(document: Mapping[str, Any]) -> None:
    """Adds what was really sent and answered in the journeys; the linter names operations without."""
    for _, _, operation in operations(document):
        path = EXAMPLES / f"{operation['operationId']}.json"
        if not path.exists():
            continue
        recorded = json.loads(path.read_text(encoding="utf-8"))
        if "requestBody" in operation:
            _illustrated(operation["requestBody"]["content"], recorded.get("request"))
        answer = operation["responses"][str(recorded["status"])]
        if "content" in answer:
            _illustrated(answer["content"], recorded["answer"])


def _illustrated(content: dict[str, Any], value: Any) -> None:
    if value is not None:
        media = next(iter(content.values()))
        media["examples"] = {"journey": {"summary": "From a journey", "value": value}}
