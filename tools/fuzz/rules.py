"""Checks of our own, read by schemathesis: what a schema allows is refused only by a rule that has a name."""

from typing import Any

import schemathesis  # type: ignore[import-not-found,unused-ignore] # lives in the environment of make fuzz

# These say that a request does not fit its schema. Any other code is a rule, which no schema says.
_BY_SCHEMA = frozenset(
    f"urn:problem:{code}" for code in ("invalid-request", "malformed-json", "malformed-request")
)
_REFUSED = frozenset({400, 415, 422})
_FIRST_REFUSAL = 400


@schemathesis.check  # type: ignore[untyped-decorator,unused-ignore]
def valid_is_not_malformed(_context: Any, response: Any, case: Any) -> None:
    """Fails when data that fits the schema is refused as data that does not."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in _REFUSED:
        return
    told = response.json()
    codes = {each["code"] for each in told.get("errors") or ()}
    # 5.0 is an integer to JSON Schema. To us an amount with a decimal point is a mistake, and we say so.
    codes -= {"int-type"} if _has_whole_float(case.body) else set()
    codes -= {"value-error"}  # fields that do not go together; the detail says which
    if told["type"] in _BY_SCHEMA and (codes or not told.get("errors")):
        raise AssertionError(f"fits the schema, and refused: {told}")


def _has_whole_float(part: Any) -> bool:
    if isinstance(part, dict):
        return any(_has_whole_float(each) for each in part.values())
    if isinstance(part, list):
        return any(_has_whole_float(each) for each in part)
    return isinstance(part, float) and part.is_integer()


@schemathesis.check  # type: ignore[untyped-decorator,unused-ignore]
def refusal_is_a_problem(_context: Any, response: Any, _case: Any) -> None:
    """Every refusal is problem details that name the request."""
    if response.status_code < _FIRST_REFUSAL:
        return
    told = response.json()
    media_type = response.headers["content-type"][0].partition(";")[0]
    named = (media_type, told["status"], told["request_id"])
    expected = ("application/problem+json", response.status_code, response.headers["x-request-id"][0])
    if named != expected:
        raise AssertionError(f"{named} and not {expected}")
