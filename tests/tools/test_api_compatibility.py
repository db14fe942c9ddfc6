"""What a released HTTP contract may become, and what breaks somebody."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tools.api_compatibility import breaks

RELEASED: dict[str, Any] = {
    "paths": {
        "/booking/v1/visits": {
            "post": {
                "operationId": "request_visit",
                "security": [],
                "parameters": [
                    {
                        "name": "mode",
                        "in": "query",
                        "required": False,
                        "schema": {"type": "string", "enum": ["a", "b"]},
                    },
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/VisitCreate"}}},
                },
                "responses": {
                    "201": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/VisitRead"}}
                        }
                    },
                    "422": {"content": {}},
                },
            }
        }
    },
    "components": {
        "schemas": {
            "VisitCreate": {
                "type": "object",
                "additionalProperties": False,
                "required": ["offer_id"],
                "properties": {
                    "offer_id": {"type": "string", "format": "uuid"},
                    "note": {"anyOf": [{"type": "string", "maxLength": 90}, {"type": "null"}]},
                    "reason": {"type": "string", "enum": ["cold", "rash"]},
                },
            },
            "VisitRead": {
                "type": "object",
                "required": ["id", "status", "fee_cents", "next"],
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "status": {"$ref": "#/components/schemas/VisitStatus"},
                    "fee_cents": {"type": "integer", "format": "int64"},
                    "mood": {"type": "string", "x-extensible-enum": ["good"]},
                    "next": {"anyOf": [{"$ref": "#/components/schemas/VisitRead"}, {"type": "null"}]},
                },
            },
            "VisitStatus": {"type": "string", "enum": ["requested", "done"]},
        }
    },
}


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    document = copy.deepcopy(RELEASED)
    change(document)
    return document


def operation(document: dict[str, Any]) -> dict[str, Any]:
    return document["paths"]["/booking/v1/visits"]["post"]


def schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    return document["components"]["schemas"][name]


def sent(document: dict[str, Any]) -> dict[str, Any]:
    return schema(document, "VisitCreate")["properties"]


def got(document: dict[str, Any]) -> dict[str, Any]:
    return schema(document, "VisitRead")["properties"]


def _answered_200(document: dict[str, Any]) -> None:
    responses = operation(document)["responses"]
    responses["200"] = responses.pop("201")


def test_the_same_document_breaks_nobody() -> None:
    assert breaks(RELEASED, copy.deepcopy(RELEASED), service="booking") == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda d: sent(d).update(extra={"type": "integer"}), id="optional-input"),
        pytest.param(lambda d: sent(d)["reason"]["enum"].append("cough"), id="wider-input-enum"),
        pytest.param(lambda d: sent(d)["note"]["anyOf"][0].update(maxLength=900), id="longer-input"),
        pytest.param(lambda d: got(d).update(extra={"type": "integer"}), id="more-output"),
        pytest.param(lambda d: got(d)["mood"]["x-extensible-enum"].append("bad"), id="open-enum"),
        pytest.param(lambda d: schema(d, "VisitStatus")["enum"].remove("done"), id="narrower-output-enum"),
        pytest.param(
            lambda d: operation(d)["responses"].update({"409": {"content": {}}}), id="another-refusal"
        ),
        pytest.param(
            lambda d: operation(d)["parameters"].append(
                {"name": "limit", "in": "query", "schema": {"type": "integer"}}
            ),
            id="optional-query",
        ),
    ],
)
def test_what_clients_need_not_know_may_come(change: Callable[[dict[str, Any]], Any]) -> None:
    assert breaks(RELEASED, changed(change), service="booking") == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["paths"].clear(), "request_visit: was removed"),
        (lambda d: operation(d).update(operationId="book_visit"), "request_visit: was renamed to book_visit"),
        (lambda d: d["paths"].update({"/booking/v2/visits": d["paths"].pop("/booking/v1/visits")}), "moved"),
        (lambda d: schema(d, "VisitCreate")["required"].append("note"), "body.note became required"),
        (
            lambda d: (sent(d).update(a={}), schema(d, "VisitCreate")["required"].append("a")),
            "body.a is new and required",
        ),
        (
            lambda d: operation(d)["parameters"].append(
                {"name": "Prefer", "in": "header", "required": True, "schema": {"type": "string"}}
            ),
            "header Prefer is new and required",
        ),
        (lambda d: operation(d)["parameters"].clear(), "query mode was removed"),
        (lambda d: sent(d).pop("note"), "body.note was removed"),
        (lambda d: sent(d)["note"]["anyOf"].pop(), "body.note may not be null"),
        (lambda d: sent(d)["note"]["anyOf"][0].update(maxLength=9), "body.note: maxLength is 9 now"),
        (lambda d: sent(d)["reason"]["enum"].remove("rash"), "body.reason does not take rash"),
        (lambda d: got(d).pop("fee_cents"), "answer 201.fee_cents was removed"),
        (lambda d: schema(d, "VisitRead")["required"].remove("id"), "answer 201.id is not always sent"),
        (lambda d: got(d)["fee_cents"].update(type="number"), "type was integer and is number"),
        (lambda d: got(d)["fee_cents"].update(format="int32"), "format was int64 and is int32"),
        (lambda d: schema(d, "VisitStatus")["enum"].append("lost"), "answer 201.status may be lost"),
        (lambda d: got(d).update(id={"anyOf": [got(d)["id"], {"type": "null"}]}), "201.id may be null"),
        (_answered_200, "success was 201 and is 200"),
        (lambda d: operation(d).update(security=[{"bearer": []}]), "needs a token now"),
    ],
)
def test_what_breaks_a_client_is_said_with_who_and_in_which_order(
    change: Callable[[dict[str, Any]], Any], says: str
) -> None:
    found = breaks(RELEASED, changed(change), service="booking")

    assert [each for each in found if says in each], found
    assert all("Who breaks: " in each and "Order: " in each and "booking" in each for each in found)
