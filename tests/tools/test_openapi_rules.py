"""Each of our own lint rules finds what it is for: a rule that cannot fail would keep nothing."""

import json
import re
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NODE = ROOT / "build/node"  # what make contracts-lint installs
SPECTRAL = NODE / "node_modules/.bin/spectral"
RULES = NODE / "rules/spectral.yaml"

pytestmark = pytest.mark.skipif(
    not (SPECTRAL.exists() and RULES.exists()), reason="make contracts-lint installs spectral; it needs node"
)

Json = dict[str, Any]
BREAKS: dict[str, Callable[[Json], Any]] = {}


def breaks(rule: str) -> Callable[[Callable[[Json], Any]], Callable[[Json], Any]]:
    def keep(change: Callable[[Json], Any]) -> Callable[[Json], Any]:
        BREAKS[rule] = change
        return change

    return keep


def _card(document: Json) -> Json:
    operation: Json = document["paths"]["/payment/v1/cards"]["post"]
    return operation


@breaks("cents-are-int64")
def _(document: Json) -> None:
    document["components"]["schemas"]["PaymentRead"]["properties"]["held_cents"] = {"type": "number"}


@breaks("cents-have-their-currency")
def _(document: Json) -> None:
    del document["components"]["schemas"]["PaymentRead"]["properties"]["currency"]


@breaks("refusals-are-problems")
def _(document: Json) -> None:
    _card(document)["responses"]["422"] = {"description": "Refused", "content": {"text/plain": {}}}


@breaks("lists-have-cursors")
def _(document: Json) -> None:
    del document["paths"]["/payment/v1/cards"]["get"]["x-bounded"]


@breaks("operations-are-illustrated")
def _(document: Json) -> None:
    del _card(document)["requestBody"]["content"]["application/json"]["examples"]


@breaks("operation-id-style")
def _(document: Json) -> None:
    _card(document)["operationId"] = "addCard"


@breaks("no-personal-data-in-paths")
def _(document: Json) -> None:
    document["paths"]["/payment/v1/cards/{holder_name}"] = document["paths"].pop(
        "/payment/v1/cards/{card_id}"
    )


@breaks("no-personal-data-in-queries")
def _(document: Json) -> None:
    told = {"name": "patient_email", "in": "query", "description": "mail", "schema": {"type": "string"}}
    document["paths"]["/payment/v1/cards"]["get"].setdefault("parameters", []).append(told)


@breaks("parameters-are-described")
def _(document: Json) -> None:
    del _card(document)["parameters"][0]["description"]


@breaks("parameters-are-never-null")
def _(document: Json) -> None:
    _card(document)["parameters"][0]["schema"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}


@breaks("no-multipart")
def _(document: Json) -> None:
    content = _card(document)["requestBody"]["content"]
    content["multipart/form-data"] = content.pop("application/json")


@breaks("schema-names")
def _(document: Json) -> None:
    document["components"]["schemas"]["CardCreate-Input"] = {"type": "object", "description": "a twin"}


def _write(folder: Path, breaks: dict[str, Callable[[Json], Any]]) -> None:
    """The document as it is, and once for each rule that it is made to break."""
    sound = json.loads((ROOT / "docs/openapi/payment.json").read_text(encoding="utf-8"))
    for rule, change in {"": lambda _: None, **breaks}.items():
        document = deepcopy(sound)
        change(document)
        (folder / f"document-{rule}.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The rules that found something, by the rule that was broken; "" is the document as it is."""
    folder = tmp_path_factory.mktemp("documents")
    _write(folder, BREAKS)
    command = [SPECTRAL, "lint", *sorted(folder.iterdir()), "--ruleset", RULES, "--format", "json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found: dict[str, set[str]] = {rule: set() for rule in ["", *BREAKS]}
    for each in json.loads(done.stdout):
        rule = Path(each["source"]).stem.removeprefix("document-")
        found[rule].add(each["code"])
    return found


def test_the_document_breaks_no_rule(findings: dict[str, set[str]]) -> None:
    assert findings[""] == set()


@pytest.mark.parametrize("rule", list(BREAKS))
def test_a_rule_finds_what_it_is_for(findings: dict[str, set[str]], rule: str) -> None:
    assert rule in findings[rule]


def test_every_rule_of_our_own_is_tried() -> None:
    lines = (ROOT / "tools/openapi_rules/spectral.yaml").read_text(encoding="utf-8").splitlines()
    ours = {line.strip().removesuffix(":") for line in lines if line.startswith("  ") and line.endswith(":")}

    assert {each for each in ours if not each.startswith(("given", "then"))} == set(BREAKS)


REDOCLY_BREAKS: dict[str, Callable[[Json], Any]] = {
    "no-invalid-media-type-examples": lambda document: _card(document)["requestBody"]["content"][
        "application/json"
    ]["examples"]["journey"]["value"].clear(),
    "no-invalid-schema-examples": lambda document: document["components"]["schemas"]["PaymentRead"].update(
        examples=["no payment"]
    ),
    "no-invalid-parameter-examples": lambda document: _card(document)["parameters"][0].update(example=7),
    "no-unused-components": lambda document: document["components"]["schemas"].update(
        Nobody={"type": "object", "description": "nobody refers to it"}
    ),
    "operation-4xx-problem-details-rfc7807": lambda document: _card(document)["responses"].update(
        {"422": {"description": "Refused", "content": {"application/json": {}}}}
    ),
    "operation-description": lambda document: _card(document).pop("description"),
    "operation-operationId-url-safe": lambda document: _card(document).update(operationId="add card"),
    "parameter-description": lambda document: _card(document)["parameters"][0].pop("description"),
    "paths-kebab-case": lambda document: document["paths"].update(
        {"/payment/v1/allCards": document["paths"].pop("/payment/v1/cards")}
    ),
    "response-contains-header": lambda document: _card(document)["responses"]["201"].pop("headers"),
    "tag-description": lambda document: document["tags"][0].pop("description"),
    "tags-alphabetical": lambda document: document["tags"].reverse(),
}


@pytest.fixture(scope="module")
def redocly_findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """As `findings`, of redocly."""
    folder = tmp_path_factory.mktemp("redocly")
    _write(folder, REDOCLY_BREAKS)
    settings = ["--config", NODE / "rules/redocly.yaml", "--format", "json", "--max-problems", "1000"]
    command = [NODE / "node_modules/.bin/redocly", "lint", *sorted(folder.iterdir()), *settings]
    quiet = ["env", "NO_UPDATE_NOTIFIER=1", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true"]
    done = subprocess.run([*quiet, *command], capture_output=True, text=True, timeout=120, check=False)
    found: dict[str, set[str]] = {rule: set() for rule in ["", *REDOCLY_BREAKS]}
    left = done.stdout.strip()
    while left:  # one report for each document
        report, end = json.JSONDecoder().raw_decode(left)
        left = left[end:].strip()
        for each in report["problems"]:
            rule = Path(each["location"][0]["source"]["ref"]).stem.removeprefix("document-")
            found[rule].add(each["ruleId"])
    return found


def test_redocly_finds_nothing_in_the_document(redocly_findings: dict[str, set[str]]) -> None:
    assert redocly_findings[""] == set()


@pytest.mark.parametrize("rule", list(REDOCLY_BREAKS))
def test_redocly_finds_what_a_rule_is_for(redocly_findings: dict[str, set[str]], rule: str) -> None:
    assert rule in redocly_findings[rule]


def test_every_rule_that_redocly_is_given_is_tried() -> None:
    text = (ROOT / "tools/openapi_rules/redocly.yaml").read_text(encoding="utf-8")
    given = set(re.findall(r"^  ([a-z0-9A-Z-]+):(?! off)", text, re.MULTILINE))

    assert given == set(REDOCLY_BREAKS)


@pytest.mark.parametrize("sound", [True, False])
def test_the_parser_of_asyncapi_refuses_what_leads_nowhere(tmp_path: Path, sound: bool) -> None:  # noqa: FBT001
    document = json.loads((ROOT / "docs/asyncapi.json").read_text(encoding="utf-8"))
    if not sound:
        document["operations"]["booking.send.booking.patient"]["channel"]["$ref"] = "#/channels/nobody"
    path = tmp_path / "asyncapi.json"
    path.write_text(json.dumps(document), encoding="utf-8")

    node = ["node", NODE / "rules/asyncapi.mjs", path]
    done = subprocess.run(node, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode == 0) is sound, done.stderr
    assert ("nobody" in done.stderr) is not sound
