"""Every problem with its titles and what an app does about it; the data stand in problems.toml."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Final, Literal, NamedTuple

from common.typography import french

Language = Literal["en", "fr"]


class CatalogueEntry(NamedTuple):
    code: str
    status: int
    services: tuple[str, ...]
    title: str
    title_fr: str
    do: str


def _read() -> dict[str, CatalogueEntry]:
    text = files("common.web").joinpath("problems.toml").read_text(encoding="utf-8")
    return {
        code: CatalogueEntry(
            code, row["status"], tuple(row["services"]), row["title"], french(row["title_fr"]), row["do"]
        )
        for code, row in tomllib.loads(text).items()
    }


CATALOGUE: Final[Mapping[str, CatalogueEntry]] = _read()


def title_of(code: str, language: Language) -> str:
    """The title in this language; a code that is not in the catalogue is its own title."""
    known = CATALOGUE.get(code)
    if known is None:
        return code.replace("-", " ")
    return known.title_fr if language == "fr" else known.title


def preferred(accept_language: str) -> Language:
    """The language of titles for an Accept-Language header: English unless French is wanted more."""
    best: dict[str, float] = {}
    for each in accept_language.split(","):
        name, _, weight = each.partition(";")
        language = name.strip().lower().partition("-")[0]
        best[language] = max(best.get(language, 0.0), _weight(weight))
    others = best.get("*", 0.0)
    return "fr" if best.get("fr", others) > best.get("en", others) else "en"


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return min(1.0, max(0.0, float(value))) if name.strip().lower() == "q" else 0.0
    except ValueError:
        return 0.0
