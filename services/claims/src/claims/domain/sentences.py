"""Sentences for the patient, in French and English, with amounts written from whole cents."""

import string
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from claims.domain.refusals import WarningCode
from common.typography import euros_en, euros_fr, french, percent_en, percent_fr

PLACEHOLDERS: Final = {
    "advance",
    "amc",
    "amc_claim",
    "amc_refund",
    "amo",
    "amo_claim",
    "amount",
    "base",
    "contribution",
    "copayment",
    "fee",
    "final",
    "left",
    "main",
    "overrun",
    "rate",
    "sponsor",
    "supplement",
    "surcharge",
}
# fmt: off
RULES: Final = (
    "A1", "A2", "A3", "A4", "A5", "A6",
    "B1", "B1n", "B2", "B2n", "B3", "B4", "B5", "B6",
    "C1",
    "D1", "D2", "D3",
    "E1", "E2", "E3", "E4", "E5",
    "F1", "F2", "F3",
    "G1", "G2", "G3", "G4",
    "S1", "S2",
    "T0", "T1",
)
# fmt: on
# What this platform decided where sources differ: nothing that a patient could do anything about.
UNTOLD: Final = frozenset(
    {
        WarningCode.OUT_OF_PATHWAY_ASSUMED,
        WarningCode.THIRD_PARTY_PAYMENT_IMPOSED,
        WarningCode.DIRECT_ACCESS_ASSUMED,
        WarningCode.OVERRUN_BESIDE_THIRD_PARTY_ASSUMED,
    }
)
NEEDED: Final = (
    *RULES,
    "summary/advance",
    "summary/amo-paid",
    "summary/amc-paid",
    "summary/amo-refund",
    "summary/amc-refund",
    "summary/final",
    *(f"warning/{warning.value}" for warning in WarningCode if warning not in UNTOLD),
)
KEPT_WRITINGS: Final = 2048  # per sentence
RATE: Final = "rate"  # the one placeholder in basis points and not in cents


class SentenceUnreadable(Exception):
    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name}: {rule}")
        self.name = name
        self.rule = rule


class Explanation(NamedTuple):
    """`code` is the rule, or "summary/..." and "warning/..."."""

    code: str
    sentence_fr: str
    sentence_en: str


Parts = tuple[tuple[str, str | None], ...]  # literal, then placeholder or None


class Sentence:
    """One sentence in both languages; the last writings are kept: most patients pay the same amounts."""

    def __init__(self, code: str, *, fr: Parts, en: Parts) -> None:
        self._code = code
        self._fr = fr
        self._en = en
        self._names = tuple(sorted({name for _, name in (*fr, *en) if name is not None}))
        self._written: dict[tuple[int, ...], Explanation] = {}

    def written(self, amounts: Mapping[str, int]) -> Explanation:
        """`amounts` in cents by placeholder, the rate in basis points."""
        asked = tuple([amounts[name] for name in self._names])
        written = self._written.get(asked)
        if written is None:
            if len(self._written) >= KEPT_WRITINGS:
                self._written.clear()
            written = Explanation(
                self._code,
                _filled(self._fr, amounts, euros_fr, percent_fr),
                _filled(self._en, amounts, euros_en, percent_en),
            )
            self._written[asked] = written
        return written


def _filled(
    parts: Parts, amounts: Mapping[str, int], euros: Callable[[int], str], percent: Callable[[int], str]
) -> str:
    written = []
    for literal, name in parts:
        written.append(literal)
        if name is not None:
            written.append(percent(amounts[name]) if name == RATE else euros(amounts[name]))
    return "".join(written)


class Sentences:
    """By rule, "A2", and by rule and reason, "A2/not-contracted"; without the second the first is taken."""

    def __init__(self, texts: Mapping[str, object]) -> None:
        """Raises SentenceUnreadable: a rule or language missing, a broken brace, a wrong placeholder."""
        self._sentences = {name: _sentence(name, text) for name, text in texts.items()}
        self._chosen: dict[tuple[str, str | None], Sentence] = {}
        for name in NEEDED:
            if name not in self._sentences:
                raise SentenceUnreadable(name, "sentence-missing")

    def written(self, rule: str, reason: str | None, amounts: Mapping[str, int]) -> Explanation:
        """`rule` may name a sentence with several variants, as "summary/amo-refund"."""
        asked = (rule, reason)
        chosen = self._chosen.get(asked)
        if chosen is None:
            chosen = self._sentences.get(f"{rule}/{reason}") or self._sentences[rule]
            self._chosen[asked] = chosen
        return chosen.written(amounts)


def _sentence(name: str, text: object) -> Sentence:
    if not isinstance(text, dict) or set(text) != {"fr", "en"}:
        raise SentenceUnreadable(name, "has-fr-and-en")
    rule, _, _ = name.partition("/")
    code = rule if rule in RULES else "/".join(name.split("/")[:2])
    return Sentence(code, fr=_parts(name, text["fr"], french), en=_parts(name, text["en"], str))


def _parts(name: str, text: object, typeset: Callable[[str], str]) -> Parts:
    if not isinstance(text, str) or not text.strip():
        raise SentenceUnreadable(name, "sentence-missing")
    try:
        parts = tuple((literal, field) for literal, field, _, _ in string.Formatter().parse(typeset(text)))
    except ValueError:
        raise SentenceUnreadable(name, "braces-in-pairs") from None
    unknown = {field for _, field in parts if field is not None} - PLACEHOLDERS
    if unknown:
        raise SentenceUnreadable(name, f"unknown-placeholder-{'-'.join(sorted(unknown))}")
    return parts
