"""`docs/rules.md`: each rule of the calculator with its sentences, source, confidence, tables and code."""

import ast
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from claims.domain.sentences import RULES

_CLAIMS: Final = "services/claims/src/claims"
_CONFIDENCE: Final = {
    "C": "confirmed by a public source",
    "D": "derived from confirmed facts",
    "S": "stated by the product",
    "U": "unconfirmed",
}
_HEAD: Final = """# Rules: who pays what

Written by `make docs` from `data/rules.toml`, `data/sentences.toml`, the tables and the code of claims.

The calculator asks these questions:

- A: does a payer cover the act at all, and who pays the practitioner?
- B, C: at which rate?
- D, E: what does the fund keep back?
- F, G: which lines and which base?
- S: does a sponsor pay?
- T: when is the price computed?

Every amount that the API answers names the rules that led to it.
The [glossary](glossary.md) explains the words.

"""


def generated(root: Path) -> dict[Path, str]:
    """The document by its path. Raises ValueError when a rule lacks its text, or a text its rule."""
    data = root / _CLAIMS / "data"
    rules = tomllib.loads((data / "rules.toml").read_text(encoding="utf-8"))
    sentences = tomllib.loads((data / "sentences.toml").read_text(encoding="utf-8"))
    if tuple(rules) != tuple(RULES):
        raise ValueError(f"rules.toml differs from RULES in {sorted(set(rules) ^ set(RULES)) or 'its order'}")
    code = _code_of(root)
    parts = [_part(code_of_rule, rules[code_of_rule], sentences, code, data) for code_of_rule in RULES]
    return {root / "docs/rules.md": _HEAD + _contents(rules) + "\n".join(parts)}


def _contents(rules: Mapping[str, Any]) -> str:
    rows = [
        f"| [{code}](#{code.lower()}) | {rule['title']} | {rule['confidence']} |"
        for code, rule in rules.items()
    ]
    return "\n".join(["| rule | about | confidence |", "|---|---|---|", *rows, "", ""])


def _part(
    code: str,
    rule: Mapping[str, Any],
    sentences: Mapping[str, Any],
    places: Mapping[str, list[str]],
    data: Path,
) -> str:
    if code not in places:
        raise ValueError(f"no code of the claims domain names rule {code}")
    missing = [each for each in rule["tables"] if not (data / each).exists()]
    if missing:
        raise ValueError(f"rule {code} names tables that are not there: {', '.join(missing)}")
    said = [(name, text) for name, text in sentences.items() if name.partition("/")[0] == code]
    lines = [
        f"## {code}",
        "",
        f"**{rule['title']}**",
        "",
        f"- When: {rule['when']}",
        f"- Then: {rule['then']}",
        f"- Source: {rule['source']} ({_CONFIDENCE[rule['confidence']]}).",
    ]
    if rule["tables"]:
        lines.append(
            "- Numbers: " + ", ".join(f"[{each}](../{_CLAIMS}/data/{each})" for each in rule["tables"])
        )
    lines.append("- Code: " + ", ".join(f"[{Path(each).name}](../{each})" for each in places[code]))
    lines += ["", "| variant | French | English |", "|---|---|---|"]
    lines += [f"| {name.partition('/')[2] or '-'} | {text['fr']} | {text['en']} |" for name, text in said]
    return "\n".join([*lines, ""])


def _code_of(root: Path) -> dict[str, list[str]]:
    """The modules of the domain that name a rule in a literal, by rule; the list of rules itself is none."""
    places: dict[str, list[str]] = {}
    for path in sorted((root / _CLAIMS / "domain").rglob("*.py")):
        if path.name == "sentences.py":
            continue
        literals = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        for code in literals & set(RULES):
            places.setdefault(code, []).append(path.relative_to(root).as_posix())
    return places
