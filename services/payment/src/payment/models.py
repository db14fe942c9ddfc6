"""Tables of the payment service."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    String,
    UniqueConstraint,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.db import COLUMN_TYPES, new_metadata
from common.messaging.tables import RootRow
from common.money import Cents
from payment.domain.cards import CardFacts
from payment.domain.holds import HoldStatus
from payment.domain.ledger import Account
from payment.domain.mandates import Mandate
from payment.domain.plan import CardState


class End(StrEnum):
    """Why an appointment will not be billed."""

    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    NOT_BILLED = "not-billed"
    PATIENT_ABSENT = "patient-absent"


class AwaitedAction(StrEnum):
    THREE_D_SECURE = "three-d-secure"
    CARD_MISSING = "card-missing"
    PRICE_ABOVE_PREVIEW = "price-above-preview"


class ReleaseReason(StrEnum):
    APPOINTMENT_ENDED = "appointment-ended"
    NOT_CONFIRMED = "not-confirmed"
    REPLACED = "replaced"
    NOTHING_DUE = "nothing-due"


class CardStatus(StrEnum):
    SAVING = "saving"
    ACTIVE = "active"  # good for later charges too
    ACTION_REQUIRED = "action-required"  # good while its holder is there; saving it waits for its holder
    REFUSED = "refused"
    REMOVED = "removed"


class RefundStatus(StrEnum):
    PENDING = "pending"
    MADE = "made"
    FAILED = "failed"


class Origin(StrEnum):
    """Who did it first: we asked the provider, or it was done at the provider by its own means."""

    PLATFORM = "platform"
    PROVIDER = "provider"


class RefundFailure(StrEnum):
    NOTHING_LEFT = "nothing-left"  # less is left at the provider than was to be given back
    PROVIDER_REFUSED = "provider-refused"


class BalanceStatus(StrEnum):
    SHOWN = "shown"  # owed, and not asked of a card
    PENDING = "pending"
    CHARGED = "charged"
    FAILED = "failed"
    SETTLED = "settled"  # by a payer, or given up


class Base(DeclarativeBase):
    metadata = new_metadata()
    type_annotation_map = COLUMN_TYPES


class AppointmentRoot(RootRow, Base):
    """What payment knows of an appointment, in whatever order it heard it. The id is the appointment's."""

    __tablename__ = "stream"
    __table_args__ = (Index(None, "account_id"),)

    account_id: Mapped[UUID | None]
    schedule_no: Mapped[int]  # the highest anybody named; 0: none yet
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    decide_by: Mapped[datetime | None]

    revision: Mapped[int]  # of the quote; 0: none yet
    quote_schedule_no: Mapped[int]
    advance_cents: Mapped[Cents]
    agreed_cents: Mapped[Cents]  # the most the patient has accepted to advance
    card_id: Mapped[UUID | None]  # chosen for this appointment

    answered_schedule_no: Mapped[int]  # for which booking has its answer; 0: none yet
    waived: Mapped[bool]
    place_at: Mapped[datetime | None]  # of a scheduled hold
    action: Mapped[AwaitedAction | None]
    action_revision: Mapped[int]  # of the quote the action is about
    action_expires_at: Mapped[datetime | None]

    # marks: facts that may come before the one they belong to
    confirmed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[End | None]
    kept_cents: Mapped[Cents]  # of the advance, by the cancellation policy
    priced_at: Mapped[datetime | None]
    due_cents: Mapped[Cents]  # of the final price
    lapsed_at: Mapped[datetime | None]  # nobody confirmed in time
    failed_at: Mapped[datetime | None]  # no hold came about, finally
    settled_at: Mapped[datetime | None]
    short_cents: Mapped[Cents]

    @property
    def is_answered(self) -> bool:
        """Booking was told of a hold, or that none is needed, for the time it has now."""
        return 0 < self.quote_schedule_no <= self.answered_schedule_no

    @property
    def is_first_answer(self) -> bool:
        """Booking was told nothing yet: the patient who books waits for the answer."""
        return self.answered_schedule_no == 0

    @property
    def is_secured(self) -> bool:
        return self.is_answered or self.confirmed_at is not None


class HoldRow(Base):
    """One attempt to reserve an amount, and its four amounts as the provider last said."""

    __tablename__ = "hold"
    __table_args__ = (
        UniqueConstraint("appointment_id", "attempt"),
        CheckConstraint("captured_cents + released_cents <= held_cents", name="ends_with_what_was_held"),
        CheckConstraint("refunded_cents <= captured_cents", name="refunds_no_more_than_captured"),
        CheckConstraint("asked_cents > 0", name="asks_for_something"),
        Index(
            None,
            "status",
            postgresql_where=text("status IN ('pending', 'unknown', 'action-required', 'held')"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("stream.id"))
    attempt: Mapped[int]
    revision: Mapped[int]
    schedule_no: Mapped[int]
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"))
    off_session: Mapped[bool]
    status: Mapped[HoldStatus]
    asked_cents: Mapped[Cents]
    held_cents: Mapped[Cents]
    captured_cents: Mapped[Cents]
    released_cents: Mapped[Cents]
    refunded_cents: Mapped[Cents]
    provider_id: Mapped[str | None]
    capture_before: Mapped[datetime | None]
    action_url: Mapped[str | None]
    action_expires_at: Mapped[datetime | None]
    failure: Mapped[str | None]
    called_at: Mapped[datetime | None]  # from here on the provider may know of it
    capture_cents: Mapped[Cents | None]  # decided: what the provider is asked to capture
    capture_told: Mapped[bool] = mapped_column(
        server_default=true()
    )  # of the provider's own: with the settlement
    release_reason: Mapped[ReleaseReason | None]  # decided
    created_at: Mapped[datetime]

    @property
    def reserved_cents(self) -> Cents:
        """Still reserved on the card: neither captured nor released."""
        return Cents(self.held_cents - self.captured_cents - self.released_cents)

    @property
    def is_going(self) -> bool:
        return self.release_reason is not None

    @property
    def awaits_settlement(self) -> bool:
        """A capture or a release is decided, and the provider has not done it yet."""
        decided = self.is_going or self.capture_cents is not None
        return decided and self.status in {HoldStatus.ACTION_REQUIRED, HoldStatus.HELD}


class CardRow(Base):
    """A card on file: the provider's token and what a person knows it by; never a number."""

    __tablename__ = "card"
    __table_args__ = (Index(None, "account_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    provider_token: Mapped[str] = mapped_column(unique=True)
    status: Mapped[CardStatus]
    network: Mapped[str | None]
    last4: Mapped[str | None]
    expiry_month: Mapped[int | None]
    expiry_year: Mapped[int | None]
    action_url: Mapped[str | None]
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]
    forgotten_at: Mapped[datetime | None]  # the provider has deleted it

    # the mandate for later charges; none: nothing is ever charged without its holder
    mandate_text_version: Mapped[str | None]
    mandate_reason: Mapped[str | None]
    mandate_accepted_at: Mapped[datetime | None]
    mandate_ceiling_cents: Mapped[Cents | None]
    mandate_within_days: Mapped[int | None]
    mandate_withdrawn_at: Mapped[datetime | None]  # from here on it covers nothing

    @property
    def state(self) -> CardState:
        """READY under an accepted mandate only: without one the card is never used without its holder."""
        match self.status:
            case CardStatus.REFUSED | CardStatus.REMOVED:
                return CardState.MISSING
            case _ if self.mandate is None:
                return CardState.HOLDER_ONLY
            case CardStatus.ACTIVE:
                return CardState.READY
            case CardStatus.SAVING | CardStatus.ACTION_REQUIRED:
                return CardState.SAVED

    @property
    def facts(self) -> CardFacts:
        return CardFacts(self.state, self.mandate, self.expiry_month, self.expiry_year)

    @property
    def mandate(self) -> Mandate | None:
        if self.mandate_withdrawn_at is not None:
            return None
        if self.mandate_ceiling_cents is None or self.mandate_within_days is None:
            return None
        return Mandate(self.mandate_ceiling_cents, timedelta(days=self.mandate_within_days))


class BalanceRow(Base):
    """What a patient owes for an appointment, and whether a card was charged for it."""

    __tablename__ = "balance"
    __table_args__ = (
        Index(None, "appointment_id"),
        CheckConstraint("charged_cents <= amount_cents", name="charges_no_more_than_owed"),
        CheckConstraint("refunded_cents <= charged_cents", name="refunds_no_more_than_charged"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("stream.id"))
    account_id: Mapped[UUID]
    amount_cents: Mapped[Cents]
    status: Mapped[BalanceStatus]
    failure: Mapped[str | None]
    card_id: Mapped[UUID | None] = mapped_column(ForeignKey("card.id"))
    provider_id: Mapped[str | None]
    called_at: Mapped[datetime | None]
    charged_cents: Mapped[Cents]
    refunded_cents: Mapped[Cents]
    created_at: Mapped[datetime]


class RefundRow(Base):
    __tablename__ = "refund"
    __table_args__ = (
        Index(None, "appointment_id"),
        CheckConstraint("num_nonnulls(hold_id, balance_id) = 1", name="of_a_capture_or_of_a_charge"),
        CheckConstraint("amount_cents > 0", name="returns_something"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("stream.id"))
    hold_id: Mapped[UUID | None] = mapped_column(ForeignKey("hold.id"))
    balance_id: Mapped[UUID | None] = mapped_column(ForeignKey("balance.id"))
    amount_cents: Mapped[Cents]
    status: Mapped[RefundStatus]
    origin: Mapped[Origin] = mapped_column(server_default="platform")
    not_due_cents: Mapped[Cents] = mapped_column(server_default="0")  # of a capture above what is due
    failure: Mapped[RefundFailure | None] = mapped_column(String)
    created_at: Mapped[datetime]
    made_at: Mapped[datetime | None]


class LedgerRow(Base):
    """An entry of a journal. Triggers refuse a change, and a journal that is not zero."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        UniqueConstraint("journal", "account"),
        CheckConstraint("amount_cents <> 0", name="moves_something"),
        Index(None, "appointment_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    journal: Mapped[str]  # the business key of the move: it is posted once
    account: Mapped[Account]
    amount_cents: Mapped[int] = mapped_column(BigInteger)  # above zero a debit, below a credit
    currency: Mapped[str]
    appointment_id: Mapped[UUID]
    at: Mapped[datetime]


class ProviderEventRow(Base):
    """A verified webhook under its event id, whether or not we know what it is about."""

    __tablename__ = "provider_event"
    __table_args__ = (Index(None, "received_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    reference: Mapped[str | None]
    body: Mapped[bytes]
    received_at: Mapped[datetime]
    outcome: Mapped[str]  # applied, not-ours, unreadable


class ProviderComparisonRow(Base):
    """The last time that every payment at the provider was compared with ours, and what still differed."""

    __tablename__ = "provider_comparison"
    __table_args__ = (CheckConstraint("id = 1", name="is_one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    compared_at: Mapped[datetime]
    held_cents: Mapped[Cents]  # the provider's sums
    captured_cents: Mapped[Cents]
    refunded_cents: Mapped[Cents]
    differences: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class AccountPatientRow(Base):
    """For whom an account acts: when the last of them is erased, so are its cards."""

    __tablename__ = "account_patient"

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID] = mapped_column(primary_key=True, index=True)
    erased_at: Mapped[datetime | None]
