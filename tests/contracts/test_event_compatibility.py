"""Readers and writers of two releases meet: each reads what the other writes."""

import json
from pathlib import Path
from typing import Any

import jsoncompat
import jsonschema
import pytest

from common.events.base import Event
from common.events.catalogue import CATALOGUE
from common.events.topics import TOPICS, Topic
from tools.compatibility import breaks
from tools.event_documents import schema

SCHEMAS = Path(__file__).parents[2] / "libs/common/schemas"
RELEASED = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((SCHEMAS / "released").glob("*.json"))
}
EVENTS = {f"{each.type}.v{each.version}": each for each in CATALOGUE.values()}
BOTH = sorted(RELEASED.keys() & EVENTS.keys())


def _nameless(given: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in given.items() if name not in {"$id", "$schema"}}


def _written(given: dict[str, Any]) -> dict[str, Any]:
    """A body that a writer of this schema may send."""
    body: dict[str, Any] = json.loads(jsoncompat.generate_value(json.dumps(_closed(_nameless(given)))))
    return body


def _closed(part: Any) -> Any:
    if isinstance(part, list):
        return [_closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(each) for name, each in part.items()}
    return {**closed, "additionalProperties": False} if "properties" in closed else closed


def test_there_is_a_baseline_and_every_event_of_it_is_still_read() -> None:
    assert RELEASED
    assert RELEASED.keys() <= EVENTS.keys()


@pytest.mark.parametrize("name", BOTH)
def test_a_reader_of_the_released_schemas_reads_the_events_of_today(name: str) -> None:
    for _ in range(20):
        jsonschema.validate(_written(schema(EVENTS[name])), RELEASED[name])


@pytest.mark.parametrize("name", BOTH)
def test_a_reader_of_today_reads_the_events_of_the_released_schemas(name: str) -> None:
    event: type[Event] = EVENTS[name]
    for _ in range(20):
        body = _written(RELEASED[name])
        jsonschema.validate(body, schema(event))
        assert event.model_validate_json(json.dumps(body)).key()


@pytest.mark.parametrize("name", BOTH)
def test_a_reader_of_today_reads_the_released_example(name: str) -> None:
    path = SCHEMAS / "released/examples" / f"{name}.json"
    read = EVENTS[name].model_validate_json(path.read_text(encoding="utf-8"))

    assert read.key()


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_reader_ignores_a_field_it_does_not_know(name: str) -> None:
    example = SCHEMAS / "examples" / name / "example.json"
    body = json.loads(example.read_text(encoding="utf-8")) | {"of_a_later_release": 1}

    read = EVENTS[name].model_validate_json(json.dumps(body))

    assert "of_a_later_release" not in json.loads(read.model_dump_json())


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_an_optional_field_serves_both_and_a_removed_one_does_not(name: str) -> None:
    current = schema(EVENTS[name])
    more = {**current, "properties": {**current["properties"], "later": {"type": "integer"}}}
    first = next(iter(current["properties"]))
    fewer = {
        **current,
        "properties": {key: each for key, each in current["properties"].items() if key != first},
        "required": [each for each in current["required"] if each != first],
    }

    assert breaks(current, more) == []
    assert breaks(current, fewer)


@pytest.mark.parametrize("topic", list(TOPICS.values()), ids=lambda topic: topic.name)
def test_a_topic_is_a_file_that_says_who_owns_it_who_reads_it_its_key_and_how_long(topic: Topic) -> None:
    said = json.loads((SCHEMAS / "topics" / f"{topic.name}.json").read_text(encoding="utf-8"))

    assert said["owner"] == said["producer"] == topic.owner
    assert said["readers"] == list(topic.readers)
    assert said["key"] == topic.key
    assert said["retention_days"] == topic.retention.days
    assert set(said["events"]) == {name for name, each in EVENTS.items() if each.topic == topic.name}
