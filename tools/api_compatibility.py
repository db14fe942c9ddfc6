"""Whether an OpenAPI document still serves the clients that were generated from the released one."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

Schema = Mapping[str, Any]
Way = Literal["in", "out"]

# What a client may send can get wider, what it gets can get narrower; each of the others breaks somebody.
_TIGHTER: Final = {
    "minimum": 1,
    "exclusiveMinimum": 1,
    "minLength": 1,
    "minItems": 1,
    "maximum": -1,
    "exclusiveMaximum": -1,
    "maxLength": -1,
    "maxItems": -1,
}
_LATER: Final = "apps that do without it are released first, then {service}"
_BOTH: Final = "release {service} with the old one beside it and deprecated, then the apps, then take it away"
_SENT: Final = "apps that send what is now asked for are released first, then {service}"
_KNOWN: Final = (
    "apps that know it are released first, then {service}; or mark the enum with x-extensible-enum in a "
    "release before"
)


def breaks(released: Mapping[str, Any], current: Mapping[str, Any], *, service: str) -> list[str]:
    """A sentence for each thing a client generated from `released` trips over; empty: compatible.

    A sentence says what changed, who breaks, and in which order to release instead.
    """
    old, new = _operations(released), _operations(current)
    where = {(path, method): name for name, (path, method, _) in new.items()}
    found: list[tuple[str, str, str, str]] = []
    for name, (path, method, before) in old.items():
        if name not in new:
            now = where.get((path, method))
            what = f"was renamed to {now}" if now else "was removed"
            found.append((name, what, "every generated client loses the method", _BOTH))
            continue
        to_path, to_method, after = new[name]
        if (path, method) != (to_path, to_method):
            moved = f"moved from {method.upper()} {path} to {to_method.upper()} {to_path}"
            found.append((name, moved, "released apps call the old address", _BOTH))
        comparison = _Comparison(released, current)
        found += [(name, *each) for each in comparison.operation(before, after)]
    return [
        f"{name}: {what}. Who breaks: {who}. Order: {order.format(service=service)}."
        for name, what, who, order in dict.fromkeys(found)
    ]


def _operations(document: Mapping[str, Any]) -> dict[str, tuple[str, str, Schema]]:
    return {
        operation["operationId"]: (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict) and "operationId" in operation
    }


Found = Iterator[tuple[str, str, str]]


class _Comparison:
    def __init__(self, released: Mapping[str, Any], current: Mapping[str, Any]) -> None:
        self._old = released
        self._new = current
        self._seen: set[tuple[str, str, Way]] = set()

    def operation(self, old: Schema, new: Schema) -> Found:
        if not old.get("security") and new.get("security"):
            yield "needs a token now", "whoever calls it without one", _SENT
        yield from self._parameters(old, new)
        yield from self._request(old, new)
        yield from self._responses(old, new)

    def _parameters(self, old: Schema, new: Schema) -> Found:
        before = {(each["in"], each["name"]): each for each in old.get("parameters", ())}
        after = {(each["in"], each["name"]): each for each in new.get("parameters", ())}
        for place, name in sorted(before.keys() - after.keys()):
            yield f"{place} {name} was removed", "apps that send it get another answer", _LATER
        for key, parameter in sorted(after.items()):
            required = parameter.get("required", False)
            if required and not before.get(key, {}).get("required", False):
                what = "is new and required" if key not in before else "became required"
                yield f"{' '.join(key)} {what}", "apps that do not send it are refused", _SENT
            if key in before:
                where = " ".join(key)
                yield from self._schema(before[key]["schema"], parameter["schema"], where, "in")

    def _request(self, old: Schema, new: Schema) -> Found:
        before, after = old.get("requestBody"), new.get("requestBody")
        if before is None:
            if after is not None and after.get("required", False):
                yield "the body is new and required", "apps that do not send it are refused", _SENT
            return
        if after is None:
            yield "the body was removed", "apps that send it", _LATER
            return
        if after.get("required", False) and not before.get("required", False):
            yield "the body became required", "apps that do not send it are refused", _SENT
        yield from self._content(before, after, "body", "in")

    def _responses(self, old: Schema, new: Schema) -> Found:
        before = {code: each for code, each in old["responses"].items() if code.startswith("2")}
        after = {code: each for code, each in new["responses"].items() if code.startswith("2")}
        if set(before) != set(after):
            told = f"success was {' '.join(sorted(before))} and is {' '.join(sorted(after))}"
            yield told, "apps that wait for the old status", _BOTH
        for code in sorted(before.keys() & after.keys()):
            yield from self._content(before[code], after[code], f"answer {code}", "out")

    def _content(self, old: Schema, new: Schema, where: str, way: Way) -> Found:
        before, after = old.get("content", {}), new.get("content", {})
        for media in sorted(before.keys() - after.keys()):
            yield f"{where} is no {media} any more", "apps that send or read it", _BOTH
        for media in sorted(before.keys() & after.keys()):
            one, other = before[media].get("schema", {}), after[media].get("schema", {})
            yield from self._schema(one, other, where, way)

    def _schema(self, old: Schema, new: Schema, where: str, way: Way) -> Found:
        names = (str(old.get("$ref", "")), str(new.get("$ref", "")), way)
        if all(names[:2]):
            if names in self._seen:  # a schema that holds itself
                return
            self._seen.add(names)
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        before, was_null = _without_null(self._old, old)
        after, is_null = _without_null(self._new, new)
        if way == "in" and was_null and not is_null:
            yield f"{where} may not be null any more", "apps that send null", _SENT
        if way == "out" and is_null and not was_null:
            yield f"{where} may be null", "apps that rely on a value", _LATER
        lost = len(after) < len(before) if way == "in" else len(after) > len(before)
        if lost:
            told = f"{where} had {len(before)} forms and has {len(after)}"
            yield told, "apps of the released forms", _LATER if way == "in" else _KNOWN
        for one, other in zip(before, after, strict=False):
            if one is old and other is new:
                yield from self._form(one, other, where, way)
            else:
                yield from self._schema(one, other, where, way)
        self._seen.discard(names)

    def _form(self, old: Schema, new: Schema, where: str, way: Way) -> Found:
        for word in ("type", "format"):
            if old.get(word) != new.get(word):
                told = f"{where}: {word} was {old.get(word)} and is {new.get(word)}"
                yield told, "every generated client, whose type is another one", _BOTH
        yield from _values(old, new, where, way)
        if way == "in":
            yield from _bounds(old, new, where)
        if "items" in old and "items" in new:
            yield from self._schema(old["items"], new["items"], f"{where}[]", way)
        inner, now = old.get("additionalProperties"), new.get("additionalProperties")
        if isinstance(inner, Mapping) and isinstance(now, Mapping):
            yield from self._schema(inner, now, f"{where}.*", way)
        yield from self._properties(old, new, where, way)

    def _properties(self, old: Schema, new: Schema, where: str, way: Way) -> Found:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed_before, needed_after = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(before.keys() - after.keys()):
            if way == "in":
                yield f"{where}.{name} was removed", "apps that send it are refused", _LATER
            else:
                yield f"{where}.{name} was removed", "every app that reads it", _LATER
        if way == "in":
            for name in sorted(needed_after - needed_before):
                what = "became required" if name in before else "is new and required"
                yield f"{where}.{name} {what}", "apps that do not send it are refused", _SENT
        else:
            for name in sorted((needed_before - needed_after) & after.keys()):
                yield f"{where}.{name} is not always sent any more", "apps that rely on it", _LATER
        for name in sorted(before.keys() & after.keys()):
            yield from self._schema(before[name], after[name], f"{where}.{name}", way)


def _values(old: Schema, new: Schema, where: str, way: Way) -> Found:
    before, after = _enum(old), _enum(new)
    if before is None and after is None:
        return
    if way == "in" and after is not None:
        gone = "any text" if before is None else ", ".join(sorted(before - after))
        if gone:
            yield f"{where} does not take {gone} any more", "apps that send it are refused", _LATER
    if way == "out" and before is not None and "x-extensible-enum" not in old:
        come = "any text" if after is None else ", ".join(sorted(after - before))
        if come:
            yield f"{where} may be {come}", "clients whose enum is closed cannot read the answer", _KNOWN


def _enum(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return {str(schema["const"])}
    values = schema.get("enum")
    if values is None and isinstance(schema.get("x-extensible-enum"), list):
        values = schema["x-extensible-enum"]
    return None if values is None else {str(each) for each in values}


def _bounds(old: Schema, new: Schema, where: str) -> Found:
    for word, sign in _TIGHTER.items():
        before, after = old.get(word), new.get(word)
        if after is not None and (before is None or (after - before) * sign > 0):
            yield f"{where}: {word} is {after} now", "apps that send what was allowed are refused", _SENT
    if new.get("pattern") not in {None, old.get("pattern")}:
        yield f"{where}: the pattern is another one", "apps that send what was allowed may be refused", _SENT
    if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
        yield f"{where} takes no further fields now", "apps that send some are refused", _LATER


def _resolved(document: Mapping[str, Any], schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _without_null(document: Mapping[str, Any], schema: Schema) -> tuple[list[Schema], bool]:
    """The forms a value may have, and whether null is one."""
    forms = schema.get("anyOf") or schema.get("oneOf") or [schema]
    others = [each for each in forms if _resolved(document, each).get("type") != "null"]
    return others, len(others) < len(forms)
