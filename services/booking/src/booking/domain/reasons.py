"""The coded reasons for a consultation, and those that are no matter for a video but for an ambulance."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any, ClassVar, Final

from common.errors import DomainError, Refusal
from common.typography import french


@dataclass(frozen=True, slots=True)
class Reason:
    code: str
    label_fr: str
    label_en: str
    red_flag: bool
    valid_from: date
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class EmergencyNumber:
    number: str
    label_fr: str
    label_en: str
    confidence: str


class ReasonNotFound(DomainError):
    code: ClassVar[str] = "reason-unknown"
    refusal: ClassVar[Refusal] = Refusal.INVALID


class Emergency(DomainError):
    """Nothing is booked and nothing is held: this person needs help now."""

    code: ClassVar[str] = "emergency"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT

    def __init__(self, numbers: tuple[EmergencyNumber, ...]) -> None:
        super().__init__(
            "Appelez tout de suite le 15 ou le 112. Call 15 or 112 now: a video consultation is not for this."
        )
        self.extra: Mapping[str, Any] = {
            "numbers": [
                {
                    "number": each.number,
                    "label_fr": each.label_fr,
                    "label_en": each.label_en,
                    "confidence": each.confidence,
                }
                for each in numbers
            ]
        }


@dataclass(frozen=True, slots=True)
class Reasons:
    rows: tuple[Reason, ...]
    numbers: tuple[EmergencyNumber, ...]

    def valid(self, on: date) -> tuple[Reason, ...]:
        """One row per code: the newest that is valid on this day."""
        newest: dict[str, Reason] = {}
        for row in sorted(self.rows, key=lambda row: row.valid_from):
            if row.valid_from <= on:
                newest[row.code] = row
        return tuple(newest.values())

    def accept(self, code: str, *, on: date) -> Reason:
        """Raises ReasonNotFound, or Emergency when the reason is a red flag."""
        for row in self.valid(on):
            if row.code == code:
                if row.red_flag:
                    raise Emergency(self.numbers)
                return row
        raise ReasonNotFound("no such reason")


def load() -> Reasons:
    """What the file beside this module says; a missing field stops the start."""
    content = tomllib.loads(files("booking.domain").joinpath("reasons.toml").read_text("utf-8"))
    return Reasons(
        rows=tuple(Reason(**_typeset(row)) for row in content["reason"]),
        numbers=tuple(EmergencyNumber(**_typeset(row)) for row in content["number"]),
    )


def _typeset(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"label_fr": french(row["label_fr"])}


REASONS: Final = load()
