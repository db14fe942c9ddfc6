"""A card is used without its holder under an accepted mandate only; who must act hears of it at once."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from payment.domain.holds import HoldStatus
from payment.models import AppointmentRoot, CardRow
from simulators import card_provider_by_itself as by_itself
from support.payments import (
    ASKS_OFF_SESSION,
    DAY,
    EXPIRES_EARLY,
    HOUR,
    OK,
    THREE_D_SECURE,
    Desk,
    Visit,
    timedelta,
)

MINUTE = timedelta(minutes=1)


async def asked(desk: Desk, visit: Visit) -> str | None:
    payment = await desk.payment(visit)
    assert (payment["status"] == "action-required") == (payment["action"] is not None)
    return payment["action"]["kind"] if payment["action"] else None


async def scheduled(desk: Desk, **mandate: object) -> tuple[Visit, UUID]:
    visit = Visit(ahead=20 * DAY)
    card_id = await desk.save(visit.account, **mandate)  # type: ignore[arg-type]
    await desk.hear(visit.quote(750), visit.confirmed())
    await desk.settle_down()
    return visit, card_id


# --- no mandate, no use without the holder ---------------------------------------------------------------


@pytest.mark.parametrize("number", [OK, THREE_D_SECURE])
async def test_a_card_without_an_accepted_mandate_is_not_ready_and_the_patient_is_asked(
    desk: Desk, number: str
) -> None:
    visit = Visit(ahead=9 * DAY)
    card_id = await desk.save(visit.account, number, accepted=False)
    await desk.hear(visit.quote(750))
    await desk.settle_down()

    assert (await desk.get(f"/cards/{card_id}", visit.account)).json()["ready_for_later"] is False
    assert await asked(desk, visit) == "card-missing"
    same = await desk.choose(visit, card_id)
    assert (same.status_code, same.json()["type"]) == (409, "urn:problem:card-not-usable")
    good = await desk.save(visit.account)
    assert (await desk.choose(visit, good)).status_code == 200
    await desk.settle_down()
    await desk.hear(visit.confirmed())
    desk.wait_until(visit.starts_at - 4 * DAY)
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-action-required", "hold-scheduled", "hold-placed"]
    [hold] = await desk.holds(visit)
    assert (hold.card_id, hold.off_session) == (good, True)


async def test_with_its_holder_there_no_mandate_is_needed(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, accepted=False)

    [hold] = await desk.holds(visit)
    assert (hold.status, hold.off_session) == (HoldStatus.HELD, False)


@pytest.mark.parametrize("mandate", [{"accepted": False}, {"ceiling": 749}])
async def test_a_lapsed_hold_without_a_mandate_asks_its_patient(
    desk: Desk, mandate: dict[str, object]
) -> None:
    visit = Visit(ahead=DAY)
    card_id = UUID(str(await desk.save(visit.account, EXPIRES_EARLY, **mandate)))  # type: ignore[arg-type]
    await desk.hear(visit.quote(750))
    await desk.settle_down()
    await desk.hear(visit.confirmed())

    desk.wait(HOUR)
    await desk.settle_down()
    kind = await asked(desk, visit)
    await desk.choose(visit, card_id)
    await desk.settle_down()

    assert kind == "card-missing"
    assert await desk.facts(visit) == ["hold-placed", "hold-expired", "hold-action-required", "hold-placed"]
    assert [hold.off_session for hold in await desk.holds(visit)] == [False, False]


@pytest.mark.parametrize("ahead", [8 * DAY, 20 * DAY])
async def test_a_move_beyond_the_hold_without_a_mandate_asks_its_patient(
    desk: Desk, ahead: timedelta
) -> None:
    visit = Visit()
    await desk.held(visit, accepted=False)
    desk.wait(4 * DAY if ahead == 8 * DAY else HOUR)

    await desk.hear(visit.moved(ahead), visit.quote(750))
    await desk.settle_down()

    assert (await desk.facts(visit))[-1] == "hold-action-required"
    assert (await desk.payment(visit))["action"]["kind"] == "card-missing"
    assert not any(hold.off_session for hold in await desk.holds(visit))


async def test_a_confirmation_that_came_late_uses_no_card_without_a_mandate(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account, accepted=False)
    await desk.hear(visit.quote(750))
    await desk.settle_down()
    desk.wait_until(visit.decide_by + 10 * MINUTE)
    await desk.settle_down()

    await desk.hear(visit.confirmed())
    await desk.settle_down()

    assert await asked(desk, visit) == "card-missing"


async def test_the_ceiling_counts_what_was_captured_without_the_holder(desk: Desk) -> None:
    visit, _ = await scheduled(desk, ceiling=1000)
    desk.wait_until(visit.starts_at - 4 * DAY)
    await desk.settle_down()
    desk.wait_until(visit.ends_at)
    await desk.hear(visit.priced(750), visit.balance(251))
    await desk.settle_down()
    await desk.hear(visit.balance(250).model_copy(update={"balance_id": uuid4()}))
    await desk.settle_down()

    assert [each["reason"] for each in await desk.bodies(visit, "balance-charge-failed")] == ["above-ceiling"]
    assert [each["amount_cents"] for each in await desk.bodies(visit, "balance-charged")] == [250]


async def test_a_hold_of_another_account_is_not_placed(desk: Desk) -> None:
    visit, _ = await scheduled(desk)
    desk.wait_until(visit.starts_at - 4 * DAY)
    await desk.play(muted=True)
    desk.wire.down = 1
    await desk.work()  # the attempt is decided, and the provider is away
    async with desk.sessions.begin() as session:
        await session.execute(
            update(AppointmentRoot).where(AppointmentRoot.id == visit.id).values(account_id=uuid4())
        )
    desk.wait(5 * timedelta(seconds=1))
    await desk.settle_down()

    assert (await desk.books.totals())["payments"] == 0


# --- what is lost is told at once ------------------------------------------------------------------------


async def test_a_removed_card_of_a_scheduled_hold_is_told_at_once(desk: Desk) -> None:
    visit, card_id = await scheduled(desk)

    await desk.delete(f"/cards/{card_id}", visit.account)
    await desk.delete(f"/cards/{card_id}", visit.account)
    await desk.settle_down()
    action = (await desk.payment(visit))["action"]
    another = await desk.save(visit.account)
    await desk.choose(visit, another)
    await desk.settle_down()
    after = await desk.payment(visit)
    desk.wait_until(visit.starts_at - 4 * DAY)
    await desk.settle_down()

    assert (action["kind"], action["expires_at"]) == ("card-missing", "2030-06-21T07:00:00Z")
    assert (after["status"], after["place_at"]) == ("scheduled", "2030-06-17T09:00:00Z")
    assert await desk.facts(visit) == ["hold-scheduled", "hold-action-required", "hold-placed"]


async def test_another_good_card_of_the_account_takes_its_place(desk: Desk) -> None:
    visit, card_id = await scheduled(desk)
    await desk.save(visit.account)

    await desk.delete(f"/cards/{card_id}", visit.account)
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-scheduled"]
    assert (await desk.payment(visit))["status"] == "scheduled"


async def test_a_newer_card_without_a_mandate_does_not_take_the_place_of_a_good_one(desk: Desk) -> None:
    visit, card_id = await scheduled(desk)
    newer = await desk.save(visit.account, accepted=False)
    later = Visit(ahead=20 * DAY, account=visit.account)
    await desk.hear(later.quote(750), later.confirmed())
    desk.wait_until(visit.starts_at - 4 * DAY)
    await desk.settle_down()

    for each in (visit, later):
        assert await desk.facts(each) == ["hold-scheduled", "hold-placed"]
        [hold] = await desk.holds(each)
        assert hold.card_id == card_id != newer


async def test_a_card_asked_for_twice_keeps_its_last_deadline(desk: Desk) -> None:
    """The first question, while booking waited, had an earlier end."""
    visit = Visit(ahead=20 * DAY)
    await desk.hear(visit.quote(750))
    card_id = await desk.save(visit.account)
    await desk.choose(visit, card_id)
    await desk.hear(visit.confirmed())
    await desk.delete(f"/cards/{card_id}", visit.account)
    await desk.work()

    desk.wait_until(visit.decide_by + MINUTE)
    await desk.settle_down()
    before = await asked(desk, visit)
    desk.wait_until(visit.starts_at - 2 * HOUR)
    await desk.settle_down()

    assert before == "card-missing"
    assert (await desk.facts(visit))[-1] == "hold-failed"


async def test_a_card_that_expires_before_the_visit_is_not_scheduled(desk: Desk) -> None:
    visit = Visit(ahead=40 * DAY)
    await desk.save(visit.account, expiry=(6, 2030))

    await desk.hear(visit.quote(750))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-action-required"]
    assert await asked(desk, visit) == "card-missing"


async def test_a_move_past_the_expiry_of_the_card_asks_at_once(desk: Desk) -> None:
    visit = Visit(ahead=20 * DAY)
    await desk.save(visit.account, expiry=(6, 2030))
    await desk.hear(visit.quote(750), visit.confirmed())

    await desk.hear(visit.moved(40 * DAY), visit.quote(750))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-scheduled", "hold-action-required"]
    assert await asked(desk, visit) == "card-missing"


async def test_the_bank_withdraws_a_card_by_itself(desk: Desk) -> None:
    visit, card_id = await scheduled(desk)
    async with desk.books.entry() as entry:
        await by_itself.withdraw_card(entry, (await desk.card(card_id)).provider_token)

    await desk.settle_down()

    assert (await desk.get(f"/cards/{card_id}", visit.account)).json()["status"] == "refused"
    assert await desk.facts(visit) == ["hold-scheduled", "hold-action-required"]


async def test_a_withdrawn_mandate_is_told_at_once_and_the_card_stays(desk: Desk) -> None:
    visit, card_id = await scheduled(desk)
    path = f"/cards/{card_id}/mandate"

    foreign = await desk.delete(path, uuid4())
    answers = [await desk.delete(path, visit.account) for _ in range(2)]
    await desk.settle_down()
    card = (await desk.get(f"/cards/{card_id}", visit.account)).json()

    assert (foreign.status_code, [each.status_code for each in answers]) == (404, [200, 200])
    assert (card["status"], card["ready_for_later"], card["mandate"]) == ("active", False, None)
    assert await desk.facts(visit) == ["hold-scheduled", "hold-action-required"]
    async with desk.sessions() as session:
        row = await session.get_one(CardRow, card_id)
    assert row.mandate_accepted_at is not None  # what was agreed to, and until when, can be proven
    assert row.mandate_withdrawn_at is not None


# --- an authorisation that lapses -------------------------------------------------------------------------


async def given_a_hold_that_the_bank_gives_up(desk: Desk, before: timedelta, **mandate: object) -> Visit:
    visit = Visit(ahead=2 * DAY)
    await desk.held(visit, **mandate)
    desk.wait_until(visit.starts_at - before)
    [hold] = await desk.holds(visit)
    async with desk.books.entry() as entry:
        await entry.expire(str(hold.id))
    await desk.settle_down()
    return visit


@pytest.mark.parametrize("before", [30 * MINUTE, 3 * HOUR, 30 * HOUR])
async def test_a_hold_that_lapses_before_the_visit_is_placed_again(desk: Desk, before: timedelta) -> None:
    visit = await given_a_hold_that_the_bank_gives_up(desk, before)
    again = await desk.payment(visit)
    desk.wait_until(visit.ends_at)
    await desk.hear(visit.priced(750))
    await desk.settle_down()

    assert (again["status"], again["live_hold_cents"]) == ("held", 750)
    assert await desk.facts(visit) == ["hold-placed", "hold-expired", "hold-placed", "captured"]
    assert [hold.off_session for hold in await desk.holds(visit)] == [False, True]
    assert await desk.ledger_difference() == 0


@pytest.mark.parametrize(
    ("before", "until", "end"),
    [
        (30 * MINUTE, timedelta(), "hold-action-required"),  # the visit takes place, unpaid
        (30 * HOUR, 2 * HOUR, "hold-failed"),  # as for a scheduled hold: the time is given back
    ],
)
async def test_a_lapsed_hold_waits_for_its_patient_while_there_is_time(
    desk: Desk, before: timedelta, until: timedelta, end: str
) -> None:
    visit = await given_a_hold_that_the_bank_gives_up(desk, before, accepted=False)
    payment = await desk.payment(visit)
    desk.wait_until(visit.starts_at - until)
    await desk.settle_down()
    after = await desk.payment(visit)

    assert (payment["status"], payment["action"]["kind"]) == ("action-required", "card-missing")
    assert (await desk.facts(visit))[-1] == end
    expected = ("short", 750) if end == "hold-action-required" else ("failed", 0)
    assert (after["status"], after["short_cents"]) == expected


async def test_a_lapsed_hold_whose_bank_wants_the_patient_waits_for_them_until_the_visit(desk: Desk) -> None:
    visit = Visit(ahead=2 * DAY)
    await desk.held(visit, number=ASKS_OFF_SESSION)
    desk.wait_until(visit.starts_at - 50 * MINUTE)
    [hold] = await desk.holds(visit)
    async with desk.books.entry() as entry:
        await entry.expire(str(hold.id))
    await desk.settle_down()
    challenged = await desk.payment(visit)
    await desk.answer(challenged["action"]["url"], "refuse")
    await desk.settle_down()
    asked_again = await desk.payment(visit)
    card_id = await desk.save(visit.account, accepted=False)
    await desk.choose(visit, card_id)
    await desk.settle_down()

    assert (challenged["status"], challenged["action"]["kind"]) == ("action-required", "three-d-secure")
    assert asked_again["action"]["kind"] == "card-missing"
    assert asked_again["action"]["expires_at"] == visit.starts_at.isoformat().replace("+00:00", "Z")
    assert (await desk.payment(visit))["status"] == "held"
    assert await desk.ledger_difference() == 0


async def test_a_card_whose_holds_keep_lapsing_is_not_tried_for_ever(desk: Desk) -> None:
    visit = Visit(ahead=DAY)
    await desk.held(visit, number=EXPIRES_EARLY)

    for _ in range(6):
        desk.wait(HOUR)
        await desk.settle_down()

    facts = await desk.facts(visit)
    assert facts.count("hold-placed") == 3
    assert facts[-1] == "hold-action-required"
    assert await asked(desk, visit) == "card-missing"


# --- the status says what is live or to come --------------------------------------------------------------


async def test_a_hold_scheduled_after_a_release_is_scheduled(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)

    await desk.hear(visit.moved(20 * DAY))
    unpriced = await desk.payment(visit)
    await desk.hear(visit.quote(750))
    before = await desk.payment(visit)
    await desk.settle_down()
    after = await desk.payment(visit)

    assert unpriced["status"] == "held"
    assert (before["status"], after["status"], after["released_cents"]) == ("scheduled", "scheduled", 750)
    assert after["place_at"] == "2030-06-17T09:00:00Z"


async def test_a_price_that_rose_from_nothing_and_was_never_accepted_is_a_receivable(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.quote(0), visit.confirmed(), visit.quote(750))
    before = await desk.payment(visit)

    desk.wait_until(visit.starts_at)
    await desk.settle_down()
    started = await desk.payment(visit)
    desk.wait_until(visit.ends_at)
    await desk.hear(visit.priced(750))
    await desk.settle_down()
    priced = await desk.payment(visit)

    assert (before["status"], before["short_cents"]) == ("action-required", 0)
    assert (started["status"], started["short_cents"], started["action"]) == ("short", 750, None)
    assert (priced["status"], priced["short_cents"]) == ("short", 750)
    assert await desk.facts(visit) == ["hold-waived", "hold-action-required", "short"]


async def test_a_price_above_the_hold_that_was_never_accepted_shows_the_difference(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)
    await desk.hear(visit.quote(1500))

    desk.wait_until(visit.starts_at)
    await desk.settle_down()
    started = await desk.payment(visit)

    assert (started["status"], started["live_hold_cents"], started["short_cents"]) == ("held", 750, 750)
