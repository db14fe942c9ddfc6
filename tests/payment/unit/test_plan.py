from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import Cents
from payment.domain.plan import (
    Ask,
    CardState,
    Keep,
    Nothing,
    Place,
    Schedule,
    Situation,
    TooLate,
    Waive,
    plan,
)
from support.records import NOW

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DECIDE_BY = NOW + timedelta(minutes=15)
SOON = Situation(
    now=NOW,
    starts_at=NOW + 5 * HOUR,
    decide_by=DECIDE_BY,
    told=False,
    secured=False,
    advance_cents=Cents(750),
    agreed_cents=Cents(750),
    held_cents=None,
    open_cents=None,
    card=CardState.READY,
    present=True,
    lapsed=0,
    place_at=None,
)
BEFORE_DECISION = DECIDE_BY - timedelta(seconds=60)


def but(situation: Situation = SOON, **changes: object) -> Situation:
    return replace(situation, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("situation", "step"),
    [
        (but(), Place(Cents(750))),
        (but(advance_cents=0), Waive()),
        (but(advance_cents=0, told=True), Nothing()),
        (but(advance_cents=0, held_cents=2500), Keep()),
        (but(held_cents=750), Keep()),
        (but(open_cents=750), Nothing()),
        (but(open_cents=500), Place(Cents(750))),
        (but(card=CardState.MISSING), Ask("card-missing", BEFORE_DECISION)),
        (but(card=CardState.SAVED), Place(Cents(750))),
        (but(agreed_cents=749), Ask("price-above-preview", BEFORE_DECISION)),
        (but(now=DECIDE_BY), TooLate()),
        (but(now=BEFORE_DECISION), Place(Cents(750))),
        (but(now=BEFORE_DECISION, card=CardState.MISSING), TooLate()),
    ],
)
def test_before_booking_has_an_answer(situation: Situation, step: object) -> None:
    assert plan(situation) == step


HELD = but(told=True, secured=True, held_cents=750, now=DECIDE_BY + HOUR)


@pytest.mark.parametrize(
    ("situation", "step"),
    [
        (but(HELD, advance_cents=500), Keep()),
        (but(HELD, advance_cents=2500), Ask("price-above-preview", SOON.starts_at)),
        (but(HELD, advance_cents=2500, agreed_cents=2500), Place(Cents(2500))),
        (but(HELD, advance_cents=2500, agreed_cents=2500, now=SOON.starts_at), TooLate()),
        (but(HELD, told=False, advance_cents=750), Keep()),  # moved: the hold stands for the new time
    ],
)
def test_once_a_hold_is_there(situation: Situation, step: object) -> None:
    assert plan(situation) == step


FAR = but(starts_at=NOW + 20 * DAY)
SCHEDULED = but(FAR, told=True, secured=True, place_at=NOW + 16 * DAY)


@pytest.mark.parametrize(
    ("situation", "step"),
    [
        (FAR, Schedule(NOW + 16 * DAY)),
        (but(starts_at=NOW + 6 * DAY), Place(Cents(750))),
        (but(starts_at=NOW + 6 * DAY + timedelta(seconds=1)), Schedule(NOW + 2 * DAY + timedelta(seconds=1))),
        (but(FAR, card=CardState.SAVED), Ask("three-d-secure", BEFORE_DECISION)),
        (but(FAR, card=CardState.MISSING), Ask("card-missing", BEFORE_DECISION)),
        (but(FAR, agreed_cents=0), Ask("price-above-preview", BEFORE_DECISION)),
        (but(SCHEDULED, now=NOW + 15 * DAY, advance_cents=500), Nothing()),
        (but(SCHEDULED, now=NOW + 16 * DAY), Place(Cents(750))),
        (
            but(SCHEDULED, now=NOW + 16 * DAY, card=CardState.MISSING),
            Ask("card-missing", FAR.starts_at - 2 * HOUR),
        ),
        (but(SCHEDULED, now=FAR.starts_at - 2 * HOUR), TooLate()),
    ],
)
def test_an_appointment_beyond_the_window(situation: Situation, step: object) -> None:
    assert plan(situation) == step


@given(
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.none() | st.integers(1, 10_000),
    st.none() | st.integers(1, 10_000),
    st.sampled_from(list(CardState)),
    st.timedeltas(timedelta(), timedelta(days=30)),
    st.booleans(),
)
def test_no_hold_is_placed_above_what_was_agreed_or_after_the_time_to_decide(
    advance: int,
    agreed: int,
    held: int | None,
    coming: int | None,
    card: CardState,
    later: timedelta,
    secured: bool,  # noqa: FBT001
) -> None:
    situation = but(
        now=NOW + later,
        starts_at=NOW + 10 * DAY,
        secured=secured,
        told=secured,
        advance_cents=advance,
        agreed_cents=agreed,
        held_cents=held,
        open_cents=coming,
        card=card,
    )

    step = plan(situation)

    if isinstance(step, Place | Schedule):
        assert advance <= agreed
        assert card is not CardState.MISSING
        assert situation.now < (situation.starts_at if secured else DECIDE_BY)
    if isinstance(step, Place):
        assert step.amount_cents == advance
        assert held is None or held < advance
