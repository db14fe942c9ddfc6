"""Sentences for the patient, in French and English, with amounts written from whole cents."""

import string
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from common.money import WHOLE

PLACEHOLDERS: Final = {
    "advance",
    "amc",
    "amo",
    "amount",
    "base",
    "contribution",
    "copayment",
    "fee",
    "final",
    "overrun",
    "rate",
    "sponsor",
    "surcharge",
}
RATE: Final = "rate"  # the one placeholder in basis points and not in cents


class SentenceUnreadable(Exception):
    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"{name}: {rule}")
        self.name = name
        self.rule = rule


@lru_cache(maxsize=4096)
def euros_fr(cents: int) -> str:
    """750 cents are "7,50 €"."""
    return f"{cents // 100},{cents % 100:02d} €"


@lru_cache(maxsize=4096)
def euros_en(cents: int) -> str:
    """750 cents are "€7.50"."""
    return f"€{cents // 100}.{cents % 100:02d}"


def percent(basis_points: int) -> str:
    return f"{basis_points // (WHOLE // 100)} %"


class Sentence(NamedTuple):
    """Two texts, each cut into (literal, placeholder or None)."""

    fr: tuple[tuple[str, str | None], ...]
    en: tuple[tuple[str, str | None], ...]

    def in_french(self, amounts: Mapping[str, int]) -> str:
        parts = []
        for literal, name in self.fr:
            parts.append(literal)
            if name is not None:
                parts.append(percent(amounts[name]) if name == RATE else euros_fr(amounts[name]))
        return "".join(parts)

    def in_english(self, amounts: Mapping[str, int]) -> str:
        parts = []
        for literal, name in self.en:
            parts.append(literal)
            if name is not None:
                parts.append(percent(amounts[name]) if name == RATE else euros_en(amounts[name]))
        return "".join(parts)


class Sentences:
    """By rule, "A2", and by rule and reason, "A2/not-contracted"; without the second the first is taken."""

    def __init__(self, texts: Mapping[str, object]) -> None:
        """Raises SentenceUnreadable for a missing language, a broken brace or an unknown placeholder."""
        self._sentences = {name: _sentence(name, text) for name, text in texts.items()}
        self._chosen: dict[tuple[str, str | None], Sentence] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._sentences

    def of(self, rule: str, reason: str | None = None) -> Sentence:
        """Raises KeyError when the file has no sentence for the rule."""
        asked = (rule, reason)
        chosen = self._chosen.get(asked)
        if chosen is None:
            chosen = self._sentences.get(f"{rule}/{reason}") or self._sentences[rule]
            self._chosen[asked] = chosen
        return chosen


def _sentence(name: str, text: object) -> Sentence:
    if not isinstance(text, dict) or set(text) != {"fr", "en"}:
        raise SentenceUnreadable(name, "has-fr-and-en")
    return Sentence(_parts(name, text["fr"]), _parts(name, text["en"]))


def _parts(name: str, text: object) -> tuple[tuple[str, str | None], ...]:
    if not isinstance(text, str) or not text.strip():
        raise SentenceUnreadable(name, "sentence-missing")
    try:
        parts = tuple((literal, field) for literal, field, _, _ in string.Formatter().parse(text))
    except ValueError:
        raise SentenceUnreadable(name, "braces-in-pairs") from None
    unknown = {field for _, field in parts if field is not None} - PLACEHOLDERS
    if unknown:
        raise SentenceUnreadable(name, f"unknown-placeholder-{'-'.join(sorted(unknown))}")
    return parts
