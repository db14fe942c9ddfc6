"""An example is no longer true when a field came, or went; nothing is said by null or an empty list."""

import json
from typing import Any

import pytest

from tools import examples
from tools.examples import Call


def call(answer: Any) -> Call:
    return {"method": "get", "path": "/things", "status": 200, "request": None, "answer": answer}


SUMS = {"type": "object", "properties": {"totals": {"additionalProperties": {"type": "integer"}}}}
THINGS = {"properties": {"books": {"anyOf": [{"$ref": "#/components/schemas/Sums"}, {"type": "null"}]}}}
ANSWER = {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Things"}}}}}
DOCUMENT = {
    "paths": {"/things": {"get": {"operationId": "list_things", "responses": ANSWER}}},
    "components": {"schemas": {"Things": THINGS, "Sums": SUMS}},
}


@pytest.mark.parametrize(
    ("shown", "answers", "told"),
    [
        ({"items": [{"id": 1, "owner": None}]}, [{"items": [{"id": 2, "owner": {"name": "x"}}]}], ""),
        ({"items": [{"id": 1}]}, [{"items": []}], ""),
        ({"items": [{"id": 1}]}, [{"items": [{"id": 2, "state": "new"}]}], "lacks .items[].state"),
        ({"items": [{"id": 1, "old": 1}]}, [{"items": [{"id": 2}]}], "has .items[].old"),
        ({"id": 1}, [{"id": 2, "more": 1}, {"id": 3}], ""),
        ({"id": 1, "more": 2}, [{"id": 2, "more": 1}, {"id": 3}], ""),
        ({"books": {"totals": {"due": 1}}}, [{"books": {"totals": {"refunded": 2}}}], ""),  # keys are data
        (
            {"books": {"totals": {"due": 1}}},
            [{"books": {"sums": {}}}],
            "lacks .books.sums; has .books.totals",
        ),
    ],
)
def test_an_example_is_compared_with_what_was_answered(tmp_path, monkeypatch, shown, answers, told) -> None:
    monkeypatch.setattr(examples, "EXAMPLES", tmp_path)
    stored = {"status": 200, "answer": shown}
    (tmp_path / "list_things.json").write_text(json.dumps(stored), encoding="utf-8")

    found = dict(examples.compare(DOCUMENT, {"list_things": [call(each) for each in answers]}))

    assert found == {"list_things": told}


def test_an_operation_without_an_example_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(examples, "EXAMPLES", tmp_path)

    assert dict(examples.compare(DOCUMENT, {})) == {"list_things": "has no example"}


def test_the_answer_that_says_most_is_shown_and_of_those_the_shortest() -> None:
    says_less, long, short = ({"a": None}, {"a": "long enough"}, {"a": "b"})

    assert examples.best([call(says_less), call(long), call(short)])["answer"] == short
