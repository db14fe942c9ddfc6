"""Every order and repetition of events, answers and webhooks ends in the same money."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import permutations
from random import Random

import pytest

from common.messaging import tasks
from common.messaging.records import APPLIED, Ending, Outcome, Record, ignored, waiting
from payment.domain.holds import HoldStatus
from simulators import card_provider_by_itself as by_itself
from simulators.card_provider_books import Refused
from support.payments import DAY, OK, THREE_D_SECURE, Desk, Visit, timedelta

Step = Callable[[], Awaitable[object]]
LIVE = {HoldStatus.PENDING, HoldStatus.UNKNOWN, HoldStatus.ACTION_REQUIRED, HoldStatus.HELD}
SEEDS = range(5)

# name: (card, claims' facts in order, booking's facts in order, amounts and missing cents in the end)
JOURNEYS = {
    "captured": (OK, ["quote 750", "priced 750"], ["confirmed"], [("captured", 750, 750, 0, 0)], 0),
    "fell": (
        OK,
        ["quote 2500", "quote 750", "priced 750"],
        ["requested", "confirmed"],
        [("captured", 2500, 750, 1750, 0)],
        0,
    ),
    "rose": (
        OK,
        ["quote 750", "quote 2500", "priced 2500"],
        ["confirmed"],
        [("captured", 750, 750, 0, 0)],
        1750,
    ),
    "challenged": (
        THREE_D_SECURE,
        ["quote 750", "priced 750"],
        ["requested", "confirmed"],
        [("captured", 750, 750, 0, 0)],
        0,
    ),
    "nothing": (OK, ["quote 0", "priced 0"], ["requested", "confirmed"], [], 0),
}
ENDS = {
    "cancelled": (OK, ["quote 750"], ["requested", "confirmed", "cancelled"]),
    "not billed": (OK, ["quote 2500", "quote 750"], ["confirmed", "not_billed"]),
    "abandoned": (THREE_D_SECURE, ["quote 750"], ["requested", "abandoned"]),
    "absent": (OK, ["quote 750", "quote 2500"], ["confirmed", "patient_absent"]),
}


def records(desk: Desk, visit: Visit, names: Sequence[str]) -> list[Record]:
    made = []
    for name in names:
        kind, _, amount = name.partition(" ")
        make = getattr(visit, kind)
        made.append(desk.record(make(int(amount)) if amount else make()))
    return made


async def accept_challenges(desk: Desk, visit: Visit) -> None:
    for hold in await desk.holds(visit):
        if hold.status is HoldStatus.ACTION_REQUIRED and hold.action_url is not None:
            await desk.answer(hold.action_url, "accept")


async def by_the_provider(desk: Desk, visit: Visit, act: str) -> bool:
    """What the provider does by itself with the newest hold. False: its state does not allow it now."""
    kind, _, amount = act.partition(" ")
    holds = await desk.holds(visit)
    if not holds:
        return False
    about = str(holds[-1].id)
    try:
        async with desk.books.entry() as entry:
            match kind:
                case "refund":
                    await by_itself.refund(entry, about, amount_cents=int(amount))
                case "capture":
                    await by_itself.capture(entry, about, amount_cents=int(amount), closes=True)
                case "part":
                    await by_itself.capture(entry, about, amount_cents=int(amount), closes=False)
                case "cancel":
                    await entry.void(about)
    except Refused:
        return False
    return True


async def play(
    desk: Desk,
    visit: Visit,
    roots: Sequence[Sequence[Record]],
    seed: int,
    *,
    act: str | None = None,
    webhooks: bool = True,
) -> bool:
    """Merges the streams, each in its own order as on its topic, with work and webhooks between.

    Tries `act` of the provider between any two of them, until it is done; returns whether it was. Without
    `webhooks` the provider tells nothing of its own accord.
    """
    random = Random(seed)
    await desk.play(
        duplicates=random.randint(0, 2),
        before_response=random.random() < 0.4,
        newest_first=random.random() < 0.3,
        muted=not webhooks,
    )
    done = False
    left = [list(root) for root in roots]
    heard: list[Record] = []
    while any(left):
        for _ in range(random.randint(0, 2)):
            await random.choice([desk.work, desk.webhooks, lambda: accept_challenges(desk, visit)])()
        if heard and random.random() < 0.3:
            await desk.take(random.choice(heard))
        else:
            heard.append(random.choice([root for root in left if root]).pop(0))
            await desk.take(heard[-1])
        if act is not None and not done and random.random() < 0.6:
            done = await by_the_provider(desk, visit, act)
    await desk.play(duplicates=1, muted=not webhooks)
    for _ in range(3):
        await desk.settle_down()
        await accept_challenges(desk, visit)
        if act is not None and not done:
            done = await by_the_provider(desk, visit, act)
    again = [await desk.take(record) for record in random.sample(heard, len(heard))]
    assert {outcome.ending for outcome in again} == {Ending.DUPLICATE}
    await desk.settle_down()
    return done


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("journey", sorted(JOURNEYS))
async def test_a_visit_that_takes_place_ends_in_the_same_cents(desk: Desk, journey: str, seed: int) -> None:
    card, claims, booking, amounts, short = JOURNEYS[journey]
    visit = Visit()
    await desk.save(visit.account, card)
    roots = [records(desk, visit, claims), records(desk, visit, booking)]

    await play(desk, visit, roots, seed)

    assert await desk.amounts(visit) == amounts
    assert (await desk.root(visit)).short_cents == short
    facts = await desk.facts(visit)
    assert (facts.count("captured"), facts.count("short")) == (len(amounts), int(short > 0))
    assert await desk.ledger_difference() == 0


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("journey", sorted(ENDS))
async def test_an_appointment_that_ends_leaves_nothing_held(desk: Desk, journey: str, seed: int) -> None:
    card, claims, booking = ENDS[journey]
    visit = Visit()
    await desk.save(visit.account, card)
    roots = [records(desk, visit, claims), records(desk, visit, booking)]

    await play(desk, visit, roots, seed)

    holds = await desk.holds(visit)
    assert not [hold for hold in holds if hold.status in LIVE]
    assert all(hold.captured_cents + hold.released_cents == hold.held_cents for hold in holds)
    assert not sum(hold.captured_cents for hold in holds)
    facts = await desk.facts(visit)
    assert facts.count("hold-placed") == facts.count("hold-released") <= 1
    assert (await desk.books.totals())["live_holds"] == 0
    assert await desk.ledger_difference() == 0


BY_ITSELF = {  # act: claims' facts, booking's facts, what is due in the end
    "capture 2500": (["quote 2500", "priced 750"], ["requested", "confirmed"], 750),
    "capture 1000": (["quote 2500", "priced 2500"], ["confirmed"], 2500),
    "capture 500": (["quote 750", "quote 2500", "priced 2500"], ["confirmed"], 2500),
    "part 1000": (["quote 2500", "quote 750", "priced 750"], ["requested", "confirmed"], 750),
    "part 400": (["quote 750", "priced 750"], ["confirmed"], 750),
    "refund 300": (["quote 2500", "priced 750"], ["confirmed"], 750),
    "cancel": (["quote 750", "priced 750"], ["requested", "confirmed"], 750),
    "capture 700": (["quote 750"], ["requested", "confirmed", "cancelled"], 0),
    "part 700": (["quote 750"], ["requested", "confirmed", "not_billed"], 0),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("webhooks", [True, False])
@pytest.mark.parametrize("act", sorted(BY_ITSELF))
async def test_what_the_provider_does_by_itself_ends_in_the_same_cents(
    desk: Desk,
    act: str,
    webhooks: bool,  # noqa: FBT001
    seed: int,
) -> None:
    claims, booking, due = BY_ITSELF[act]
    visit = Visit()
    await desk.save(visit.account)
    roots = [records(desk, visit, claims), records(desk, visit, booking)]

    done = await play(desk, visit, roots, seed, act=act, webhooks=webhooks)
    for _ in range(2):
        async with desk.sessions.begin() as session:
            tasks.add(session, "compare-with-provider", "all", due_at=desk.now, again=True)
        desk.wait(timedelta(seconds=5))
        await desk.settle_down()

    holds = await desk.holds(visit)
    assert not [hold for hold in holds if hold.status in LIVE]
    facts = await desk.facts(visit)
    given_back = sum(hold.refunded_cents for hold in holds)
    by_provider = [each for each in await desk.bodies(visit, "refund-made") if each["origin"] == "provider"]
    owed = (await desk.root(visit)).short_cents
    kept = sum(hold.captured_cents for hold in holds) - given_back
    assert kept + sum(each["refunded_cents"] for each in by_provider) + owed == due
    assert len(by_provider) == int(done and act.startswith("refund"))
    assert facts.count("captured") == len([hold for hold in holds if hold.captured_cents > 0])
    assert facts.count("short") == int(owed > 0)
    assert await desk.ledger_difference() == 0
    assert (await desk.books.totals())["live_holds"] == 0


@pytest.mark.parametrize("order", list(permutations(["quote", "confirmation", "removal", "work"])))
async def test_a_card_removed_anywhere_is_told_before_the_hold_is_due(
    desk: Desk, order: tuple[str, ...]
) -> None:
    visit = Visit(ahead=20 * DAY)
    card_id = await desk.save(visit.account)
    quote, confirmation = desk.record(visit.quote(750)), desk.record(visit.confirmed())
    steps: dict[str, Step] = {
        "quote": lambda: desk.take(quote),
        "confirmation": lambda: desk.take(confirmation),
        "removal": lambda: desk.delete(f"/cards/{card_id}", visit.account),
        "work": desk.work,
    }

    for name in order:
        await steps[name]()
    await desk.work()

    payment = await desk.payment(visit)
    assert (payment["status"], payment["action"]["kind"]) == ("action-required", "card-missing")
    assert (await desk.facts(visit)).count("hold-action-required") == 1


@pytest.mark.parametrize("order", list(permutations(["quote", "cancellation", "work", "webhooks"])))
async def test_a_cancellation_anywhere_between_price_answer_and_webhook(
    desk: Desk, order: tuple[str, ...]
) -> None:
    visit = Visit()
    await desk.save(visit.account)
    quote, cancellation = desk.record(visit.quote(750)), desk.record(visit.cancelled())
    steps: dict[str, Step] = {
        "quote": lambda: desk.take(quote),
        "cancellation": lambda: desk.take(cancellation),
        "work": desk.work,
        "webhooks": desk.webhooks,
    }

    outcomes = {name: await steps[name]() for name in order}
    await desk.settle_down()

    late = order.index("cancellation") < order.index("quote")
    assert (outcomes["quote"], outcomes["cancellation"]) == (
        (ignored("appointment-ended"), waiting("quote-issued")) if late else (APPLIED, APPLIED)
    )
    assert not [hold for hold in await desk.holds(visit) if hold.status in LIVE]
    assert (await desk.books.totals())["live_holds"] == 0


async def test_the_webhook_before_our_own_answer_is_the_answer(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    await desk.play(before_response=True)
    await desk.hear(visit.quote(750))
    desk.wire.cut = 1

    done = await desk.work()

    assert done == [("place-hold", "retry")]
    assert await desk.facts(visit) == ["hold-placed"]
    assert await desk.amounts(visit) == [("held", 750, 0, 0, 0)]


async def test_the_highest_revision_wins(desk: Desk) -> None:
    visit = Visit()
    first, second = desk.record(visit.quote(750)), desk.record(visit.quote(0))

    outcomes = [await desk.take(each) for each in (second, first)]

    assert outcomes == [APPLIED, ignored("older-revision")]
    assert (await desk.root(visit)).advance_cents == 0


async def test_a_price_is_final_once(desk: Desk) -> None:
    visit = Visit()
    await desk.held(visit, 750)

    outcomes = await desk.hear(visit.priced(750), visit.priced(500), visit.quote(500), visit.cancelled())
    await desk.settle_down()

    assert outcomes == [APPLIED, *[ignored("already-priced")] * 3]
    assert await desk.amounts(visit) == [("captured", 750, 750, 0, 0)]


async def test_a_repeated_event_is_a_duplicate(desk: Desk) -> None:
    visit = Visit()
    await desk.save(visit.account)
    quote = desk.record(visit.quote(750))

    outcomes = [await desk.take(quote) for _ in range(3)]
    await desk.settle_down()

    assert outcomes == [APPLIED, *[Outcome(Ending.DUPLICATE)] * 2]
    assert await desk.facts(visit) == ["hold-placed"]
