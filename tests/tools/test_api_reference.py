import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

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
    assert _dead_links(tmp_path) == []
    assert [str(path) for path in shown if "mermaid" in path.read_text(encoding="utf-8")] == []
    life = (tmp_path / "services/payment.html").read_text(encoding="utf-8")
    assert re.search(r"<td>held</td>\s*<td>captured</td>\s*<td>after the final price", life)


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - as the parser calls it
        told = {name: value for name, value in attrs if value}
        self.anchors |= {told[name] for name in ("id", "name") if name in told}
        self.links += [told[name] for name in ("href", "src") if name in told]


def _dead_links(site: Path) -> list[str]:
    """Links of the built pages, raw HTML included, to a file or an anchor that is not there."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    found = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            # the page for what is not found speaks of the root of a server
            if parts.scheme or parts.netloc or (path.name == "404.html" and parts.path.startswith("/")):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchored = not parts.fragment or target not in pages or parts.fragment in pages[target].anchors
            if not target.exists() or not anchored:
                found.append(f"{path.relative_to(site)}: {link}")
    return found


def test_a_dead_link_of_the_site_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.html").write_text('<p id="here"></p>', encoding="utf-8")
    links = (
        "there.html",
        "there.html#here",
        "#mine",
        "gone.html",
        "there.html#gone",
        "https://elsewhere.example",
    )
    text = "".join(f'<a href="{each}"></a>' for each in links)
    (tmp_path / "index.html").write_text(f'<p id="mine"></p>{text}', encoding="utf-8")

    assert _dead_links(tmp_path) == ["index.html: gone.html", "index.html: there.html#gone"]


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
