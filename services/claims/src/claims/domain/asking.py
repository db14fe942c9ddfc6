"""From what is known of a consultation and of a patient's insurance to the question the calculator takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from claims.domain.ages import stand_in_birth
from claims.domain.pricing import (
    ActLine,
    Amc,
    Exemptions,
    Inputs,
    Insured,
    MaternityWindow,
    Nir,
    OverrunQualifier,
    Pathway,
    PricingRefused,
    RefusalCode,
    Sector,
    Sponsor,
    Territory,
    ThirdPartyPayment,
)
from claims.domain.situation import MON_SOUTIEN_PSY
from claims.domain.supplements import with_supplements
from claims.domain.tables import Tables
from common.money import Cents
from common.places import clock_of

PHYSICIAN: Final = "physician"


class ExemptionKind(StrEnum):
    ALD = "ald"
    MATERNITY = "maternity"
    CSS = "css"
    AME = "ame"


class AmcDeclared(StrEnum):
    """What the patient says without giving a number."""

    NONE = "none"
    EXISTS_NOT_GIVEN = "exists-not-given"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """A right with its first and last day; no last day: it is open."""

    kind: ExemptionKind
    first_on: date
    last_on: date | None

    def holds(self, day: date) -> bool:
        return self.first_on <= day and (self.last_on is None or day <= self.last_on)

    def overlaps(self, other: "Exemption") -> bool:
        """Whether both are of one kind and share a day."""
        return self.kind is other.kind and (self.holds(other.first_on) or other.holds(self.first_on))


@dataclass(frozen=True, slots=True, kw_only=True)
class Insurance:
    """What is known of a patient's insurance at one instant."""

    insured: Insured = Insured.UNKNOWN
    nir: Nir = Nir.NONE
    born_on: date | None = None
    amc_number: str | None = None
    amc_declared: AmcDeclared = AmcDeclared.NONE
    amc_first_on: date | None = None
    amc_last_on: date | None = None
    amc_refused: bool = False  # its rights service says: closed, or unknown there
    exemptions: tuple[Exemption, ...] = ()
    contribution_exempt: bool = False  # for a reason of its own (rule D3): a victim of terrorism
    scheme: str = "general"
    sponsor: Sponsor | None = None


NOTHING_KNOWN: Final = Insurance()


@dataclass(frozen=True, slots=True, kw_only=True)
class Consultation:
    """The coded facts of a consultation, asked for or completed; the words are those of the events."""

    profession: str
    specialty: str  # two digits for a physician, "00" otherwise
    sector: str
    zone: str
    agreed_company: bool
    third_party_payment: str
    fee_cents: Cents
    pathway: str
    territory: str
    exemption_related: bool
    under_16: bool
    minor_on_1_january: bool
    age_group: str | None = None  # a key of AGE_GROUPS; none: an event from before there were groups
    seen_in_person: bool | None = None  # by this practitioner in the last 12 months; none: nobody was asked
    acts: tuple[str, ...] = ()  # none: the calculator codes it
    overrun_qualifier: str | None = None
    time_zone: str | None = None  # where the practitioner works; none: that of the tariff zone

    @property
    def clock(self) -> ZoneInfo:
        return clock_of(self.time_zone, zone=self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What counts towards the ceilings of the year and the day (rules D1, D2, A6); amounts in cents."""

    this_year_cents: Cents  # from this person in the civil year of care
    today_cents: Cents  # of it on the care date with this practitioner
    partner_sessions: int = 0  # with partner psychologists in the civil year of care (rule A6)


NOTHING_TAKEN: Final = Taken(this_year_cents=Cents(0), today_cents=Cents(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The day of care where the practitioner works, and what else a price rests on before it is coded."""

    care_on: date
    booked_on: date | None = None
    starts_at: datetime | None = None  # none: the hour is not known
    ordinary_fee: bool = False  # the fee is that of a consultation without supplements


def inputs_of(
    consultation: Consultation,
    insurance: Insurance,
    *,
    care_on: date,
    booked_on: date | None,
    tables: Tables,
    taken: Taken = NOTHING_TAKEN,
    starts_at: datetime | None = None,
    ordinary_fee: bool = False,
) -> Inputs:
    """The question for the calculator on the care date, with the supplements that it will have.

    `starts_at` None: the hour is not known. `ordinary_fee`: the fee is that of a consultation without
    supplements, and they come on top of it.

    Raises PricingRefused for an act that is done in person: the platform is for video only.
    """
    _refuse_in_person(consultation.acts, care_on=care_on, tables=tables)
    inputs = Inputs(
        care_on=care_on,
        born_on=insurance.born_on or _stand_in_birth(consultation, care_on=care_on),
        specialty=specialty_word(consultation.profession, consultation.specialty),
        sector=Sector(consultation.sector) if consultation.profession == PHYSICIAN else Sector.NONE,
        fee_cents=consultation.fee_cents,
        insured=insurance.insured,
        nir=insurance.nir,
        amc=amc_at(insurance, care_on=care_on, tables=tables),
        third_party_payment=ThirdPartyPayment(consultation.third_party_payment),
        acts=tuple(ActLine(code) for code in consultation.acts),
        pathway=Pathway(consultation.pathway),
        territory=Territory(consultation.territory),
        company=consultation.agreed_company,
        overrun_qualifier=OverrunQualifier(consultation.overrun_qualifier or "none"),
        zone=consultation.zone,
        known_patient=consultation.seen_in_person is not False,
        alternation_ok=consultation.seen_in_person is not False,
        exemptions=exemptions_at(insurance, care_on=care_on, related=consultation.exemption_related),
        scheme=insurance.scheme,
        pf_taken_this_year_cents=taken.this_year_cents,
        pf_taken_today_cents=taken.today_cents,
        pf_exempt=insurance.contribution_exempt,
        psychologist_session=taken.partner_sessions + 1,
        sponsor=insurance.sponsor,
        booked_on=booked_on,
    )
    hour = None if starts_at is None else starts_at.astimezone(consultation.clock).hour
    return with_supplements(inputs, tables, hour=hour, ordinary_fee=ordinary_fee)


def _refuse_in_person(codes: Sequence[str], *, care_on: date, tables: Tables) -> None:
    acts = tables.known_at(None).acts
    for code in codes:
        act = acts.find((code,), on=care_on)
        if act is not None and act.in_person:
            raise PricingRefused(RefusalCode.ACT_NOT_ALLOWED, "acts", f"{code}-is-done-in-person")


def counted(taken: Taken, *, care_on: date, tables: Tables) -> Taken:
    """Only what brings a ceiling into reach: far below it the question, and so the quote, stays the same."""
    book = tables.known_at(None)
    row = book.contributions.find(("consultation",), on=care_on)
    partner = book.partner_psychology.find(MON_SOUTIEN_PSY, on=care_on)
    near_year = row and taken.this_year_cents + row.amount_cents > row.year_ceiling_cents
    near_day = row and taken.today_cents + row.amount_cents > row.day_ceiling_cents
    all_had = partner and taken.partner_sessions >= partner.sessions_per_year
    return Taken(
        this_year_cents=taken.this_year_cents if near_year else Cents(0),
        today_cents=taken.today_cents if near_day else Cents(0),
        partner_sessions=taken.partner_sessions if all_had else 0,
    )


def specialty_word(profession: str, specialty: str) -> str:
    """A physician is known by the specialty's code without its leading zero, others by profession."""
    return str(int(specialty)) if profession == PHYSICIAN else profession


def _stand_in_birth(consultation: Consultation, *, care_on: date) -> date:
    return stand_in_birth(
        age_group=consultation.age_group,
        under_16=consultation.under_16,
        minor_on_1_january=consultation.minor_on_1_january,
        care_on=care_on,
    )


def amc_at(insurance: Insurance, *, care_on: date, tables: Tables) -> Amc:
    """Contracted or not is read from the directory of the care date; rights that have ended are unknown."""
    if insurance.amc_number is None:
        declared = insurance.amc_declared is AmcDeclared.EXISTS_NOT_GIVEN
        return Amc.EXISTS_NOT_GIVEN if declared else Amc.NONE
    if insurance.amc_refused:
        return Amc.UNKNOWN
    begun = insurance.amc_first_on is None or insurance.amc_first_on <= care_on
    ended = insurance.amc_last_on is not None and insurance.amc_last_on < care_on
    if ended or not begun:
        return Amc.UNKNOWN
    row = tables.find_amc(insurance.amc_number, on=care_on)
    return Amc.CONTRACTED if row is not None and row.contracted else Amc.NOT_CONTRACTED


def exemptions_at(insurance: Insurance, *, care_on: date, related: bool) -> Exemptions:
    """The exemptions that hold on the care date; `related`: the care is for the long-term illness.

    Without such an illness, related care of somebody whose maternity window is still to come is an act of the
    maternity list (rule B2): so no message names a pregnancy. For other care the window explains why the
    ordinary rate holds (B2n).
    """
    holding = {each.kind: each for each in insurance.exemptions if each.holds(care_on)}
    ald = ExemptionKind.ALD in holding
    window = _maternity_window(insurance, care_on=care_on)
    to_come = window is not None and window.first_on > care_on
    return Exemptions(
        ald=ald and related,
        ald_unrelated=ald and not related,
        maternity=window,
        maternity_list=related and not ald and to_come,
        css=ExemptionKind.CSS in holding,
        ame=ExemptionKind.AME in holding,
    )


def _maternity_window(insurance: Insurance, *, care_on: date) -> MaternityWindow | None:
    """The one that reaches the care date, else the next one."""
    windows = [
        MaternityWindow(each.first_on, each.last_on or max(each.first_on, care_on) + timedelta(days=1))
        for each in insurance.exemptions
        if each.kind is ExemptionKind.MATERNITY
    ]
    left = [each for each in windows if each.last_on >= care_on]
    return min(left, key=lambda window: window.first_on, default=None)
