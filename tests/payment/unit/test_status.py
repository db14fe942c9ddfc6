"""The status of a payment: what is live or to come before what is over, in every combination of facts."""

from dataclasses import fields
from itertools import product

import pytest

from payment.domain.status import PRECEDENCE, PaymentFacts, PaymentStatus, status_of

NAMES = [field.name for field in fields(PaymentFacts)]
# fact: the status that it stands for, and whether it is live or to come
MEANING = {
    "held": (PaymentStatus.HELD, True),
    "awaits_action": (PaymentStatus.ACTION_REQUIRED, True),
    "attempt_open": (PaymentStatus.HOLD_PENDING, True),
    "scheduled": (PaymentStatus.SCHEDULED, True),
    "captured": (PaymentStatus.CAPTURED, False),
    "short": (PaymentStatus.SHORT, False),
    "failed": (PaymentStatus.FAILED, False),
    "expired": (PaymentStatus.EXPIRED, False),
    "released": (PaymentStatus.RELEASED, False),
    "ended": (PaymentStatus.NOTHING_HELD, False),
    "waived": (PaymentStatus.WAIVED, False),
}
LIVE = {status for status, is_live in MEANING.values() if is_live}


def facts(**true: bool) -> PaymentFacts:
    return PaymentFacts(**{name: true.get(name, False) for name in NAMES})


@pytest.mark.parametrize("name", NAMES)
def test_each_fact_alone_says_its_status(name: str) -> None:
    assert status_of(facts(**{name: True})) is MEANING[name][0]


def test_nothing_known_awaits_a_quote() -> None:
    assert status_of(facts()) is PaymentStatus.AWAITING_QUOTE


def test_every_combination_says_what_is_live_or_to_come_first() -> None:
    for values in product([False, True], repeat=len(NAMES)):
        given = dict(zip(NAMES, values, strict=True))
        status = status_of(PaymentFacts(**given))
        meant = {MEANING[name] for name, is_true in given.items() if is_true}
        assert not meant or status in {each for each, _ in meant}, given  # never what is not so
        if any(is_live for _, is_live in meant):
            assert status in LIVE, given


def test_the_table_names_every_status_once() -> None:
    listed = [status for status, _ in PRECEDENCE]

    assert sorted([*listed, PaymentStatus.AWAITING_QUOTE]) == sorted(PaymentStatus)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("held", "awaits_action"),  # a hold stands while a higher price waits to be accepted
        ("scheduled", "released"),  # moved beyond the window
        ("scheduled", "captured"),  # the provider captured an earlier hold by itself
        ("awaits_action", "expired"),  # asked for again
        ("captured", "short"),  # the rest is a balance
        ("short", "expired"),
        ("short", "waived"),
        ("failed", "ended"),
        ("released", "ended"),
    ],
)
def test_which_of_two_comes_first(first: str, second: str) -> None:
    assert status_of(facts(**{first: True, second: True})) is MEANING[first][0]
