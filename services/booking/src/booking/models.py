"""Tables of the booking service."""

from datetime import date, datetime, time
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    String,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR, ExcludeConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from booking.domain.agenda import ExceptionKind, Mode
from booking.domain.cancellation import Party, StrikeKind
from booking.domain.lifecycle import Status
from common.db import COLUMN_TYPES, new_metadata
from common.messaging.tables import RootRow
from common.money import Cents

# The statuses of domain.lifecycle.LIVE, as the exclusion constraint and the queries beside it say them.
LIVE_SQL = "status IN ('requested', 'confirmed', 'started', 'completed')"
# Likewise of domain.lifecycle.BUSY.
BUSY_SQL = "status IN ('requested', 'confirmed', 'started')"
ONE_VISIT_OF_PATIENT = "ex_appointment_one_visit_of_patient"


class Base(DeclarativeBase):
    metadata = new_metadata()
    type_annotation_map = COLUMN_TYPES


class Practitioner(RootRow, Base):
    """Everything here is public but the billing number. `version` numbers the events and is the ETag."""

    __tablename__ = "practitioner"
    __table_args__ = (
        UniqueConstraint("rpps"),
        UniqueConstraint("no"),
        Index("ix_practitioner_words", "words", postgresql_using="gin"),
        Index(None, "profession", "specialty"),
        Index(None, "sort_name", "id"),
        CheckConstraint("fee_cents > 0", name="fee_is_positive"),
    )

    no: Mapped[int] = mapped_column(Integer, Identity())  # for the exclusion constraint
    rpps: Mapped[str] = mapped_column(String(11))
    biller_id: Mapped[UUID]
    billing_number: Mapped[str | None] = mapped_column(String(9))
    profession: Mapped[str]
    specialty: Mapped[str] = mapped_column(String(2))
    sector: Mapped[str]
    zone: Mapped[str]
    agreed_company: Mapped[bool]
    third_party_payment: Mapped[str]
    currency: Mapped[str] = mapped_column(String(3))
    fee_cents: Mapped[Cents]
    # The permanent right (DP) to charge above the tariff, which sector 1 alone knows.
    permanent_overrun: Mapped[bool] = mapped_column(server_default=false())
    title: Mapped[str]
    first_name: Mapped[str]
    last_name: Mapped[str]
    display_name: Mapped[str]
    sort_name: Mapped[str]  # last and first name as `common.folding` writes them
    street: Mapped[str]
    postal_code: Mapped[str]
    city: Mapped[str]
    phone: Mapped[str]
    languages: Mapped[list[str]] = mapped_column(ARRAY(String))
    time_zone: Mapped[str]
    words: Mapped[str] = mapped_column(TSVECTOR)  # of name and city, folded likewise
    created_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    agenda_revision: Mapped[int]  # 0: none was written


class AgendaRule(Base):
    """A weekly window on the clock of the practitioner's wall."""

    __tablename__ = "agenda_rule"
    __table_args__ = (Index(None, "practitioner_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    practitioner_id: Mapped[UUID] = mapped_column(ForeignKey("practitioner.id"))
    weekday: Mapped[int]
    from_time: Mapped[time]
    to_time: Mapped[time]
    slot_minutes: Mapped[int]
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]
    mode: Mapped[Mode]


class AgendaException(Base):
    __tablename__ = "agenda_exception"
    __table_args__ = (Index(None, "practitioner_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    practitioner_id: Mapped[UUID] = mapped_column(ForeignKey("practitioner.id"))
    on: Mapped[date]
    last_on: Mapped[date | None]  # of a range of days
    kind: Mapped[ExceptionKind]
    from_time: Mapped[time | None]
    to_time: Mapped[time | None]
    slot_minutes: Mapped[int | None]
    mode: Mapped[Mode]


class Offer(Base):
    """A time that may be asked for. It carries no truth: `taken_by` follows from the claim of the time."""

    __tablename__ = "offer"
    __table_args__ = (
        UniqueConstraint("practitioner_no", "starts_at"),
        CheckConstraint("starts_at < ends_at", name="starts_before_it_ends"),
        Index(
            "ix_offer_free_of_practitioner",
            "practitioner_id",
            "starts_at",
            "id",
            postgresql_where=text("taken_by IS NULL"),
        ),
        Index(
            "ix_offer_free_of_specialty",
            "profession",
            "specialty",
            "starts_at",
            "id",
            postgresql_where=text("taken_by IS NULL"),
        ),
        Index(
            "ix_offer_free_of_profession",
            "profession",
            "starts_at",
            "id",
            postgresql_where=text("taken_by IS NULL"),
        ),
        Index("ix_offer_taken_by", "taken_by", postgresql_where=text("taken_by IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    practitioner_id: Mapped[UUID]
    practitioner_no: Mapped[int]
    profession: Mapped[str]
    specialty: Mapped[str] = mapped_column(String(2))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    mode: Mapped[Mode]
    taken_by: Mapped[UUID | None]


class Patient(RootRow, Base):
    """A person who is cared for. Who they are is encrypted under their own key; erasing destroys that key."""

    __tablename__ = "patient"
    __table_args__ = (Index(None, "identity_hash"), UniqueConstraint("no"))

    no: Mapped[int] = mapped_column(Integer, Identity())  # for the exclusion constraint
    revision: Mapped[int]  # of the identity: the ETag
    identity: Mapped[bytes | None]
    born_on: Mapped[bytes | None]  # apart from the identity: a booking needs nothing else of it
    identity_hash: Mapped[bytes | None]  # keyed, of name and date of birth
    created_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]


class Link(Base):
    """An account that may act for a patient."""

    __tablename__ = "link"
    __table_args__ = (
        Index(
            "uq_link_one_self_per_account",
            "account_id",
            unique=True,
            postgresql_where=text("relation = 'self'"),
        ),
        Index(None, "patient_id"),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), primary_key=True)
    relation: Mapped[str]
    since: Mapped[datetime]


class Consent(Base):
    """Given before a teleconsultation: which text, when, by which channel, by whose account."""

    __tablename__ = "consent"
    __table_args__ = (Index(None, "patient_id", "given_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    account_id: Mapped[UUID]
    text_version: Mapped[str]
    channel: Mapped[str]
    given_at: Mapped[datetime]


class Appointment(RootRow, Base):
    __tablename__ = "appointment"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="starts_before_it_ends"),
        # The arbiter of every race for a time. A range of one number, because a plain integer in a gist
        # index needs btree_gist, which the embedded PostgreSQL lacks.
        ExcludeConstraint(
            (text("int4range(practitioner_no, practitioner_no, '[]')"), "&&"),
            (text("tstzrange(starts_at, ends_at)"), "&&"),
            where=text(LIVE_SQL),
            name="ex_appointment_one_at_a_time",
        ),
        # Likewise: nobody is in two visits at once, at whatever practitioners.
        ExcludeConstraint(
            (text("int4range(patient_no, patient_no, '[]')"), "&&"),
            (text("tstzrange(starts_at, ends_at)"), "&&"),
            where=text(f"patient_no IS NOT NULL AND {BUSY_SQL}"),
            name=ONE_VISIT_OF_PATIENT,
        ),
        Index(None, "account_id", "id"),
        Index(None, "patient_id", "id"),
        Index(None, "practitioner_id", "id"),
    )

    status: Mapped[Status]
    schedule_no: Mapped[int]
    practitioner_id: Mapped[UUID]
    practitioner_no: Mapped[int]
    patient_id: Mapped[UUID]
    patient_no: Mapped[
        int | None
    ]  # none: requested before patients had numbers, over another visit of theirs
    account_id: Mapped[UUID]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    decide_by: Mapped[datetime]
    requested_at: Mapped[datetime]
    consent_id: Mapped[UUID]
    preview_id: Mapped[UUID | None]
    reason: Mapped[bytes | None]  # encrypted with the patient's key; never in an event
    pathway: Mapped[str]
    territory: Mapped[str]
    exemption_related: Mapped[bool]
    under_16: Mapped[bool]
    minor_on_1_january: Mapped[bool]
    age_group: Mapped[str | None]  # none: requested before there were groups, and not moved since
    seen_in_person: Mapped[bool | None]  # in the last 12 months; none: nobody was asked
    # The practitioner as the patient saw them; the completion reads the practitioner again.
    biller_id: Mapped[UUID]
    profession: Mapped[str]
    specialty: Mapped[str] = mapped_column(String(2))
    sector: Mapped[str]
    zone: Mapped[str]
    agreed_company: Mapped[bool]
    third_party_payment: Mapped[str]
    currency: Mapped[str] = mapped_column(String(3))
    fee_cents: Mapped[Cents]
    # How it went on.
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]
    cancelled_by: Mapped[Party | None]
    free_cancellation: Mapped[bool | None]
    acts: Mapped[list[str] | None] = mapped_column(ARRAY(String))
    completed_fee_cents: Mapped[Cents | None]
    overrun_qualifier: Mapped[str | None]  # as asked for at the request, until the practitioner states one
    outcome: Mapped[str | None]
    # What payment's newest fact asks of the patient; the sequence tells which fact is the newest.
    payment_sequence: Mapped[int] = mapped_column(BigInteger)
    action: Mapped[str | None]
    action_expires_at: Mapped[datetime | None]


class Strike(Base):
    """A late cancellation or an absence, counted and nothing more: no money follows from it."""

    __tablename__ = "strike"
    __table_args__ = (Index(None, "account_id"),)

    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("appointment.id"), primary_key=True)
    # A move gives up the time of one schedule, and the time of the next may be given up again.
    schedule_no: Mapped[int] = mapped_column(primary_key=True, server_default="1", autoincrement=False)
    account_id: Mapped[UUID]
    kind: Mapped[StrikeKind]
    at: Mapped[datetime]
