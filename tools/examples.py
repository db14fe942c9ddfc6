"""`make examples`: what the documents show of each operation is what a platform was asked and answered."""

import argparse
import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx

from common.clock import wall
from local.examples import EXAMPLES, operations
from local.paths import REPOSITORY
from tools.fuzz.people import NOT_REACHED, People, people
from tools.fuzz.roles import ROLES
from tools.running import platform

_PLATFORM: Final = REPOSITORY / "docs/openapi/platform.json"
_FIGURES: Final = Path("build/figures/examples.json")
_MOST_ITEMS: Final = 2  # of a page, for readers
# These end what others need.
_LAST: Final = ("remove_card", "withdraw_practitioner", "erase_patient")

Call = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make examples", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; say which are no longer true")
    parser.add_argument("--all", action="store_true", help="write those anew too that are still true")
    told = parser.parse_args()
    document = json.loads(_PLATFORM.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="examples-") as scratch:
        record = Path(scratch) / "calls.jsonl"
        with platform(Path(scratch) / "data", record=record) as front:
            whom = people(front, Path(scratch) / "data")
            _ask_the_rest(front, document, whom, record)
        calls = _successes(document, record)
    wrong = {name: why for name, why in compare(document, calls) if why}
    if not told.check:
        for name in calls if told.all else wrong.keys() & calls.keys():
            _write(name, best(calls[name]))
    for name, why in sorted(wrong.items()):
        print(f"{name}: {why}")
    every = [operation["operationId"] for _, _, operation in operations(document)]
    missed = sorted(set(every) - calls.keys() - NOT_REACHED)
    for name in missed:
        print(f"{name}: was never answered with success")
    left = missed if not told.check else [*missed, *wrong]
    print(f"examples: {len(calls)} of {len(every)} operations recorded, {len(wrong)} differed")
    _FIGURES.parent.mkdir(parents=True, exist_ok=True)
    figures = {"confirmed": len(calls.keys() - wrong.keys())}
    _FIGURES.write_text(json.dumps(figures) + "\n", encoding="utf-8")
    return 1 if left else 0


def _ask_the_rest(front: str, document: Mapping[str, Any], whom: People, record: Path) -> None:
    """One call of each operation that nobody has called with success so far, by whoever may."""
    known = _successes(document, record)
    rest = [each for each in operations(document) if each[2]["operationId"] not in known]
    rest.sort(key=lambda each: each[2]["operationId"] in _LAST)
    particular = _particular(whom, known)
    with httpx.Client(base_url=front, timeout=20) as http:
        for path, method, operation in rest:
            example = particular.get(operation["operationId"]) or _example(operation, path, whom)
            for role in reversed(ROLES):
                if _succeeds(http, path, method, example, whom.tokens[role]):
                    break


def _particular(whom: People, known: Mapping[str, Sequence[Call]]) -> dict[str, Mapping[str, Any]]:
    """Where an id of the journeys is not enough."""
    whose = {"profession": "physician", "specialty": "01"}
    prescription = known["create_prescription"][-1]["answer"]
    code = parse_qsl(urlsplit(prescription["verification"]["url"]).query)
    today = wall().date()
    return {
        "list_offers": {"query": whose},
        "read_next_offer": {"query": whose},
        "read_statement": {
            "path": {"practitioner_id": whom.values["body.practitioner_id"][0]},
            "query": {
                "from": (today - timedelta(days=30)).isoformat(),
                "to": (today + timedelta(days=1)).isoformat(),
            },
        },
        "read_card": {"path": {"card_id": whom.examples["choose_card"][0]["body"]["card_id"]}},
        "verify_document": {
            "path": {"number": prescription["number"]},
            "query": dict(code),
        },
        "erase_patient": {"path": whom.examples["put_coverage"][0]["path"]},
    }


def _example(operation: Mapping[str, Any], path: str, whom: People) -> Mapping[str, Any]:
    """A request that succeeds once, or what the document shows with ids of this platform."""
    name = operation["operationId"]
    if name in whom.examples:
        return whom.examples[name][0]
    stored = EXAMPLES / f"{name}.json"
    shown = json.loads(stored.read_text(encoding="utf-8")).get("request") if stored.exists() else None
    body = shown and {key: whom.values.get(f"body.{key}", [value])[0] for key, value in shown.items()}
    names = re.findall(r"{(\w+)}", path)
    query = {
        each["name"]: whom.values[f"query.{each['name']}"][0]
        for each in operation.get("parameters", ())
        if each["in"] == "query" and each.get("required") and f"query.{each['name']}" in whom.values
    }
    return {
        "path": {each: whom.values[f"path.{each}"][0] for each in names if f"path.{each}" in whom.values},
        "query": query,
        "body": body,
    }


def _succeeds(http: httpx.Client, path: str, method: str, example: Mapping[str, Any], token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"example-{path}-{token[-8:]}"}
    with http.stream(
        method,
        path.format_map(defaultdict(str, example.get("path", {}))),
        params=example.get("query"),
        json=example.get("body"),
        headers=headers | example.get("header", {}),
    ) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:") and "event-stream" in answer.headers["content-type"]:
                break  # an event is there; the stream has no end
    return answer.is_success


def _successes(document: Mapping[str, Any], record: Path) -> dict[str, list[Call]]:
    """Of each operation, in the order in which they were called."""
    templates = [
        (method, re.compile(re.sub(r"{\w+}", "[^/]+", path)), operation["operationId"])
        for path, method, operation in operations(document)
    ]
    found: dict[str, list[Call]] = defaultdict(list)
    for line in record.read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        if not 200 <= call["status"] < 300:  # noqa: PLR2004
            continue
        for method, template, name in templates:
            if method == call["method"] and template.fullmatch(call["path"]):
                found[name].append(call)
                break
    return dict(found)


def compare(document: Mapping[str, Any], calls: Mapping[str, Sequence[Call]]) -> Iterator[tuple[str, str]]:
    """What an example lacks that every answer has, and what it has that none has."""
    for _, _, operation in operations(document):
        name = operation["operationId"]
        stored = EXAMPLES / f"{name}.json"
        if not stored.exists():
            yield name, "has no example"
        elif name in calls:
            maps = frozenset(_maps_of(document, operation))
            shown = Shape.of(json.loads(stored.read_text(encoding="utf-8"))["answer"], maps)
            answers = [Shape.of(each["answer"], maps) for each in calls[name]]
            lacks = set.intersection(*(shown.missing(each) for each in answers))
            more = set.intersection(*(each.missing(shown) for each in answers))
            told = [f"lacks {', '.join(sorted(lacks))}"] if lacks else []
            yield name, "; ".join(told + ([f"has {', '.join(sorted(more))}"] if more else []))


def _maps_of(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[str]:
    """Where an answer holds a map, whose keys differ from one platform to the next."""
    left = [
        ("", content["schema"], frozenset[str]())
        for status, response in operation["responses"].items()
        if status.startswith("2")
        for content in response.get("content", {}).values()
    ]
    while left:
        at, schema, above = left.pop()
        name = schema.get("$ref", "").rpartition("/")[2]
        if name and name not in above:
            left.append((at, document["components"]["schemas"][name], above | {name}))
        if isinstance(schema.get("additionalProperties"), dict):
            yield at
        left += [(f"{at}.{key}", each, above) for key, each in schema.get("properties", {}).items()]
        left += [(f"{at}[]", schema["items"], above)] if "items" in schema else []
        left += [(at, each, above) for kind in ("anyOf", "oneOf", "allOf") for each in schema.get(kind, ())]


@dataclass(frozen=True, slots=True)
class Shape:
    """Which fields stand where in an answer, and where nothing is said of what might stand there."""

    fields: frozenset[str]
    unsaid: frozenset[str]  # null, a list without items, or a map: its keys are data

    @classmethod
    def of(cls, value: Any, maps: AbstractSet[str] = frozenset()) -> "Shape":
        fields: set[str] = set()
        unsaid: set[str] = set(maps)
        left = [("", value)]
        while left:
            at, each = left.pop()
            if isinstance(each, dict):
                left += [(f"{at}.{key}", inside) for key, inside in each.items()]
                fields.update(f"{at}.{key}" for key in each)
            elif isinstance(each, list) and each:
                left += [(f"{at}[]", inside) for inside in each]
            elif each in (None, []):
                unsaid.add(at)
        return cls(frozenset(fields), frozenset(unsaid))

    def missing(self, other: "Shape") -> set[str]:
        """Fields of `other` that are not here, and of which this says nothing either."""
        return {
            each
            for each in other.fields - self.fields
            if not any(each.startswith((f"{at}.", f"{at}[]")) for at in self.unsaid)
        }


def best(calls: Sequence[Call]) -> Call:
    """The one that says most, and of those the shortest."""

    def worth(call: Call) -> tuple[int, int]:
        answer = call["answer"]
        if isinstance(answer, str):
            return 0, len(answer)
        shape = Shape.of(answer)
        return len(shape.fields) - len(shape.unsaid), -len(json.dumps(answer))

    return max(calls, key=worth)


def _write(name: str, call: Call) -> None:
    shown = {"status": call["status"]}
    if call["request"]:
        shown["request"] = call["request"]
    answer = call["answer"]
    if isinstance(answer, dict) and "items" in answer:
        answer["items"] = answer["items"][:_MOST_ITEMS]
    text = json.dumps(shown | {"answer": answer}, ensure_ascii=False, indent=2)
    (EXAMPLES / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
