"""Double entries: every journal sums to zero, nothing is ever changed or taken away."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.money import Cents


class Account(StrEnum):
    CARD_HOLDS = "card-holds"  # memo: reserved on cards
    HOLD_CLAIMS = "hold-claims"  # memo: what stands against it
    PROVIDER = "provider-clearing"  # what the card provider owes us
    RECEIVABLE = "patient-receivable"
    FEES = "fees"  # what is owed to who performed the care
    REFUNDED = "refunded"
    WRITTEN_OFF = "written-off"


@dataclass(frozen=True, slots=True)
class Entry:
    """Signed cents: above zero a debit, below a credit."""

    account: Account
    amount_cents: int


def _move(amount: Cents, *, debit: Account, credit: Account) -> tuple[Entry, ...]:
    if amount <= 0:
        return ()
    return (Entry(debit, amount), Entry(credit, -amount))


def held(amount: Cents) -> Sequence[Entry]:
    return _move(amount, debit=Account.CARD_HOLDS, credit=Account.HOLD_CLAIMS)


def let_go(amount: Cents) -> Sequence[Entry]:
    """A release, a lapse, or the reserve that a capture uses up."""
    return _move(amount, debit=Account.HOLD_CLAIMS, credit=Account.CARD_HOLDS)


def due(amount: Cents) -> Sequence[Entry]:
    return _move(amount, debit=Account.RECEIVABLE, credit=Account.FEES)


def paid_by_card(amount: Cents) -> Sequence[Entry]:
    return _move(amount, debit=Account.PROVIDER, credit=Account.RECEIVABLE)


def refunded(amount: Cents, *, not_due: Cents) -> Sequence[Entry]:
    """`not_due` of it was captured above what is due: the patient's account gives it back, not the care."""
    entries = (
        Entry(Account.REFUNDED, amount - not_due),
        Entry(Account.RECEIVABLE, not_due),
        Entry(Account.PROVIDER, -amount),
    )
    return tuple(entry for entry in entries if entry.amount_cents != 0)


def no_longer_due(amount: Cents) -> Sequence[Entry]:
    """A payer paid after all, or the debt was given up."""
    return _move(amount, debit=Account.WRITTEN_OFF, credit=Account.RECEIVABLE)
