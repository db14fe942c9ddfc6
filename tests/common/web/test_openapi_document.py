"""The document a client is generated from says what really happens."""

from typing import Any

from support.small_app import small_app
from support.tokens import Issuer


def document() -> dict[str, Any]:
    return small_app(None, verifier=Issuer().verifier()).openapi()


def operations() -> dict[str, dict[str, Any]]:
    return {each["operationId"]: each for path in document()["paths"].values() for each in path.values()}


def test_every_refusal_is_a_problem_and_nothing_of_the_framework_is_left() -> None:
    schemas = document()["components"]["schemas"]

    assert not [name for name in schemas if "ValidationError" in name or name.endswith(("-Input", "-Output"))]
    assert {"Problem", "FieldError"} <= set(schemas)
    for operation in operations().values():
        for code, response in operation["responses"].items():
            if not code.startswith("2"):
                shared = document()["components"]["responses"][response["$ref"].rpartition("/")[2]]
                assert list(shared["content"]) == ["application/problem+json"]
                schema = shared["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}


def test_operations_are_named_as_their_functions_and_declare_what_they_may_answer() -> None:
    declared = {name: set(each["responses"]) for name, each in operations().items()}

    assert declared["create_thing"] == {
        "201",
        "400",
        "401",
        "403",
        "404",
        "409",
        "413",
        "415",
        "422",
        "500",
        "503",
    }
    assert declared["change_thing"] >= {"412", "428"}
    assert declared["read_public"] == {"200", "422", "429", "500", "503"}
    assert declared["read_thing"] == {"200", "404", "422", "500", "503"}


def test_who_needs_a_token_says_so() -> None:
    assert operations()["read_me"]["security"] == [{"bearer": []}]
    assert operations()["administer"]["security"] == [{"bearer": []}]
    assert operations()["read_public"]["security"] == []


def test_headers_that_are_needed_are_required_and_queries_are_never_null() -> None:
    create = {each["name"].lower(): each for each in operations()["create_thing"]["parameters"]}
    change = {each["name"].lower(): each for each in operations()["change_thing"]["parameters"]}
    listed = {each["name"]: each for each in operations()["list_things"]["parameters"]}

    assert create["idempotency-key"]["required"]
    assert change["if-match"]["required"]
    assert [each["name"] for each in operations()["wait_for_thing"]["parameters"]] == ["Prefer"]
    assert "Last-Event-ID" in {each["name"] for each in operations()["stream_events"]["parameters"]}
    assert listed["cursor"]["schema"]["type"] == "string"
    assert not listed["cursor"]["required"]


def test_cents_are_int64_and_what_is_sent_is_required() -> None:
    read = document()["components"]["schemas"]["ThingRead"]

    assert read["properties"]["price_cents"]["format"] == "int64"
    assert set(read["required"]) == {"id", "rpps", "price_cents", "made_at"}
    assert document()["components"]["schemas"]["ThingCreate"]["additionalProperties"] is False


def test_operations_of_the_process_are_not_part_of_the_contract() -> None:
    assert not [path for path in document()["paths"] if "health" in path or "development" in path]
