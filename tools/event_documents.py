"""What is generated from the event models: schemas, examples, the event catalogue, the AsyncAPI document."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from common.events.base import Event
from common.events.catalogue import CATALOGUE
from common.events.topics import TOPICS, Topic

# A visit on a winter morning; every instant of an example lies around it.
_INSTANTS: Final[Mapping[str, str]] = {
    "starts_at": "2030-01-15T09:00:00Z",
    "ends_at": "2030-01-15T09:15:00Z",
    "decide_by": "2030-01-14T18:15:00Z",
    "started_at": "2030-01-15T09:00:30Z",
    "completed_at": "2030-01-15T09:12:00Z",
    "cancelled_at": "2030-01-15T05:00:00Z",
    "moved_at": "2030-01-14T09:00:00Z",
    "moved_from": "2030-01-15T14:00:00Z",
    "capture_before": "2030-01-21T18:01:00Z",
    "place_at": "2030-01-11T09:00:00Z",
    "expires_at": "2030-01-14T18:14:00Z",
}
_NAMESPACE: Final = UUID("6f1f3f5e-6d0c-4b8a-9d0e-1c1a5a1e2f00")
# Of coded words the first stands in an example, unless another one fits better to the rest.
_WORDS: Final[Mapping[str, str]] = {"age_group": "26-to-79"}
# One text for every pattern a contract may use; a new pattern needs one here, or the build stops.
_MATCHES: Final[Mapping[str, str]] = {
    r"^[0-9]{2}$": "01",
    r"^[0-9]{11}$": "10001234565",
    r"^[0-9a-f]{64}$": "9f" * 32,
    r"^[A-Z][A-Z0-9]{0,4}$": "TCG",
    r"^[0-9]{4}-[0-9]{3}$": "0250-050",
    r"^[A-Za-z0-9_+/-]{1,64}$": "Europe/Paris",
}


def generated(root: Path) -> dict[Path, str]:
    """Every generated file of the event contract by its path below `root`."""
    files: dict[Path, str] = {}
    schemas = root / "libs/common/schemas"
    for event in CATALOGUE.values():
        name = f"{event.type}.v{event.version}"
        files[schemas / f"{name}.json"] = _json(schema(event))
        files[schemas / "examples" / name / "example.json"] = _json(example(event))
    for topic in TOPICS.values():
        files[schemas / "topics" / f"{topic.name}.json"] = _json(_topic(topic))
    reactions = tomllib.loads((root / "docs/reactions.toml").read_text(encoding="utf-8"))
    files[root / "docs/events.md"] = _catalogue(reactions)
    files[root / "docs/asyncapi.json"] = _json(_asyncapi())
    return files


def _topic(topic: Topic) -> dict[str, Any]:
    return {
        "topic": topic.name,
        "about": topic.about,
        "owner": topic.owner,
        "producer": topic.owner,
        "readers": list(topic.readers),
        "key": topic.key,
        "holds": topic.holds,
        "partitions": topic.partitions,
        "retention_days": topic.retention.days,
        "compacted": topic.compacted,
        "events": [_message(event) for event in CATALOGUE.values() if event.topic == topic.name],
    }


def schema(event: type[Event]) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": event.dataschema(),
        **event.model_json_schema(),
    }


def example(event: type[Event]) -> dict[str, Any]:
    """A body that the model itself accepts; the same at every run."""
    described = event.model_json_schema()
    body = _value(described, described.get("$defs", {}), event.type)
    told: dict[str, Any] = json.loads(event.model_validate_json(json.dumps(body)).model_dump_json())
    return told


def _value(part: Mapping[str, Any], definitions: Mapping[str, Any], name: str) -> Any:  # noqa: C901, PLR0911 - one line per kind
    match part:
        case {"$ref": reference}:
            return _value(definitions[reference.rpartition("/")[2]], definitions, name)
        case {"const": value}:
            return value
        case {"enum": [first, *_]}:
            return _WORDS.get(name, first)
        case {"anyOf": [first, *_]}:
            return _value(first, definitions, name)
        case {"type": "object", "properties": properties}:
            return {key: _value(each, definitions, key) for key, each in properties.items()}
        case {"type": "array", "items": items}:
            return [_value(items, definitions, name)]
        case {"type": "boolean"}:
            return False
        case {"type": "integer"}:
            return _amount(name) if name.endswith("_cents") else max(1, part.get("minimum", 1))
        case {"type": "string", "format": "uuid"}:
            return str(uuid5(_NAMESPACE, name))
        case {"type": "string", "format": "date-time"}:
            return _INSTANTS[name]
        case {"type": "string", "pattern": pattern}:
            return _MATCHES[pattern]
        case _:
            raise ValueError(f"{name}: a contract carries no free text and nothing unbounded: {dict(part)}")


def _amount(name: str) -> int:
    """Cents of a visit at 25.00 whose complementary insurer has no contract: amounts that add up."""
    amounts = {
        "fee_cents": 2500,
        "base_cents": 2500,
        "amo_cents": 1750,
        "amo_claim_cents": 1750,
        "amc_cents": 750,
        "amc_claim_cents": 0,
        "sponsor_cents": 0,
        "deferred_deductions_cents": 200,
        "released_cents": 1750,
    }
    return amounts.get(name, 750)


def _catalogue(reactions: Mapping[str, Any]) -> str:
    lines = [
        "# Events",
        "",
        "Generated from `common.events` and `docs/reactions.toml` by `make docs`; do not edit.",
        "",
        "A record is a CloudEvent 1.0 in Kafka binary mode: attributes in headers, JSON as value, the key in",
        "`ce_subject`.",
        "`ce_sequence` orders a key without a gap; a reader that has seen a sequence ignores it.",
        "",
        "## Topics",
        "",
        "| topic | key | holds | producer | readers | partitions | kept | about |",
        "|---|---|---|---|---|--:|---|---|",
    ]
    lines += [_topic_row(topic) for topic in TOPICS.values()]
    for topic in TOPICS.values():
        lines += ["", f"## {topic.name}"]
        for event in (each for each in CATALOGUE.values() if each.topic == topic.name):
            lines += _event(event, reactions)
    return "\n".join(lines) + "\n"


def _topic_row(topic: Topic) -> str:
    readers = ", ".join(topic.readers)
    kept = f"{topic.retention.days} days"
    return (
        f"| `{topic.name}` | {topic.key} | {topic.holds} | {topic.owner} | {readers} "
        f"| {topic.partitions} | {kept} | {topic.about} |"
    )


def _event(event: type[Event], reactions: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"### {event.type} v{event.version}", "")
    # a docstring of the class itself; an inherited one speaks of the base
    if event.__doc__ and "__doc__" in event.__dict__:
        yield from (" ".join(event.__doc__.split()), "")
    yield from ("| field | type |", "|---|---|")
    described = event.model_json_schema()
    for name, part in described["properties"].items():
        mark = "" if name in described.get("required", ()) else " (optional)"
        yield f"| `{name}`{mark} | {_type(part, described.get('$defs', {}))} |"
    decided = reactions["reaction"].get(event.type, {})
    if decided:
        yield from ("", "| reader | in state | does |", "|---|---|---|")
        for reader, states in sorted(decided.items()):
            if isinstance(states, str):
                yield f"| {reader} | any | {states} |"
                continue
            for state, does in states.items():
                yield f"| {reader} | {state} | {does} |"


def _type(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:  # noqa: PLR0911 - one line per kind
    match part:
        case {"$ref": reference}:
            return _type(definitions[reference.rpartition("/")[2]], definitions)
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values}:
            return " ".join(f"`{each}`" for each in values)
        case {"anyOf": alternatives}:
            return " or ".join(_type(each, definitions) for each in alternatives)
        case {"type": "array", "items": items}:
            return f"list of {_type(items, definitions)}"
        case {"type": "object", "properties": properties}:
            return "object of " + ", ".join(f"`{name}`" for name in properties)
        case {"pattern": pattern}:
            return f"text `{pattern}`"
        case {"format": form}:
            return str(form)
        case _:
            return _bounded(part)


def _bounded(part: Mapping[str, Any]) -> str:
    bounds = [f"{word} {part[word]}" for word in ("minimum", "exclusiveMinimum") if word in part]
    return " ".join([str(part["type"]), *bounds])


def _asyncapi() -> dict[str, Any]:
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for topic in TOPICS.values():
        events = [event for event in CATALOGUE.values() if event.topic == topic.name]
        channels[topic.name] = {
            "address": topic.name,
            "description": topic.about,
            "messages": {
                _message(each): {"$ref": f"#/components/messages/{_message(each)}"} for each in events
            },
            "bindings": {
                "kafka": {
                    "topic": topic.name,
                    "partitions": topic.partitions,
                    "topicConfiguration": {
                        "cleanup.policy": ["compact" if topic.compacted else "delete"],
                        "retention.ms": topic.retention // timedelta(milliseconds=1),
                    },
                    "bindingVersion": "0.5.0",
                }
            },
        }
        operations[f"{topic.owner}.send.{topic.name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{topic.name}"},
        }
        for reader in topic.readers:
            operations[f"{reader}.receive.{topic.name}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{topic.name}"},
            }
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Teleconsultation events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0, Kafka binary binding.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": {_message(each): _described(each) for each in CATALOGUE.values()}},
    }


def _message(event: type[Event]) -> str:
    return f"{event.type}.v{event.version}"


def _described(event: type[Event]) -> dict[str, Any]:
    return {
        "name": _message(event),
        "contentType": "application/json",
        "headers": _headers(event),
        # definitions stay inside: a reference may not leave the payload's own document
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-07",
            "schema": _inlined(event.model_json_schema()),
        },
        "bindings": {"kafka": {"key": {"type": "string", "format": "uuid"}, "bindingVersion": "0.5.0"}},
        "examples": [{"name": "example", "payload": example(event)}],
    }


def _headers(event: type[Event]) -> dict[str, Any]:
    """CloudEvents attributes as Kafka headers: all of them are text."""
    identifier = {"type": "string", "format": "uuid"}
    headers: dict[str, Any] = {
        "content-type": {"type": "string", "const": "application/json"},
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": identifier,
        "ce_type": {"type": "string", "const": event.type},
        "ce_source": {"type": "string", "const": f"/{TOPICS[event.topic].owner}"},
        "ce_subject": {"type": "string", "description": "the key of the record"},
        "ce_time": {"type": "string", "format": "date-time", "description": "when the fact happened"},
        "ce_sequence": {"type": "string", "pattern": "^[0-9]{19}$", "description": "orders a key; no gaps"},
        "ce_dataschema": {"type": "string", "const": event.dataschema()},
        "ce_correlationid": {**identifier, "description": "the same for all that one request set off"},
        "ce_causationid": {**identifier, "description": "the event that set this one off"},
        "traceparent": {"type": "string", "description": "W3C trace context"},
    }
    optional = {"ce_causationid", "traceparent"}
    return {"type": "object", "properties": headers, "required": sorted(headers.keys() - optional)}


def _inlined(part: Any, definitions: Mapping[str, Any] | None = None) -> Any:
    """The same schema without references."""
    if isinstance(part, list):
        return [_inlined(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    known = part.get("$defs", definitions or {})
    if "$ref" in part:
        return _inlined(known[part["$ref"].rpartition("/")[2]], known)
    return {name: _inlined(each, known) for name, each in part.items() if name != "$defs"}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
