"""For mkdocs: pages of files outside docs/, the API reference, links as the repository has them."""

import logging
import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from local.configuration import SERVICES
from local.reference_pages import STYLE
from tools import api_reference

ROOT: Final = Path(__file__).parents[1]
# warnings of this logger fail a strict build
_LOG: Final = logging.getLogger("mkdocs.plugins.site")

# files of the repository, and the pages that show them
_ELSEWHERE: Final = {
    "README.md": "start.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "services/claims/src/claims/data/README.md": "tables.md",
    **{f"services/{service}/README.md": f"services/{service}.md" for service in SERVICES},
}
_REFERENCE: Final = {f"docs/reference/{service}.md": f"reference/{service}.md" for service in SERVICES}
_FOLDERS: Final = {"docs/adr": ("adr", "Decisions"), "docs/runbooks": ("runbooks", "Runbooks")}
_LINK: Final = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]*)(#[^)\s]*)?\)")
_NAMED: Final = re.compile(r"(?<![\[`])`((?:docs/)?[\w/-]+\.md)`(?!\])")
_STATES: Final = re.compile(r"```mermaid\nstateDiagram-v2\n(.*?)```", re.DOTALL)
_MOVE: Final = re.compile(r"^\s*(\S+) --> ([^:\s]+)(?:: (.*))?$", re.MULTILINE)
_MERMAID: Final = re.compile(r"```mermaid\n.*?```", re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """A folder in `nav` stands for its pages."""
    assert config.nav is not None  # noqa: S101 - mkdocs.yml has one
    config.nav = [_expanded(each) for each in config.nav]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    made = {page: (ROOT / source).read_text(encoding="utf-8") for source, page in _ELSEWHERE.items()}
    made |= {f"reference/{name}": text for name, text in api_reference.pages(ROOT / "docs/openapi").items()}
    for folder, (page, title) in _FOLDERS.items():
        links = (f"- [{_title(each)}]({each.name})" for each in sorted((ROOT / folder).glob("*.md")))
        made[f"{page}/index.md"] = "\n".join((f"# {title}", "", *links, ""))
    made[f"assets/{STYLE.name}"] = STYLE.read_text(encoding="utf-8")
    for uri, content in made.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - mkdocs names the arguments
    uri = page.file.src_uri
    if uri.startswith("reference/") or uri in {f"{page}/index.md" for page, _ in _FOLDERS.values()}:
        return markdown
    source = next((each for each, shown in _ELSEWHERE.items() if shown == uri), f"docs/{uri}")
    if uri == "architecture.md":
        markdown = _MERMAID.sub("![Services, topics and outside systems](services.svg)", markdown, count=1)
    markdown = _STATES.sub(_moves, markdown)
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    # every other part is a fenced block, which stays as it is
    parts[::2] = [_linked(each, source, uri) for each in parts[::2]]
    return "".join(parts)


def _moves(drawing: re.Match[str]) -> str:
    """A drawing of states as a table of moves: what draws it elsewhere would come from a CDN."""
    rows = [
        f"| {before.replace('[*]', '')} | {after} | {why} |"
        for before, after, why in _MOVE.findall(drawing[1])
        if after != "[*]"
    ]
    return "\n".join(["| from | to | when |", "|---|---|---|", *rows])


def _expanded(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    (title, target), *_ = entry.items()
    if isinstance(target, list):
        return {title: [_expanded(each) for each in target]}
    if target.endswith("/"):
        pages = sorted((ROOT / "docs" / target).glob("*.md"))
        return {title: [f"{target}index.md", *(f"{target}{each.name}" for each in pages)]}
    return entry


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def _linked(text: str, source: str, uri: str) -> str:
    """Links of the repository as links of the site; a name of a page in code becomes a link too."""

    def link(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        named = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        shown = _shown(named)
        if shown is not None:
            return f"[{label}]({_relative(shown, uri)}{anchor})"
        if not (ROOT / named).exists():
            _LOG.warning("%s links to %s, which is not there", source, target)
        return f"{label} (`{named}`)"

    def name(match: re.Match[str]) -> str:
        named = match[1] if match[1].startswith("docs/") or match[1] in _ELSEWHERE else f"docs/{match[1]}"
        shown = _shown(named)
        return match[0] if shown in {None, uri} else f"[`{match[1]}`]({_relative(str(shown), uri)})"

    return _NAMED.sub(name, _LINK.sub(link, text))


def _shown(named: str) -> str | None:
    """Where the site shows a file of the repository; None when it does not."""
    if named in _ELSEWHERE or named in _REFERENCE:
        return (_ELSEWHERE | _REFERENCE)[named]
    if named in _FOLDERS:
        return f"{_FOLDERS[named][0]}/index.md"
    inside = named.removeprefix("docs/")
    hidden = inside.startswith(("openapi/examples", "openapi/released"))
    return inside if inside != named and not hidden and (ROOT / named).is_file() else None


def _relative(target: str, uri: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(uri) or ".")
