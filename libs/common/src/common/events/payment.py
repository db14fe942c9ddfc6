"""Events the payment service publishes."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from common.events.base import AppointmentFact, Currency, NonNegativeCents, PositiveCents


class PaymentFact(AppointmentFact):
    topic: ClassVar[str] = "payment.appointment"


class HoldFact(PaymentFact):
    """Names the quote's revision and the schedule it answers: what names an older one is ignored."""

    revision: int = Field(ge=1)
    schedule_no: int = Field(ge=1)


class HoldWaivedV1(HoldFact):
    """The patient advances nothing: there is no card to reserve."""

    type: ClassVar[str] = "payment.hold-waived"
    version: ClassVar[int] = 1


class HoldPlacedV1(HoldFact):
    type: ClassVar[str] = "payment.hold-placed"
    version: ClassVar[int] = 1

    hold_id: UUID
    attempt: int = Field(ge=1)
    currency: Currency
    held_cents: PositiveCents
    capture_before: AwareDatetime  # as the provider said, never computed


class HoldScheduledV1(HoldFact):
    """The card is saved; the hold follows inside the network's authorisation window."""

    type: ClassVar[str] = "payment.hold-scheduled"
    version: ClassVar[int] = 1

    place_at: AwareDatetime


class HoldActionRequiredV1(HoldFact):
    type: ClassVar[str] = "payment.hold-action-required"
    version: ClassVar[int] = 1

    action: Literal["three-d-secure", "card-missing", "price-above-preview"]
    expires_at: AwareDatetime


class HoldFailedV1(HoldFact):
    type: ClassVar[str] = "payment.hold-failed"
    version: ClassVar[int] = 1

    reason: Literal["declined", "action-refused", "action-expired", "decide-by-passed", "provider-refused"]


class HoldExpiredV1(PaymentFact):
    """The provider let the authorisation lapse."""

    type: ClassVar[str] = "payment.hold-expired"
    version: ClassVar[int] = 1

    hold_id: UUID
    currency: Currency
    held_cents: PositiveCents


class HoldReleasedV1(PaymentFact):
    type: ClassVar[str] = "payment.hold-released"
    version: ClassVar[int] = 1

    hold_id: UUID
    currency: Currency
    released_cents: PositiveCents
    reason: Literal["appointment-ended", "not-confirmed", "replaced", "nothing-due"]


Origin = Literal["platform", "provider"]  # who captured or refunded: asked for by us, or done there


class CapturedV1(PaymentFact):
    """One capture. What the provider captured by itself is told once it is known what is due."""

    type: ClassVar[str] = "payment.captured"
    version: ClassVar[int] = 1

    hold_id: UUID
    currency: Currency
    captured_cents: PositiveCents
    released_cents: NonNegativeCents
    # of the appointment so far, without what is given back because it is not due
    total_captured_cents: NonNegativeCents | None = None
    origin: Origin = "platform"


class ShortV1(PaymentFact):
    """Less was captured than is due: the rest is a receivable, never a silent charge."""

    type: ClassVar[str] = "payment.short"
    version: ClassVar[int] = 1

    currency: Currency
    captured_cents: NonNegativeCents
    short_cents: PositiveCents


class RefundMadeV1(PaymentFact):
    """Asked for by the platform, or made by the card provider by itself."""

    type: ClassVar[str] = "payment.refund-made"
    version: ClassVar[int] = 1

    refund_id: UUID
    currency: Currency
    refunded_cents: PositiveCents
    origin: Origin = "platform"


class BalanceCharge(PaymentFact):
    balance_id: UUID
    currency: Currency
    amount_cents: PositiveCents


class BalanceChargedV1(BalanceCharge):
    type: ClassVar[str] = "payment.balance-charged"
    version: ClassVar[int] = 1


class BalanceChargeFailedV1(BalanceCharge):
    type: ClassVar[str] = "payment.balance-charge-failed"
    version: ClassVar[int] = 1

    reason: Literal["no-mandate", "above-ceiling", "declined", "action-required"]
