"""What a payer's reject code means, whose problem it is, and whether the claim may be sent again."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from common.typography import french

CODE: Final = re.compile(r"[0-9]{4}-[0-9]{3}")


class Family(StrEnum):
    RIGHTS = "rights"
    CODING = "coding"  # never fixed by itself: the practitioner validates
    SET_UP = "set-up"
    DISPUTE = "dispute"
    AMC = "amc"


class Again(StrEnum):
    """When a rejected claim may leave again."""

    NEVER = "never"
    AFTER_FIX = "after-fix"
    AFTER_LOOKUP = "after-lookup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    code: str
    family: Family
    again: Again
    meaning_fr: str
    meaning_en: str
    source: str
    confidence: str


def normal_code(raw: str) -> str | None:
    """`0250 050`, `0250050` and `0250-050` are one code: four and three digits. None: not a code."""
    digits = re.sub(r"[ \-]", "", raw)
    code = f"{digits[:4]}-{digits[4:]}"
    return code if CODE.fullmatch(code) else None


def find_reject(payer_kind: str, code: str) -> Reject:
    """The row of `code`; a code nobody listed is the fund's dispute or the AMC's, and needs a person."""
    known = _table().get((payer_kind, code))
    if known is not None:
        return known
    return Reject(
        code=code,
        family=Family.AMC if payer_kind == "amc" else Family.DISPUTE,
        again=Again.AFTER_FIX,
        meaning_fr="Rejet non répertorié",
        meaning_en="Reject that no list explains",
        source="none",
        confidence="unconfirmed",
    )


def listed() -> tuple[Reject, ...]:
    """Every code that a list explains, and the answer to any other."""
    return (*_table().values(), find_reject("amc", ""))


@cache
def _table() -> Mapping[tuple[str, str], Reject]:
    text = resources.files("claims.domain").joinpath("rejects.csv").read_text("utf-8")
    rows: dict[tuple[str, str], Reject] = {}
    for row in csv.DictReader(text.splitlines()):
        key = (row["payer_kind"], row["code"])
        if key in rows or not CODE.fullmatch(row["code"]) or not row["source"]:
            raise ValueError(f"rejects.csv: {key} stands twice, has no source or is no code")
        rows[key] = Reject(
            code=row["code"],
            family=Family(row["family"]),
            again=Again(row["again"]),
            meaning_fr=french(row["meaning_fr"]),
            meaning_en=row["meaning_en"],
            source=row["source"],
            confidence=row["confidence"],
        )
    return MappingProxyType(rows)
