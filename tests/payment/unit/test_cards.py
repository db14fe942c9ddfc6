"""For which uses a card is good: its mandate, the mandate's ceiling, the printed expiry."""

from dataclasses import replace
from datetime import timedelta

import pytest

from common.money import Cents
from payment.domain.cards import CardFacts, usable_for
from payment.domain.mandates import Mandate
from payment.domain.plan import CardState
from support.records import NOW

DAY = timedelta(days=1)
GOOD = CardFacts(CardState.READY, Mandate(Cents(2000), timedelta(days=90)), 12, 2099)


@pytest.mark.parametrize(
    ("change", "amount", "charged", "state"),
    [
        ({}, 2000, 0, CardState.READY),
        ({}, 2001, 0, CardState.HOLDER_ONLY),
        ({}, 750, 1251, CardState.HOLDER_ONLY),
        ({"mandate": None}, 1, 0, CardState.HOLDER_ONLY),
        ({"state": CardState.SAVED}, 750, 0, CardState.SAVED),
        ({"state": CardState.SAVED, "mandate": None}, 750, 0, CardState.HOLDER_ONLY),
        ({"state": CardState.MISSING}, 750, 0, CardState.MISSING),
        ({"expiry_month": 6, "expiry_year": 2030}, 750, 0, CardState.READY),  # the whole month of the visit
        ({"expiry_month": 5, "expiry_year": 2030}, 750, 0, CardState.MISSING),
        ({"expiry_month": None, "expiry_year": None}, 750, 0, CardState.READY),  # not told yet
    ],
)
def test_for_which_uses_a_card_is_good(
    change: dict[str, object], amount: int, charged: int, state: CardState
) -> None:
    found = usable_for(
        replace(GOOD, **change),  # type: ignore[arg-type]
        amount_cents=Cents(amount),
        charged_cents=Cents(charged),
        starts_at=NOW + 20 * DAY,
        now=NOW,
    )

    assert found is state


def test_a_card_that_expires_before_the_visit_needs_its_holder() -> None:
    june = replace(GOOD, expiry_month=6, expiry_year=2030)

    found = usable_for(june, amount_cents=Cents(1), charged_cents=Cents(0), starts_at=NOW + 31 * DAY, now=NOW)

    assert found is CardState.HOLDER_ONLY


def test_no_card_is_missing() -> None:
    assert usable_for(None, amount_cents=Cents(1), charged_cents=Cents(0), starts_at=NOW, now=NOW) is (
        CardState.MISSING
    )
