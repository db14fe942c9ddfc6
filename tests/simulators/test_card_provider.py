"""The card provider simulator keeps the promises a real one makes, and its books survive it."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from common.clock import Clock, wall
from simulators.card_provider import create_app, create_controls
from simulators.card_provider_cards import TEST_CARDS, has_check_digit
from support.eventually import eventually
from support.postgres import Server

KEY = "provider-key"
SECRET = "webhook-secret"
URL = "http://provider.test/simulators/card"
OK, THREE_D_SECURE, DECLINED = "4242424242424242", "4000002760003184", "4000000000000002"


@dataclass
class Hook:
    """Who receives the webhooks; while `refuses` it answers 503."""

    received: list[dict[str, Any]] = field(default_factory=list)
    refuses: bool = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.refuses:
            return httpx.Response(503)
        parts = dict(part.split("=", 1) for part in request.headers["Provider-Signature"].split(","))
        signed = parts["t"].encode() + b"." + request.content
        assert parts["v1"] == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        assert abs(wall().timestamp() - int(parts["t"])) < 10
        self.received.append(json.loads(request.content))
        return httpx.Response(204)

    @property
    def statuses(self) -> list[str]:
        return [each["data"]["status"] for each in self.received]


@dataclass
class Provider:
    http: httpx.AsyncClient
    controls: httpx.AsyncClient
    app: Any
    hook: Hook
    clock: Clock

    async def token(self, number: str = OK) -> str:
        card = {"number": number, "exp_month": 12, "exp_year": 2099, "cvc": "123"}
        answer = await self.http.post("/tokens", json=card)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    async def pay(self, number: str = OK, *, key: str | None = None, **more: Any) -> httpx.Response:
        token = more.pop("token", None) or await self.token(number)
        reference = more.pop("reference", None) or str(uuid4())
        body = {"reference": reference, "token": token, "amount_cents": 750, "currency": "EUR", **more}
        return await self.post("/v1/payments", body, key=key)

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": key or str(uuid4())}
        return await self.http.post(path, json=body, headers=headers)

    async def get(self, path: str) -> dict[str, Any]:
        answer = await self.http.get(path, headers={"Authorization": f"Bearer {KEY}"})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def play(self, **scenario: Any) -> None:
        answer = await self.controls.put("/scenario", json=scenario)
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def running(dsn: str, hook: Hook, clock: Clock, *, deliver: bool = True) -> AsyncIterator[Provider]:
    app = create_app(
        dsn,
        clock=clock,
        public_url=URL,
        api_key=KEY,
        webhook_url="http://payment.test/hook",
        webhook_secret=SECRET,
        transport=httpx.MockTransport(hook),
        deliver=deliver,
    )
    controls = create_controls(dsn, clock=clock, public_url=URL)
    control_url = "http://provider.test/simulators/controls/card"
    async with (
        app.router.lifespan_context(app),
        controls.router.lifespan_context(controls),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as http,
        httpx.AsyncClient(transport=httpx.ASGITransport(controls), base_url=control_url) as control,
    ):
        yield Provider(http, control, app, hook, clock)


@pytest.fixture
async def dsn(server: Server) -> AsyncIterator[str]:
    async with server.clone("template1") as url:
        yield url.set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
async def provider(dsn: str) -> AsyncIterator[Provider]:
    async with running(dsn, Hook(), Clock()) as provider:
        yield provider


def amounts(payment: dict[str, Any]) -> tuple[str, int, int, int, int]:
    names = ("authorized_cents", "captured_cents", "released_cents", "refunded_cents")
    first, second, third, fourth = (payment[name] for name in names)
    return (payment["status"], first, second, third, fourth)


def test_every_test_card_has_a_check_digit() -> None:
    assert all(has_check_digit(number) for number in TEST_CARDS)
    assert not has_check_digit("4242424242424241")


async def test_a_part_of_a_hold_is_captured_and_the_rest_released(provider: Provider) -> None:
    held = (await provider.pay()).json()

    captured = (await provider.post(f"/v1/payments/{held['id']}/capture", {"amount_cents": 500})).json()

    assert amounts(held) == ("authorized", 750, 0, 0, 0)
    assert amounts(captured) == ("captured", 750, 500, 250, 0)
    assert amounts(await provider.get(f"/v1/payments?reference={held['reference']}")) == amounts(captured)
    await eventually(lambda: provider.hook.statuses == ["authorized", "captured"])


@pytest.mark.parametrize(
    ("number", "code"), [(DECLINED, "declined"), ("4000000000009995", "insufficient-funds")]
)
async def test_a_bank_that_says_no_holds_nothing(provider: Provider, number: str, code: str) -> None:
    refused = (await provider.pay(number)).json()

    assert (amounts(refused), refused["decline_code"]) == (("declined", 0, 0, 0, 0), code)


@pytest.mark.parametrize(
    ("outcome", "after", "held"), [("accept", "authorized", 750), ("refuse", "declined", 0)]
)
async def test_a_challenge_is_answered_once(provider: Provider, outcome: str, after: str, held: int) -> None:
    asked = (await provider.pay(THREE_D_SECURE)).json()
    page = asked["action"]["url"]

    shown = await provider.http.get(page)
    answers = [await provider.http.post(page, json={"outcome": outcome}) for _ in range(2)]
    other = await provider.http.post(page, json={"outcome": {"accept": "refuse"}.get(outcome, "accept")})

    assert (asked["status"], shown.status_code, "7.50 EUR" in shown.text) == ("requires_action", 200, True)
    assert [each.json() for each in answers] == [{"status": after}] * 2
    assert (other.status_code, other.json()["code"]) == (409, "challenge-over")
    assert amounts(await provider.get(f"/v1/payments/{asked['id']}")) == (after, held, 0, 0, 0)


async def test_a_challenge_left_alone_is_over_after_a_while(provider: Provider) -> None:
    asked = (await provider.pay(THREE_D_SECURE)).json()

    provider.clock.shift += timedelta(minutes=16)
    late = await provider.http.post(asked["action"]["url"], json={"outcome": "accept"})

    assert (late.status_code, late.json()["code"]) == (409, "challenge-over")
    assert amounts(await provider.get(f"/v1/payments/{asked['id']}")) == ("canceled", 0, 0, 0, 0)
    await eventually(lambda: provider.hook.statuses[-1:] == ["canceled"])


async def test_the_same_key_has_the_same_answer_and_moves_nothing_twice(provider: Provider) -> None:
    token = await provider.token()
    about = {"token": token, "reference": "hold-1", "key": "hold:1"}

    first, again = [await provider.pay(**about) for _ in range(2)]
    other = await provider.pay(**about, amount_cents=800)
    second_key = await provider.pay(**{**about, "key": "hold:2"})

    assert first.json() == again.json()
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (
        None,
        "true",
    )
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-key-reused")
    assert (second_key.status_code, second_key.json()["code"]) == (409, "reference-used")
    assert (await provider.controls.get("/books")).json()["payments"] == 1


async def test_two_calls_at_once_under_one_key_are_one(provider: Provider) -> None:
    token = await provider.token()

    answers = await asyncio.gather(
        *(provider.pay(token=token, reference="hold-1", key="hold:1") for _ in range(4))
    )

    assert len({each.json()["id"] for each in answers}) == 1
    assert (await provider.controls.get("/books")).json()["held_cents"] == 750


async def test_what_the_books_do_not_allow_is_refused(provider: Provider) -> None:
    held, void = (await provider.pay()).json(), (await provider.pay()).json()
    await provider.post(f"/v1/payments/{void['id']}/void")

    above = await provider.post(f"/v1/payments/{held['id']}/capture", {"amount_cents": 751})
    after_void = await provider.post(f"/v1/payments/{void['id']}/capture", {"amount_cents": 1})
    await provider.post(f"/v1/payments/{held['id']}/capture", {"amount_cents": 750})
    second = await provider.post(f"/v1/payments/{held['id']}/capture", {"amount_cents": 1})
    void_after = await provider.post(f"/v1/payments/{held['id']}/void")
    refund = {"reference": "refund-1", "amount_cents": 750}
    full = await provider.post(f"/v1/payments/{held['id']}/refunds", refund)
    twice = await provider.post(f"/v1/payments/{held['id']}/refunds", {**refund, "reference": "refund-2"})

    refused = [each.json().get("code") for each in (above, after_void, second, void_after, twice)]
    assert refused == [
        "above-the-hold",
        "payment-canceled",
        "payment-captured",
        "payment-captured",
        "above-the-capture",
    ]
    assert amounts(full.json()) == ("captured", 750, 750, 0, 750)
    assert amounts(await provider.get(f"/v1/payments/{void['id']}")) == ("canceled", 750, 0, 750, 0)


@pytest.mark.parametrize(
    ("number", "more", "days"),
    [
        (OK, {}, timedelta(days=7)),
        (OK, {"off_session": True}, timedelta(days=4, hours=18)),
        ("5555555555554444", {"off_session": True}, timedelta(days=7)),
        ("4000000000005126", {}, timedelta(hours=1)),
    ],
)
async def test_how_long_a_hold_lasts(
    provider: Provider, number: str, more: dict[str, bool], days: timedelta
) -> None:
    held = (await provider.pay(number, **more)).json()

    until = datetime.fromisoformat(held["capture_before"])
    assert abs(until - datetime.now(UTC) - days) < timedelta(seconds=30)  # noqa: TID251


async def test_a_hold_nobody_captures_expires_and_says_so(provider: Provider) -> None:
    held = (await provider.pay()).json()

    provider.clock.shift += timedelta(days=7, minutes=1)
    late = await provider.post(f"/v1/payments/{held['id']}/capture", {"amount_cents": 750})

    assert late.status_code == 409
    await eventually(lambda: provider.hook.statuses == ["authorized", "expired"])
    assert amounts(await provider.get(f"/v1/payments/{held['id']}")) == ("expired", 750, 0, 750, 0)


async def test_a_card_that_wants_its_holder_only_asks_without_one(provider: Provider) -> None:
    present = await provider.pay("4000002500003155")
    absent = await provider.pay("4000002500003155", off_session=True)

    assert [each.json()["status"] for each in (present, absent)] == ["authorized", "requires_action"]


async def test_a_card_is_saved_and_forgotten(provider: Provider) -> None:
    token = await provider.token()

    saved = (await provider.post("/v1/setups", {"reference": "card-1", "token": token})).json()
    await provider.http.delete(f"/v1/methods/{token}", headers={"Authorization": f"Bearer {KEY}"})
    gone = await provider.pay(token=token)

    assert (saved["status"], saved["card"]["last4"], saved["card"]["network"]) == (
        "succeeded",
        "4242",
        "visa",
    )
    assert (gone.status_code, gone.json()["code"]) == (422, "unknown-token")


async def test_saving_a_card_may_ask_its_holder(provider: Provider) -> None:
    token = await provider.token(THREE_D_SECURE)
    asked = (await provider.post("/v1/setups", {"reference": "card-1", "token": token})).json()

    await provider.http.post(asked["action"]["url"], json={"outcome": "accept"})

    assert asked["status"] == "requires_action"
    assert (await provider.get("/v1/setups?reference=card-1"))["status"] == "succeeded"
    await eventually(lambda: provider.hook.statuses == ["requires_action", "succeeded"])


async def test_webhooks_are_sent_until_they_are_taken(provider: Provider) -> None:
    provider.hook.refuses = True
    await provider.pay()
    pool = provider.app.state.books.pool

    await eventually(lambda: pool.fetchval("SELECT attempts >= 2 FROM card_event"))
    provider.hook.refuses = False

    await eventually(lambda: provider.hook.statuses == ["authorized"])


async def test_books_and_webhooks_survive_the_process(dsn: str) -> None:
    """As after kill -9: what was answered is kept, and what was not sent is sent by the next start."""
    async with running(dsn, Hook(), Clock(), deliver=False) as before:
        held = (await before.pay()).json()

    async with running(dsn, Hook(), Clock()) as after:
        await eventually(lambda: after.hook.statuses == ["authorized"])
        captured = await after.post(f"/v1/payments/{held['id']}/capture", {"amount_cents": 750})

    assert amounts(captured.json()) == ("captured", 750, 750, 0, 0)


async def test_webhooks_come_twice_before_the_answer_or_in_the_wrong_order_on_demand(
    provider: Provider,
) -> None:
    await provider.play(before_response=True, duplicates=1)
    held = (await provider.pay()).json()
    before_the_answer = list(provider.hook.statuses)
    await provider.play(newest_first=True)
    await provider.post(f"/v1/payments/{held['id']}/capture", {"amount_cents": 700})
    await provider.post(f"/v1/payments/{held['id']}/refunds", {"reference": "refund-1", "amount_cents": 700})

    assert before_the_answer == ["authorized", "authorized"]
    assert len({each["id"] for each in provider.hook.received}) == 1
    await eventually(lambda: len(provider.hook.received) == 4)
    assert [each["data"]["refunded_cents"] for each in provider.hook.received[2:]] == [700, 0]


async def test_an_outage_before_or_after_the_work(provider: Provider) -> None:
    token = await provider.token()
    about = {"token": token, "reference": "hold-1", "key": "hold:1"}
    await provider.play(outage="unavailable")
    nothing_done = await provider.pay(**about)
    await provider.play(outage="lost-response")
    done = await provider.pay(**about)
    await provider.play()

    found = await provider.get("/v1/payments?reference=hold-1")

    assert (nothing_done.status_code, done.status_code) == (503, 504)
    assert (await provider.pay(**about)).json()["id"] == found["id"]
    assert (await provider.controls.get("/books")).json()["live_holds"] == 1


async def test_who_has_no_key_gets_nothing(provider: Provider) -> None:
    answer = await provider.http.get("/v1/payments/pay_1", headers={"Authorization": "Bearer wrong"})

    assert (answer.status_code, answer.json()["code"]) == (401, "key-invalid")


@pytest.mark.parametrize("number", ["4242424242424241", "4012888888881881"])
async def test_a_number_that_is_none_or_a_real_one_is_refused(provider: Provider, number: str) -> None:
    card = {"number": number, "exp_month": 12, "exp_year": 2099, "cvc": "123"}

    answer = await provider.http.post("/tokens", json=card)

    assert answer.status_code == 422
    assert number not in answer.text


async def test_no_number_is_kept(provider: Provider) -> None:
    await provider.pay()

    connection: asyncpg.Pool = provider.app.state.books.pool
    rows = [dict(row) for row in await connection.fetch("SELECT * FROM card_method")]
    assert OK not in json.dumps(rows, default=str)


async def test_what_it_does_by_itself_is_scripted_and_announced(provider: Provider) -> None:
    open_part = (await provider.pay()).json()
    closed = (await provider.pay()).json()
    given_up = (await provider.pay()).json()

    part = await provider.controls.post(
        f"/payments/{open_part['id']}/capture", json={"amount_cents": 250, "closes": False}
    )
    rest = await provider.post(f"/v1/payments/{open_part['id']}/capture", {"amount_cents": 300})
    taken = await provider.controls.post(f"/payments/{closed['id']}/capture", json={"amount_cents": 750})
    back = await provider.controls.post(f"/payments/{closed['id']}/refund", json={"amount_cents": 50})
    above = await provider.controls.post(f"/payments/{closed['id']}/refund", json={"amount_cents": 701})
    over = await provider.controls.post(f"/payments/{given_up['id']}/cancellation")

    assert (part.json()["status"], part.json()["captured_cents"]) == ("authorized", 250)
    amounts = [rest.json()[name] for name in ("status", "captured_cents", "released_cents")]
    assert amounts == ["captured", 550, 200]
    assert (taken.json()["status"], taken.json()["released_cents"]) == ("captured", 0)
    [refund] = back.json()["refunds"]
    assert (refund["reference"], refund["amount_cents"], back.json()["refunded_cents"]) == (None, 50, 50)
    assert (above.status_code, above.json()["code"]) == (422, "above-the-capture")
    assert over.json()["status"] == "canceled"
    await eventually(lambda: provider.hook.statuses.count("captured") == 3)  # and one refund among them


async def test_an_authorisation_captured_in_part_ends_as_a_capture(provider: Provider) -> None:
    paid = (await provider.pay()).json()
    await provider.controls.post(f"/payments/{paid['id']}/capture", json={"amount_cents": 1, "closes": False})

    ended = await provider.post(f"/v1/payments/{paid['id']}/void")

    amounts = [ended.json()[name] for name in ("status", "captured_cents", "released_cents")]
    assert amounts == ["captured", 1, 749]


async def test_a_bank_takes_a_saved_card_back(provider: Provider) -> None:
    token = await provider.token()
    setup = {"reference": str(uuid4()), "token": token}
    await provider.post("/v1/setups", setup)

    withdrawn = await provider.controls.post(f"/methods/{token}/withdrawal")
    again = await provider.controls.post(f"/methods/{token}/withdrawal")

    assert (withdrawn.json(), again.status_code) == ({"withdrawn": 1}, 404)
    assert (await provider.get(f"/v1/setups?reference={setup['reference']}"))["status"] == "declined"


async def test_all_payments_are_listed_page_by_page(provider: Provider) -> None:
    made = {(await provider.pay()).json()["id"] for _ in range(5)}

    listed, after = [], ""
    while page := (await provider.get(f"/v1/payment-list?limit=2&after={after}"))["items"]:
        listed += [each["id"] for each in page]
        after = listed[-1]

    assert listed == sorted(made)
