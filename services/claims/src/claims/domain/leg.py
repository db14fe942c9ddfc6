"""The life of a leg: one payer's part of a care act, from the draft to the money."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Final

from common.errors import DomainError, Refusal
from common.money import Cents


class State(StrEnum):
    DRAFT = "draft"
    RIGHTS_PENDING = "rights-pending"
    READY = "ready"
    BATCHED = "batched"
    SENT = "sent"
    ACKED = "acked"
    NACKED = "nacked"
    ACK_TIMEOUT = "ack-timeout"
    ACCEPTED = "accepted"
    PAID = "paid"
    PARTIALLY_PAID = "partially-paid"
    REJECTED = "rejected"
    CORRECTED = "corrected"
    PAYMENT_LATE = "payment-late"
    FALLBACK_PATIENT = "fallback-patient"
    PATIENT_PAID = "patient-paid"
    PAPER_FALLBACK = "paper-fallback"
    REVERSED = "reversed"
    DISPUTED = "disputed"
    WRITTEN_OFF = "written-off"
    ABANDONED = "abandoned"


class Move(StrEnum):
    AWAIT_RIGHTS = "await-rights"
    PREPARE = "prepare"  # priced and signed
    BATCH = "batch"
    BREAK_UP = "break-up"  # the lot is dissolved before it left
    SEND = "send"
    ACKNOWLEDGE = "acknowledge"
    REFUSE_FILE = "refuse-file"
    MISS_ACKNOWLEDGEMENT = "miss-acknowledgement"
    ACCEPT = "accept"  # the payer says yes, the money is not there
    PAY = "pay"
    PAY_PARTLY = "pay-partly"
    REJECT = "reject"
    MISS_PAYMENT = "miss-payment"
    CORRECT = "correct"
    ASK_PATIENT = "ask-patient"
    PATIENT_PAYS = "patient-pays"
    HAND_OVER_PAPER = "hand-over-paper"
    REVERSE = "reverse"  # the payer takes its money back
    REVERSE_PARTLY = "reverse-partly"  # some of it
    DISPUTE = "dispute"
    WRITE_OFF = "write-off"
    ABANDON = "abandon"


# Ours, beyond the drawn exits: a late acknowledgement (ACK_TIMEOUT -> ACKED: the payer has the file after
# all, sending again would only earn "already paid"); a reversal of a part payment; money after a reject, a
# reversal or in a dispute (a later regularisation); an accepted claim that is not paid in time; an enquiry
# about a reject ("already paid", of an invoice that is not); a dispute that is given up; a claim that no
# electronic way has a place for, on paper before it was ever sent; the money for a claim on paper; a part of
# the money taken back or paid anew, which is a part payment; a write-off wherever somebody is waited for: the
# payer that is late or took its money back, the file that nobody takes, the fund whose answer lets an AMC's
# part leave.
_MOVES: Final[Mapping[State, Mapping[Move, State]]] = {
    State.DRAFT: {
        Move.AWAIT_RIGHTS: State.RIGHTS_PENDING,
        Move.PREPARE: State.READY,
        Move.ABANDON: State.ABANDONED,
    },
    State.RIGHTS_PENDING: {
        Move.PREPARE: State.READY,
        Move.ASK_PATIENT: State.FALLBACK_PATIENT,
        Move.ABANDON: State.ABANDONED,
    },
    State.READY: {
        Move.BATCH: State.BATCHED,
        Move.HAND_OVER_PAPER: State.PAPER_FALLBACK,
        Move.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.BATCHED: {Move.SEND: State.SENT, Move.BREAK_UP: State.READY},
    State.SENT: {
        Move.ACKNOWLEDGE: State.ACKED,
        Move.REFUSE_FILE: State.NACKED,
        Move.MISS_ACKNOWLEDGEMENT: State.ACK_TIMEOUT,
    },
    State.ACKED: {
        Move.ACCEPT: State.ACCEPTED,
        Move.PAY: State.PAID,
        Move.PAY_PARTLY: State.PARTIALLY_PAID,
        Move.REJECT: State.REJECTED,
        Move.MISS_PAYMENT: State.PAYMENT_LATE,
        Move.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.NACKED: {
        Move.BATCH: State.BATCHED,
        Move.HAND_OVER_PAPER: State.PAPER_FALLBACK,
        Move.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.ACK_TIMEOUT: {
        Move.BATCH: State.BATCHED,
        Move.ACKNOWLEDGE: State.ACKED,
        Move.HAND_OVER_PAPER: State.PAPER_FALLBACK,
        Move.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.ACCEPTED: {
        Move.PAY: State.PAID,
        Move.PAY_PARTLY: State.PARTIALLY_PAID,
        Move.REVERSE: State.REVERSED,
        Move.MISS_PAYMENT: State.PAYMENT_LATE,
        Move.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.PAID: {Move.REVERSE: State.REVERSED, Move.REVERSE_PARTLY: State.PARTIALLY_PAID},
    State.PARTIALLY_PAID: {
        Move.PAY: State.PAID,
        Move.PAY_PARTLY: State.PARTIALLY_PAID,
        Move.REVERSE: State.REVERSED,
        Move.REVERSE_PARTLY: State.PARTIALLY_PAID,
        Move.DISPUTE: State.DISPUTED,
        Move.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.REJECTED: {
        Move.CORRECT: State.CORRECTED,
        Move.ASK_PATIENT: State.FALLBACK_PATIENT,
        Move.ABANDON: State.ABANDONED,
        Move.PAY: State.PAID,
        Move.PAY_PARTLY: State.PARTIALLY_PAID,
        Move.DISPUTE: State.DISPUTED,
    },
    State.CORRECTED: {Move.PREPARE: State.READY},
    State.PAYMENT_LATE: {
        Move.PAY: State.PAID,
        Move.PAY_PARTLY: State.PARTIALLY_PAID,
        Move.REJECT: State.REJECTED,
        Move.DISPUTE: State.DISPUTED,
        Move.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.FALLBACK_PATIENT: {Move.PATIENT_PAYS: State.PATIENT_PAID, Move.WRITE_OFF: State.WRITTEN_OFF},
    State.PATIENT_PAID: {},
    State.PAPER_FALLBACK: {
        Move.PAY: State.PAID,
        Move.PAY_PARTLY: State.PARTIALLY_PAID,
        Move.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.REVERSED: {
        Move.DISPUTE: State.DISPUTED,
        Move.PAY: State.PAID,
        Move.PAY_PARTLY: State.PARTIALLY_PAID,
        Move.REVERSE: State.REVERSED,
        Move.REVERSE_PARTLY: State.PARTIALLY_PAID,
        Move.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.DISPUTED: {
        Move.PAY: State.PAID,
        Move.PAY_PARTLY: State.PARTIALLY_PAID,
        Move.REVERSE: State.REVERSED,
        Move.REVERSE_PARTLY: State.PARTIALLY_PAID,
        Move.WRITE_OFF: State.WRITTEN_OFF,
    },
    State.WRITTEN_OFF: {},
    State.ABANDONED: {},
}
MOVES: Final = MappingProxyType(_MOVES)

# A return may overtake another: whoever pays or rejects an invoice has received its file.
_BEFORE_RECEIPT: Final = frozenset({State.SENT, State.ACK_TIMEOUT})
OUTSTANDING: Final = frozenset(
    {
        State.BATCHED,
        State.SENT,
        State.ACKED,
        State.ACCEPTED,
        State.PARTIALLY_PAID,
        State.PAYMENT_LATE,
        State.ACK_TIMEOUT,
    }
)
SENDABLE: Final = frozenset({State.READY, State.NACKED, State.ACK_TIMEOUT})
# The payer, or somebody who deals with the payer, owes the next move: these claims are in the ageing.
OWED: Final = (
    OUTSTANDING
    | SENDABLE
    | {
        State.RIGHTS_PENDING,
        State.REJECTED,
        State.DISPUTED,
        State.CORRECTED,
        State.PAPER_FALLBACK,
        State.REVERSED,
    }
)


class LegMoveRefused(DomainError):
    """The state of the leg does not allow this move; it has probably moved on."""

    code: ClassVar[str] = "leg-move-refused"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


def after(state: State, move: Move) -> State:
    """The state that `move` leads to. Raises LegMoveRefused."""
    following = MOVES[state].get(move)
    if following is None:
        raise LegMoveRefused(f"a leg that is {state} cannot {move}")
    return following


def allowed(state: State) -> frozenset[Move]:
    return frozenset(MOVES[state])


def implied_receipt(state: State) -> bool:
    """A payment or a reject in this state tells that the file has arrived, before the acknowledgement did."""
    return state in _BEFORE_RECEIPT


def payment_move(amount_cents: Cents, *, paid_cents: Cents) -> Move:
    """Which move a leg of `amount_cents` makes when `paid_cents` have come in all."""
    return Move.PAY if paid_cents >= amount_cents else Move.PAY_PARTLY


def reversal_move(*, paid_cents: Cents) -> Move:
    """Which move a leg makes when a reversal leaves `paid_cents`, less than the claim, with who was paid."""
    return Move.REVERSE_PARTLY if paid_cents > 0 else Move.REVERSE
