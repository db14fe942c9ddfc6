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
GONE = ("services/booking/src/booking/api/schemas.py", "    free_cancellation_until: datetime\n")
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


def _closed(part: Any) -> Any:
    if isinstance(part, list):
        return [_closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    closed = {name: _closed(each) for name, each in part.items()}
    return {"additionalProperties": False, **closed} if isinstance(part.get("properties"), dict) else closed


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
        closed = _closed({"components": {"schemas": PLATFORM["components"]["schemas"]}, **schema})
        formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
        jsonschema.Draft202012Validator(closed, format_checker=formats).validate(value)


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
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    return tmp_path


def _contracts(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    sources = [root, root / "libs/common/src", root / "deploy/local/src", root / "deploy/simulators/src"]
    sources += [root / "services" / name / "src" for name in ("booking", "payment", "claims", "documents")]
    return subprocess.run(
        [sys.executable, "-m", "tools.contracts", *arguments],
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
            *GONE,
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
        pytest.param(
            "libs/common/src/common/events/payment.py",
            "    place_at: AwareDatetime\n",
            "",
            "hold-scheduled.v1: body.place_at: removed. Write a V2 beside it; readers first: booking, claims",
            id="a-field-of-an-event-goes",
        ),
    ],
)
def test_a_change_that_breaks_clients_or_readers_turns_the_build_red(
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


def _takes_away(root: Path, path: str, line: str) -> None:
    source = root / path
    text = source.read_text(encoding="utf-8")
    assert line in text
    source.write_text(text.replace(line, "", 1), encoding="utf-8")


def test_a_release_before_1_0_moves_the_baseline_and_says_why(copied: Path) -> None:
    _takes_away(copied, *GONE)

    done = _contracts(copied, "--release", "the end of free\n cancellation was told twice")

    assert done.returncode == 0, done.stdout + done.stderr
    baseline = (copied / "docs/openapi/released/booking.json").read_text(encoding="utf-8")
    assert baseline == (copied / "docs/openapi/booking.json").read_text(encoding="utf-8")
    log = (copied / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    assert log[log.index("## Unreleased") + 2] == "- contracts: the end of free cancellation was told twice"
    assert _contracts(copied, "--check").returncode == 0


@pytest.mark.parametrize(
    ("reason", "heading", "says"),
    [
        pytest.param("  ", "", "a release says why", id="no-reason"),
        pytest.param("why not", "\n## 1.0.0\n", "free_cancellation_until was removed", id="after-1.0"),
    ],
)
def test_a_release_is_refused(copied: Path, reason: str, heading: str, says: str) -> None:
    _takes_away(copied, *GONE)
    log = copied / "CHANGELOG.md"
    log.write_text(log.read_text(encoding="utf-8") + heading, encoding="utf-8")
    kept = [log, *(copied / "docs/openapi/released").iterdir()]
    before = [path.read_bytes() for path in kept]

    done = _contracts(copied, "--release", reason)

    assert done.returncode != 0
    assert says in done.stdout + done.stderr
    assert [path.read_bytes() for path in kept] == before


def test_make_hands_an_empty_reason_on() -> None:
    make = shutil.which("make")
    assert make is not None
    told = subprocess.run(
        [make, "--dry-run", "release"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert '--release "$REASON"' in told.stdout


def test_what_is_released_breaks_nobody(copied: Path) -> None:
    done = _contracts(copied)

    assert done.returncode == 0, done.stdout + done.stderr
