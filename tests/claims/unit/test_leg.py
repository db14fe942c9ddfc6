"""The life of a leg is a table: every pair of state and move is decided, and nothing moves otherwise."""

from itertools import product

import pytest

from claims.domain.leg import (
    MOVES,
    OUTSTANDING,
    OWED,
    SENDABLE,
    LegMoveRefused,
    Move,
    State,
    after,
    allowed,
    implied_receipt,
    payment_move,
)
from common.money import Cents

# As the specification draws it: state -> where it may go.
EXITS = {
    State.DRAFT: {State.RIGHTS_PENDING, State.READY, State.ABANDONED},
    State.RIGHTS_PENDING: {State.READY, State.FALLBACK_PATIENT, State.ABANDONED},
    State.READY: {State.BATCHED, State.PAPER_FALLBACK, State.WRITTEN_OFF},
    State.BATCHED: {State.SENT, State.READY},
    State.SENT: {State.ACKED, State.NACKED, State.ACK_TIMEOUT},
    State.ACKED: {
        State.ACCEPTED,
        State.PARTIALLY_PAID,
        State.PAID,
        State.REJECTED,
        State.PAYMENT_LATE,
        State.WRITTEN_OFF,
    },
    State.NACKED: {State.BATCHED, State.PAPER_FALLBACK, State.WRITTEN_OFF},
    State.ACK_TIMEOUT: {State.BATCHED, State.PAPER_FALLBACK, State.ACKED, State.WRITTEN_OFF},
    State.ACCEPTED: {State.PAID, State.PARTIALLY_PAID, State.REVERSED, State.PAYMENT_LATE, State.WRITTEN_OFF},
    State.PAID: {State.REVERSED, State.PARTIALLY_PAID},
    State.PARTIALLY_PAID: {
        State.PAID,
        State.PARTIALLY_PAID,
        State.REVERSED,
        State.DISPUTED,
        State.WRITTEN_OFF,
    },
    State.REJECTED: {
        State.CORRECTED,
        State.FALLBACK_PATIENT,
        State.ABANDONED,
        State.PAID,
        State.PARTIALLY_PAID,
        State.DISPUTED,
    },
    State.CORRECTED: {State.READY},
    State.PAYMENT_LATE: {State.PAID, State.PARTIALLY_PAID, State.REJECTED, State.DISPUTED, State.WRITTEN_OFF},
    State.FALLBACK_PATIENT: {State.PATIENT_PAID, State.WRITTEN_OFF},
    State.PAPER_FALLBACK: {State.PAID, State.PARTIALLY_PAID, State.WRITTEN_OFF},
    State.REVERSED: {
        State.DISPUTED,
        State.PAID,
        State.PARTIALLY_PAID,
        State.REVERSED,
        State.WRITTEN_OFF,
    },
    State.DISPUTED: {State.PAID, State.PARTIALLY_PAID, State.REVERSED, State.WRITTEN_OFF},
}


@pytest.mark.parametrize("state", State)
def test_each_state_leads_where_the_specification_says(state) -> None:
    assert set(MOVES[state].values()) == EXITS.get(state, set())


@pytest.mark.parametrize(("state", "move"), list(product(State, Move)))
def test_a_move_is_made_or_refused_and_never_half(state, move) -> None:
    if move in allowed(state):
        assert after(state, move) in EXITS[state]
    else:
        with pytest.raises(LegMoveRefused):
            after(state, move)


def test_every_state_but_the_draft_can_be_reached() -> None:
    reached = {State.DRAFT}
    while more := {after(state, move) for state in reached for move in allowed(state)} - reached:
        reached |= more

    assert reached == set(State)


@pytest.mark.parametrize("state", [State.SENT, State.ACK_TIMEOUT])
def test_who_answers_an_invoice_has_received_it(state) -> None:
    assert implied_receipt(state)
    assert Move.ACKNOWLEDGE in allowed(state)


def test_only_what_can_be_batched_is_sendable_and_only_what_is_answered_is_outstanding() -> None:
    assert {state for state in State if Move.BATCH in allowed(state)} == SENDABLE
    assert {state for state in OUTSTANDING if not allowed(state)} == set()


# The platform itself moves these on, within one call or the two working days of an acknowledgement.
ON_ITS_WAY = {State.BATCHED, State.SENT, State.CORRECTED}


def test_whatever_waits_for_somebody_can_be_given_up() -> None:
    given_up = {state for state in State if {Move.WRITE_OFF, Move.ABANDON} & allowed(state)}

    assert OWED - given_up == ON_ITS_WAY
    ends = {State.PAID, State.PATIENT_PAID, State.WRITTEN_OFF, State.ABANDONED}
    assert set(State) - OWED == ends | {State.DRAFT, State.FALLBACK_PATIENT}


@pytest.mark.parametrize(
    ("paid", "move"), [(1, Move.PAY_PARTLY), (1749, Move.PAY_PARTLY), (1750, Move.PAY), (1751, Move.PAY)]
)
def test_a_payment_is_whole_from_the_last_cent_on(paid, move) -> None:
    assert payment_move(Cents(1750), paid_cents=Cents(paid)) is move
