from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import Cents
from payment.domain.holds import HoldStatus
from payment.domain.settlement import HoldView, Settlement, settle, superseded

H = HoldStatus
FIRST, SECOND = uuid4(), uuid4()


def hold(
    hold_id: UUID, status: HoldStatus, cents: int = 0, *, called: bool = True, going: bool = False
) -> HoldView:
    return HoldView(hold_id, 1 if hold_id == FIRST else 2, status, Cents(cents), called, going)


UNSENT = hold(SECOND, H.PENDING, called=False)


@pytest.mark.parametrize(
    ("due", "holds", "outcome"),
    [
        (750, [hold(FIRST, H.HELD, 750)], (FIRST, 750, (), 0)),
        (750, [hold(FIRST, H.HELD, 2500)], (FIRST, 750, (), 0)),
        (2500, [hold(FIRST, H.HELD, 750)], (FIRST, 750, (), 1750)),
        (0, [hold(FIRST, H.HELD, 750)], (None, 0, (FIRST,), 0)),
        (750, [], (None, 0, (), 750)),
        (0, [], (None, 0, (), 0)),
        (2500, [hold(FIRST, H.HELD, 750), hold(SECOND, H.HELD, 2500)], (SECOND, 2500, (FIRST,), 0)),
        (750, [hold(FIRST, H.EXPIRED, 750)], (None, 0, (), 750)),
        (750, [hold(FIRST, H.HELD, 750, going=True)], (None, 0, (), 750)),
        (750, [hold(FIRST, H.HELD, 750), hold(SECOND, H.ACTION_REQUIRED)], (FIRST, 750, (SECOND,), 0)),
        (2500, [hold(FIRST, H.HELD, 750), hold(SECOND, H.ACTION_REQUIRED)], (FIRST, 750, (SECOND,), 1750)),
        (
            2500,
            [hold(FIRST, H.HELD, 750), hold(SECOND, H.PENDING, called=False)],
            (FIRST, 750, (SECOND,), 1750),
        ),
        (2500, [hold(FIRST, H.HELD, 750), hold(SECOND, H.UNKNOWN)], None),
        (750, [hold(FIRST, H.PENDING)], None),
        (750, [hold(FIRST, H.ACTION_REQUIRED)], None),
        (0, [hold(FIRST, H.PENDING, called=False)], (None, 0, (FIRST,), 0)),
        (0, [hold(FIRST, H.UNKNOWN)], (None, 0, (), 0)),
    ],
)
def test_what_is_captured_released_and_missing(
    due: int, holds: list[HoldView], outcome: tuple[UUID | None, int, tuple[UUID, ...], int] | None
) -> None:
    expected = None
    if outcome is not None:
        expected = Settlement(outcome[0], Cents(outcome[1]), outcome[2], Cents(outcome[3]))

    assert settle(holds, due_cents=Cents(due)) == expected


VIEWS = st.lists(
    st.builds(
        HoldView,
        st.uuids(),
        st.integers(1, 9),
        st.sampled_from(list(HoldStatus)),
        st.integers(0, 5000).map(Cents),
        st.booleans(),
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda view: view.id,
)


@given(VIEWS, st.integers(0, 5000))
def test_at_most_what_is_held_and_due_is_captured_and_nothing_is_lost(
    views: list[HoldView], due: int
) -> None:
    outcome = settle(views, due_cents=Cents(due))

    if outcome is None:
        assert due > 0
        return
    by_id = {view.id: view for view in views}
    held = by_id[outcome.capture].held_cents if outcome.capture else 0
    assert outcome.capture_cents <= min(held, due)
    assert outcome.capture_cents + outcome.short_cents == due
    assert outcome.capture not in outcome.release
    live = {view.id for view in views if view.status is H.HELD and not view.going}
    assert live <= {*outcome.release, outcome.capture}


def test_a_newer_hold_makes_the_older_ones_needless() -> None:
    older = [hold(FIRST, H.HELD, 750)]

    assert superseded([*older, hold(SECOND, H.ACTION_REQUIRED)]) == ()
    assert superseded([*older, hold(SECOND, H.HELD, 2500)]) == (FIRST,)
