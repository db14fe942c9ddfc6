"""Pages of the API reference for the documentation site, from the documents below docs/openapi."""

import json
from html import escape
from pathlib import Path
from typing import Any

from local.configuration import SERVICES
from local.reference import Entry, overview, prose, reference


def pages(folder: Path) -> dict[str, str]:
    """Markdown by file name: one page for each service, and index.md for the platform."""
    made = {"index.md": _platform(folder)}
    for service in SERVICES:
        made[f"{service}.md"] = _service(_document(folder, service))
    return made


def _document(folder: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return document


def _platform(folder: Path) -> str:
    whole = _document(folder, "platform")
    parts = ["# API reference", _block(prose(whole["info"].get("description", "")))]
    for name, scheme in whole["components"].get("securitySchemes", {}).items():
        kind = " ".join(scheme[word] for word in ("type", "scheme", "bearerFormat") if word in scheme)
        parts.append(f"Security scheme `{name}` ({kind}): {scheme.get('description', '')}.")
    parts.append(
        "[OpenAPI 3.1 of the platform](../openapi/platform.json), "
        "[3.0.3 for older generators](../openapi/platform.3.0.json)."
    )
    for service in SERVICES:
        told = reference(_document(folder, service))
        parts += [f"## {told.title}", _block(overview(told, link=f"{service}.html"))]
    return "\n\n".join(parts) + "\n"


def _service(document: dict[str, Any]) -> str:
    told = reference(document)
    parts = [f"# {told.title} API", _block(told.about)]
    for group in told.groups:
        parts += [f"## {group.title.capitalize()}", _block(group.about)]
        for each in group.operations:
            parts += [f"### {escape(each.summary)} {{ #{each.name} }}", each.body]
    parts += ["## Refusals", *_entries(told.refusals), "## Schemas", *_entries(told.schemas)]
    return "\n\n".join(parts) + "\n"


def _entries(entries: tuple[Entry, ...]) -> list[str]:
    # no headings: hundreds of them would drown the operations in the list of contents
    return [
        f'<div id="{each.anchor}" class="entry"><p><strong>{escape(each.name)}</strong></p>{each.body}</div>'
        for each in entries
    ]


def _block(content: str) -> str:
    return f'<div class="api">{content}</div>'
