"""What patients agreed to when they saved a card, and which later charges that covers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal

from common.errors import DomainError, Refusal
from common.money import Cents


@dataclass(frozen=True, slots=True)
class MandateText:
    """A published version: why a later charge may be made, and how long after the care."""

    reason: str
    charge_within: timedelta


# A version is never changed, and stays as long as a mandate names it.
TEXTS: Final = {
    "2026-01": MandateText(reason="patient-balance", charge_within=timedelta(days=90)),
}


class MandateTextNotFound(DomainError):
    code: ClassVar[str] = "mandate-text-unknown"
    refusal: ClassVar[Refusal] = Refusal.INVALID


@dataclass(frozen=True, slots=True)
class Mandate:
    ceiling_cents: Cents  # per appointment, all later charges together
    charge_within: timedelta


def text_of(version: str) -> MandateText:
    """Raises MandateTextNotFound."""
    if version not in TEXTS:
        raise MandateTextNotFound(f"there is no mandate text {version}")
    return TEXTS[version]


def objection(
    mandate: Mandate | None, *, amount_cents: Cents, charged_cents: Cents, care_at: datetime, now: datetime
) -> Literal["no-mandate", "above-ceiling"] | None:
    """Why a charge is not covered; None: it is. `charged_cents` is what was charged before."""
    if mandate is None or now > care_at + mandate.charge_within:
        return "no-mandate"
    if charged_cents + amount_cents > mandate.ceiling_cents:
        return "above-ceiling"
    return None
