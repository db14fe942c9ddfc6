"""The small rules: ledger entries, mandates, signatures, what the provider may say."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import Cents
from payment.domain import ledger
from payment.domain.ledger import Account, Entry
from payment.domain.mandates import Mandate, MandateTextNotFound, objection, text_of
from payment.domain.provider import AnswerUnreadable, ProviderRefund, payment_of, setup_of
from payment.domain.signatures import SignatureInvalid, verify
from support.records import NOW

MOVES = [
    ledger.held,
    ledger.let_go,
    ledger.due,
    ledger.paid_by_card,
    lambda cents: ledger.refunded(cents, not_due=Cents(0)),
    lambda cents: ledger.refunded(cents, not_due=Cents(cents // 3)),
    lambda cents: ledger.refunded(cents, not_due=cents),
    ledger.no_longer_due,
]


@given(st.sampled_from(MOVES), st.integers(0, 10**9))
def test_every_journal_sums_to_zero(move: Any, cents: int) -> None:
    assert sum(entry.amount_cents for entry in move(Cents(cents))) == 0


def test_a_captured_hold_leaves_no_reserve_and_no_debt() -> None:
    entries: Sequence[Entry] = [
        *ledger.held(Cents(2500)),
        *ledger.due(Cents(750)),
        *ledger.let_go(Cents(750)),
        *ledger.paid_by_card(Cents(750)),
        *ledger.let_go(Cents(1750)),
    ]

    totals = dict.fromkeys(Account, 0)
    for entry in entries:
        totals[entry.account] += entry.amount_cents
    assert {account: total for account, total in totals.items() if total} == {
        Account.PROVIDER: 750,
        Account.FEES: -750,
    }


MANDATE = Mandate(Cents(2000), timedelta(days=90))


@pytest.mark.parametrize(
    ("mandate", "amount", "before", "days", "reason"),
    [
        (MANDATE, 2000, 0, 0, None),
        (MANDATE, 2001, 0, 0, "above-ceiling"),
        (MANDATE, 1000, 1001, 0, "above-ceiling"),
        (MANDATE, 750, 0, 90, None),
        (MANDATE, 750, 0, 91, "no-mandate"),
        (None, 750, 0, 0, "no-mandate"),
    ],
)
def test_which_later_charge_a_mandate_covers(
    mandate: Mandate | None, amount: int, before: int, days: int, reason: str | None
) -> None:
    found = objection(
        mandate,
        amount_cents=Cents(amount),
        charged_cents=Cents(before),
        care_at=NOW,
        now=NOW + timedelta(days=days),
    )

    assert found == reason


def test_a_mandate_names_a_published_text() -> None:
    assert text_of("2026-01").reason == "patient-balance"
    with pytest.raises(MandateTextNotFound):
        text_of("1999-01")


BODY = b'{"id":"evt_1"}'


def signed(*, key: str = "secret", at: int = 0, body: bytes = BODY) -> str:
    stamp = str(int(NOW.timestamp()) + at)
    digest = hmac.new(key.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


@pytest.mark.parametrize("at", [-300, 0, 300])
def test_a_fresh_signature_of_this_body_is_good(at: int) -> None:
    verify(signed(at=at), BODY, secret="secret", now=NOW)
    verify(f"{signed(at=at)},v1=an-older-secret", BODY, secret="secret", now=NOW)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=",
        "nonsense",
        "t=\u0661,v1=00",
        signed(key="other"),
        signed(body=b"{}"),
        signed(at=-301),
        signed(at=301),
        signed().replace("v1=", "v0="),
        f"{signed()},t=1",
    ],
)
def test_any_other_signature_is_refused(header: str) -> None:
    with pytest.raises(SignatureInvalid):
        verify(header, BODY, secret="secret", now=NOW)


PAYMENT = {
    "id": "pay_1",
    "reference": "hold",
    "status": "authorized",
    "authorized_cents": 750,
    "captured_cents": 0,
    "released_cents": 0,
    "refunded_cents": 0,
    "capture_before": "2030-06-08T09:00:00+00:00",
    "action": None,
    "decline_code": None,
    "refunds": [
        {"id": "re_1", "reference": "refund", "amount_cents": 1},
        {"id": "re_2", "reference": None, "amount_cents": 2},
    ],
}


def test_a_payment_is_read() -> None:
    read = payment_of(PAYMENT)

    assert (read.authorized_cents, read.capture_before, read.refunds) == (
        750,
        NOW + timedelta(days=7),
        (ProviderRefund("re_1", "refund", Cents(1)), ProviderRefund("re_2", None, Cents(2))),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"status": "succeeded"},
        {"authorized_cents": 7.5},
        {"authorized_cents": True},
        {"captured_cents": -1},
        {"capture_before": "2030-06-08T09:00:00"},
        {"action": {"url": "https://bank.test", "expires_at": None}},
        {"refunds": None},
    ],
)
def test_what_is_no_payment_is_not_guessed_at(change: dict[str, Any]) -> None:
    with pytest.raises(AnswerUnreadable):
        payment_of({**PAYMENT, **change})


def test_what_is_no_setup_is_not_guessed_at() -> None:
    with pytest.raises(AnswerUnreadable):
        setup_of({"id": "set_1", "reference": "card", "status": "succeeded", "action": None})
