"""What callers see: rights, replays, problems, and the provider's webhooks."""

import json
from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from common.clock import wall
from payment.models import ProviderEventRow
from simulators.card_provider_webhooks import signature
from support.payments import DAY, ISSUER, SECRET, Desk, Visit, timedelta

MANDATE = {"text_version": "2026-01", "accepted": True, "ceiling_cents": 5000}


async def test_a_payment_is_seen_by_who_pays_and_by_support(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)
    path = f"/appointments/{visit.id}"

    seen = {
        "payer": await desk.get(path, visit.account),
        "support": await desk.get(path, uuid4(), role="support"),
        "another patient": await desk.get(path, uuid4()),
        "a practitioner": await desk.get(path, visit.account, role="practitioner"),
        "nobody": await desk.api.get(f"/payment/v1{path}"),
    }

    assert {who: answer.status_code for who, answer in seen.items()} == {
        "payer": 200,
        "support": 200,
        "another patient": 404,
        "a practitioner": 404,
        "nobody": 401,
    }
    assert seen["payer"].json() == {
        "appointment_id": str(visit.id),
        "status": "held",
        "currency": "EUR",
        "advance_cents": 750,
        "held_cents": 750,
        "live_hold_cents": 750,
        "captured_cents": 0,
        "released_cents": 0,
        "refunded_cents": 0,
        "short_cents": 0,
        "place_at": None,
        "capture_before": "2030-06-08T09:00:01Z",
        "action": None,
    }


async def test_what_no_event_has_named_is_not_there_yet(desk: Desk) -> None:
    unknown = await desk.get(f"/appointments/{uuid4()}", uuid4())

    assert (unknown.status_code, unknown.headers["Retry-After"]) == (404, "1")
    assert unknown.json()["type"] == "urn:problem:appointment-not-found"


@pytest.mark.parametrize("path", ["price-acceptance", "card", "refunds"])
async def test_who_does_not_pay_moves_nothing(desk: Desk, path: str) -> None:
    visit = Visit()
    await desk.hear(visit.quote(750))
    body = {
        "price-acceptance": {"advance_cents": 750},
        "card": {"card_id": str(uuid4())},
        "refunds": {"amount_cents": 1},
    }

    answer = await desk.post(f"/appointments/{visit.id}/{path}", body[path], uuid4())

    assert answer.status_code == (403 if path == "refunds" else 404)


async def test_a_repeated_request_is_done_once(desk: Desk) -> None:
    account = uuid4()
    body = {"provider_token": await desk.token(), "mandate": MANDATE}

    first, again = [await desk.post("/cards", body, account, key="one") for _ in range(2)]
    other = await desk.post("/cards", {**body, "provider_token": await desk.token()}, account, key="one")
    stranger = await desk.post("/cards", {**body, "provider_token": await desk.token()}, uuid4(), key="one")
    same_token = await desk.post("/cards", body, account)

    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.json(), again.headers["Idempotency-Replayed"]) == (again.json(), "true")
    assert (other.status_code, other.json()["type"]) == (422, "urn:problem:idempotency-key-reused")
    assert stranger.status_code == 201
    assert (same_token.status_code, same_token.json()["type"]) == (409, "urn:problem:card-already-saved")
    assert len((await desk.get("/cards", account)).json()["items"]) == 1


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"provider_token": "4242 4242 4242 4242"}, 422, "invalid-request"),
        ({"unknown": 1}, 422, "invalid-request"),
        (
            {"mandate": {"text_version": "1999-01", "accepted": True, "ceiling_cents": 1}},
            422,
            "mandate-text-unknown",
        ),
        (
            {"mandate": {"text_version": "2026-01", "accepted": True, "ceiling_cents": -1}},
            422,
            "invalid-request",
        ),
        (
            {"mandate": {"text_version": "2026-01", "accepted": True, "ceiling_cents": 7.5}},
            422,
            "invalid-request",
        ),
    ],
)
async def test_a_card_that_makes_no_sense_is_refused_without_an_echo(
    desk: Desk, change: dict[str, object], status: int, code: str
) -> None:
    body = {"provider_token": "tok_12345678", "mandate": MANDATE, **change}

    answer = await desk.post("/cards", body, uuid4())

    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:problem:{code}")
    assert "4242" not in answer.text


async def test_a_money_moving_post_needs_its_key(desk: Desk) -> None:
    answer = await desk.api.post("/payment/v1/cards", json={}, headers=ISSUER.bearer("patient"))

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:idempotency-key-missing")


async def test_the_ledger_is_for_support(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 2500)
    await desk.hear(visit.priced(750))
    await desk.settle_down()
    path = f"/ledger?appointment_id={visit.id}"

    entries = (await desk.get(path, uuid4(), role="support")).json()["items"]

    assert (await desk.get(path, visit.account)).status_code == 403
    journals: dict[str, int] = {}
    totals: dict[str, int] = {}
    for each in entries:
        journals[each["journal"]] = journals.get(each["journal"], 0) + each["amount_cents"]
        totals[each["account"]] = totals.get(each["account"], 0) + each["amount_cents"]
    assert set(journals.values()) == {0}
    assert totals == {
        "card-holds": 0,
        "hold-claims": 0,
        "patient-receivable": 0,
        "provider-clearing": 750,
        "fees": -750,
    }


def webhook(
    event: dict[str, object] | bytes, *, secret: str = SECRET, at: datetime | None = None
) -> dict[str, object]:
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    signed = signature(secret, raw, at=at or wall())
    return {"content": raw, "headers": {"Provider-Signature": signed, "Content-Type": "application/json"}}


async def post_webhook(desk: Desk, sent: dict[str, object]) -> httpx.Response:
    return await desk.api.post("/payment/v1/provider-events", **sent)  # type: ignore[arg-type]


async def kept(desk: Desk) -> list[tuple[str, str]]:
    async with desk.sessions() as session:
        rows = await session.scalars(select(ProviderEventRow).order_by(ProviderEventRow.id))
        return [(row.id, row.outcome) for row in rows]


async def test_a_webhook_we_cannot_place_is_kept_and_taken(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)
    [hold] = await desk.holds(visit)
    ours = await desk.at_provider(hold.id)
    events: list[dict[str, object]] = [
        {"id": "evt_a", "type": "payment.updated", "data": {**ours, "reference": str(uuid4())}},
        {"id": "evt_b", "type": "payment.updated", "data": {**ours, "status": "lost"}},
        {"id": "evt_c", "type": "payout.paid", "data": {}},
        {"id": "evt_d", "type": "payment.updated", "data": ours},
        {"id": "evt_d", "type": "payment.updated", "data": ours},
    ]

    answers = [await post_webhook(desk, webhook(event)) for event in events]

    assert {each.status_code for each in answers} == {204}
    assert [each for each in await kept(desk) if len(each[0]) == len("evt_a")] == [
        ("evt_a", "not-ours"),
        ("evt_b", "unreadable"),
        ("evt_c", "not-read"),
        ("evt_d", "applied"),
    ]
    assert await desk.facts(visit) == ["hold-placed"]


@pytest.mark.parametrize(
    ("sign", "code"),  # signed when the test runs: a signature is good for five minutes
    [
        (
            lambda: webhook({"id": "evt_1", "type": "payment.updated", "data": {}}, secret="another"),
            "signature-invalid",
        ),
        (lambda: webhook({"id": "evt_1"}, at=wall() - timedelta(seconds=400)), "signature-invalid"),
        (lambda: webhook({"id": "evt_1"}, at=wall() + DAY), "signature-invalid"),
        (lambda: {"content": b"{}", "headers": {"Content-Type": "application/json"}}, "signature-invalid"),
        (lambda: webhook(b"not json"), "event-unreadable"),
        (lambda: webhook({"id": "evt_1", "type": "payment.updated"}), "event-unreadable"),
        (lambda: webhook({"id": "", "type": "payment.updated", "data": {}}), "event-unreadable"),
    ],
    ids=["another-secret", "too-old", "from-tomorrow", "unsigned", "no-json", "no-data", "no-id"],
)
async def test_what_is_not_the_providers_word_is_refused(
    desk: Desk, sign: Callable[[], dict[str, object]], code: str
) -> None:
    answer = await post_webhook(desk, sign())

    assert (answer.status_code, answer.json()["type"]) == (400, f"urn:problem:{code}")
    assert await kept(desk) == []
