"""Checks of our own, read by schemathesis in its own environment, and the counts that the summary is made of.

What stands in for `positive_data_acceptance`, which knows no rules of the domain: data that fits the schema
may be refused by a rule that has a name in the catalogue of errors, never as malformed.
"""

import atexit
import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import schemathesis  # type: ignore[import-not-found,unused-ignore] # lives in the environment of make fuzz

from tools.fuzz.roles import WITHOUT_ROLE

# These say that a request does not fit its schema. Any other code is a rule, which no schema says.
_SHAPE: Final = frozenset(
    {
        "body-too-large",
        "idempotency-key-invalid",
        "idempotency-key-missing",
        "invalid-request",
        "malformed-json",
        "malformed-request",
        "media-type-not-supported",
        "precondition-required",
    }
)
# Rules on one or two fields of a body that JSON Schema has no words for; each has a code of its own.
_FIELD_RULES: Final = frozenset(
    {
        ("/body/time_zone", "unknown-time-zone"),
        ("/body", "not-of-physicians"),
        ("/body/birth_date", "too-long-ago"),
        ("/body/billing_number", "billing-number-key"),
        ("/body/specialty", "specialty-without-price"),  # of some professions and sectors
    }
)
_REFUSED: Final = 400
_UNAUTHENTICATED: Final = 401
_SUCCESS: Final = range(200, 300)
# told to the process of schemathesis by the command; it has no settings
_ROLE: Final = os.environ["FUZZ_ROLE"]  # noqa: TID251
_NOTES: Final = os.environ["FUZZ_NOTES"]  # noqa: TID251
_EXAMPLES: Final = os.environ["FUZZ_EXAMPLES"]  # noqa: TID251
_notes: Counter[str] = Counter()  # valid data that was accepted, by operation


def _write_notes() -> None:
    Path(_NOTES).write_text(json.dumps(_notes), encoding="utf-8")


atexit.register(_write_notes)


@schemathesis.hook  # type: ignore[untyped-decorator,unused-ignore]
def before_load_schema(_context: Any, document: dict[str, Any]) -> None:
    """Puts requests into the document that succeed once: with ids that exist, in the state that they need."""
    examples = json.loads(Path(_EXAMPLES).read_text(encoding="utf-8"))
    for item in document["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict) and operation.get("operationId") in examples:
                _illustrate(operation, examples[operation["operationId"]])


def _illustrate(operation: dict[str, Any], examples: list[dict[str, Any]]) -> None:
    for parameter in operation.get("parameters", ()):
        values = [each.get(parameter["in"], {}).get(parameter["name"]) for each in examples]
        if None not in values:
            parameter["examples"] = {
                f"ready-{number}": {"value": value} for number, value in enumerate(values)
            }
    bodies = {
        f"ready-{number}": {"value": each["body"]} for number, each in enumerate(examples) if "body" in each
    }
    if bodies:
        operation["requestBody"]["content"]["application/json"]["examples"] = bodies


@schemathesis.check  # type: ignore[untyped-decorator,unused-ignore]
def valid_is_not_malformed(_context: Any, response: Any, case: Any) -> None:
    """Fails when data that fits the schema is refused as data that does not. Counts what is accepted."""
    valid = _fits(case)
    told = response.json() if response.status_code >= _REFUSED else {}
    code = told.get("type", "").removeprefix("urn:problem:")
    _notes[case.operation.definition.raw["operationId"]] += valid and response.status_code in _SUCCESS
    if not valid or code not in _SHAPE or (code == "precondition-required" and not _says_version(case)):
        return
    unfit = [each for each in told.get("errors", ()) if not _is_known(each, case)]
    if unfit or not told.get("errors"):
        raise AssertionError(f"fits the schema, and refused: {told}")


def _fits(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive is True


def _says_version(case: Any) -> bool:
    """Where If-Match may be left out it is wanted once there is something to change, which no schema says."""
    return any(name.lower() == "if-match" for name in case.headers or ())


def _is_known(error: Mapping[str, str], case: Any) -> bool:
    if error["code"] == "int-type":
        # 5.0 is an integer to JSON Schema. To us an amount with a decimal point is a mistake, and we say so.
        value = _at(case.body, error["pointer"])
        return isinstance(value, float) and value.is_integer()
    if error["code"] == "year-out-of-reach":  # a format has no range; the description of the document says it
        return True
    return (error["pointer"], error["code"]) in _FIELD_RULES


def _at(body: Any, pointer: str) -> Any:
    """The value of the body that the pointer of a field error names; None where there is none."""
    value = body
    for part in pointer.split("/")[2:]:
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


@schemathesis.check  # type: ignore[untyped-decorator,unused-ignore]
def refusal_is_a_problem(_context: Any, response: Any, case: Any) -> None:
    """Every refusal is problem details that name the request, with a code that the document names."""
    if response.status_code < _REFUSED:
        return
    told = response.json()
    media_type = response.headers["content-type"][0].partition(";")[0]
    named = (media_type, told["status"], told["request_id"])
    expected = ("application/problem+json", response.status_code, response.headers["x-request-id"][0])
    if named != expected:
        raise AssertionError(f"{named} and not {expected}")
    known = _codes(case, response.status_code)
    code = told["type"].removeprefix("urn:problem:")
    if known is not None and code not in known:
        raise AssertionError(f"{code} is not among the documented problems {sorted(known)}")


def _codes(case: Any, status: int) -> frozenset[str] | None:
    """What the document says about this status; None for one that it lacks, which another check finds."""
    answer = case.operation.definition.raw["responses"].get(str(status))
    if answer is not None and "$ref" in answer:
        name = answer["$ref"].rpartition("/")[2]
        answer = case.operation.schema.raw_schema["components"]["responses"][name]
    return None if answer is None else frozenset(answer["content"]["application/problem+json"]["examples"])


@schemathesis.check  # type: ignore[untyped-decorator,unused-ignore]
def only_named_roles(_context: Any, response: Any, case: Any) -> None:
    """Who is not named in the document is refused, whatever they send; without a token always by 401."""
    raw = case.operation.definition.raw
    if raw["security"] and _ROLE in WITHOUT_ROLE:
        if response.status_code in _SUCCESS or (_fits(case) and response.status_code != _UNAUTHENTICATED):
            raise AssertionError(f"{_ROLE} was answered {response.status_code}")
        return
    roles = re.search(r"^Roles: (.*)\.$", raw.get("description", ""), re.MULTILINE)
    if roles and _ROLE not in roles[1].split(", ") and response.status_code in _SUCCESS:
        raise AssertionError(f"{_ROLE} is not named in the document, and was answered {response.status_code}")
