"""Whether a schema of an event still serves those who know the released one."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsoncompat

Schema = Mapping[str, Any]


def breaks(released: Schema, current: Schema) -> list[str]:
    """What a reader or a writer of `released` would trip over in `current`; empty: compatible.

    Inside a version only optional fields may come; everything else is a version of its own.
    """
    found = list(_breaks(_Document(released), _Document(current), released, current, "body"))
    return found or list(_misread(released, current))


def _misread(released: Schema, current: Schema) -> Iterator[str]:
    """A second opinion, of a library that knows all of JSON Schema, in both directions."""
    old, new = json.dumps(_nameless(released)), json.dumps(_nameless(current))
    if not jsoncompat.check_compat(old, new, "serializer"):
        yield "body: readers of the released schema may meet what they do not know"
    # a writer of the released schema writes its fields and no others
    if not jsoncompat.check_compat(json.dumps(_closed(_nameless(released))), new, "deserializer"):
        yield "body: readers of today may refuse what writers of the released schema write"


def _nameless(schema: Schema) -> Schema:
    return {name: each for name, each in schema.items() if name not in {"$id", "$schema"}}


def _closed(part: Any) -> Any:
    if isinstance(part, list):
        return [_closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(each) for name, each in part.items()}
    return {"additionalProperties": False, **closed} if "properties" in closed else closed


class _Document:
    def __init__(self, root: Schema) -> None:
        self._definitions: Mapping[str, Schema] = root.get("$defs", {})

    def resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self._definitions[schema["$ref"].rpartition("/")[2]]
        return schema


def _breaks(old_in: _Document, new_in: _Document, old: Schema, new: Schema, where: str) -> Iterator[str]:
    old, new = old_in.resolve(old), new_in.resolve(new)
    for word in ("type", "format", "pattern", "const"):
        if old.get(word) != new.get(word):
            yield f"{where}: {word} was {old.get(word)!r} and is {new.get(word)!r}"
    if set(old.get("enum", ())) != set(new.get("enum", ())):
        gone = sorted(set(old.get("enum", ())) - set(new.get("enum", ())))
        come = sorted(set(new.get("enum", ())) - set(old.get("enum", ())))
        yield f"{where}: values changed (gone {gone}, new {come}): a new value is a new version"
    for word in (
        "minimum",
        "exclusiveMinimum",
        "maximum",
        "exclusiveMaximum",
        "maxItems",
        "minItems",
        "maxLength",
    ):
        if old.get(word) != new.get(word):
            yield f"{where}: {word} was {old.get(word)} and is {new.get(word)}"
    yield from _alternatives(old_in, new_in, old, new, where)
    if "items" in old and "items" in new:
        yield from _breaks(old_in, new_in, old["items"], new["items"], f"{where}[]")
    yield from _properties(old_in, new_in, old, new, where)


def _alternatives(
    old_in: _Document, new_in: _Document, old: Schema, new: Schema, where: str
) -> Iterator[str]:
    before, after = old.get("anyOf", []), new.get("anyOf", [])
    if len(before) != len(after):
        yield f"{where}: {len(before)} alternatives became {len(after)}"
        return
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        yield from _breaks(old_in, new_in, one, other, f"{where}|{number}")


def _properties(old_in: _Document, new_in: _Document, old: Schema, new: Schema, where: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in sorted(set(before) - set(after)):
        yield f"{where}.{name}: removed"
    required_before, required_after = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(required_after - required_before):
        yield f"{where}.{name}: became required, which older writers do not fill"
    for name in sorted((required_before - required_after) & set(after)):
        yield f"{where}.{name}: became optional, which older readers rely on"
    for name in sorted(set(before) & set(after)):
        yield from _breaks(old_in, new_in, before[name], after[name], f"{where}.{name}")
