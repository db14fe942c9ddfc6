"""What the card provider does by itself is posted once, told, and settled; the check says what differs."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from common.messaging import tasks
from common.messaging.records import APPLIED
from common.messaging.tables import DeadLetterRow
from simulators import card_provider_by_itself as by_itself
from simulators.card_provider_books import Refused
from support.payments import ISSUER, OK, Desk, Visit, timedelta

WEBHOOKS = ["first", "twice", "late", "never"]


async def hear_of_it(desk: Desk, webhook: str) -> None:
    """The provider tells, before anything else happens, twice, later on, or never."""
    if webhook == "twice":
        await desk.play(duplicates=2)
    if webhook in {"first", "twice"}:
        await desk.settle_down()
    else:
        await desk.play(muted=True)


async def and_later(desk: Desk, webhook: str) -> None:
    if webhook == "late":
        await desk.play(duplicates=1)
        await desk.settle_down()
    if webhook == "never":
        await compare(desk)
        await desk.settle_down()


async def compare(desk: Desk) -> None:
    async with desk.sessions.begin() as session:
        tasks.add(session, "compare-with-provider", "all", due_at=desk.now, again=True)
    done = await desk.work()
    assert "compare-with-provider" in [kind for kind, _ in done]


async def check(desk: Desk) -> dict[str, Any]:
    answer = await desk.api.get("/payment/v1/ledger/check", headers=ISSUER.bearer("support"))
    found: dict[str, Any] = answer.json()
    return found


async def refund_by_itself(desk: Desk, visit: Visit, cents: int) -> None:
    hold = (await desk.holds(visit))[-1]
    async with desk.books.entry() as entry:
        await by_itself.refund(entry, str(hold.id), amount_cents=cents)


async def capture_by_itself(desk: Desk, visit: Visit, cents: int, *, closes: bool = True) -> None:
    hold = (await desk.holds(visit))[-1]
    async with desk.books.entry() as entry:
        await by_itself.capture(entry, str(hold.id), amount_cents=cents, closes=closes)


async def ask_refund(desk: Desk, visit: Visit, cents: int) -> Any:
    path = f"/appointments/{visit.id}/refunds"
    return await desk.post(path, {"amount_cents": cents}, visit.account, role="support")


async def refunds(desk: Desk, visit: Visit) -> list[tuple[int, str, str, str | None]]:
    listed = (await desk.get(f"/appointments/{visit.id}/refunds", visit.account)).json()["items"]
    return sorted((each["amount_cents"], each["origin"], each["status"], each["failure"]) for each in listed)


async def given_a_capture(desk: Desk, cents: int = 2500) -> Visit:
    visit = Visit()
    await desk.held(visit, cents)
    await desk.hear(visit.priced(cents))
    await desk.settle_down()
    return visit


# --- refunds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("webhook", WEBHOOKS)
async def test_a_refund_made_by_the_provider_is_posted_once_and_told(desk: Desk, webhook: str) -> None:
    visit = await given_a_capture(desk)
    await ask_refund(desk, visit, 2000)
    await desk.settle_down()

    await refund_by_itself(desk, visit, 300)
    await hear_of_it(desk, webhook)
    await and_later(desk, webhook)
    above = await ask_refund(desk, visit, 201)
    left = await ask_refund(desk, visit, 200)
    await desk.play()
    await desk.settle_down()
    await compare(desk)

    made = await desk.bodies(visit, "refund-made")
    assert [(each["refunded_cents"], each["origin"]) for each in made] == [
        (2000, "platform"),
        (300, "provider"),
        (200, "platform"),
    ]
    assert (above.status_code, above.json()["type"], above.json()["left_cents"]) == (
        409,
        "urn:problem:refund-above-captured",
        200,
    )
    assert left.status_code == 201
    assert await desk.amounts(visit) == [("captured", 2500, 2500, 0, 2500)]
    assert await desk.ledger_difference() == 0
    checked = await check(desk)
    assert (checked["agrees"], checked["differences"]) == (True, [])
    assert checked["provider"]["refunded_cents"] == 2500


async def test_a_refund_that_the_provider_has_nothing_left_for_says_so(desk: Desk) -> None:
    """The platform has not heard yet that the money went back."""
    visit = await given_a_capture(desk)
    await desk.play(muted=True)
    await refund_by_itself(desk, visit, 2400)

    asked = await ask_refund(desk, visit, 101)
    await desk.work()

    assert asked.status_code == 201
    assert await refunds(desk, visit) == [
        (101, "platform", "failed", "nothing-left"),
        (2400, "provider", "made", None),
    ]
    assert (await ask_refund(desk, visit, 100)).status_code == 201
    await desk.work()
    assert await desk.ledger_difference() == 0


@pytest.mark.parametrize("webhook", WEBHOOKS)
async def test_a_refund_of_a_later_charge_by_the_provider(desk: Desk, webhook: str) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.quote(0), visit.confirmed(), visit.priced(0))
    balance = visit.balance(750)
    await desk.hear(balance)
    await desk.settle_down()

    async with desk.books.entry() as entry:
        await by_itself.refund(entry, str(balance.balance_id), amount_cents=250)
    await hear_of_it(desk, webhook)
    await and_later(desk, webhook)

    [made] = await desk.bodies(visit, "refund-made")
    assert (made["refunded_cents"], made["origin"]) == (250, "provider")
    assert await desk.ledger_difference() == 0


# --- the check ---------------------------------------------------------------------------------------------


async def test_the_check_names_what_differs_from_the_provider(desk: Desk) -> None:
    visit = await given_a_capture(desk)
    [hold] = await desk.holds(visit)
    token = await desk.token()
    stranger = str(uuid4())
    async with desk.books.entry() as entry:  # made by somebody else under the same contract
        await entry.authorise(
            reference=stranger,
            token=token,
            amount_cents=500,
            currency="EUR",
            off_session=False,
            automatic=True,
            metadata={},
        )
    await desk.books.pool.execute(
        "UPDATE card_payment SET captured_cents = 2400 WHERE reference = $1", str(hold.id)
    )
    desk.wait(timedelta(seconds=1))

    await compare(desk)
    checked = await check(desk)

    assert checked["agrees"] is False
    assert sorted(checked["differences"], key=lambda each: each["ours_cents"]) == [
        {
            "book": "provider",
            "reference": stranger,
            "amount": "captured",
            "currency": "EUR",
            "ours_cents": 0,
            "other_cents": 500,
        },
        {
            "book": "provider",
            "reference": str(hold.id),
            "amount": "captured",
            "currency": "EUR",
            "ours_cents": 2500,
            "other_cents": 2400,
        },
    ]
    assert (checked["provider"]["captured_cents"], checked["captured_cents"]) == (2900, 2500)


async def test_the_check_names_a_hold_that_the_provider_does_not_know(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit)
    [hold] = await desk.holds(visit)
    await desk.books.pool.execute("DELETE FROM card_payment WHERE reference = $1", str(hold.id))
    desk.wait(timedelta(seconds=1))

    await compare(desk)

    [difference] = (await check(desk))["differences"]
    assert (difference["reference"], difference["amount"]) == (str(hold.id), "held")
    assert (difference["ours_cents"], difference["other_cents"]) == (750, 0)


async def test_a_provider_that_is_away_is_compared_later(desk: Desk) -> None:
    desk.wire.down = 1
    async with desk.sessions.begin() as session:
        tasks.add(session, "compare-with-provider", "all", due_at=desk.now)

    outcomes = await desk.work()
    desk.wait(timedelta(seconds=5))
    outcomes += await desk.work()

    assert outcomes[0] == ("compare-with-provider", "retry")
    assert (await check(desk))["provider"] is not None


# --- captures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("webhook", WEBHOOKS)
@pytest.mark.parametrize(
    ("captured", "closes", "due", "holds", "facts", "short", "given_back"),
    [
        (1000, True, 2500, ("captured", 2500, 1000, 1500, 0), ["captured", "short"], 1500, 0),
        (1000, False, 2500, ("captured", 2500, 2500, 0, 0), ["captured"], 0, 0),
        (2500, True, 2500, ("captured", 2500, 2500, 0, 0), ["captured"], 0, 0),
        (2500, True, 750, ("captured", 2500, 2500, 0, 1750), ["captured", "refund-made"], 0, 1750),
        (1000, True, 750, ("captured", 2500, 1000, 1500, 250), ["captured", "refund-made"], 0, 250),
        (1000, False, 750, ("captured", 2500, 1000, 1500, 250), ["captured", "refund-made"], 0, 250),
        (1000, True, 0, ("captured", 2500, 1000, 1500, 1000), ["captured", "refund-made"], 0, 1000),
    ],
)
async def test_a_capture_by_the_provider_before_the_visit(
    desk: Desk,
    webhook: str,
    captured: int,
    closes: bool,  # noqa: FBT001
    due: int,
    holds: tuple[object, ...],
    facts: list[str],
    short: int,
    given_back: int,
) -> None:
    visit = Visit()
    await desk.held(visit, 2500)

    await capture_by_itself(desk, visit, captured, closes=closes)
    await hear_of_it(desk, webhook)
    outcomes = await desk.hear(visit.priced(due))
    await desk.work()
    await and_later(desk, webhook)
    await compare(desk)
    await desk.play()
    desk.wait(timedelta(seconds=5))
    await desk.settle_down()

    if (closes, due) == (False, 750) and webhook in {"late", "never"}:
        # not heard of before our own capture, which the open authorisation allowed
        holds, given_back = ("captured", 2500, 1750, 750, 1000), 1000
    assert outcomes == [APPLIED]
    assert await desk.amounts(visit) == [holds]
    assert await desk.facts(visit) == ["hold-placed", *facts]
    told = (await desk.bodies(visit, "captured"))[0]
    assert told["total_captured_cents"] == due - short
    payment = await desk.payment(visit)
    assert (payment["status"], payment["short_cents"]) == ("captured", short)
    assert payment["refunded_cents"] == given_back
    assert await desk.ledger_difference() == 0
    async with desk.sessions() as session:
        assert not (await session.scalars(select(DeadLetterRow))).all()


@pytest.mark.parametrize("end", ["cancelled", "not_billed", "patient_absent"])
@pytest.mark.parametrize("closes", [True, False])
async def test_a_capture_by_the_provider_of_a_visit_without_a_bill_goes_back(
    desk: Desk,
    end: str,
    closes: bool,  # noqa: FBT001
) -> None:
    visit = Visit()
    await desk.held(visit, 2500)
    await capture_by_itself(desk, visit, 1000, closes=closes)
    await desk.settle_down()

    await desk.hear(getattr(visit, end)())
    await desk.settle_down()

    assert await desk.amounts(visit) == [("captured", 2500, 1000, 1500, 1000)]
    assert await desk.facts(visit) == ["hold-placed", "captured", "refund-made"]
    assert (await desk.bodies(visit, "captured"))[0]["origin"] == "provider"
    assert await desk.ledger_difference() == 0
    totals = (await check(desk))["totals"]
    assert {account: cents for account, cents in totals.items() if cents} == {}


async def test_a_capture_and_its_refund_by_the_provider_before_the_visit_is_a_balance(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 2500)
    await capture_by_itself(desk, visit, 2500)
    await refund_by_itself(desk, visit, 2500)
    await desk.settle_down()

    await desk.hear(visit.priced(2500))
    await desk.settle_down()

    assert (await desk.root(visit)).short_cents == 2500
    assert await desk.facts(visit) == ["hold-placed", "refund-made", "captured", "short"]
    assert await desk.ledger_difference() == 0
    totals = (await check(desk))["totals"]
    assert (totals["patient-receivable"], totals["fees"]) == (2500, -2500)


async def test_a_visit_captured_by_the_provider_shows_it_before_the_price(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 2500)
    await capture_by_itself(desk, visit, 1000)
    await desk.settle_down()

    payment = await desk.payment(visit)

    assert (payment["status"], payment["captured_cents"], payment["short_cents"]) == ("captured", 1000, 1500)


async def test_a_cancellation_by_the_provider_is_a_lapse_that_is_asked_for_again(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750, number=OK)
    [hold] = await desk.holds(visit)
    async with desk.books.entry() as entry:
        await entry.void(str(hold.id))

    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "hold-expired", "hold-placed"]
    assert await desk.ledger_difference() == 0


async def test_what_was_given_back_can_not_be_given_back_by_the_provider_again(desk: Desk) -> None:
    visit = await given_a_capture(desk)
    await ask_refund(desk, visit, 2500)
    await desk.settle_down()

    with pytest.raises(Refused):
        await refund_by_itself(desk, visit, 1)
