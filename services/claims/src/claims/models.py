"""Tables of the claims service."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    String,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from claims.domain.leg import State
from common.db import COLUMN_TYPES, new_metadata
from common.messaging.tables import RootRow
from common.money import Cents


class Base(DeclarativeBase):
    metadata = new_metadata()
    type_annotation_map = COLUMN_TYPES


class Status(StrEnum):
    """How far claims has heard the story of an appointment."""

    UNKNOWN = "unknown"  # only marks of later facts; the request has not come
    LIVE = "live"
    STARTED = "started"  # no quote is made any more
    ENDED = "ended"  # cancelled, abandoned, not billed, patient absent
    UNPRICED = "unpriced"  # performed, and no rule gives a price: somebody has to correct something
    PRICED = "priced"


class QuoteState(StrEnum):
    ISSUED = "issued"
    SUPERSEDED = "superseded"
    VOIDED = "voided"


class BatchState(StrEnum):
    MADE = "made"
    SENT = "sent"


class LineState(StrEnum):
    """How a line of a payer's return ended."""

    APPLIED = "applied"
    IGNORED = "ignored"
    WAITING = (
        "waiting"  # for the payment that it takes back, the reversal that makes room, or its batch's rest
    )
    REFUSED = "refused"  # of an unknown invoice, or amounts that do not add up


class PricedColumns:
    """A price with what it takes to compute it again: encrypted inputs, policy, tables, engine, instant."""

    fee_cents: Mapped[Cents]
    base_cents: Mapped[Cents]
    amo_cents: Mapped[Cents]
    amc_cents: Mapped[Cents]
    sponsor_cents: Mapped[Cents]
    advance_cents: Mapped[Cents]
    deferred_deductions_cents: Mapped[Cents]
    amo_claim_cents: Mapped[Cents]
    amc_claim_cents: Mapped[Cents]
    sheet_mode: Mapped[str]
    table_version: Mapped[str]
    engine_version: Mapped[str]
    policy: Mapped[dict[str, Any]]
    known_at: Mapped[datetime]
    inputs_index: Mapped[bytes]  # keyed hash: tells whether anything that counts has changed
    encrypted: Mapped[bytes] = mapped_column(
        "sealed", key="encrypted"
    )  # inputs and result: trace and explanations tell about the illness


class Coverage(Base):
    """The row to lock before a version is added or chosen for a final price."""

    __tablename__ = "coverage"

    patient_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    priced_until: Mapped[datetime | None]  # no version may begin at or before: final prices rest on it


class CoverageVersion(Base):
    """What was known of a patient's insurance from an instant on. Rows are never changed, but for erasure."""

    __tablename__ = "coverage_version"
    __table_args__ = (Index(None, "nir_index"), Index(None, "member_index"))

    patient_id: Mapped[UUID] = mapped_column(ForeignKey("coverage.patient_id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    valid_from: Mapped[datetime]
    stated_by: Mapped[UUID]
    insured: Mapped[str]
    scheme: Mapped[str]
    amc_number: Mapped[str | None]
    amc_declared: Mapped[str]
    sponsor_offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("sponsor_offer.id"))
    encrypted: Mapped[bytes] = mapped_column(
        "sealed", key="encrypted"
    )  # numbers, birth date, holder and exemptions
    nir_index: Mapped[bytes | None]
    member_index: Mapped[bytes | None]


class SponsorOffer(Base):
    """What a school or a company pays for its people. Rows are never edited, only ended."""

    __tablename__ = "sponsor_offer"
    __table_args__ = (CheckConstraint("valid_from <= valid_to", name="begins_before_it_ends"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code_index: Mapped[bytes] = mapped_column(unique=True)  # keyed hash of the joining code
    name: Mapped[str]
    kind: Mapped[str]
    cents: Mapped[Cents | None]
    percent: Mapped[int | None]
    max_cents: Mapped[Cents | None]  # of one consultation
    monthly_cap_cents: Mapped[Cents | None]  # of one person in a civil month
    covered_specialties: Mapped[list[str] | None] = mapped_column(ARRAY(String))  # none: all of them
    valid_from: Mapped[date]
    valid_to: Mapped[date | None]
    created_at: Mapped[datetime]


class Practitioner(Base):
    """What booking publishes about a practitioner; the highest sequence holds."""

    __tablename__ = "practitioner"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)
    withdrawn: Mapped[bool]
    rpps: Mapped[str | None]
    biller_id: Mapped[UUID | None]
    profession: Mapped[str | None]
    specialty: Mapped[str | None]
    sector: Mapped[str | None]
    zone: Mapped[str | None]
    agreed_company: Mapped[bool]
    third_party_payment: Mapped[str | None]
    fee_cents: Mapped[Cents]
    permanent_overrun: Mapped[bool] = mapped_column(server_default=false())
    time_zone: Mapped[str | None]  # where they work; none: that of the tariff zone


class Preview(PricedColumns, Base):
    """A price shown before booking; its id is what a booking passes on."""

    __tablename__ = "preview"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    created_by: Mapped[UUID]
    patient_id: Mapped[UUID | None]


class AppointmentRoot(RootRow, Base):
    """What claims knows of an appointment. The id is the appointment's; every use case locks it first."""

    __tablename__ = "stream"
    __table_args__ = (Index(None, "patient_id", "status"),)

    status: Mapped[Status]
    patient_id: Mapped[UUID | None]
    account_id: Mapped[UUID | None]
    practitioner_id: Mapped[UUID | None]
    schedule_no: Mapped[int]  # 0: the request has not come
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    decide_by: Mapped[datetime | None]
    accepted_advance_cents: Mapped[Cents | None]
    request: Mapped[dict[str, Any] | None]  # coded facts that price it; no personal data
    revision: Mapped[int]  # of the last quote or price; 0: none
    facts_wait: Mapped[bool]  # in early_fact, for one that has not come
    sheet_waits: Mapped[bool] = mapped_column(server_default=false())  # for the patient to pay


class EarlyFact(Base):
    """A fact whose predecessor has not come; applied after it, in the order of its sequence."""

    __tablename__ = "early_fact"

    appointment_id: Mapped[UUID] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    type: Mapped[str]
    headers: Mapped[dict[str, str]]
    body: Mapped[bytes]


class Quote(PricedColumns, Base):
    """One revision of who pays what, before the consultation."""

    __tablename__ = "quote"

    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("stream.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    schedule_no: Mapped[int]
    coverage_version: Mapped[int]
    state: Mapped[QuoteState]
    issued_at: Mapped[datetime]


class CareAct(PricedColumns, Base):
    """A performed consultation with its final price; its encrypted parts are kept as the law says."""

    __tablename__ = "care_act"
    __table_args__ = (
        Index(None, "patient_id", "care_on"),
        Index(None, "practitioner_id", "completed_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("stream.id"), unique=True)
    patient_id: Mapped[UUID]
    account_id: Mapped[UUID]
    practitioner_id: Mapped[UUID]
    biller_id: Mapped[UUID]
    revision: Mapped[int]
    coverage_version: Mapped[int]
    care_on: Mapped[date]
    completed_at: Mapped[datetime]
    priced_at: Mapped[datetime]
    pathway_indicator: Mapped[str | None]
    rights_pending: Mapped[bool]  # a claim waits for rights; the amounts are those of the declared coverage
    flat_contribution_cents: Mapped[Cents]  # counts towards the ceilings of the year and the day
    # counts towards the sessions of the year (rule A6); the release before this column writes care without it
    partner_session: Mapped[bool] = mapped_column(server_default=false())
    sponsor_offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("sponsor_offer.id"))
    insured_encrypted: Mapped[bytes] = mapped_column(
        "insured_sealed", key="insured_encrypted"
    )  # whom the claims and the sheet are for


class UnpricedCare(Base):
    """Performed care without a possible price: kept until its coding or the tables are corrected."""

    __tablename__ = "unpriced_care"
    __table_args__ = (Index(None, "practitioner_id", "appointment_id"), Index(None, "table_version"))

    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("stream.id"), primary_key=True)
    patient_id: Mapped[UUID]
    practitioner_id: Mapped[UUID]
    completed_at: Mapped[datetime]
    care_on: Mapped[date]
    completion: Mapped[dict[str, Any]]  # the event: coded facts; no personal data
    refusal: Mapped[str]
    field: Mapped[str]
    rule: Mapped[str]
    table_version: Mapped[str]  # that refused it last
    corrections: Mapped[int]
    since: Mapped[datetime]


class RightsAnswer(Base):
    """What a payer's rights service said about a coverage version. Rows are only added."""

    __tablename__ = "rights_answer"
    __table_args__ = (Index(None, "patient_id", "coverage_version"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID]
    coverage_version: Mapped[int]
    payer_kind: Mapped[str]
    status: Mapped[str]
    known_from: Mapped[datetime]
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]
    encrypted: Mapped[bytes] = mapped_column(
        "sealed", key="encrypted"
    )  # exemptions and the reference of the answer


class Leg(Base):
    """One payer's part of a care act."""

    __tablename__ = "leg"
    __table_args__ = (
        UniqueConstraint("care_act_id", "payer_kind"),
        Index(None, "state", "payer", "biller_id"),
        Index(None, "appointment_id"),
        CheckConstraint("amount_cents > 0", name="asks_for_something"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    care_act_id: Mapped[UUID] = mapped_column(ForeignKey("care_act.id"))
    appointment_id: Mapped[UUID]
    biller_id: Mapped[UUID]
    payer_kind: Mapped[str]
    payer: Mapped[str]  # amo:<scheme> or amc:<number>
    paid_to: Mapped[str] = mapped_column(server_default="provider")  # or insured: a directly paid sheet
    amount_cents: Mapped[Cents]
    lines: Mapped[dict[str, Any]]  # {"lines": [...]}: codes, benefits and amounts
    state: Mapped[State]
    free_to_leave: Mapped[bool] = mapped_column(
        "released", key="free_to_leave"
    )  # false: the AMC's part waits until the fund has acknowledged its own
    attempt: Mapped[int]  # 0: never batched
    invoice_no: Mapped[str]
    paid_cents: Mapped[Cents]  # payments less reversals, as far as the claim goes
    owed_back_cents: Mapped[Cents] = mapped_column(server_default=text("0"))  # paid above the claim
    reversed_cents: Mapped[Cents]
    paid_less_code: Mapped[str | None]  # why the payer paid less than the claim, in its own code
    reject_code: Mapped[str | None]
    reject_family: Mapped[str | None]
    opened_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    send_by: Mapped[datetime]
    ack_by: Mapped[datetime | None]
    resend_by: Mapped[datetime | None]
    pay_by: Mapped[datetime | None]


class Batch(Base):
    """Claims of one biller to one payer, sent together."""

    __tablename__ = "batch"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    payer: Mapped[str]
    biller_id: Mapped[UUID]
    leader_leg_id: Mapped[UUID]  # whose task sends it
    state: Mapped[BatchState]
    made_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class Submission(Base):
    """A numbered attempt of a leg."""

    __tablename__ = "submission"
    __table_args__ = (Index(None, "batch_id"),)

    leg_id: Mapped[UUID] = mapped_column(ForeignKey("leg.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("batch.id"))
    invoice_no: Mapped[str]
    sent_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    accepted: Mapped[bool | None]
    reject_code: Mapped[str | None]


class Invoice(Base):
    """Which leg an invoice number of a biller stands for: a number is given once."""

    __tablename__ = "invoice"

    biller_id: Mapped[UUID] = mapped_column(primary_key=True)
    invoice_no: Mapped[str] = mapped_column(primary_key=True)
    leg_id: Mapped[UUID] = mapped_column(ForeignKey("leg.id"), index=True)


class InvoiceCounter(Base):
    __tablename__ = "invoice_counter"

    biller_id: Mapped[UUID] = mapped_column(primary_key=True)
    last: Mapped[int]


class ReturnLine(Base):
    """A line of a payer's return. Its key makes importing it again change nothing."""

    __tablename__ = "return_line"
    __table_args__ = (
        Index(None, "leg_id"),
        Index(None, "batch_id", postgresql_where=text("leg_id IS NULL")),
    )

    payer: Mapped[str] = mapped_column(primary_key=True)
    return_id: Mapped[UUID] = mapped_column(primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    batch_id: Mapped[UUID]
    leg_id: Mapped[UUID | None]
    invoice_no: Mapped[str | None]
    attempt: Mapped[int | None]
    amount_cents: Mapped[Cents | None]
    code: Mapped[str | None]
    biller_id: Mapped[UUID | None]  # none: kept before lines were compared, and without `accepted`
    accepted: Mapped[bool | None]
    state: Mapped[LineState]
    reason: Mapped[str | None]
    imported_at: Mapped[datetime]


class Posting(Base):
    """Money of a payer for a leg, as a return line says. Entries are only ever added."""

    __tablename__ = "posting"
    __table_args__ = (
        UniqueConstraint("payer", "return_id", "line", "leg_id"),
        Index(None, "leg_id"),
        CheckConstraint("amount_cents > 0", name="moves_something"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    leg_id: Mapped[UUID] = mapped_column(ForeignKey("leg.id"))
    kind: Mapped[str]  # payment or reversal
    amount_cents: Mapped[Cents]
    payer: Mapped[str]
    return_id: Mapped[UUID]
    line: Mapped[int]
    posted_at: Mapped[datetime]


class GatewayCursor(Base):
    __tablename__ = "gateway_cursor"

    gateway: Mapped[str] = mapped_column(primary_key=True)
    cursor: Mapped[str]


class BalanceState(StrEnum):
    OPEN = "open"
    SETTLED = "settled"


class Balance(Base):
    """What the patient owes after the visit; shown, and charged only under the mandate."""

    __tablename__ = "balance"
    __table_args__ = (
        UniqueConstraint("appointment_id", "reason", "leg_id", postgresql_nulls_not_distinct=True),
        CheckConstraint("amount_cents > 0", name="owes_something"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("stream.id"))
    leg_id: Mapped[UUID | None] = mapped_column(ForeignKey("leg.id"))
    payer_kind: Mapped[str | None]
    reason: Mapped[str]
    amount_cents: Mapped[Cents]
    collect: Mapped[bool]
    state: Mapped[BalanceState]
    settled_by: Mapped[str | None]
    opened_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    charge_failure: Mapped[str | None]  # why payment could not collect it; it stays open


class StoryEntry(Base):
    """One step of a care act for support: what it is about, its new state, amount and reason. Only added."""

    __tablename__ = "story_entry"
    __table_args__ = (Index(None, "appointment_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    appointment_id: Mapped[UUID]
    about: Mapped[str]  # care-act, leg, balance or return
    leg_id: Mapped[UUID | None]
    payer_kind: Mapped[str | None]
    state: Mapped[str]
    amount_cents: Mapped[Cents | None]
    reason: Mapped[str | None]
    at: Mapped[datetime]
