"""The flows of an appointment's money, from the price to the last cent."""

import pytest

from support.payments import (
    ASKS_OFF_SESSION,
    DAY,
    DECLINED,
    EXPIRES_EARLY,
    HOUR,
    OK,
    THREE_D_SECURE,
    Desk,
    Visit,
    timedelta,
)


async def test_the_advance_is_held_and_captured(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.requested(), visit.quote(750))
    await desk.settle_down()
    await desk.hear(visit.confirmed())
    desk.wait(6 * HOUR)
    await desk.hear(visit.priced(750))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "captured"]
    assert await desk.amounts(visit) == [("captured", 750, 750, 0, 0)]
    payment = await desk.payment(visit)
    names = ("status", "held_cents", "captured_cents", "released_cents", "short_cents", "action")
    assert [payment[name] for name in names] == ["captured", 750, 750, 0, 0, None]
    assert await desk.ledger_difference() == 0


async def test_nothing_to_advance_waives_the_hold(desk: Desk) -> None:
    visit = Visit()

    await desk.hear(visit.requested(), visit.quote(0), visit.confirmed(), visit.priced(0))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-waived"]
    assert (await desk.payment(visit))["status"] == "waived"
    assert await desk.holds(visit) == []


async def test_a_price_that_fell_captures_less_and_releases_the_rest(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 2500)

    await desk.hear(visit.quote(750), visit.priced(750))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "captured"]
    [captured] = await desk.bodies(visit, "captured")
    assert (captured["captured_cents"], captured["released_cents"]) == (750, 1750)
    assert await desk.ledger_difference() == 0


async def test_a_price_above_the_hold_at_the_end_is_a_receivable(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)

    await desk.hear(visit.priced(2500))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "captured", "short"]
    [short] = await desk.bodies(visit, "short")
    assert (short["captured_cents"], short["short_cents"]) == (750, 1750)
    assert await desk.ledger_difference() == 0


async def test_a_price_that_fell_to_nothing_releases_the_hold(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)

    await desk.hear(visit.priced(0))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "hold-released"]
    [released] = await desk.bodies(visit, "hold-released")
    assert (released["released_cents"], released["reason"]) == (750, "nothing-due")


@pytest.mark.parametrize("end", ["cancelled", "abandoned", "not_billed", "patient_absent"])
async def test_an_end_without_a_bill_releases_everything(desk: Desk, end: str) -> None:
    visit = Visit()
    await desk.held(visit, 2500)

    await desk.hear(getattr(visit, end)())
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "hold-released"]
    assert await desk.amounts(visit) == [("voided", 2500, 0, 2500, 0)]
    assert (await desk.bodies(visit, "hold-released"))[0]["reason"] == "appointment-ended"
    assert await desk.ledger_difference() == 0


@pytest.mark.parametrize(
    ("outcome", "facts", "amounts"),
    [
        ("accept", ["hold-action-required", "hold-placed"], ("held", 750, 0, 0, 0)),
        ("refuse", ["hold-action-required", "hold-failed"], ("failed", 0, 0, 0, 0)),
    ],
)
async def test_a_card_asks_for_three_d_secure(
    desk: Desk, outcome: str, facts: list[str], amounts: tuple[object, ...]
) -> None:
    visit = Visit()
    await desk.save(visit.account, THREE_D_SECURE)
    await desk.hear(visit.quote(750))
    await desk.settle_down()
    asked = await desk.payment(visit)

    assert await desk.answer(asked["action"]["url"], outcome) == 200
    await desk.settle_down()

    assert (asked["status"], asked["action"]["kind"]) == ("action-required", "three-d-secure")
    assert asked["action"]["expires_at"] == "2030-06-01T09:14:00Z"
    assert await desk.facts(visit) == facts
    assert await desk.amounts(visit) == [amounts]
    if outcome == "refuse":
        assert (await desk.bodies(visit, "hold-failed"))[0]["reason"] == "action-refused"


async def test_three_d_secure_ends_a_minute_before_booking_decides(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account, THREE_D_SECURE)
    await desk.hear(visit.quote(750))
    await desk.settle_down()
    asked = await desk.payment(visit)

    desk.wait_until(visit.decide_by - timedelta(seconds=60))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-action-required", "hold-failed"]
    assert (await desk.bodies(visit, "hold-failed"))[0]["reason"] == "action-expired"
    assert await desk.answer(asked["action"]["url"], "accept") == 409
    [hold] = await desk.holds(visit)
    assert (await desk.at_provider(hold.id))["status"] == "canceled"


async def test_a_challenge_accepted_at_the_last_moment_counts(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account, THREE_D_SECURE)
    await desk.hear(visit.quote(750))
    await desk.settle_down()
    await desk.answer((await desk.payment(visit))["action"]["url"], "accept")

    desk.wait_until(visit.decide_by - timedelta(seconds=60))
    await desk.work()  # before the webhook
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-action-required", "hold-placed"]


async def test_a_declined_card_is_final_before_booking_has_an_answer(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account, DECLINED)

    await desk.hear(visit.quote(750))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-failed"]
    assert (await desk.bodies(visit, "hold-failed"))[0]["reason"] == "declined"
    assert (await desk.payment(visit))["status"] == "failed"


async def test_without_a_card_the_patient_is_asked_for_one(desk: Desk) -> None:
    visit = Visit()
    await desk.hear(visit.quote(750))
    asked = await desk.payment(visit)
    card_id = await desk.save(visit.account)

    answer = await desk.post(f"/appointments/{visit.id}/card", {"card_id": str(card_id)}, visit.account)
    await desk.settle_down()

    assert asked["action"] == {
        "kind": "card-missing",
        "url": None,
        "currency": "EUR",
        "advance_cents": 750,
        "expires_at": "2030-06-01T09:14:00Z",
    }
    assert answer.status_code == 200
    assert await desk.facts(visit) == ["hold-action-required", "hold-placed"]


async def test_no_card_in_time_is_final(desk: Desk) -> None:
    visit = Visit()
    await desk.hear(visit.quote(750))

    desk.wait_until(visit.decide_by)
    await desk.settle_down()
    [outcome] = await desk.hear(visit.quote(500))

    assert await desk.facts(visit) == ["hold-action-required", "hold-failed"]
    assert outcome.code == "hold-failed"


async def test_no_hold_is_started_after_the_time_to_decide(desk: Desk) -> None:
    late, queued = Visit(), Visit()
    await desk.save(late.account)
    await desk.save(queued.account)
    await desk.hear(queued.quote(750))
    desk.wait_until(late.decide_by)

    await desk.hear(late.quote(750))
    await desk.settle_down()

    for visit in (late, queued):
        assert await desk.facts(visit) == ["hold-failed"]
        assert (await desk.bodies(visit, "hold-failed"))[0]["reason"] == "decide-by-passed"
    assert (await desk.books.totals())["payments"] == 0


async def test_a_price_above_the_preview_waits_for_the_patient(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.quote(2500, preview=750))
    asked = await desk.payment(visit)
    path = f"/appointments/{visit.id}/price-acceptance"

    wrong = await desk.post(path, {"advance_cents": 750}, visit.account)
    right = await desk.post(path, {"advance_cents": 2500}, visit.account)
    again = await desk.post(path, {"advance_cents": 2500}, visit.account)
    await desk.settle_down()

    assert asked["action"]["kind"] == "price-above-preview"
    assert (wrong.status_code, wrong.json()["type"]) == (409, "urn:problem:price-changed")
    assert wrong.json()["advance_cents"] == 2500
    assert (right.status_code, again.status_code) == (200, 409)
    assert await desk.facts(visit) == ["hold-action-required", "hold-placed"]


async def test_a_price_that_rose_before_the_visit_needs_a_new_hold(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)
    await desk.hear(visit.quote(2500))
    before = await desk.payment(visit)

    await desk.post(f"/appointments/{visit.id}/price-acceptance", {"advance_cents": 2500}, visit.account)
    await desk.settle_down()
    await desk.hear(visit.priced(2500))
    await desk.settle_down()

    assert (before["status"], before["action"]["kind"]) == ("held", "price-above-preview")
    assert await desk.facts(visit) == [
        "hold-placed",
        "hold-action-required",
        "hold-placed",
        "hold-released",
        "captured",
    ]
    assert (await desk.bodies(visit, "hold-released"))[0]["reason"] == "replaced"
    assert await desk.amounts(visit) == [("voided", 750, 0, 750, 0), ("captured", 2500, 2500, 0, 0)]
    assert await desk.ledger_difference() == 0


async def test_a_price_that_rose_and_was_not_accepted_is_short_at_the_visit(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)
    await desk.hear(visit.quote(2500))

    desk.wait_until(visit.starts_at)
    await desk.settle_down()
    cleared = await desk.payment(visit)
    await desk.hear(visit.priced(2500))
    await desk.settle_down()

    assert (cleared["status"], cleared["action"]) == ("held", None)
    assert await desk.facts(visit) == ["hold-placed", "hold-action-required", "captured", "short"]


async def test_a_second_hold_that_is_declined_leaves_the_first_one(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)
    await desk.hear(visit.quote(2500))
    bad = await desk.save(visit.account, DECLINED)
    await desk.post(f"/appointments/{visit.id}/card", {"card_id": str(bad)}, visit.account)

    await desk.post(f"/appointments/{visit.id}/price-acceptance", {"advance_cents": 2500}, visit.account)
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "hold-action-required", "hold-action-required"]
    assert await desk.amounts(visit) == [("held", 750, 0, 0, 0), ("failed", 0, 0, 0, 0)]
    assert (await desk.payment(visit))["action"]["kind"] == "price-above-preview"


async def test_a_waived_hold_becomes_one_when_the_price_rises_before_the_visit(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.quote(0), visit.confirmed(), visit.quote(750))

    await desk.post(f"/appointments/{visit.id}/price-acceptance", {"advance_cents": 750}, visit.account)
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-waived", "hold-action-required", "hold-placed"]


async def test_a_hold_nobody_confirms_is_released(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.quote(750))
    await desk.settle_down()

    desk.wait_until(visit.decide_by + timedelta(minutes=9, seconds=59))
    await desk.settle_down()
    before = await desk.facts(visit)
    desk.wait(timedelta(seconds=1))
    await desk.settle_down()

    assert before == ["hold-placed"]
    assert await desk.facts(visit) == ["hold-placed", "hold-released"]
    assert (await desk.bodies(visit, "hold-released"))[0]["reason"] == "not-confirmed"


async def test_a_confirmation_that_comes_after_all_is_given_a_hold_again(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.hear(visit.quote(750))
    await desk.settle_down()
    desk.wait_until(visit.decide_by + timedelta(minutes=10))
    await desk.settle_down()

    await desk.hear(visit.confirmed())
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "hold-released", "hold-placed"]
    assert (await desk.amounts(visit))[-1] == ("held", 750, 0, 0, 0)


async def test_an_appointment_weeks_ahead_is_held_nearer_to_it(desk: Desk) -> None:
    visit = Visit(ahead=20 * DAY)
    await desk.save(visit.account)
    await desk.hear(visit.quote(750))
    await desk.settle_down()
    await desk.hear(visit.confirmed())
    scheduled = await desk.payment(visit)

    desk.wait_until(visit.starts_at - 4 * DAY - timedelta(seconds=1))
    await desk.settle_down()
    before = await desk.holds(visit)
    desk.wait(timedelta(seconds=1))
    await desk.settle_down()
    [hold] = await desk.holds(visit)
    desk.wait_until(visit.ends_at)
    await desk.hear(visit.priced(750))
    await desk.settle_down()

    assert (scheduled["status"], scheduled["place_at"]) == ("scheduled", "2030-06-17T09:00:00Z")
    assert (before, hold.off_session) == ([], True)
    assert await desk.facts(visit) == ["hold-scheduled", "hold-placed", "captured"]


async def test_a_scheduled_hold_that_needs_its_patient_waits_until_two_hours_before(desk: Desk) -> None:
    acts, sleeps = Visit(ahead=20 * DAY), Visit(ahead=20 * DAY)
    for visit in (acts, sleeps):
        await desk.save(visit.account, ASKS_OFF_SESSION)
        await desk.hear(visit.quote(750), visit.confirmed())
    desk.wait_until(acts.starts_at - 4 * DAY)
    await desk.settle_down()

    await desk.answer((await desk.payment(acts))["action"]["url"], "accept")
    await desk.settle_down()
    desk.wait(HOUR)  # the bank's page closes
    await desk.settle_down()
    asked = await desk.payment(sleeps)
    desk.wait_until(sleeps.starts_at - 2 * HOUR)
    await desk.settle_down()

    assert await desk.facts(acts) == ["hold-scheduled", "hold-action-required", "hold-placed"]
    assert asked["action"]["kind"] == "card-missing"
    assert asked["action"]["expires_at"] == "2030-06-21T07:00:00Z"
    assert (await desk.facts(sleeps))[-1] == "hold-failed"


async def test_a_card_that_is_not_ready_for_later_must_be_first(desk: Desk) -> None:
    visit = Visit(ahead=20 * DAY)
    await desk.save(visit.account, THREE_D_SECURE)
    await desk.hear(visit.quote(750))
    asked = await desk.payment(visit)

    await desk.answer(asked["action"]["url"], "accept")
    await desk.settle_down()

    assert asked["action"]["kind"] == "three-d-secure"
    assert await desk.facts(visit) == ["hold-action-required", "hold-scheduled"]


async def test_a_scheduled_appointment_that_is_cancelled_is_never_held(desk: Desk) -> None:
    visit = Visit(ahead=20 * DAY)
    await desk.save(visit.account)
    await desk.hear(visit.quote(750), visit.confirmed(), visit.cancelled())

    desk.wait_until(visit.starts_at)
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-scheduled"]
    assert (await desk.payment(visit))["status"] == "nothing-held"


async def test_a_hold_that_lapses_during_the_visit_says_so_and_the_care_is_a_receivable(desk: Desk) -> None:
    visit = Visit(ahead=50 * timedelta(minutes=1))
    await desk.held(visit, 750, number=EXPIRES_EARLY)

    desk.wait(HOUR)
    await desk.settle_down()
    await desk.hear(visit.priced(750))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "hold-expired", "short"]
    assert await desk.amounts(visit) == [("expired", 750, 0, 750, 0)]
    assert await desk.ledger_difference() == 0


async def test_a_hold_that_lapsed_unnoticed_is_found_out_by_its_capture(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750, number=EXPIRES_EARLY)
    await desk.play(muted=True)
    desk.wait(HOUR)

    await desk.hear(visit.priced(750))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "hold-expired", "short"]


async def test_a_move_within_the_hold_keeps_it(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)

    await desk.hear(visit.moved(2 * DAY), visit.quote(750))
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "hold-placed"]
    first, second = await desk.bodies(visit, "hold-placed")
    assert (first["schedule_no"], second["schedule_no"]) == (1, 2)
    assert first["hold_id"] == second["hold_id"]
    assert await desk.amounts(visit) == [("held", 750, 0, 0, 0)]


async def test_a_move_beyond_the_hold_releases_it_and_schedules_another(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)
    desk.wait(HOUR)  # booking's time to decide is long over

    await desk.hear(visit.moved(20 * DAY), visit.quote(750))
    await desk.settle_down()
    desk.wait_until(visit.starts_at - 4 * DAY)
    await desk.settle_down()

    assert await desk.facts(visit) == ["hold-placed", "hold-scheduled", "hold-released", "hold-placed"]
    assert await desk.amounts(visit) == [("voided", 750, 0, 750, 0), ("held", 750, 0, 0, 0)]


async def test_a_quote_for_a_time_that_was_given_up_is_ignored(desk: Desk) -> None:
    visit = Visit()
    older = visit.quote(750)
    await desk.save(visit.account)

    outcomes = await desk.hear(visit.moved(2 * DAY), older)

    assert [outcome.code for outcome in outcomes] == ["quote-issued", "older-schedule"]
    assert await desk.holds(visit) == []


async def test_the_newest_card_is_taken_unless_another_was_chosen(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account, DECLINED)
    newest = await desk.save(visit.account, OK)

    await desk.hear(visit.quote(750))
    await desk.settle_down()

    [hold] = await desk.holds(visit)
    assert (hold.card_id, hold.status) == (newest, "held")
