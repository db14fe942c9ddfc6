"""The event contract as its readers meet it: schemas, examples, headers."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from cloudevents.core.bindings import kafka as cloudevents_kafka

from common.events.base import Event
from common.events.catalogue import CATALOGUE
from common.events.topics import SERVICES, TOPICS, Topic
from common.messaging import outbox
from common.transaction import Cause
from tools.event_documents import example, schema

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "libs/common/schemas"
ASYNCAPI = json.loads((ROOT / "docs/asyncapi.json").read_text(encoding="utf-8"))
EVENTS = list(CATALOGUE.values())
NOW = datetime(2030, 6, 1, 9, tzinfo=UTC)


def _names(event: type[Event]) -> str:
    return f"{event.type}.v{event.version}"


@pytest.mark.parametrize("event", EVENTS, ids=_names)
def test_an_example_satisfies_its_schema_and_its_model(event: type[Event]) -> None:
    body = json.loads((SCHEMAS / "examples" / _names(event) / "example.json").read_text(encoding="utf-8"))

    jsonschema.validate(body, schema(event), format_checker=jsonschema.FormatChecker())
    assert json.loads(event.model_validate_json(json.dumps(body)).model_dump_json()) == body


@pytest.mark.parametrize("event", EVENTS, ids=_names)
def test_a_foreign_cloudevents_library_reads_what_we_send(event: type[Event]) -> None:
    model = event.model_validate_json(json.dumps(example(event)))
    row = outbox.row(model, sequence=41, now=NOW)
    headers = {name: value.encode() for name, value in row.headers.items()}
    message = cloudevents_kafka.KafkaMessage(headers=headers, key=row.key.encode(), value=row.body)

    read = cloudevents_kafka.from_binary_event(message)

    assert read.get_type() == event.type
    assert read.get_subject() == model.key()
    assert read.get_specversion() == "1.0"
    assert read.get_time() == NOW
    assert read.get_extension("sequence") == "0000000000000000041"
    assert read.get_data() == json.loads(row.body)


@pytest.mark.parametrize("event", EVENTS, ids=_names)
def test_the_asyncapi_document_describes_every_header_and_body_that_we_send(event: type[Event]) -> None:
    told = ASYNCAPI["components"]["messages"][_names(event)]
    caused = Cause(uuid4(), uuid4(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    model = event.model_validate_json(json.dumps(example(event)))
    row = outbox.row(model, sequence=41, now=NOW, cause=caused)

    jsonschema.validate(row.headers, told["headers"] | {"additionalProperties": False})
    assert row.headers.keys() == told["headers"]["properties"].keys()
    jsonschema.validate(json.loads(row.body), told["payload"]["schema"])
    assert told["examples"][0]["payload"] == json.loads(row.body)


@pytest.mark.parametrize("event", EVENTS, ids=_names)
def test_a_body_carries_no_free_text_and_only_whole_cents(event: type[Event]) -> None:
    for name, part in _leaves(schema(event)):
        if part.get("type") == "string":
            assert {"enum", "const", "pattern", "format"} & part.keys(), f"{name} is free text"
            # ADR 0017: instants of an appointment travel, the day somebody was born or fell ill does not
            assert part.get("format") != "date", f"{name} is a day"
        assert part.get("type") != "number", f"{name} is a float"
        if name.endswith("_cents"):
            assert part.get("type") in {"integer", "null"}, f"{name} is not a whole number of cents"


@pytest.mark.parametrize("event", EVENTS, ids=_names)
def test_amounts_name_their_currency(event: type[Event]) -> None:
    fields = event.model_fields
    if any(name.endswith("_cents") for name in fields):
        assert "currency" in fields


@pytest.mark.parametrize("event", EVENTS, ids=_names)
def test_a_type_is_a_fact_of_the_service_that_owns_its_topic(event: type[Event]) -> None:
    service, _, fact = event.type.partition(".")

    assert service == TOPICS[event.topic].owner
    assert fact.replace("-", "").isalnum()
    assert service not in fact.split("-")


def test_versions_of_a_type_count_from_one_without_a_gap() -> None:
    versions: dict[str, list[int]] = {}
    for kind, version in CATALOGUE:
        versions.setdefault(kind, []).append(version)

    assert {kind: sorted(found) for kind, found in versions.items()} == {
        kind: list(range(1, len(found) + 1)) for kind, found in versions.items()
    }


@pytest.mark.parametrize("topic", list(TOPICS.values()), ids=lambda topic: topic.name)
def test_a_topic_says_who_writes_and_who_reads_it(topic: Topic) -> None:
    assert topic.name.partition(".")[0] == topic.owner
    assert "_" not in topic.name  # Kafka's metrics take it for a dot
    assert topic.owner not in topic.readers
    assert set(topic.readers) <= set(SERVICES)
    assert topic.partitions == 12


def test_a_topic_of_facts_cannot_be_compacted() -> None:
    with pytest.raises(ValueError, match="cannot be compacted"):
        Topic("x.y", owner="booking", key="appointment", holds="facts", readers=(), about="", compacted=True)


def _leaves(part: Any, name: str = "body") -> list[tuple[str, dict[str, Any]]]:
    if isinstance(part, list):
        return [leaf for each in part for leaf in _leaves(each, name)]
    if not isinstance(part, dict):
        return []
    found = [(name, part)] if isinstance(part.get("type"), str) else []
    for key, each in part.items():
        if key in {"properties", "$defs"}:
            found += [leaf for field, inner in each.items() for leaf in _leaves(inner, field)]
        elif key in {"items", "anyOf"}:
            found += _leaves(each, name)
    return found
