"""What generators make types of: enums, open coded words, the data of events, problems of operations."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from common.events.base import thing_of
from common.events.catalogue import CATALOGUE
from common.messaging.tables import HistoryRow
from common.web.openapi_enums import Coded, name_enums, open_enums
from common.web.problem_catalogue import CATALOGUE as PROBLEMS
from common.web.shared_enums import facts
from tools import operation_problems
from tools.event_documents import example

ROOT = Path(__file__).parents[2]
PLATFORM: dict[str, Any] = json.loads((ROOT / "docs/openapi/platform.json").read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = PLATFORM["components"]["schemas"]


def operations() -> Iterator[dict[str, Any]]:
    for path in PLATFORM["paths"].values():
        yield from (each for each in path.values() if isinstance(each, dict) and "operationId" in each)


def enums(part: Any) -> Iterator[tuple[str, ...]]:
    if isinstance(part, list):
        for each in part:
            yield from enums(each)
    elif isinstance(part, dict):
        if isinstance(part.get("enum"), list) and len(part["enum"]) > 1:
            yield tuple(map(str, part["enum"]))
        for each in part.values():
            yield from enums(each)


def test_no_enum_is_written_twice() -> None:
    written = Counter(enums({"paths": PLATFORM["paths"], "schemas": SCHEMAS}))

    assert {values: times for values, times in written.items() if times > 1} == {}
    assert SCHEMAS["PathwayAnswer"]["enum"][0] == "regular-doctor"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AppointmentFactType", "documents.issued"),
        ("AppointmentEndReason", "technical-failure"),
        ("PriceRule", "A1"),
        ("StoryState", "partially-paid"),
    ],
)
def test_coded_words_are_open_and_say_their_values_of_today(name, value) -> None:
    schema = SCHEMAS[name]

    assert schema["type"] == "string"
    assert "enum" not in schema
    assert value in schema["x-extensible-enum"]


def test_the_data_of_server_sent_events_has_a_schema() -> None:
    root = PLATFORM["paths"]["/booking/v1/appointments/{appointment_id}/events"]["get"]
    told = root["responses"]["200"]["content"]["text/event-stream"]["schema"]

    assert told["x-event-data"] == {"$ref": "#/components/schemas/AppointmentFactRead"}
    assert set(SCHEMAS["AppointmentFactRead"]["required"]) == {"id", "fact", "sequence", "about_id", "at"}


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("documents.issued", "document_id"),
        ("claims.leg-paid", "leg_id"),
        ("claims.balance-opened", "balance_id"),
        ("payment.refund-made", "refund_id"),
        ("payment.hold-placed", "hold_id"),
        ("booking.appointment-confirmed", None),
    ],
)
def test_a_fact_names_the_thing_it_is_about(kind, named) -> None:
    event = max((each for each in CATALOGUE.items() if each[0][0] == kind), key=lambda each: each[0][1])[1]
    body = event.model_validate_json(json.dumps(example(event)))

    assert kind in facts()
    assert thing_of(body) == (getattr(body, named) if named else None)
    assert HistoryRow(appointment_id=uuid4(), about_id=thing_of(body)).about_id == thing_of(body)


def test_every_operation_names_problems_of_its_own_statuses() -> None:
    for operation in operations():
        named = [each.removeprefix("urn:problem:") for each in operation["x-problem-types"]]
        assert named, operation["operationId"]
        for code in named:
            assert str(PROBLEMS[code].status) in operation["responses"], (operation["operationId"], code)


@pytest.mark.parametrize(
    ("operation", "codes"),
    [
        (
            "request_appointment",
            {"time-taken", "patient-busy", "consent-missing", "emergency", "token-expired"},
        ),
        (
            "create_prescription",
            {"secure-prescription-required", "cannot-prescribe", "idempotency-key-reused"},
        ),
        ("create_refund", {"idempotency-key-missing", "role-missing"}),
        ("read_content", {"storage-away", "document-not-ready"}),
    ],
)
def test_an_operation_names_what_its_code_refuses(operation, codes) -> None:
    [found] = [each for each in operations() if each["operationId"] == operation]

    assert {f"urn:problem:{code}" for code in codes} <= set(found["x-problem-types"])


def test_a_refusal_in_the_code_reaches_the_operation(tmp_path) -> None:
    for name, text in {
        "libs/common/src/common/errors.py": "class DomainError(Exception): ...",
        "services/booking/src/booking/domain/x.py": (
            "from common.errors import DomainError\n"
            "class Busy(DomainError):\n    code: str = 'patient-busy'\n"
            "def decide():\n    raise Busy('x')\n"
        ),
        "services/booking/src/booking/usecases/x.py": (
            "from booking.domain import x\n"
            "async def act():\n    return [each for each in map(x.decide, ())]\n"
        ),
        "services/booking/src/booking/api/x.py": (
            "from booking.usecases.x import act\nfrom fastapi import APIRouter\nrouter = APIRouter()\n"
            "@router.post('/x')\nasync def route():\n    return await act()\n"
            "@router.get('/y')\nasync def other():\n    return None\n"
        ),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for service in ("payment", "claims", "documents"):
        (tmp_path / f"services/{service}/src/{service}").mkdir(parents=True)

    found = operation_problems.generated(tmp_path)[
        tmp_path / "services/booking/src/booking/api/problems.json"
    ]

    assert json.loads(found) == {"other": [], "route": ["patient-busy"]}


def test_an_enum_keeps_the_words_beside_it_and_a_nullable_text_stays_nullable() -> None:
    schemas = {
        "Thing": {
            "properties": {
                "colour": {"type": "string", "enum": ["red", "blue"], "description": "of the thing"},
                "state": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            }
        }
    }
    document: dict[str, Any] = {"paths": {}, "components": {"schemas": schemas}}

    name_enums(document, {"Colour": ("red", "blue")})
    open_enums(document, {"State": Coded(("new",), ["Thing.state"])})

    fields = schemas["Thing"]["properties"]
    assert fields["colour"] == {"description": "of the thing", "$ref": "#/components/schemas/Colour"}
    assert fields["state"] == {"anyOf": [{"$ref": "#/components/schemas/State"}, {"type": "null"}]}
    assert document["components"]["schemas"]["Colour"]["enum"] == ["red", "blue"]
    with pytest.raises(KeyError):
        open_enums(document, {"State": Coded(("new",), ["Thing.gone"])})
