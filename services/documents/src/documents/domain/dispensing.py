"""What a pharmacy may still hand out of a prescription."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from common.errors import DomainError, Refusal
from documents.domain.content import Folder, Line
from documents.domain.validity import category_of, validity_of


class NotDispensable(DomainError):
    """It is no prescription, or names a line that is not there."""

    code: ClassVar[str] = "not-dispensable"
    refusal: ClassVar[Refusal] = Refusal.INVALID


class NothingLeftToDispense(DomainError):
    code: ClassVar[str] = "nothing-left-to-dispense"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class PrescriptionExpired(DomainError):
    code: ClassVar[str] = "prescription-expired"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


@dataclass(frozen=True, slots=True)
class LineLeft:
    """How often a line was handed out, and how often it may be: once, and once for each renewal."""

    position: int
    dispensed: int
    allowed: int


def dispense(
    lines: Sequence[Line],
    *,
    folder: Folder,
    written_on: date,
    on: date,
    earlier: Sequence[int],
    positions: Sequence[int],
) -> Sequence[LineLeft]:
    """The state of every line after handing out `positions` (from 1), `earlier` being those of former visits.

    `lines` are in the order of their printed numbers: a pharmacist names the numbers on the paper.

    Raises NotDispensable, NothingLeftToDispense or PrescriptionExpired.
    """
    if not positions or not all(1 <= position <= len(lines) for position in positions):
        raise NotDispensable("name lines of the prescription, counted from 1")
    if len(set(positions)) != len(positions):
        raise NotDispensable("a line is handed out once in a visit")
    validity = validity_of(category_of(folder), written_on=written_on)
    first_until = validity.first_use_until(written_on)
    if on > validity.usable_until(written_on):
        raise PrescriptionExpired("the prescription is too old")
    if not earlier and first_until is not None and on > first_until:
        raise PrescriptionExpired("the prescription was not used in time")
    counted = Counter([*earlier, *positions])
    left = [
        LineLeft(position, counted[position], 1 + line.renewals)
        for position, line in enumerate(lines, start=1)
    ]
    over = [line.position for line in left if line.dispensed > line.allowed]
    if over:
        raise NothingLeftToDispense(f"line {over[0]} was handed out as often as prescribed")
    return left
