"""The question put to the calculator: one consultation, one patient, what is known on the day it is asked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final, Self

from claims.domain.refusals import PricingRefused, RefusalCode
from common.money import Cents

GIVEN: Final = "="  # code of a line whose base comes with the question and not from a table


class Sector(StrEnum):
    S1 = "s1"
    OPTAM = "optam"  # sector 2 with the controlled-fees option
    S2 = "s2"  # sector 2 without it
    NONE = "none"  # not contracted, or not a physician


class OverrunQualifier(StrEnum):
    NONE = "none"
    DE = "DE"  # special demand of the patient
    DP = "DP"  # permanent right


class Insured(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Nir(StrEnum):
    NONE = "none"
    DEFINITIVE = "definitive"
    PROVISIONAL = "provisional"
    FAILED = "failed"  # given, refused by the check or the lookup
    AME = "ame"  # a state-medical-aid number in its place


class Amc(StrEnum):
    NONE = "none"
    EXISTS_NOT_GIVEN = "exists-not-given"
    NOT_CONTRACTED = "not-contracted"
    CONTRACTED = "contracted"
    UNKNOWN = "unknown"


class ThirdPartyPayment(StrEnum):
    NONE = "none"
    AMO = "amo"
    FULL = "full"


class Pathway(StrEnum):
    """Answer to "who sent you"."""

    REGULAR_DOCTOR = "regular-doctor"
    REFERRED = "referred"
    LOCUM = "locum"
    SAS = "sas"
    EMERGENCY = "emergency"
    AWAY = "away"
    ORGANISATION = "organisation"
    INSTITUTION = "institution"
    EXCEPTION = "exception"
    NONE = "none"
    UNANSWERED = "unanswered"


class Territory(StrEnum):
    """Answer to "is the doctor near, or does something allow distance"."""

    NEAR = "near"
    ORGANISATION = "organisation"
    PRIORITY_ZONE = "priority-zone"
    FAR = "far"
    UNANSWERED = "unanswered"


class SponsorKind(StrEnum):
    COPAYMENT = "COPAYMENT"
    FULL = "FULL"
    FIXED = "FIXED"
    PERCENT = "PERCENT"


@dataclass(frozen=True, slots=True)
class ActLine:
    code: str
    base_cents: Cents | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "TCG" as a coded line, "=1905" as one with a base of 1905 cents; raises PricingRefused."""
        code = text.strip()
        if not code.startswith(GIVEN):
            return cls(code)
        if not (code[1:].isascii() and code[1:].isdigit()):
            raise PricingRefused(RefusalCode.INVALID_INPUT, "acts", "given-base-is-whole-cents")
        return cls(GIVEN, Cents(int(code[1:])))

    def __str__(self) -> str:
        return self.code if self.base_cents is None else f"{GIVEN}{self.base_cents}"


@dataclass(frozen=True, slots=True)
class MaternityWindow:
    """First and last day at 100 %, as the rights service gives them; never computed here."""

    first_on: date
    last_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemptions:
    ald: bool = False  # the act is related to the long-term illness
    ald_unrelated: bool = False
    maternity: MaternityWindow | None = None
    maternity_list: bool = False  # the act is on the maternity list
    css: bool = False
    ame: bool = False


NO_EXEMPTION: Final = Exemptions()
NOTHING: Final = Cents(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sponsor:
    kind: SponsorKind
    cents: Cents | None = None  # FIXED only
    percent: int | None = None  # PERCENT only, 1 to 100
    max_cents: Cents | None = None  # what is left of the monthly cap
    specialties: tuple[str, ...] | None = None  # words of the specialties table; none: all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """`specialty` is a word of the specialties table, physician or not; no `acts` means not coded yet."""

    care_on: date
    born_on: date
    specialty: str
    sector: Sector
    fee_cents: Cents
    insured: Insured
    nir: Nir
    amc: Amc
    third_party_payment: ThirdPartyPayment
    acts: tuple[ActLine, ...] = ()
    pathway: Pathway = Pathway.UNANSWERED
    territory: Territory = Territory.UNANSWERED
    company: bool = False
    overrun_qualifier: OverrunQualifier = OverrunQualifier.NONE
    zone: str = "metropole"
    known_patient: bool = True
    alternation_ok: bool = True
    exemptions: Exemptions = field(default=NO_EXEMPTION)
    scheme: str = "general"
    pf_taken_this_year_cents: Cents = NOTHING
    pf_taken_today_cents: Cents = NOTHING
    pf_exempt: bool = False  # victims of terrorism and some screening acts
    psychologist_session: int = 1
    sponsor: Sponsor | None = None
    booked_on: date | None = None  # None: on the care date


def refuse_impossible(inputs: Inputs) -> None:
    """Raises PricingRefused `invalid-input` for what no table could make right."""
    if inputs.fee_cents <= 0:
        raise _invalid("fee_cents", "fee-above-0")
    if inputs.born_on > inputs.care_on:
        raise _invalid("born_on", "born-before-the-care-date")
    maternity = inputs.exemptions.maternity
    if maternity is not None and maternity.first_on > maternity.last_on:
        raise _invalid("exemptions.maternity", "maternity-dates-in-order")
    if inputs.nir is Nir.AME and not inputs.exemptions.ame:
        raise _invalid("nir", "ame-number-needs-ame")
    for name in ("pf_taken_this_year_cents", "pf_taken_today_cents"):
        if getattr(inputs, name) < 0:
            raise _invalid(name, "not-below-0")
    if inputs.psychologist_session < 1:
        raise _invalid("psychologist_session", "counted-from-1")
    _refuse_impossible_acts(inputs.acts)
    if inputs.sponsor is not None:
        _refuse_impossible_sponsor(inputs.sponsor)


def _refuse_impossible_acts(acts: Sequence[ActLine]) -> None:
    """One act is done once in a consultation: twice its base would be an overrun by another name."""
    if any(not _possible(line) for line in acts):
        raise _invalid("acts", "a-given-base-is-above-0-and-has-no-code")
    coded = [line.code for line in acts if line.code != GIVEN]
    if len(set(coded)) < len(coded):
        raise _invalid("acts", "an-act-stands-once")


def _possible(line: ActLine) -> bool:
    if line.code == GIVEN:
        return line.base_cents is not None and line.base_cents > 0
    return line.base_cents is None and bool(line.code)


def _refuse_impossible_sponsor(sponsor: Sponsor) -> None:
    if (sponsor.kind is SponsorKind.FIXED) != (sponsor.cents is not None) or (sponsor.cents or 0) < 0:
        raise _invalid("sponsor.cents", "fixed-sponsor-has-an-amount-not-below-0")
    percent = sponsor.percent
    if (sponsor.kind is SponsorKind.PERCENT) != (percent is not None) or not 0 <= (percent or 0) <= 100:  # noqa: PLR2004
        raise _invalid("sponsor.percent", "percent-sponsor-has-0-to-100")
    if (sponsor.max_cents or 0) < 0:
        raise _invalid("sponsor.max_cents", "not-below-0")


def _invalid(name: str, rule: str) -> PricingRefused:
    return PricingRefused(RefusalCode.INVALID_INPUT, name, rule)
