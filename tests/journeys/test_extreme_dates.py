"""No date of a request makes a service fail: those out of reach are refused with their field."""

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from common.web.schemas import FIRST_YEAR, LAST_YEAR
from journeys.conftest import Stage
from journeys.script import BY_NUMBER, Case, Story, begin
from journeys.world import ISSUER
from tools.api_documents import operations

DOCUMENT: Final = json.loads(
    (Path(__file__).parents[2] / "docs/openapi/platform.json").read_text(encoding="utf-8")
)
Place = tuple[str | int, ...]  # where a date stands in a body; 0 is the first of a list

_BEYOND: Final = ("0001-01-01", "9999-12-31", f"{FIRST_YEAR - 1}-12-31", f"{LAST_YEAR + 1}-01-01")
_FARTHEST: Final = (f"{FIRST_YEAR}-01-01", f"{LAST_YEAR}-12-31")
_NO_DATES: Final = ("0000-01-01", "10000-01-01", "-0001-01-01", "2030-02-30", "")
_CLOCKS: Final = ("T00:00:00Z", "T00:00:00+23:59", "T23:59:59.999999-23:59", "T12:00:00+14:00")


def _dates(schema: Mapping[str, Any], place: Place, inside: frozenset[str]) -> Iterator[tuple[Place, str]]:
    """The places of dates and instants below a schema, each with its format."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        if name not in inside:
            yield from _dates(DOCUMENT["components"]["schemas"][name], place, inside | {name})
        return
    if schema.get("format") in {"date", "date-time"}:
        yield place, schema["format"]
    for each in (one for word in ("anyOf", "oneOf", "allOf") for one in schema.get(word, ())):
        yield from _dates(each, place, inside)
    for field, each in schema.get("properties", {}).items():
        yield from _dates(each, (*place, field), inside)
    if isinstance(schema.get("items"), dict):
        yield from _dates(schema["items"], (*place, 0), inside)


def _places() -> Iterator[Any]:
    for path, method, operation in operations(DOCUMENT):
        name = operation["operationId"]
        for parameter in operation.get("parameters", ()):
            for _, format_ in _dates(parameter["schema"], (), frozenset()):
                where: Place = (parameter["in"], parameter["name"])
                yield pytest.param(path, method, name, where, format_, id=f"{name}-{parameter['name']}")
        for media in operation.get("requestBody", {}).get("content", {}).values():
            for place, format_ in _dates(media["schema"], ("body",), frozenset()):
                at = ".".join(map(str, place[1:]))
                yield pytest.param(path, method, name, place, format_, id=f"{name}-{at}")


PLACES: Final = list(_places())
_PERSON: Final = {
    "relation": "other",
    "first_names": "Camille",
    "birth_name": "Le Goff",
    "birth_date": "1985-05-14",
    "sex": "female",
}
_COVERAGE: Final = {
    "insured": "yes",
    "birth_date": "1985-05-14",
    "amc": {
        "number": "99100001",
        "member_number": "123456789012",
        "valid_from": "2026-01-01",
        "valid_to": "2026-12-31",
    },
    "exemptions": [{"kind": "ald", "from": "2020-01-01", "to": None}],
}
_RULE: Final = {
    "weekday": 1,
    "from_time": "23:00",
    "to_time": "08:00",
    "slot_minutes": 30,
    "valid_from": "2026-01-01",
    "valid_to": "2026-12-31",
}
_OPENING: Final = {
    "on": "2026-06-01",
    "last_on": "2026-06-01",
    "kind": "open",
    "from_time": "23:00",
    "to_time": "08:00",
    "slot_minutes": 30,
}
_ROLES: Final = {
    "write_agenda": "administrator",
    "add_sponsor_offer": "administrator",
    "read_statement": "support",
}
_ANSWERED: Final = {"pathway": "regular-doctor", "territory": "near", "exemption_related": False}


class Asked:
    """Requests that are accepted but for the date under test, and who makes them."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def body(self, operation: str) -> Any:
        known: dict[str, Any] = {
            "create_patient": _PERSON,
            "update_patient": {},
            "write_agenda": {"rules": [_RULE], "exceptions": [_OPENING]},
            "put_coverage": _COVERAGE,
            "create_preview": {
                "practitioner_id": str(self._case.practitioner.id),
                "care_on": "2030-06-03",
                "coverage": _COVERAGE,
                **_ANSWERED,
            },
            "add_sponsor_offer": {
                "name": "Ville d'exemple",
                "kind": "FIXED",
                "cents": 500,
                "valid_from": "2026-01-01",
                "valid_to": None,
            },
        }
        return copy.deepcopy(known[operation])  # an operation that is new with a date needs a body here

    def query(self, operation: str) -> dict[str, str]:
        known = {
            "list_offers": {"profession": "physician"},
            "read_statement": {"from": "2026-01-01", "to": "2027-01-01"},
            "search_amc_directory": {"q": "mutuelle"},
        }
        return dict(known.get(operation, {}))

    async def send(
        self, path: str, method: str, operation: str, place: Place, value: str
    ) -> tuple[int, list[str], str]:
        """Status, the fields that are refused, and the text of the answer."""
        query = self.query(operation)
        body = None
        if place[0] == "body":
            body = self.body(operation)
            _put(body, place[1:], value)
        else:
            query[str(place[1])] = value
        case = self._case
        address = path.format(practitioner_id=case.practitioner.id, patient_id=case.patient)
        headers = ISSUER.bearer(_ROLES.get(operation, "patient"), subject=case.account)
        headers |= {"Idempotency-Key": uuid4().hex}
        http = case.world.http[path.split("/")[1]]
        if method in {"put", "patch"}:
            seen = await http.get(address, headers=headers)
            headers |= {"If-Match": seen.headers["ETag"]}
        answer = await http.request(method, address, params=query, json=body, headers=headers)
        told = answer.json() if answer.content else {}
        return answer.status_code, [each["pointer"] for each in told.get("errors", ())], answer.text


def _put(body: Any, place: Place, value: str) -> None:
    *way, last = place
    for step in way:
        body = body[step]
    body[last] = value


@pytest.fixture(scope="module")
def asked(stage: Stage) -> Asked:
    return Asked(stage.run(begin(stage.world, Story("dates", BY_NUMBER["2"]))))


@pytest.mark.parametrize(("path", "method", "operation", "place", "format_"), PLACES)
def test_a_date_out_of_reach_is_refused_and_none_makes_a_service_fail(
    stage: Stage, asked: Asked, path: str, method: str, operation: str, place: Place, format_: str
) -> None:
    clocks = _CLOCKS if format_ == "date-time" else ("",)
    pointer = "/" + "/".join(map(str, place))

    async def send_all() -> None:
        for day in (*_BEYOND, *_NO_DATES, *_FARTHEST):
            for clock in clocks:
                status, fields, text = await asked.send(path, method, operation, place, day + clock)
                assert status < 500, (day + clock, text)
                if day in _FARTHEST:
                    assert status in {200, 201, 409, 422}, (day + clock, text)
                else:
                    assert (status, fields) == (422, [pointer]), (day + clock, text)

    stage.run(send_all())
