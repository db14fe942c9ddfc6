"""What may change inside a released version, and what may not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tools.compatibility import breaks

RELEASED: dict[str, Any] = {
    "type": "object",
    "$defs": {"Act": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}},
    "properties": {
        "advance_cents": {"type": "integer", "minimum": 0},
        "mode": {"type": "string", "enum": ["TP", "FSE"]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "acts": {"type": "array", "items": {"$ref": "#/$defs/Act"}},
    },
    "required": ["advance_cents", "mode", "acts"],
}


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    schema = copy.deepcopy(RELEASED)
    change(schema)
    return schema


def test_an_optional_field_may_come() -> None:
    current = changed(lambda schema: schema["properties"].update(extra={"type": "integer"}))

    assert breaks(RELEASED, current) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s["properties"].pop("note"), "body.note: removed"),
        (lambda s: s["properties"]["mode"]["enum"].append("PAPER"), "a new value is a new version"),
        (lambda s: s["properties"]["mode"]["enum"].remove("FSE"), "gone ['FSE']"),
        (lambda s: s["required"].append("note"), "became required"),
        (lambda s: s["required"].remove("mode"), "became optional"),
        (lambda s: s["properties"]["advance_cents"].update(type="number"), "type was 'integer'"),
        (lambda s: s["properties"]["advance_cents"].update(minimum=1), "minimum was 0"),
        (lambda s: s["properties"]["note"]["anyOf"].pop(), "2 alternatives became 1"),
        (lambda s: s["$defs"]["Act"]["properties"].pop("code"), "body.acts[].code: removed"),
    ],
)
def test_everything_else_is_a_new_version(change: Callable[[dict[str, Any]], Any], says: str) -> None:
    found = breaks(RELEASED, changed(change))

    assert any(says in each for each in found), found
