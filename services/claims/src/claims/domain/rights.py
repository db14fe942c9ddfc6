"""What payers' rights services answer, and what an answer makes of a declared insurance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Final, Literal

from claims.domain.asking import AmcDeclared, Exemption, ExemptionKind, Insurance
from claims.domain.pricing import Nir

PayerKind = Literal["amo", "amc"]


class RightsStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"  # nobody of this number is insured there
    UNAVAILABLE = "unavailable"  # the service is down: the declared coverage counts, with a warning


class RightsVerdict(StrEnum):
    """What is known of a payer's rights on a care date."""

    UNASKED = "unasked"
    PROVEN = "proven"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


SUFFICIENT: Final = frozenset({RightsVerdict.PROVEN, RightsVerdict.UNASKED})  # nothing more to wait for


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsQuestion:
    payer_kind: PayerKind
    care_on: date
    nir: str | None = None
    ame_number: str | None = None
    born_on: date | None = None
    amc_number: str | None = None
    amc_member_number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsAnswer:
    """`exemptions` none: the service does not tell them, and what was declared stays."""

    payer_kind: PayerKind
    status: RightsStatus
    valid_from: date | None = None
    valid_to: date | None = None
    exemptions: tuple[Exemption, ...] | None = None
    reference: str | None = None
    known_from: datetime | None = None

    def covers(self, day: date) -> bool:
        begun = self.valid_from is None or self.valid_from <= day
        return begun and (self.valid_to is None or day <= self.valid_to)


def judged(
    answers: Sequence[RightsAnswer], payer_kind: PayerKind, *, care_on: date
) -> tuple[RightsVerdict, RightsAnswer | None]:
    """The newest answer that says something of the care date; an older one that still holds beats silence."""
    silent = False
    for each in reversed(answers):
        if each.payer_kind != payer_kind:
            continue
        if each.status is RightsStatus.UNAVAILABLE:
            silent = True
        elif each.status is not RightsStatus.OPEN:
            return RightsVerdict.REFUSED, each
        elif each.covers(care_on):
            return RightsVerdict.PROVEN, each
        else:
            silent = True  # open, and nothing is said of the care date: it is asked for again
    return (RightsVerdict.UNAVAILABLE if silent else RightsVerdict.UNASKED), None


def applied(insurance: Insurance, answers: Sequence[RightsAnswer], *, care_on: date) -> Insurance:
    """The insurance as the services know it. Without an answer the declared one stays (degraded mode).

    A number that the fund does not know, or whose rights are closed, is a failed one (rule A3); rights of a
    complementary insurer that are closed or unknown pay nothing.
    """
    verdict, answer = judged(answers, "amo", care_on=care_on)
    if verdict is RightsVerdict.REFUSED and insurance.nir is not Nir.NONE:
        insurance = replace(insurance, nir=Nir.FAILED, exemptions=_without_ame(insurance.exemptions))
    elif verdict is RightsVerdict.PROVEN and answer is not None and answer.exemptions is not None:
        ame = tuple(each for each in insurance.exemptions if each.kind is ExemptionKind.AME)
        insurance = replace(insurance, exemptions=ame + answer.exemptions)
    verdict, _ = judged(answers, "amc", care_on=care_on)
    if verdict is RightsVerdict.REFUSED and insurance.amc_number is not None:
        insurance = replace(insurance, amc_refused=True, amc_declared=AmcDeclared.NONE)
    return insurance


def _without_ame(exemptions: tuple[Exemption, ...]) -> tuple[Exemption, ...]:
    """An AME number that failed proves no AME."""
    return tuple(each for each in exemptions if each.kind is not ExemptionKind.AME)
