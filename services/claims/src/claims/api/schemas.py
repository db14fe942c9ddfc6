"""Bodies of the claims HTTP API."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from claims.domain import calendar
from claims.domain.ages import contradicted
from claims.domain.asking import AmcDeclared, Consultation, Exemption, ExemptionKind
from claims.domain.leg import State
from claims.domain.pricing import Insured, PaidTo, SheetMode, SponsorKind
from claims.domain.refusals import WarningCode
from claims.domain.rejects import find_reject
from claims.domain.rights import RightsAnswer, RightsStatus
from claims.domain.tables import AmcRow
from claims.models import (
    Balance,
    BalanceState,
    CareAct,
    CoverageVersion,
    Leg,
    Practitioner,
    Preview,
    Quote,
    QuoteState,
    SponsorOffer,
    Submission,
)
from claims.usecases.config import SeenInsured
from claims.usecases.coverage import CoverageSnapshot
from claims.usecases.pricing import Recomputed
from claims.usecases.sponsors import Offer
from claims.usecases.statements import AmcStatement, Statement
from common.events.base import (
    ActCode,
    AgeGroup,
    Currency,
    PathwayAnswer,
    Profession,
    Sector,
    SpecialtyCode,
    TerritoryAnswer,
    ThirdPartyPayment,
    Zone,
)
from common.messaging.tables import HistoryRow
from common.money import Cents
from common.web.schemas import ONE_LINE, In, Out, PersonName

_SHOWN = 4  # last characters of a masked number

ShortText = Annotated[str, Field(min_length=1, max_length=64)]
ShortLine = Annotated[str, Field(min_length=1, max_length=64, pattern=ONE_LINE)]
HolderName = Annotated[PersonName, Field(max_length=64)]
PositiveCents = Annotated[int, Field(gt=0, le=10_000_000)]


class AmcWrite(In):
    number: ShortText
    member_number: ShortText
    valid_from: date | None = None
    valid_to: date | None = None

    def statement(self) -> AmcStatement:
        return AmcStatement(
            number=self.number,
            member_number=self.member_number,
            first_on=self.valid_from,
            last_on=self.valid_to,
        )


class ExemptionWrite(In):
    kind: ExemptionKind
    from_: Annotated[date, Field(alias="from")]
    to: date | None = None


class CoverageWrite(In):
    """What a person states; a field left out is not known."""

    nir: ShortText | None = None
    nia: ShortText | None = None
    ame_number: ShortText | None = None
    birth_date: date | None = None
    insured: Insured | None = Field(default=None, description="left out: yes, as something is stated")
    amc: AmcWrite | None = None
    amc_status_declared: AmcDeclared = AmcDeclared.NONE
    exemptions: Annotated[list[ExemptionWrite], Field(max_length=20)] = Field(
        default_factory=list,
        description="several periods of one kind are fine while no day is in two of them",
    )
    contribution_exempt: bool = Field(
        default=False,
        description="no flat contribution for another reason: a victim of terrorism, some screening acts",
    )
    scheme: Annotated[str, Field(pattern=r"^[a-z][a-z-]{1,30}$")] = "general"
    sponsor_code: ShortText | None = None
    holder_name: HolderName | None = None

    def statement(self) -> Statement:
        amc = self.amc.statement() if self.amc else None
        return Statement(
            nir=self.nir,
            nia=self.nia,
            ame_number=self.ame_number,
            born_on=self.birth_date,
            insured=self.insured,
            amc=amc,
            amc_declared=self.amc_status_declared,
            exemptions=[
                Exemption(kind=each.kind, first_on=each.from_, last_on=each.to) for each in self.exemptions
            ],
            contribution_exempt=self.contribution_exempt,
            scheme=self.scheme,
            sponsor_code=self.sponsor_code,
            holder_name=self.holder_name,
        )


class AmcRead(Out):
    number: str
    name: str | None
    contracted: bool

    @classmethod
    def of(cls, row: AmcRow) -> Self:
        return cls(number=row.number, name=row.name, contracted=row.contracted)


class AmcList(Out):
    items: list[AmcRead]


class ExemptionRead(Out):
    kind: ExemptionKind
    from_: Annotated[date, Field(alias="from")]
    to: date | None


class RightsRead(Out):
    """What a payer's rights service answered about this coverage; unavailable: it was down when asked."""

    payer_kind: str
    status: RightsStatus
    valid_from: date | None
    valid_to: date | None
    known_from: datetime | None

    @classmethod
    def of(cls, answer: RightsAnswer) -> Self:
        return cls(
            payer_kind=answer.payer_kind,
            status=answer.status,
            valid_from=answer.valid_from,
            valid_to=answer.valid_to,
            known_from=answer.known_from,
        )


class CoverageRead(Out):
    """Numbers are masked but for their last characters."""

    patient_id: UUID
    version: int
    valid_from: datetime
    insured: Insured
    nir: str | None
    nir_verdict: str | None
    nia: str | None
    ame_number: str | None
    birth_date: date | None
    amc: AmcRead | None
    amc_member_number: str | None
    amc_status_declared: AmcDeclared
    exemptions: list[ExemptionRead]
    contribution_exempt: bool
    scheme: str
    sponsor: str | None
    holder_name: str | None
    rights: Annotated[list[RightsRead], Field(description="the last answer of each payer's service")]
    warnings: Annotated[list[str], Field(description="rights-unverified: the declared coverage counts")]

    @classmethod
    def of(cls, row: CoverageVersion, known: CoverageSnapshot) -> Self:
        person, insurance = known.person, known.insurance
        amc = (
            AmcRead(number=row.amc_number, name=person.amc_name, contracted=person.amc_contracted)
            if row.amc_number
            else None
        )
        return cls(
            patient_id=row.patient_id,
            version=row.version,
            valid_from=row.valid_from,
            insured=Insured(row.insured),
            nir=masked(person.nir),
            nir_verdict=known.nir_verdict,
            nia=masked(person.nia),
            ame_number=masked(person.ame_number),
            birth_date=person.born_on,
            amc=amc,
            amc_member_number=masked(person.amc_member_number),
            amc_status_declared=AmcDeclared(row.amc_declared),
            exemptions=[
                ExemptionRead.model_validate({"kind": each.kind, "from": each.first_on, "to": each.last_on})
                for each in insurance.exemptions
            ],
            contribution_exempt=insurance.contribution_exempt,
            scheme=row.scheme,
            sponsor=known.offer.name if known.offer else None,
            holder_name=person.holder_name,
            rights=[RightsRead.of(each) for each in known.latest],
            warnings=(
                [WarningCode.RIGHTS_UNVERIFIED]
                if any(each.status is RightsStatus.UNAVAILABLE for each in known.latest)
                else []
            ),
        )


def masked(number: str | None) -> str | None:
    if number is None:
        return None
    shown = number[-min(_SHOWN, len(number) // 2) :] if len(number) > 1 else ""
    return "*" * (len(number) - len(shown)) + shown


class PracticeWrite(In):
    """Whom the price is asked for, when it is not one practitioner."""

    profession: Profession
    specialty: SpecialtyCode = "00"
    sector: Sector
    zone: Zone = "metropole"
    agreed_company: bool = False
    third_party_payment: ThirdPartyPayment
    currency: Currency = "EUR"
    fee_cents: PositiveCents
    permanent_overrun: bool = Field(
        default=False, description="the permanent right to charge above the tariff (DP); sector s1 only"
    )


_OF_PRACTICE = frozenset({"fee_cents", "sector", "specialty", "zone"})
_OF_COVERAGE = {
    "born_on": "birth_date",
    "exemptions": "exemptions",
    "nir": "nir",
    "scheme": "scheme",
    "sponsor": "sponsor_code",
}


class PreviewCreate(In):
    practitioner_id: UUID | None = None
    practice: PracticeWrite | None = None
    care_on: date | None = Field(
        default=None, description="the date where the practitioner works; left out: that of starts_at"
    )
    starts_at: datetime | None = Field(
        default=None, description="without it no supplement for the hour is counted, as for a visit at night"
    )
    acts: Annotated[list[ActCode], Field(max_length=10)] = Field(
        default_factory=list,
        description="left out: the consultation, with the supplements that follow from age, day and hour",
    )
    patient_id: UUID | None = Field(
        default=None, description="prices with the patient's coverage as known now"
    )
    coverage: CoverageWrite | None = Field(
        default=None, description="instead of the patient's; it is not kept"
    )
    pathway: PathwayAnswer = "unanswered"
    territory: TerritoryAnswer = "unanswered"
    exemption_related: bool = Field(
        default=False,
        description="the care is for the long-term illness; where the coverage knows none that holds, and a"
        " maternity that is to begin: an act of the maternity list",
    )
    under_16: bool = Field(default=False, description="counts only where no birth date is known")
    minor_on_1_january: bool = Field(default=False, description="as under_16")
    age_group: AgeGroup | None = Field(
        default=None,
        description="counts only where no birth date is known; says what is left out of under_16 and"
        " minor_on_1_january",
    )
    special_demand: bool = Field(
        default=False,
        description="the patient asks for something special: sector s1 may then charge more (DE)",
    )
    seen_in_person: bool | None = Field(
        default=None, description="by this practitioner in the last 12 months; null: not asked"
    )

    def pointer(self, field: str) -> str:
        """Where this body gives a field of the question that is priced."""
        field, _, _ = field.partition(".")
        if field == "care_on":
            return "/body/care_on" if self.care_on else "/body/starts_at"
        if field == "acts" and self.acts:
            return "/body/acts"
        if field in _OF_PRACTICE:
            return f"/body/practice/{field}" if self.practice else "/body/practitioner_id"
        if field in _OF_COVERAGE:
            return f"/body/coverage/{_OF_COVERAGE[field]}" if self.coverage else "/body/patient_id"
        return "/body"

    def contradicted(self) -> str | None:
        """The flag that was given, and that nobody of the given age group can have so."""
        if self.age_group is None:
            return None
        given = self.model_fields_set
        return contradicted(
            self.age_group,
            under_16=self.under_16 if "under_16" in given else None,
            minor_on_1_january=self.minor_on_1_january if "minor_on_1_january" in given else None,
        )

    def consultation(self, practitioner: Practitioner | None) -> Consultation:
        asked = practitioner or self.practice
        assert asked is not None  # noqa: S101  the route refuses neither
        demanded = "DE" if self.special_demand else None
        overrun_qualifier = "DP" if asked.permanent_overrun else demanded
        return Consultation(
            profession=asked.profession or "",
            specialty=asked.specialty or "00",
            sector=asked.sector or "none",
            zone=asked.zone or "metropole",
            agreed_company=asked.agreed_company,
            third_party_payment=asked.third_party_payment or "none",
            fee_cents=Cents(asked.fee_cents),
            pathway=self.pathway,
            territory=self.territory,
            exemption_related=self.exemption_related,
            under_16=self.under_16,
            minor_on_1_january=self.minor_on_1_january,
            age_group=self.age_group,
            seen_in_person=self.seen_in_person,
            acts=tuple(self.acts),
            overrun_qualifier=overrun_qualifier,
            time_zone=practitioner.time_zone if practitioner else None,
        )

    def is_fee_ordinary(self) -> bool:
        """Whether the fee is that of a consultation without supplements."""
        return self.practitioner_id is not None or not self.acts


class PriceLineRead(Out):
    code: str
    currency: Currency
    tariff_cents: int
    base_cents: int
    amo_cents: int
    amc_cents: int


class TraceRead(Out):
    """A rule that fired, and the row of the tables that it rests on."""

    rule: str
    reason: str | None
    currency: Currency
    amount_cents: int | None
    sentence_fr: str
    sentence_en: str
    table: str | None
    table_key: str | None
    source: str | None
    confidence: str | None

    @classmethod
    def of(cls, step: Mapping[str, Any]) -> Self:
        row: Mapping[str, Any] = step["row"] or {}
        return cls(
            rule=step["rule"],
            reason=step["reason"],
            currency="EUR",
            amount_cents=step["amount_cents"],
            sentence_fr=step["sentence_fr"],
            sentence_en=step["sentence_en"],
            table=row.get("table"),
            table_key=row.get("key"),
            source=row.get("source"),
            confidence=row.get("confidence"),
        )


class ExplanationRead(Out):
    code: str
    sentence_fr: str
    sentence_en: str


class PriceRead(Out):
    """Who pays what, in cents, and why. The reasons are empty for support: they would tell the illness."""

    currency: Currency
    reimbursable: bool
    fee_cents: int
    base_cents: int
    overrun_cents: int
    amo_cents: int
    amc_cents: int
    amo_refund_expected_cents: int
    amc_refund_expected_cents: int
    sponsor_cents: int
    flat_contribution_cents: int
    surcharge_cents: int
    deferred_deductions_cents: int
    advance_cents: int
    patient_final_cents: int
    amo_claim_cents: int
    amc_claim_cents: int
    sheet_mode: SheetMode
    pathway_indicator: str | None
    exemption_code: str | None
    lines: list[PriceLineRead]
    trace: list[TraceRead]
    warnings: list[str]
    explanations: list[ExplanationRead]
    table_version: str
    engine_version: str

    @classmethod
    def of(cls, result: Mapping[str, Any], *, reasons: bool = True) -> Self:
        amounts = {name: value for name, value in result.items() if name.endswith("_cents")}
        return cls(
            currency="EUR",
            reimbursable=result["reimbursable"],
            **amounts,
            sheet_mode=SheetMode(result["sheet_mode"]),
            pathway_indicator=result["pathway_indicator"],
            exemption_code=result["exemption_code"] if reasons else None,
            lines=[PriceLineRead.model_validate({"currency": "EUR", **each}) for each in result["lines"]],
            trace=[TraceRead.of(each) for each in result["trace"]] if reasons else [],
            warnings=result["warnings"] if reasons else [],
            explanations=[ExplanationRead(**each) for each in result["explanations"]] if reasons else [],
            table_version=result["tables_version"],
            engine_version=result["engine_version"],
        )


class PreviewRead(Out):
    id: UUID
    created_at: datetime
    patient_id: UUID | None
    price: PriceRead

    @classmethod
    def of(cls, row: Preview, result: Mapping[str, Any]) -> Self:
        return cls(
            id=row.id, created_at=row.created_at, patient_id=row.patient_id, price=PriceRead.of(result)
        )


class QuoteRead(Out):
    appointment_id: UUID
    revision: int
    state: QuoteState
    schedule_no: int
    coverage_version: int
    issued_at: datetime
    price: PriceRead

    @classmethod
    def of(cls, row: Quote, result: Mapping[str, Any], *, reasons: bool) -> Self:
        return cls(
            appointment_id=row.appointment_id,
            revision=row.revision,
            state=row.state,
            schedule_no=row.schedule_no,
            coverage_version=row.coverage_version,
            issued_at=row.issued_at,
            price=PriceRead.of(result, reasons=reasons),
        )


class QuoteList(Out):
    items: list[QuoteRead]


class RecomputationRead(Out):
    """A quote asked again today, with the tables as they were known when it was issued."""

    same: bool
    same_tables: bool
    same_engine: bool
    stored: dict[str, int]
    again: dict[str, int]

    @classmethod
    def of(cls, recomputed: Recomputed) -> Self:
        return cls(
            same=recomputed.same,
            same_tables=recomputed.same_tables,
            same_engine=recomputed.same_engine,
            stored=recomputed.stored,
            again=recomputed.again,
        )


class AttemptRead(Out):
    number: int
    invoice_no: str
    batch_id: UUID
    sent_at: datetime | None
    acknowledged_at: datetime | None
    accepted: bool | None
    reject_code: str | None

    @classmethod
    def of(cls, row: Submission) -> Self:
        return cls(
            number=row.attempt,
            invoice_no=row.invoice_no,
            batch_id=row.batch_id,
            sent_at=row.sent_at,
            acknowledged_at=row.acknowledged_at,
            accepted=row.accepted,
            reject_code=row.reject_code,
        )


class LegRead(Out):
    id: UUID
    payer_kind: str
    payer: str
    paid_to: Annotated[PaidTo, Field(description="insured: the sheet of a direct payment")]
    currency: Currency
    amount_cents: int
    paid_cents: int
    reversed_cents: int
    owed_back_cents: int = Field(description="that the payer paid above the claim, and may take back")
    paid_less_code: str | None = Field(description="why the payer paid less than the claim, in its own code")
    state: State
    attempt: int
    attempts: list[AttemptRead]
    reject_code: str | None
    reject_family: str | None
    reject_sentence_fr: str | None
    reject_sentence_en: str | None
    opened_at: datetime
    changed_at: datetime
    send_by: datetime
    ack_by: datetime | None
    resend_by: datetime | None
    pay_by: datetime | None

    @classmethod
    def of(cls, row: Leg, submissions: Sequence[Submission]) -> Self:
        reject = find_reject(row.payer_kind, row.reject_code) if row.reject_code else None
        return cls(
            id=row.id,
            payer_kind=row.payer_kind,
            payer=row.payer,
            paid_to=PaidTo(row.paid_to),
            currency="EUR",
            amount_cents=row.amount_cents,
            paid_cents=row.paid_cents,
            reversed_cents=row.reversed_cents,
            owed_back_cents=row.owed_back_cents,
            paid_less_code=row.paid_less_code,
            state=row.state,
            attempt=row.attempt,
            attempts=[AttemptRead.of(each) for each in submissions if each.leg_id == row.id],
            reject_code=row.reject_code,
            reject_family=row.reject_family,
            reject_sentence_fr=reject.meaning_fr if reject else None,
            reject_sentence_en=reject.meaning_en if reject else None,
            opened_at=row.opened_at,
            changed_at=row.changed_at,
            send_by=row.send_by,
            ack_by=row.ack_by,
            resend_by=row.resend_by,
            pay_by=row.pay_by,
        )


class BalanceRead(Out):
    id: UUID
    reason: str
    payer_kind: str | None
    currency: Currency
    amount_cents: int
    collect: bool
    state: BalanceState
    settled_by: str | None
    charge_failure: str | None
    opened_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, row: Balance) -> Self:
        return cls(
            id=row.id,
            reason=row.reason,
            payer_kind=row.payer_kind,
            currency="EUR",
            amount_cents=row.amount_cents,
            collect=row.collect,
            state=row.state,
            settled_by=row.settled_by,
            charge_failure=row.charge_failure,
            opened_at=row.opened_at,
            settled_at=row.settled_at,
        )


class CareActRead(Out):
    id: UUID
    appointment_id: UUID
    patient_id: UUID
    practitioner_id: UUID
    biller_id: UUID
    completed_at: datetime
    care_on: date
    revision: int
    coverage_version: int
    rights_pending: bool
    price: PriceRead
    patient_sheet_valid_until: Annotated[
        date | None,
        Field(description="the last day to send the paper sheet to the fund; null: there is none"),
    ]
    legs: list[LegRead]
    balances: list[BalanceRead]

    @classmethod
    def of(
        cls,
        row: CareAct,
        result: Mapping[str, Any],
        legs: Sequence[LegRead],
        balances: Sequence[Balance],
        *,
        reasons: bool,
    ) -> Self:
        return cls(
            id=row.id,
            appointment_id=row.appointment_id,
            patient_id=row.patient_id,
            practitioner_id=row.practitioner_id,
            biller_id=row.biller_id,
            completed_at=row.completed_at,
            care_on=row.care_on,
            revision=row.revision,
            coverage_version=row.coverage_version,
            rights_pending=row.rights_pending,
            price=PriceRead.of(result, reasons=reasons),
            patient_sheet_valid_until=_paper_until(row, result, legs),
            legs=list(legs),
            balances=[BalanceRead.of(each) for each in balances],
        )


def _paper_until(row: CareAct, result: Mapping[str, Any], legs: Sequence[LegRead]) -> date | None:
    """Of the sheet that the patient sends: that of the visit, or the one for an electronic sheet given up."""
    instead = any(leg.paid_to is PaidTo.INSURED and leg.state is State.PAPER_FALLBACK for leg in legs)
    if result["sheet_mode"] == SheetMode.PAPER or instead:
        return calendar.paper_valid_until(row.care_on)
    return None


class ClaimFactRead(Out):
    id: int
    fact: str
    sequence: int | None
    about_id: UUID | None = Field(description="The leg, balance, hold or document; null: the appointment")
    at: datetime

    @classmethod
    def of(cls, row: HistoryRow) -> Self:
        return cls(id=row.id, fact=row.fact, sequence=row.sequence, about_id=row.about_id, at=row.at)


class HistoryPage(Out):
    items: list[ClaimFactRead]
    next_cursor: str | None


class InsuredAmcRead(Out):
    number: str
    name: str | None
    contracted: bool
    member_number: str | None


class InsuredRead(Out):
    """In clear, for a document: only a service may read it, and the purpose is written down."""

    appointment_id: UUID
    patient_id: UUID
    coverage_version: int
    born_on: date | None
    nir: str | None
    provisional: bool
    nia: str | None
    ame_number: str | None
    holder_name: str | None
    scheme: str
    amc: InsuredAmcRead | None

    @classmethod
    def of(cls, seen: SeenInsured) -> Self:
        person = seen.person
        amc = (
            InsuredAmcRead(
                number=person.amc_number,
                name=person.amc_name,
                contracted=person.amc_contracted,
                member_number=person.amc_member_number,
            )
            if person.amc_number
            else None
        )
        return cls(
            appointment_id=seen.appointment_id,
            patient_id=seen.patient_id,
            coverage_version=person.coverage_version,
            born_on=person.born_on,
            nir=person.nir,
            provisional=person.provisional,
            nia=person.nia,
            ame_number=person.ame_number,
            holder_name=person.holder_name,
            scheme=person.scheme,
            amc=amc,
        )


class SponsorOfferCreate(In):
    name: ShortLine
    kind: SponsorKind
    currency: Currency = "EUR"
    cents: PositiveCents | None = None
    percent: Annotated[int, Field(ge=1, le=100)] | None = None
    max_cents: Annotated[PositiveCents | None, Field(description="of one consultation")] = None
    monthly_cap_cents: Annotated[
        PositiveCents | None, Field(description="of one person in a civil month")
    ] = None
    covered_specialties: Annotated[
        list[ShortText] | None,
        Field(
            min_length=1,
            max_length=64,
            description="words of the specialties and professions: gp, psychologist; left out: all of them",
        ),
    ] = None
    valid_from: date
    valid_to: date | None = None

    def offer(self) -> Offer:
        return Offer(
            name=self.name,
            kind=self.kind,
            cents=None if self.cents is None else Cents(self.cents),
            percent=self.percent,
            max_cents=None if self.max_cents is None else Cents(self.max_cents),
            monthly_cap_cents=(None if self.monthly_cap_cents is None else Cents(self.monthly_cap_cents)),
            covered_specialties=(
                None if self.covered_specialties is None else tuple(self.covered_specialties)
            ),
            valid_from=self.valid_from,
            valid_to=self.valid_to,
        )


class SponsorOfferRead(Out):
    """`code` is told once, when the offer is made."""

    id: UUID
    name: str
    kind: SponsorKind
    currency: Currency
    cents: int | None
    percent: int | None
    max_cents: int | None
    monthly_cap_cents: int | None
    covered_specialties: list[str] | None
    valid_from: date
    valid_to: date | None
    code: str | None

    @classmethod
    def of(cls, row: SponsorOffer, code: str | None) -> Self:
        return cls(
            id=row.id,
            name=row.name,
            kind=SponsorKind(row.kind),
            currency="EUR",
            cents=row.cents,
            percent=row.percent,
            max_cents=row.max_cents,
            monthly_cap_cents=row.monthly_cap_cents,
            covered_specialties=row.covered_specialties,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            code=code,
        )
