"""Orders that are worth a name: what a person does meets what is on its way."""

import random
from collections import deque
from datetime import timedelta
from functools import partial

import pytest

from journeys.conftest import Stage
from journeys.order import Act, Order, in_order
from journeys.script import STORIES, VISIT, Case, Story, acts_of, begin, play, visit, with_a_dearer_price
from journeys.state import State, broken_rules, differences, state_of
from journeys.world import World

_FOR_EVER = 400  # steps: later than everything else
_BOTH = frozenset({"booking", "payment"})


async def holds_of(case: Case) -> list[tuple[object, ...]]:
    rows = await case.world.lens("payment").fetch(
        """
        SELECT status, asked_cents, held_cents, captured_cents, released_cents FROM hold
        WHERE appointment_id = $1 ORDER BY attempt
        """,
        case.appointment,
    )
    return [tuple(row) for row in rows]


async def status_of(case: Case) -> tuple[object, ...]:
    row = await case.world.lens("booking").fetchrow(
        "SELECT status, end_reason FROM appointment WHERE id = $1", case.appointment
    )
    return tuple(row)


async def priced(case: Case) -> tuple[object, ...]:
    row = await case.world.lens("claims").fetchrow(
        """
        SELECT coverage_version, advance_cents, amo_claim_cents,
            (SELECT count(*) FROM leg WHERE appointment_id = $1)
        FROM care_act WHERE appointment_id = $1
        """,
        case.appointment,
    )
    return tuple(row)


def booking(case: Case, order: Order) -> list[Act]:
    return list(acts_of(case, order))[:2]


async def plain_state(world: World, name: str) -> State:
    case, _ = await play(world, STORIES[name], in_order)
    return await state_of(case)


def test_a_cancellation_that_overtakes_the_quote_holds_nothing(stage: Stage) -> None:
    def acts(case: Case, order: Order) -> deque[Act]:
        return deque([*booking(case, order), Act("cancel", case.cancel, case.always)])

    late = {"claims.quote-issued -> payment": _FOR_EVER, "cancel": 0}
    case, order = stage.run(play(stage.world, Story("2", STORIES["2"].journey, acts), in_order, late=late))

    cancelled = order.trace.index("booking.appointment-cancelled -> payment")
    assert cancelled < order.trace.index("claims.quote-issued -> payment")
    assert stage.run(holds_of(case)) == []
    assert stage.run(status_of(case)) == ("cancelled", None)
    assert stage.run(broken_rules(stage.world, case.appointment)) == {}


def test_a_hold_that_reaches_an_abandoned_appointment_is_released(stage: Stage) -> None:
    def acts(case: Case, order: Order) -> deque[Act]:
        async def wait() -> None:
            stage.world.clock.shift += timedelta(minutes=16)

        return deque([*booking(case, order), Act("wait", wait, partial(is_held, case), _BOTH)])

    late = {"payment.hold-placed -> booking": _FOR_EVER, "wait": 0}
    case, order = stage.run(play(stage.world, Story("2", STORIES["2"].journey, acts), in_order, late=late))

    assert order.trace.index("decide-by appointment") < order.trace.index("payment.hold-placed -> booking")
    assert stage.run(status_of(case)) == ("abandoned", "decide-by-passed")
    assert stage.run(holds_of(case)) == [("voided", 750, 750, 0, 750)]
    assert stage.run(broken_rules(stage.world, case.appointment)) == {}


async def is_held(case: Case) -> bool:
    return [hold[0] for hold in await holds_of(case)] == ["held"]


def test_an_insured_number_given_while_the_hold_is_on_its_way(stage: Stage) -> None:
    """The second price is known before the first hold is."""
    world = stage.world

    async def visited() -> tuple[Case, Order]:
        case = await begin(world, STORIES["9"])
        order = Order(world, in_order)

        async def book() -> None:
            await case.book(order)
            order.in_flight.append(partial(case.cover, nir=True))

        save, _ = booking(case, order)
        order.acts = deque([save, Act("book", book, case.always), *visit(case)])
        await order.play()
        return case, order

    case, order = stage.run(visited())

    assert order.trace.index("price-again appointment 2") < order.trace.index(
        "payment.hold-placed -> booking"
    )
    wanted = stage.run(plain_state(world, "9"))
    assert differences(wanted, stage.run(state_of(case))) == {}, "\n".join(order.trace)
    assert stage.run(broken_rules(world, case.appointment)) == {}


def test_care_is_priced_with_the_coverage_of_its_completion(stage: Stage) -> None:
    """The patient gives a number just after the visit; claims hears of that before it hears of the visit."""

    def acts(case: Case, order: Order) -> deque[Act]:
        soon = case.visit_at + VISIT + timedelta(seconds=1)
        given = Act("give the NIR", partial(case.cover, nir=True), case.always, at=soon)
        return deque([*booking(case, order), *visit(case), given])

    late = {"booking.consultation-completed -> claims": _FOR_EVER, "give the NIR": 0}
    case, order = stage.run(play(stage.world, Story("9", STORIES["9"].journey, acts), in_order, late=late))

    given = order.trace.index("give the NIR")
    assert given < order.trace.index("booking.consultation-completed -> claims")
    assert stage.run(priced(case)) == (1, 2500, 0, 0)
    assert stage.run(holds_of(case)) == [("captured", 2500, 2500, 2500, 0)]
    assert stage.run(broken_rules(stage.world, case.appointment)) == {}


def test_care_is_priced_with_the_coverage_given_during_the_visit(stage: Stage) -> None:
    """The number comes just before the end of the visit, and its new price after it."""

    def acts(case: Case, order: Order) -> deque[Act]:
        given = Act("give the NIR", partial(case.cover, nir=True), case.always)
        *before, end = visit(case)
        return deque([*booking(case, order), *before, given, end])

    late = {"price-again appointment 2": _FOR_EVER, "booking.consultation-started -> claims": 100}
    case, _ = stage.run(play(stage.world, Story("9", STORIES["9"].journey, acts), in_order, late=late))

    assert stage.run(priced(case)) == (2, 750, 1750, 1)
    assert stage.run(holds_of(case)) == [("captured", 2500, 2500, 750, 1750)]
    assert stage.run(broken_rules(stage.world, case.appointment)) == {}


def test_an_appointment_that_moves_while_a_second_hold_is_placed(stage: Stage) -> None:
    """The hold was asked for at the old time; it serves the new one, and the first hold goes."""
    world = stage.world

    def acts(case: Case, order: Order) -> deque[Act]:
        case.moved_by = timedelta(minutes=15)
        made = STORIES["dearer, accepted"].acts(case, order)
        moving = partial(case.move, by=case.moved_by)

        async def accept() -> None:
            order.in_flight = deque([moving])
            await case.accept_price()

        made[4] = Act("accept the price", accept, case.is_asked_for_more, frozenset({"payment"}))
        return made

    story = STORIES["dearer, accepted"]
    case, order = stage.run(play(world, Story(story.name, story.journey, acts), in_order))

    assert "booking.appointment-moved -> payment" in order.trace
    assert stage.run(status_of(case)) == ("completed", None)
    assert stage.run(holds_of(case)) == [("voided", 750, 750, 0, 750), ("captured", 2500, 2500, 2500, 0)]
    assert stage.run(broken_rules(world, case.appointment)) == {}


@pytest.mark.parametrize("seed", range(12))
def test_a_cancellation_at_any_moment_leaves_no_hold(stage: Stage, seed: int) -> None:
    def acts(case: Case, order: Order) -> deque[Act]:
        return deque([*booking(case, order), Act("cancel", case.cancel, case.always)])

    chance = random.Random(seed).randrange
    late = {"cancel": seed * 2}
    case, order = stage.run(play(stage.world, Story("2", STORIES["2"].journey, acts), chance, late=late))

    assert stage.run(status_of(case)) == ("cancelled", None), "\n".join(order.trace)
    assert {hold[0] for hold in stage.run(holds_of(case))} <= {"voided", "withdrawn", "failed"}
    assert stage.run(broken_rules(stage.world, case.appointment)) == {}, "\n".join(order.trace)


@pytest.mark.parametrize("seed", range(12))
def test_deliveries_that_are_hours_late_break_no_rule(stage: Stage, seed: int) -> None:
    """Payment may have given up before it hears of the confirmation; then it holds again, or it is short."""

    def acts(case: Case, order: Order) -> deque[Act]:
        made = acts_of(case, order)
        for act in made:
            if act.ready == case.is_settled_before:
                act.ready = case.is_confirmed
        return made

    chance = random.Random(seed).randrange
    late = {"booking.appointment-confirmed -> payment": seed * 3, "start": 0}
    name = ("2", "3", "8a")[seed % 3]
    case, order = stage.run(play(stage.world, Story(name, STORIES[name].journey, acts), chance, late=late))

    assert stage.run(status_of(case)) == ("completed", None), "\n".join(order.trace)
    assert stage.run(broken_rules(stage.world, case.appointment)) == {}, "\n".join(order.trace)


def test_a_price_that_rose_from_nothing_and_was_never_accepted_becomes_a_balance(stage: Stage) -> None:
    """The visit takes place; nothing of the difference is asked of the card without a word of the patient."""
    seen: list[dict[str, object]] = []

    def acts(case: Case, order: Order) -> deque[Act]:
        async def look() -> None:
            path = f"/payment/v1/appointments/{case.appointment}"
            seen.append(await case.as_patient("GET", path))

        *before, end = with_a_dearer_price(case, order)
        return deque([*before, Act("look at the payment", look, case.is_asked_no_more, _BOTH), end])

    story = Story("dearer than nothing", STORIES["dearer than nothing"].journey, acts)
    case, _ = stage.run(play(stage.world, story, in_order))

    assert [(each["status"], each["short_cents"], each["action"]) for each in seen] == [("short", 2500, None)]
    assert stage.run(holds_of(case)) == []
    assert stage.run(balances(case)) == [("captured-less-than-due", 2500, "open")]
    assert stage.run(broken_rules(stage.world, case.appointment)) == {}


async def balances(case: Case) -> list[tuple[object, ...]]:
    rows = await case.world.lens("claims").fetch(
        "SELECT reason, amount_cents, state FROM balance WHERE appointment_id = $1", case.appointment
    )
    return [tuple(row) for row in rows]
