"""One rule for the body of every PATCH of every service, and one for every instant in a query string."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from pydantic import AwareDatetime, TypeAdapter

ROOT = Path(__file__).parents[2]
SERVICES = ("booking", "payment", "claims", "documents")
CREATED_BY = {"update_practitioner": "PractitionerCreate", "update_patient": "PatientCreate"}


def patches() -> Iterator[Any]:
    """Operation id, schemas of the document, and the schema of the body, of each PATCH."""
    for service in SERVICES:
        document = json.loads((ROOT / f"docs/openapi/{service}.json").read_text(encoding="utf-8"))
        schemas = document["components"]["schemas"]
        for operation in (item["patch"] for item in document["paths"].values() if "patch" in item):
            body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            name = operation["operationId"]
            yield pytest.param(name, schemas, schemas[body.rpartition("/")[2]], id=name)


def nullable(schema: dict[str, Any]) -> set[str]:
    return {name for name, each in schema["properties"].items() if {"type": "null"} in each.get("anyOf", ())}


def test_every_patch_of_the_services_is_tried() -> None:
    assert {each.id for each in patches()} == set(CREATED_BY)


@pytest.mark.parametrize(("operation", "schemas", "body"), list(patches()))
def test_a_patch_takes_null_exactly_where_creation_takes_it_and_requires_nothing(
    operation, schemas, body
) -> None:
    created = schemas[CREATED_BY[operation]]

    assert nullable(body) == nullable(created) & set(body["properties"])
    assert nullable(body), "nothing can be cleared: this compares nothing"
    assert not body.get("required")
    assert [name for name, each in body["properties"].items() if "default" in each] == []


def routes(router: APIRouter) -> Iterator[Any]:
    for route in router.routes:
        yield from routes(route.original_router) if hasattr(route, "original_router") else [route]


def query_instants(dependant: Dependant, where: str) -> Iterator[Any]:
    for field in dependant.query_params:
        schema = json.dumps(TypeAdapter(field.field_info.annotation).json_schema())
        if '"date-time"' in schema or AwareDatetime in get_args(field.field_info.annotation):
            yield pytest.param(field, id=f"{where} {field.alias}")
    for each in dependant.dependencies:
        yield from query_instants(each, where)


def all_query_instants() -> Iterator[Any]:
    for service in SERVICES:
        for path in sorted((ROOT / f"services/{service}/src/{service}/api").glob("*.py")):
            router = getattr(import_module(f"{service}.api.{path.stem}"), "router", None)
            for route in routes(router) if router is not None else ():
                yield from query_instants(route.dependant, route.name)


def test_the_instants_of_query_strings_are_found() -> None:
    assert {each.id for each in all_query_instants()} >= {
        "list_practitioner_offers from",
        "list_offers to",
        "list_practitioners available_before",
    }


@pytest.mark.parametrize("field", list(all_query_instants()))
def test_an_instant_of_a_query_string_is_read_with_a_plain_plus(field) -> None:
    """A form-decoded `+` is a blank."""
    wanted, problems = field.validate("2026-12-03T10:00:00+01:00", {}, loc=("query",))
    read, refused = field.validate("2026-12-03T10:00:00 01:00", {}, loc=("query",))

    assert (problems, refused) == ([], [])
    assert read == wanted
    for wrong in ("2026-12-03T10:00:00", "2026-12-03 10:00", "2026-12-03T10:00:00 0100 0200"):
        assert field.validate(wrong, {}, loc=("query",))[1], wrong
