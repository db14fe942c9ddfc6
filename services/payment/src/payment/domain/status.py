"""One word for where the payment of an appointment stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.money import Cents
from payment.domain.holds import OPEN, HoldStatus


class PaymentStatus(StrEnum):
    AWAITING_QUOTE = "awaiting-quote"
    WAIVED = "waived"  # the patient advances nothing
    HOLD_PENDING = "hold-pending"
    ACTION_REQUIRED = "action-required"
    SCHEDULED = "scheduled"  # the card is saved, the hold follows nearer to the visit
    HELD = "held"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"
    FAILED = "failed"
    SHORT = "short"  # due, and nothing of it captured
    NOTHING_HELD = "nothing-held"  # it ended before anything was reserved


FINAL_FOR_NOW = frozenset(PaymentStatus) - {PaymentStatus.AWAITING_QUOTE, PaymentStatus.HOLD_PENDING}


@dataclass(frozen=True, slots=True)
class Sight:
    """What the word is derived from."""

    holds: Sequence[HoldStatus]  # oldest attempt first
    captured_cents: Cents
    short_cents: Cents
    quoted: bool
    priced: bool
    ended: bool
    failed: bool
    waived: bool
    awaits_action: bool
    scheduled: bool


def status_of(sight: Sight) -> PaymentStatus:
    for status, holds_true in (
        (PaymentStatus.CAPTURED, sight.captured_cents > 0),
        (PaymentStatus.SHORT, sight.short_cents > 0),
        (PaymentStatus.HELD, HoldStatus.HELD in sight.holds),
        (PaymentStatus.FAILED, sight.failed),
        (PaymentStatus.ACTION_REQUIRED, sight.awaits_action),
        (PaymentStatus.HOLD_PENDING, bool(OPEN & set(sight.holds))),
        (PaymentStatus.EXPIRED, sight.holds[-1:] == [HoldStatus.EXPIRED]),
        (PaymentStatus.RELEASED, HoldStatus.VOIDED in sight.holds),
        (PaymentStatus.NOTHING_HELD, sight.ended),
        (PaymentStatus.SCHEDULED, sight.scheduled),
        (PaymentStatus.WAIVED, sight.waived or sight.priced),
        (PaymentStatus.HOLD_PENDING, sight.quoted),
    ):
        if holds_true:
            return status
    return PaymentStatus.AWAITING_QUOTE
