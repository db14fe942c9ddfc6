"""Enums of an OpenAPI document: each is written once under a name, and those that grow are open."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

_REF: Final = "#/components/schemas/"
_NAMED_BY_REFERENCE: Final = frozenset({"enum", "type", "title", "x-enum-varnames"})


class Coded(NamedTuple):
    """A coded text whose values will grow: clients take values that they do not know."""

    values: Sequence[str]
    fields: Sequence[str]  # Schema.property


def name_enums(document: dict[str, Any], enums: Mapping[str, Sequence[str]]) -> None:
    """Replaces each closed enum of these values by a reference to the schema of that name."""
    names = {tuple(values): name for name, values in enums.items()}
    used: dict[str, dict[str, Any]] = {}

    def walk(part: Any) -> None:
        if isinstance(part, list):
            for each in part:
                walk(each)
        elif isinstance(part, dict):
            values = part.get("enum")
            name = names.get(tuple(values)) if isinstance(values, list) else None
            if name is not None and part.get("type") == "string":
                used[name] = {
                    key: part[key] for key in ("type", "enum", "x-enum-varnames") if key in part
                } | {"title": name}
                for key in _NAMED_BY_REFERENCE & part.keys():
                    del part[key]
                part["$ref"] = _REF + name
            for each in part.values():
                walk(each)

    schemas = document["components"]["schemas"]
    walk(document["paths"])
    walk([schema for name, schema in schemas.items() if name not in enums])
    schemas |= used


def open_enums(document: dict[str, Any], coded: Mapping[str, Coded]) -> None:
    """Gives coded texts a schema of their own with the values of today.

    Raises KeyError for a field that is not there.
    """
    schemas = document["components"]["schemas"]
    for name, (values, fields) in coded.items():
        schemas[name] = {
            "type": "string",
            "title": name,
            "description": "A coded word. More will come: take those that you do not know.",
            "x-extensible-enum": list(values),
        }
        for field in fields:
            schema, _, key = field.partition(".")
            schemas[schema]["properties"][key] = _referring(schemas[schema]["properties"][key], name)


def _referring(field: dict[str, Any], name: str) -> dict[str, Any]:
    kept = {key: value for key, value in field.items() if key == "description"}
    nullable = any(each.get("type") == "null" for each in field.get("anyOf", ()))
    reference = {"$ref": _REF + name}
    return kept | ({"anyOf": [reference, {"type": "null"}]} if nullable else reference)
