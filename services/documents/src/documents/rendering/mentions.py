"""Which mentions a document must carry, and which of them its text lacks."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from documents.domain.content import Folder, Kind


@dataclass(frozen=True, slots=True)
class Mention:
    kind: Kind | None  # None: every kind
    name: str
    pattern: re.Pattern[str]
    source: str
    folder: Folder | None
    when: re.Pattern[str] | None


@cache
def rows() -> tuple[Mention, ...]:
    text = files("documents.rendering").joinpath("mandatory_mentions.toml").read_text(encoding="utf-8")
    return tuple(
        Mention(
            kind=None if row["kind"] == "all" else Kind(row["kind"]),
            name=row["name"],
            pattern=re.compile(row["pattern"]),
            source=row["source"],
            folder=Folder(row["folder"]) if "folder" in row else None,
            when=re.compile(row["when"]) if "when" in row else None,
        )
        for row in tomllib.loads(text)["mention"]
    )


def required(text: str, *, kind: Kind, folder: Folder | None = None) -> Sequence[Mention]:
    """The mentions that apply to a document of this kind with this text."""
    plain = _one_line(text)
    return [
        row
        for row in rows()
        if row.kind in {None, kind}
        and row.folder in {None, folder}
        and (row.when is None or row.when.search(plain))
    ]


def missing(text: str, *, kind: Kind, folder: Folder | None = None) -> Sequence[Mention]:
    """The required mentions the text does not hold."""
    plain = _one_line(text)
    return [row for row in required(text, kind=kind, folder=folder) if not row.pattern.search(plain)]


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
