"""The HTTP contract as generated clients meet it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tools.api_documents import operations

ROOT = Path(__file__).parents[2]
API = ROOT / "docs/openapi"
DOCUMENTS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(API.glob("*.json"))}
CURRENT = {name: each for name, each in DOCUMENTS.items() if not name.endswith(".3.0")}
PLATFORM = DOCUMENTS["platform"]
OPERATIONS = [pytest.param(each, id=each["operationId"]) for _, _, each in operations(PLATFORM)]


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, list):
        for each in part:
            yield from _parts(each)
    elif isinstance(part, dict):
        yield part
        for name, each in part.items():
            if name != "value":
                yield from _parts(each)


def _illustrated(operation: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for media in (each for body in bodies for each in body.get("content", {}).values()):
        for example in media.get("examples", {}).values():
            yield media["schema"], example["value"]


@pytest.mark.parametrize("name", CURRENT)
def test_request_and_response_models_have_no_twins_and_say_what_they_are(name: str) -> None:
    for schema in CURRENT[name]["components"]["schemas"]:
        assert not schema.endswith(("-Input", "-Output", "In", "Out")), schema
        assert not schema.startswith(("HTTPValidation", "Body_")), schema


@pytest.mark.parametrize("name", CURRENT)
def test_operation_ids_are_unique_in_the_document(name: str) -> None:
    names = [each["operationId"] for _, _, each in operations(CURRENT[name])]

    assert len(names) == len(set(names))


def test_the_platform_document_holds_every_operation_of_the_services() -> None:
    ours = {each["operationId"] for name in CURRENT for _, _, each in operations(CURRENT[name])}

    assert {each["operationId"] for _, _, each in operations(PLATFORM)} == ours


@pytest.mark.parametrize("name", CURRENT)
def test_every_value_of_an_enum_has_a_name_in_generated_code(name: str) -> None:
    for part in _parts(CURRENT[name]):
        if "" in (part.get("enum") or ()):
            assert len(part["x-enum-varnames"]) == len(part["enum"])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_example_fits_its_schema_and_no_field_of_it_is_unknown(operation: dict[str, Any]) -> None:
    found = list(_illustrated(operation))

    assert found or set(operation["responses"]) & {"204", "200"}
    for schema, value in found:
        closed = {"components": PLATFORM["components"], **schema}
        jsonschema.Draft202012Validator(closed).validate(value)
        if isinstance(value, dict) and "$ref" in schema:
            known = PLATFORM["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
            assert value.keys() <= known.keys()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_times_go_out_in_utc(operation: dict[str, Any]) -> None:
    answers = [each for code, each in operation["responses"].items() if code.startswith("2")]
    for media in (each for answer in answers for each in answer.get("content", {}).values()):
        for example in media.get("examples", {}).values():
            for part in _parts(example):
                for name, value in part.items():
                    if name.endswith("_at") and isinstance(value, str):
                        assert value.endswith("Z"), name


@pytest.mark.parametrize("operation", OPERATIONS)
def test_who_needs_a_token_may_be_refused_and_whoever_changes_money_sends_a_key(
    operation: dict[str, Any],
) -> None:
    if operation["security"]:
        assert {"401", "403"} <= operation["responses"].keys()
    if operation["operationId"] in {"add_card", "choose_card", "accept_price", "create_refund"}:
        assert "Idempotency-Key" in {each["name"] for each in operation["parameters"]}


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.endswith(".3.0")])
def test_the_form_for_mobile_generators_uses_nothing_that_came_with_3_1(name: str) -> None:
    document = DOCUMENTS[name]

    assert document["openapi"] == "3.0.3"
    for part in _parts(document):
        assert part.get("type") != "null"
        assert not isinstance(part.get("type"), list)
        assert "const" not in part or not isinstance(part["const"], str)
        assert "propertyNames" not in part


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The sources and documents of this repository, to change them."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "examples", ".venv")
    for folder in ("libs/common", "tools", "deploy/local", "deploy/simulators"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    for service in ("booking", "payment", "claims", "documents"):
        shutil.copytree(
            ROOT / "services" / service / "src", tmp_path / "services" / service / "src", ignore=ignored
        )
    shutil.copytree(API, tmp_path / "docs/openapi")
    shutil.copytree(ROOT / "libs/common/schemas", tmp_path / "libs/common/schemas", dirs_exist_ok=True)
    shutil.copy(ROOT / "docs/reactions.toml", tmp_path / "docs")
    released = tmp_path / "docs/openapi/released"
    if not released.exists():
        released.mkdir()
        for path in API.glob("*.json"):
            shutil.copy(path, released)
    return tmp_path


def _contracts(root: Path) -> subprocess.CompletedProcess[str]:
    sources = [root, root / "libs/common/src", root / "deploy/local/src", root / "deploy/simulators/src"]
    sources += [root / "services" / name / "src" for name in ("booking", "payment", "claims", "documents")]
    return subprocess.run(
        [sys.executable, "-m", "tools.contracts"],
        cwd=root,
        env={"PYTHONPATH": os.pathsep.join(str(each) for each in sources)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("path", "line", "now", "says"),
    [
        pytest.param(
            "services/booking/src/booking/api/schemas.py",
            "    free_cancellation_until: datetime\n",
            "",
            "free_cancellation_until was removed. Who breaks: every app that reads it. Order: apps",
            id="a-response-field-goes",
        ),
        pytest.param(
            "services/payment/src/payment/api/cards.py",
            "async def remove_card(",
            "async def delete_card(",
            "payment remove_card: was renamed to delete_card",
            id="an-operation-is-renamed",
        ),
    ],
)
def test_a_change_that_breaks_generated_clients_turns_the_build_red(
    copied: Path, path: str, line: str, now: str, says: str
) -> None:
    source = copied / path
    text = source.read_text(encoding="utf-8")
    assert line in text
    source.write_text(text.replace(line, now, 1), encoding="utf-8")
    if now:
        for each in (copied / "docs/openapi/examples").glob("remove_card.json"):
            shutil.copy(each, each.with_name("delete_card.json"))

    done = _contracts(copied)

    assert done.returncode == 1, done.stdout + done.stderr
    assert says in done.stdout


def test_what_is_released_breaks_nobody(copied: Path) -> None:
    done = _contracts(copied)

    assert done.returncode == 0, done.stdout + done.stderr
