"""One word for where the payment of an appointment stands."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


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
    SHORT = "short"  # due, nothing of it captured or held: a balance of the patient
    NOTHING_HELD = "nothing-held"  # it ended before anything was reserved


FINAL_FOR_NOW = frozenset(PaymentStatus) - {PaymentStatus.AWAITING_QUOTE, PaymentStatus.HOLD_PENDING}


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """What the status is derived from."""

    held: bool  # an amount is reserved on a card, and no newer hold replaces it
    awaits_action: bool  # the patient has to do something
    attempt_open: bool  # a hold was asked for, and the provider has not said what became of it
    scheduled: bool  # a hold follows nearer to the visit
    captured: bool  # something was captured
    short: bool  # something is due that no hold covers, and nothing more will be asked of a card
    failed: bool  # no hold came about, finally
    expired: bool  # the newest hold lapsed
    released: bool  # a hold was given back
    ended: bool  # the appointment ended without a bill, or nobody confirmed it
    waived: bool  # nothing is advanced


# The first row that holds says the status. What is live or to come stands before what is over.
PRECEDENCE: Final[tuple[tuple[PaymentStatus, Callable[[PaymentFacts], bool]], ...]] = (
    (PaymentStatus.HELD, lambda facts: facts.held),
    (PaymentStatus.ACTION_REQUIRED, lambda facts: facts.awaits_action),
    (PaymentStatus.HOLD_PENDING, lambda facts: facts.attempt_open),
    (PaymentStatus.SCHEDULED, lambda facts: facts.scheduled),
    (PaymentStatus.CAPTURED, lambda facts: facts.captured),
    (PaymentStatus.SHORT, lambda facts: facts.short),
    (PaymentStatus.FAILED, lambda facts: facts.failed),
    (PaymentStatus.EXPIRED, lambda facts: facts.expired),
    (PaymentStatus.RELEASED, lambda facts: facts.released),
    (PaymentStatus.NOTHING_HELD, lambda facts: facts.ended),
    (PaymentStatus.WAIVED, lambda facts: facts.waived),
)


def status_of(facts: PaymentFacts) -> PaymentStatus:
    """AWAITING_QUOTE when no row of the table holds."""
    return next((status for status, holds in PRECEDENCE if holds(facts)), PaymentStatus.AWAITING_QUOTE)
