"""Who may prescribe what: refusals that hold before anything is written."""

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar, Final

from anyascii import anyascii

from common.errors import DomainError, Refusal
from documents.domain.content import DeviceLine, DrugLine, Folder, FreeLine, Line

MOST_RENEWALS: Final = 12
MOST_DAYS: Final = 366
MOST_LINES: Final = 40
MOST_CHARACTERS: Final = 2000
_INVISIBLE: Final = frozenset({"Cf", "Cc", "Mn", "Me"})
_LONG_WORD: Final = 7
_CIP13: Final = re.compile(r"34009[0-9]{8}")
_LPP: Final = re.compile(r"[0-9A-Z]{1,13}")


class CannotPrescribe(DomainError):
    """The profession has no right to prescribe, or none in this folder."""

    code: ClassVar[str] = "cannot-prescribe"
    refusal: ClassVar[Refusal] = Refusal.FORBIDDEN


class LineRefused(DomainError):
    """A line is incomplete or does not belong into the folder."""

    code: ClassVar[str] = "invalid-prescription-line"
    refusal: ClassVar[Refusal] = Refusal.INVALID


class SecurePrescriptionRequired(DomainError):
    """The substance needs a secure form, which cannot be handed over at a distance."""

    code: ClassVar[str] = "secure-prescription-required"
    refusal: ClassVar[Refusal] = Refusal.INVALID


def _rows(name: str) -> list[dict[str, Any]]:
    text = files("documents.domain").joinpath(f"data/{name}.toml").read_text(encoding="utf-8")
    (rows,) = tomllib.loads(text).values()
    return list(rows)


@cache
def prescribers() -> dict[str, frozenset[Folder]]:
    """Profession -> folders it may prescribe into."""
    return {row["profession"]: frozenset(map(Folder, row["folders"])) for row in _rows("prescribers")}


def _plain(text: str) -> str:
    """In small ASCII letters, without invisible characters: no spelling hides a substance."""
    visible = "".join(letter for letter in text if unicodedata.category(letter) not in _INVISIBLE)
    return anyascii(unicodedata.normalize("NFKC", visible)).casefold()


def _squeezed(text: str) -> str:
    """Letters and digits only: `mor-phine`, `m.o.r.p.h.i.n.e`."""
    return "".join(letter for letter in text if letter.isalnum())


@cache
def _secure_words() -> tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...]:
    """Per class: a pattern of its words, and the long words squeezed, which are part of no other word."""
    found = []
    for row in _rows("secure_classes"):
        words = [_plain(word) for word in row["words"]]
        pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b")
        squeezed = (_squeezed(word) for word in words)
        found.append((row["name"], pattern, tuple(each for each in squeezed if len(each) >= _LONG_WORD)))
    return tuple(found)


def secure_class(line: Line) -> str | None:
    """The class that needs a secure prescription, read from every text of the line."""
    plain = _plain(" ".join(_texts(line)))
    squeezed = _squeezed(plain)
    for name, words, long_words in _secure_words():
        if words.search(plain) or any(word in squeezed for word in long_words):
            return name
    return None


def _texts(line: Line) -> Iterator[str]:
    for field in fields(line):
        value = getattr(line, field.name)
        if isinstance(value, str):
            yield value


def ean13_holds(code: str) -> bool:
    """Whether the last of 13 digits is the EAN key of the others."""
    digits = [int(letter) for letter in code]
    return sum(digit * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10 == 0


def check(
    lines: Sequence[Line], *, folder: Folder, profession: str, e_prescription_linked: bool = False
) -> None:
    """Passes, or raises CannotPrescribe, LineRefused or SecurePrescriptionRequired.

    The detail of a LineRefused names the line (from 1) and the rule, never what the line says.
    """
    if folder not in prescribers().get(profession, frozenset()):
        raise CannotPrescribe(f"a {profession} cannot prescribe into {folder}")
    if not 1 <= len(lines) <= MOST_LINES:
        raise LineRefused(f"a prescription has 1 to {MOST_LINES} lines")
    for position, line in enumerate(lines, start=1):
        problem = _problem(line, folder=folder)
        if problem is not None:
            raise LineRefused(f"line {position}: {problem}")
    if e_prescription_linked:
        return
    for position, line in enumerate(lines, start=1):
        needed = secure_class(line)
        if needed is not None:
            raise SecurePrescriptionRequired(f"line {position}: {needed}")


def _problem(line: Line, *, folder: Folder) -> str | None:
    if not 0 <= line.renewals <= MOST_RENEWALS:
        return f"renewals are 0 to {MOST_RENEWALS}"
    match line:
        case DrugLine():
            return _drug_problem(line, folder=folder)
        case DeviceLine():
            return _device_problem(line, folder=folder)
        case FreeLine():
            return _free_problem(line, folder=folder)


def _drug_problem(line: DrugLine, *, folder: Folder) -> str | None:
    problems = (
        (folder is not Folder.DRUGS, "a drug belongs into the folder drugs"),
        (not line.label.strip(), "a drug has a name"),
        (not line.dosage.strip(), "a drug has a dosage"),
        (line.duration_days is None and line.packs is None, "a drug has a duration or a number of packs"),
        (
            line.duration_days is not None and not 1 <= line.duration_days <= MOST_DAYS,
            "duration out of range",
        ),
        (line.packs is not None and line.packs < 1, "packs are 1 or more"),
        (
            line.cip13 is not None and not (_CIP13.fullmatch(line.cip13) and ean13_holds(line.cip13)),
            "the CIP13 is not one",
        ),
        (max(len(line.label), len(line.dosage), len(line.inn or "")) > MOST_CHARACTERS, "too long"),
    )
    return next((text for wrong, text in problems if wrong), None)


def _device_problem(line: DeviceLine, *, folder: Folder) -> str | None:
    problems = (
        (folder is not Folder.OTHER, "a device belongs into the folder other"),
        (not line.label.strip(), "a device has a designation"),
        (not line.conditions.strip(), "a device has conditions of use"),
        (line.quantity < 1, "the quantity is 1 or more"),
        (
            line.duration_days is not None and not 1 <= line.duration_days <= MOST_DAYS,
            "duration out of range",
        ),
        (line.lpp is not None and not _LPP.fullmatch(line.lpp), "the LPP code is not one"),
        (max(len(line.label), len(line.conditions)) > MOST_CHARACTERS, "too long"),
    )
    return next((text for wrong, text in problems if wrong), None)


def _free_problem(line: FreeLine, *, folder: Folder) -> str | None:
    problems = (
        (folder is Folder.DRUGS, "a line of the folder drugs names its drug and dosage"),
        (not line.text.strip(), "a line says something"),
        (max(len(line.text), len(line.indication or "")) > MOST_CHARACTERS, "too long"),
    )
    return next((text for wrong, text in problems if wrong), None)
