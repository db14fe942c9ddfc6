"""Base classes of bodies: strict on the way in, complete and in UTC on the way out."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
)
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from common.printable import LINES, ONE_LINE, composed

__all__ = [
    "FIRST_YEAR",
    "FROM_INCLUDED",
    "LAST_YEAR",
    "LINES",
    "ONE_LINE",
    "TO_EXCLUDED",
    "In",
    "Out",
    "Patch",
    "PersonName",
    "QueryDate",
    "QueryTime",
    "unchanged",
]

# Dates and times of callers lie in these years. Beyond them a time zone or an addition of days leaves what
# the language and the database can hold; nothing about the care of anybody lies there.
FIRST_YEAR: Final = 1800
LAST_YEAR: Final = 2199

_STRICT = frozenset({"int", "bool", "float"})
_TIMES = frozenset({"datetime", "date", "time", "timedelta"})
_DAYS = frozenset({"datetime", "date"})
_LEFT_ALONE = frozenset({"metadata", "serialization", "ref", "cls", "config"})


def _rewritten(node: Any, *, incoming: bool) -> Any:
    """The schema with the rules of this module at its leaves. Runs once per class."""
    if isinstance(node, list):
        return [_rewritten(each, incoming=incoming) for each in node]
    if isinstance(node, tuple):
        return tuple(_rewritten(each, incoming=incoming) for each in node)
    return _leaf(node, incoming=incoming) if isinstance(node, dict) else node


def _leaf(node: dict[str, Any], *, incoming: bool) -> Any:
    kind = node.get("type")
    if kind == "str" and incoming and "pattern" in node:
        return core_schema.no_info_before_validator_function(_composed, cast("CoreSchema", node))
    if isinstance(kind, str) and kind in _STRICT and "ref" not in node:
        return {**node, "strict": True} if incoming else node
    if isinstance(kind, str) and kind in _TIMES:
        return _time(node, incoming=incoming)
    return {
        key: value if key in _LEFT_ALONE else _rewritten(value, incoming=incoming)
        for key, value in node.items()
    }


def _time(node: dict[str, Any], *, incoming: bool) -> CoreSchema:
    schema = cast("CoreSchema", node)
    if node["type"] == "datetime":
        schema = cast("CoreSchema", {**node, "tz_constraint": "aware"})
        if not incoming:
            return core_schema.no_info_after_validator_function(_in_utc, schema)
    if incoming and node["type"] in _DAYS:
        schema = core_schema.no_info_after_validator_function(_in_reach, schema)
    if incoming:
        return core_schema.no_info_before_validator_function(_written_as_text, schema)
    return schema


def _composed(value: Any) -> Any:
    return composed(value) if isinstance(value, str) else value


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _in_reach(value: date) -> date:
    """Of a date or an instant."""
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise PydanticCustomError(
            "year_out_of_reach",
            "Input should be in the years {first} to {last}",
            {"first": FIRST_YEAR, "last": LAST_YEAR},
        )
    return value


def _written_as_text(value: Any) -> Any:
    """A bare number would be taken for seconds since 1970."""
    if isinstance(value, str):
        if value.lstrip("+-").replace(".", "", 1).isdigit():
            raise PydanticCustomError("time_as_number", "Input should be text in ISO 8601")
        return value
    if isinstance(value, (date, timedelta)):
        return value
    raise PydanticCustomError("time_as_number", "Input should be text in ISO 8601")


# Escapes stay escapes: the patterns stand in generated code of other languages.
# Names of people in the letters of French civil status.
_LETTERS = r"A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"
_MARKS = r"\u0300-\u036f'\u2019. -"
PersonName = Annotated[
    str,
    Field(min_length=1, max_length=100, pattern=rf"^['\u2019]?[{_LETTERS}][{_LETTERS}{_MARKS}]*$"),
]

# Every range that a list takes is half-open, so that two ranges that touch share nothing and miss nothing.
FROM_INCLUDED = "Included in the range."
TO_EXCLUDED = "Not included in the range: the first time or day after it."

# A query string that was not encoded has a blank where its instant had the + of the offset.
_OFFSET_WITHOUT_PLUS: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt _]\d\d:\d\d[\d:.,]*) (\d\d:?\d\d)")


def _plus_restored(value: Any) -> Any:
    found = _OFFSET_WITHOUT_PLUS.fullmatch(value) if isinstance(value, str) else None
    return f"{found[1]}+{found[2]}" if found else value


# Validators that run before: the last one runs first.
QueryTime = Annotated[
    AwareDatetime,
    BeforeValidator(_written_as_text),
    BeforeValidator(_plus_restored),
    AfterValidator(_in_reach),
]
QueryDate = Annotated[date, BeforeValidator(_written_as_text), AfterValidator(_in_reach)]


class In(BaseModel):
    """A request body. Unknown fields, naive times, and numbers or booleans written as text are refused.

    Not `strict=True`: FastAPI hands over parsed JSON, where an identifier or a time still is text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return cast("CoreSchema", _rewritten(handler(source), incoming=True))


def _without_defaults(schema: JsonDict) -> None:
    for each in cast("dict[str, JsonDict]", schema["properties"]).values():
        each.pop("default", None)


class Patch(In):
    """The body of a PATCH. What is absent stays as it is.

    Null clears a field whose type has None. The other fields have the default `unchanged()`, and null is
    refused there as a value of the wrong type.
    """

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    def given(self) -> dict[str, Any]:
        """The values of the fields that were sent, by name."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def unchanged() -> Any:
    """The default of a field of a `Patch`. Nobody reads it: `given` only returns what was sent."""
    return Field(default=None)


class Out(BaseModel):
    """An answer. No field has a default: what is always sent is required in every generated client."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return cast("CoreSchema", _rewritten(handler(source), incoming=False))
