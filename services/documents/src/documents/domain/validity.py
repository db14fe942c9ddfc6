"""How long a prescription can be used: dated rows with their source, never constants."""

import tomllib
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import ClassVar, Literal

from common.errors import DomainError, Refusal
from documents.domain.content import Folder

Confidence = Literal["confirmed", "derived", "unconfirmed"]


class Category(StrEnum):
    DRUGS = "drugs"
    ANXIOLYTICS = "anxiolytics"
    HYPNOTICS = "hypnotics"
    NARCOTICS = "narcotics"
    TRAMADOL_CODEINE = "tramadol-codeine"
    BIOLOGY = "biology"
    IMAGING = "imaging"
    PHYSIOTHERAPY = "physiotherapy"
    DEVICES = "devices"
    GLASSES = "glasses"


class NoValidityRow(DomainError):
    code: ClassVar[str] = "no-validity-row"
    refusal: ClassVar[Refusal] = Refusal.INVALID


@dataclass(frozen=True, slots=True)
class Validity:
    category: Category
    from_on: date
    first_use_days: int | None
    total_days: int
    note: str
    source: str
    confidence: Confidence

    def first_use_until(self, written_on: date) -> date | None:
        """The last day on which it may be used for the first time; None when no limit is known."""
        if self.first_use_days is None:
            return None
        return written_on + timedelta(days=self.first_use_days)

    def usable_until(self, written_on: date) -> date:
        return written_on + timedelta(days=self.total_days)


@cache
def rows() -> tuple[Validity, ...]:
    text = files("documents.domain").joinpath("data/validity.toml").read_text(encoding="utf-8")
    return tuple(
        Validity(
            category=Category(row["category"]),
            from_on=row["from_on"],
            first_use_days=row.get("first_use_days"),
            total_days=row["total_days"],
            note=row["note"],
            source=row["source"],
            confidence=row["confidence"],
        )
        for row in tomllib.loads(text)["validity"]
    )


def validity_of(category: Category, *, written_on: date) -> Validity:
    """The row in force on the day of writing. Raises NoValidityRow when none covers it."""
    found = [row for row in rows() if row.category is category and row.from_on <= written_on]
    if not found:
        raise NoValidityRow(f"{category} on {written_on}")
    return max(found, key=lambda row: row.from_on)


def category_of(folder: Folder) -> Category:
    """The category of a folder's ordinary prescriptions."""
    return {
        Folder.DRUGS: Category.DRUGS,
        Folder.BIOLOGY: Category.BIOLOGY,
        Folder.IMAGING: Category.IMAGING,
        Folder.OTHER: Category.DEVICES,
    }[folder]
