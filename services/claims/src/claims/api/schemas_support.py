"""Bodies of what support, practitioners and operations see and do about claims."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field

from claims.api.schemas import PositiveCents
from claims.domain.leg import State
from claims.models import CareAct, Leg, LineState, StoryEntry, UnpricedCare
from claims.usecases.reports import Ageing, Span
from claims.usecases.returns_files import FileReport, LineReport
from claims.usecases.unpriced import Coding
from common.events.base import ActCode, Currency
from common.events.booking import OverrunQualifier
from common.money import Cents
from common.web.schemas import In, Out

Reason = Annotated[str, Field(pattern=r"^[a-z][a-z-]{2,39}$")]


class RefusalRead(Out):
    """Why there is no price: the input at fault and the condition that it breaks."""

    code: str
    field: str
    rule: str


class UnpricedCareRead(Out):
    appointment_id: UUID
    patient_id: UUID
    practitioner_id: UUID
    completed_at: datetime
    care_on: date
    acts: list[str]
    overrun_qualifier: str | None
    currency: Currency
    fee_cents: int
    refusal: RefusalRead
    table_version: str
    since: datetime

    @classmethod
    def of(cls, row: UnpricedCare) -> Self:
        completed: dict[str, Any] = row.completion
        return cls(
            appointment_id=row.appointment_id,
            patient_id=row.patient_id,
            practitioner_id=row.practitioner_id,
            completed_at=row.completed_at,
            care_on=row.care_on,
            acts=[act["code"] for act in completed["acts"]],
            overrun_qualifier=completed["overrun_qualifier"],
            currency="EUR",
            fee_cents=completed["fee_cents"],
            refusal=RefusalRead(code=row.refusal, field=row.field, rule=row.rule),
            table_version=row.table_version,
            since=row.since,
        )


class UnpricedCarePage(Out):
    items: list[UnpricedCareRead]
    next_cursor: str | None


class CodingWrite(In):
    """What was done, coded anew. The fee may be left out, or lowered."""

    acts: Annotated[list[ActCode], Field(max_length=10)]
    overrun_qualifier: OverrunQualifier | None = None
    currency: Currency = "EUR"
    fee_cents: PositiveCents | None = None

    def coding(self) -> Coding:
        return Coding(
            acts=self.acts,
            overrun_qualifier=self.overrun_qualifier,
            fee_cents=None if self.fee_cents is None else Cents(self.fee_cents),
        )


class StoryEntryRead(Out):
    id: int
    about: str
    leg_id: UUID | None
    payer_kind: str | None
    state: str
    currency: Currency
    amount_cents: int | None
    reason: str | None
    at: datetime

    @classmethod
    def of(cls, row: StoryEntry) -> Self:
        return cls(
            id=row.id,
            about=row.about,
            leg_id=row.leg_id,
            payer_kind=row.payer_kind,
            state=row.state,
            currency="EUR",
            amount_cents=row.amount_cents,
            reason=row.reason,
            at=row.at,
        )


class StoryPage(Out):
    items: list[StoryEntryRead]
    next_cursor: str | None


class ReasonWrite(In):
    """A coded word; never anything about a person."""

    reason: Reason


class AgeingSpanRead(Out):
    from_days: int
    to_days: int | None
    legs: int
    currency: Currency
    owed_cents: int

    @classmethod
    def of(cls, span: Span) -> Self:
        return cls(
            from_days=span.from_days,
            to_days=span.to_days,
            legs=span.legs,
            currency="EUR",
            owed_cents=span.owed_cents,
        )


class AgeingRead(Out):
    """What a payer owes; late is what is past the seven working days."""

    payer: str
    currency: Currency
    legs: int
    owed_cents: int
    late_legs: int
    late_cents: int
    oldest_opened_at: datetime
    spans: list[AgeingSpanRead]

    @classmethod
    def of(cls, row: Ageing) -> Self:
        return cls(
            payer=row.payer,
            currency="EUR",
            legs=row.legs,
            owed_cents=row.owed_cents,
            late_legs=row.late_legs,
            late_cents=row.late_cents,
            oldest_opened_at=row.oldest_opened_at,
            spans=[AgeingSpanRead.of(each) for each in row.spans],
        )


class AgeingPage(Out):
    items: list[AgeingRead]
    next_cursor: str | None


class StatementLegRead(Out):
    payer_kind: str
    payer: str
    currency: Currency
    amount_cents: int
    paid_cents: int
    owed_back_cents: int
    state: State

    @classmethod
    def of(cls, row: Leg) -> Self:
        return cls(
            payer_kind=row.payer_kind,
            payer=row.payer,
            currency="EUR",
            amount_cents=row.amount_cents,
            paid_cents=row.paid_cents,
            owed_back_cents=row.owed_back_cents,
            state=row.state,
        )


class StatementLineRead(Out):
    appointment_id: UUID
    care_act_id: UUID
    care_on: date
    completed_at: datetime
    currency: Currency
    fee_cents: int
    advance_cents: int
    sponsor_cents: int
    legs: list[StatementLegRead]

    @classmethod
    def of(cls, act: CareAct, legs: Sequence[Leg]) -> Self:
        return cls(
            appointment_id=act.appointment_id,
            care_act_id=act.id,
            care_on=act.care_on,
            completed_at=act.completed_at,
            currency="EUR",
            fee_cents=act.fee_cents,
            advance_cents=act.advance_cents,
            sponsor_cents=act.sponsor_cents,
            legs=[StatementLegRead.of(leg) for leg in legs],
        )


class StatementPage(Out):
    """The sums are of the whole period, whatever the page."""

    currency: Currency
    fee_cents: int
    claimed_cents: int
    paid_cents: int
    owed_back_cents: int = Field(description="that payers paid above their claims, and may take back")
    items: list[StatementLineRead]
    next_cursor: str | None


class ReturnsFileWrite(In):
    """A file of payers' answers or bank lines: its text, or the same in base64."""

    format: Literal["returns-1"] = "returns-1"
    text: Annotated[str, Field(max_length=200_000)] | None = None
    base64: Annotated[str, Field(max_length=250_000)] | None = None


class LineReportRead(Out):
    line: int
    outcome: LineState
    repeated: bool
    field: str | None
    rule: str | None

    @classmethod
    def of(cls, report: LineReport) -> Self:
        return cls(
            line=report.line,
            outcome=report.outcome,
            repeated=report.repeated,
            field=report.field,
            rule=report.rule,
        )


class ReturnsFileRead(Out):
    """What became of each line. A line that came before keeps its outcome, and is told as repeated.

    One that comes again with other content changes nothing, and is refused: `differs-from-first`.
    """

    file_id: UUID
    payer: str
    applied: int
    ignored: int
    waiting: int
    refused: int
    lines: list[LineReportRead]

    @classmethod
    def of(cls, report: FileReport) -> Self:
        counted = {state: sum(each.outcome is state for each in report.lines) for state in LineState}
        return cls(
            file_id=report.file_id,
            payer=report.payer,
            applied=counted[LineState.APPLIED],
            ignored=counted[LineState.IGNORED],
            waiting=counted[LineState.WAITING],
            refused=counted[LineState.REFUSED],
            lines=[LineReportRead.of(each) for each in report.lines],
        )
