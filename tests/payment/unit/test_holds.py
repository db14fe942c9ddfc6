from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import Cents
from payment.domain.holds import MOVES, HoldMoveRefused, HoldStatus, after, failure_of, path
from payment.domain.provider import ProviderPayment, ProviderStatus

ENDS = {HoldStatus.CAPTURED, HoldStatus.VOIDED, HoldStatus.EXPIRED, HoldStatus.FAILED}


def seen(status: ProviderStatus, *, code: str | None = None) -> ProviderPayment:
    return ProviderPayment(
        id="pay_1",
        reference="hold",
        status=status,
        authorized_cents=Cents(750),
        captured_cents=Cents(0),
        released_cents=Cents(0),
        refunded_cents=Cents(0),
        capture_before=None,
        challenge=None,
        decline_code=code,
    )


def walk(status: HoldStatus, *heard: ProviderStatus, released_by_us: bool = False) -> HoldStatus:
    for word in heard:
        for target in path(status, seen(word), released_by_us=released_by_us):
            status = after(status, target)
    return status


@pytest.mark.parametrize("status", list(HoldStatus))
def test_only_the_moves_of_the_table_are_made(status: HoldStatus) -> None:
    for target in HoldStatus:
        if target in MOVES[status]:
            assert after(status, target) is target
        else:
            with pytest.raises(HoldMoveRefused):
                after(status, target)


@pytest.mark.parametrize("status", sorted(ENDS))
@pytest.mark.parametrize("word", list(ProviderStatus))
def test_an_end_is_an_end(status: HoldStatus, word: ProviderStatus) -> None:
    assert path(status, seen(word), released_by_us=False) == ()


@given(
    status=st.sampled_from(list(HoldStatus)),
    words=st.lists(st.sampled_from(list(ProviderStatus)), max_size=6),
    released_by_us=st.booleans(),
)
def test_whatever_the_provider_says_every_move_is_allowed_and_a_repetition_moves_nothing(
    status: HoldStatus, words: list[ProviderStatus], *, released_by_us: bool
) -> None:
    for word in words:
        status = walk(status, word, released_by_us=released_by_us)

        assert path(status, seen(word), released_by_us=released_by_us) == ()


@pytest.mark.parametrize(
    ("story", "end"),
    [
        ((ProviderStatus.REQUIRES_ACTION, ProviderStatus.AUTHORIZED, ProviderStatus.CAPTURED), "captured"),
        ((ProviderStatus.AUTHORIZED, ProviderStatus.EXPIRED), "expired"),
        ((ProviderStatus.REQUIRES_ACTION, ProviderStatus.AUTHORIZED), "held"),
        ((ProviderStatus.REQUIRES_ACTION, ProviderStatus.DECLINED), "failed"),
    ],
)
def test_old_news_after_the_newest_changes_nothing(story: tuple[ProviderStatus, ...], end: str) -> None:
    """Our own answers come in order; webhooks repeat any of them, late."""
    *before, newest = story
    for late in permutations(before):
        assert walk(HoldStatus.PENDING, *before, newest, *late) == end


def test_a_capture_heard_of_before_its_hold_passes_through_held() -> None:
    moves = path(HoldStatus.UNKNOWN, seen(ProviderStatus.CAPTURED), released_by_us=False)

    assert moves == (HoldStatus.HELD, HoldStatus.CAPTURED)


@pytest.mark.parametrize(("ours", "end"), [(True, "voided"), (False, "expired")])
def test_a_cancellation_nobody_here_asked_for_is_a_lapse(*, ours: bool, end: str) -> None:
    assert walk(HoldStatus.HELD, ProviderStatus.CANCELED, released_by_us=ours) == end


def test_what_was_given_up_may_turn_out_to_be_held() -> None:
    assert walk(HoldStatus.WITHDRAWN, ProviderStatus.AUTHORIZED) is HoldStatus.HELD


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (ProviderStatus.DECLINED, "insufficient-funds", "declined"),
        (ProviderStatus.DECLINED, "authentication-failed", "action-refused"),
        (ProviderStatus.CANCELED, "challenge-expired", "action-expired"),
        (ProviderStatus.EXPIRED, None, "provider-refused"),
    ],
)
def test_why_nothing_is_held(status: ProviderStatus, code: str | None, reason: str) -> None:
    assert failure_of(seen(status, code=code)) == reason
