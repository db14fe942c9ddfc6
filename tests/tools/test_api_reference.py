import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from e2e.test_journeys import EXPECTED
from tools import api_reference

ROOT = Path(__file__).parents[2]
API = ROOT / "docs/openapi"
# what makes a browser fetch something; a link that a person follows is not among it
FETCHED = re.compile(
    r"""(?:\bsrc|<link[^>]*\bhref)\s*=\s*["']?\s*(?:\w+:)?//|url\(\s*["']?(?:\w+:)?//|@import"""
)


def _operations(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (told["operationId"], method.upper(), path)
        for path, item in document["paths"].items()
        for method, told in item.items()
    ]


def test_every_operation_of_the_platform_is_on_the_page_of_its_service_and_in_the_index() -> None:
    pages = api_reference.pages(API)
    operations = _operations(json.loads((API / "platform.json").read_text(encoding="utf-8")))

    assert operations
    for name, method, path in operations:
        service = path.split("/")[1]
        text = pages[f"{service}.md"]
        assert f"{{ #{name} }}" in text, f"{name} has no heading"
        assert f">{method}</span> <code>{path}</code>" in text, f"{method} {path} is not shown"
        assert f"{service}.html#{name}" in pages["index.md"], f"{name} is not in the index"


def test_every_schema_and_every_code_has_an_entry_and_no_link_leads_nowhere() -> None:
    pages = api_reference.pages(API)

    for service in ("booking", "claims", "payment", "documents"):
        components = json.loads((API / f"{service}.json").read_text(encoding="utf-8"))["components"]
        anchors = set(re.findall(r'id="([^"]+)"', pages[f"{service}.md"]))
        assert {f"schema-{name}" for name in components["schemas"]} <= anchors
        assert set(re.findall(r'href="#([^"]+)"', pages[f"{service}.md"])) <= anchors
        for response in components["responses"].values():
            for code in response["content"]["application/problem+json"].get("examples", {}):
                assert f"<code>{code}</code>" in pages[f"{service}.md"]


def test_no_page_of_the_reference_has_a_script_or_an_address_of_somebody_else() -> None:
    for name, text in api_reference.pages(API).items():
        assert "<script" not in text, name
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text), name


def test_the_site_is_built_with_whole_links_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert built.returncode == 0, built.stderr
    shown = [path for path in tmp_path.rglob("*") if path.suffix in {".html", ".css"}]
    for name in ("index", "architecture", "journeys", "calling", "events", "errors", "contributing"):
        assert tmp_path / f"{name}.html" in shown
    found = [str(path) for path in shown if FETCHED.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_the_drawing_of_the_architecture_names_what_its_text_names() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8").partition("```mermaid")[2]
    drawing = (ROOT / "docs/services.svg").read_text(encoding="utf-8")
    text = text.partition("```")[0]

    named = re.findall(r"\[\(?\[?\(?([a-z ]+)\)?\]?\)?\]", text) + re.findall(r"\b\w+\.appointment\b", text)
    assert len(named) >= 7
    assert [each for each in named if each not in drawing] == []


def _cents(text: str) -> int:
    euros, _, cents = text.partition(".")
    return int(euros) * 100 + int(cents)


def _journey(cells: list[str]) -> tuple[Any, ...]:
    amounts = tuple(_cents(each) for each in cells[2:6])
    claims = [
        (payer, _cents(told.split()[0]), told.split()[1])
        for payer, told in zip(("amo", "amc"), cells[6:8], strict=True)
        if told
    ]
    return (cells[1], *amounts, claims, cells[9] or None, _cents(cells[8]))


def test_the_table_of_journeys_says_what_the_journeys_must_come_to() -> None:
    text = (ROOT / "docs/journeys.md").read_text(encoding="utf-8")

    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in re.findall(r"^\| \[.*$", text, re.MULTILINE)
    ]
    assert {row[0].partition("]")[0].strip("["): _journey(row) for row in rows} == EXPECTED


def test_the_words_of_a_journey_name_no_amount_that_is_not_its_own() -> None:
    text = (ROOT / "docs/journeys.md").read_text(encoding="utf-8")
    sections = re.split(r"^## (\w+): .*$", text, flags=re.MULTILINE)[1:]
    told = dict(zip(sections[::2], sections[1::2], strict=True))

    assert set(told) == set(EXPECTED)
    for number, words in told.items():
        _, fee, held, captured, released, claims, _, later = EXPECTED[number]
        own = {fee, held, captured, released, later, *(amount for _, amount, _ in claims)}
        assert {_cents(each) for each in re.findall(r"(\d+\.\d\d) €", words)} <= own, number
