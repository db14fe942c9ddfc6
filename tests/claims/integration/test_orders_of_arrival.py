"""Every order and repetition of an appointment's facts ends in the same quotes, legs and balances."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import select

from claims.models import AppointmentRoot, Balance, CareAct, EarlyFact, Leg, Quote
from common.messaging.delivery import deliver_batch
from common.messaging.records import APPLIED, Ending, Outcome, ignored, waiting
from common.messaging.tables import DeadLetterRow
from support.claims import BOOKED, COMPLETED, CONTRACTED, NIR, Facts

COVERED = {"nir": NIR, "birth_date": "1985-05-14", "amc": CONTRACTED}
DUPLICATE = Outcome(Ending.DUPLICATE)


async def books(world) -> dict[str, Any]:
    """The final state, without identifiers that are drawn."""
    async with world.sessions() as session:
        assert (await session.scalars(select(DeadLetterRow))).all() == []
        assert (await session.scalars(select(EarlyFact))).all() == []
        [root] = await session.scalars(select(AppointmentRoot))
        quotes = (await session.scalars(select(Quote).order_by(Quote.revision))).all()
        acts = (await session.scalars(select(CareAct))).all()
        legs = (await session.scalars(select(Leg).order_by(Leg.payer_kind))).all()
        balances = (await session.scalars(select(Balance))).all()
    return {
        "stream": (root.status, root.revision, root.schedule_no, root.version),
        "quotes": [(each.revision, each.state, each.advance_cents) for each in quotes],
        "acts": [(each.revision, each.advance_cents, each.coverage_version) for each in acts],
        "legs": [(each.payer, each.amount_cents, each.state, each.invoice_no) for each in legs],
        "balances": [(each.reason, each.amount_cents, each.state) for each in balances],
        "published": await world.published(root.id),
    }


def without_ids(found: dict[str, Any]) -> dict[str, Any]:
    drawn = {"leg_id", "care_act_id", "balance_id"}
    told = [(kind, {k: v for k, v in body.items() if k not in drawn}) for kind, body in found["published"]]
    return found | {"published": told}


JOURNEYS = {
    "performed": ("requested", "started", "completed"),
    "cancelled": ("requested", "cancelled"),
    "abandoned": ("requested", "abandoned"),
    "unsuitable": ("requested", "started", "not_billed"),
    "absent": ("requested", "patient_absent"),
}


@pytest.mark.parametrize(
    ("journey", "order"),
    [
        pytest.param(name, order, id=f"{name}: {', '.join(order)}")
        for name, facts in JOURNEYS.items()
        for order in permutations(facts)
        if order != facts
    ],
)
async def test_every_order_ends_in_the_books_of_the_right_one(
    world, given_coverage, connection, journey, order: Sequence[str]
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    records = {name: getattr(facts, name)() for name in JOURNEYS[journey]}
    async with connection.begin_nested() as right_order:
        await world.hear(*(records[name] for name in JOURNEYS[journey]))
        expected = without_ids(await books(world))
        await right_order.rollback()

    first = await world.hear(*(records[name] for name in order))
    again = await world.hear(*(records[name] for name in order))

    assert {each.ending for each in first} <= {Ending.APPLIED, Ending.IGNORED, Ending.WAITING}
    assert again == [DUPLICATE] * len(order)
    assert without_ids(await books(world)) == expected


async def test_an_end_before_the_request_waits_for_it(world) -> None:
    facts = Facts()

    outcomes = await world.hear(facts.cancelled(), facts.requested())

    assert outcomes == [waiting("appointment-requested"), APPLIED]
    assert [kind for kind, _ in await world.published(facts.appointment_id)] == [
        "quote-issued",
        "quote-voided",
    ]


async def test_a_shortfall_before_the_care_is_priced_waits_for_it(world) -> None:
    facts = Facts()

    outcomes = await world.hear(facts.short(2500), facts.completed(), facts.requested())

    assert outcomes == [waiting("appointment-requested"), waiting("appointment-requested"), APPLIED]
    kinds = [kind for kind, _ in await world.published(facts.appointment_id)]
    assert kinds == ["quote-issued", "care-priced", "balance-opened"]


async def test_facts_repeated_under_new_numbers_change_nothing(world, given_coverage) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await world.hear(facts.requested(), facts.started(), facts.completed())
    before = await books(world)

    outcomes = await world.hear(
        facts.requested(sequence=11),
        facts.started(sequence=12),
        facts.completed(sequence=13),
        facts.cancelled(sequence=14),
    )

    assert outcomes == [
        ignored("already-requested"),
        ignored("not-live"),
        ignored("already-priced"),
        ignored("care-priced"),
    ]
    assert await books(world) == before


@pytest.mark.parametrize("processed", ["before the change", "after the change"])
async def test_a_coverage_changed_after_the_care_never_changes_its_price(
    world, clock, given_coverage, processed
) -> None:
    facts = Facts()
    given = await given_coverage(facts, **COVERED)
    await world.hear(facts.requested())
    change = {"etag": given.headers["ETag"], "nir": NIR}  # without the AMC: 7.50 in advance
    clock.shift = COMPLETED - BOOKED + timedelta(minutes=1)

    if processed == "before the change":
        await world.hear(facts.completed())
        await given_coverage(facts, **change)
    else:
        await given_coverage(facts, **change)
        await world.hear(facts.completed())

    [priced] = [body for kind, body in await world.published(facts.appointment_id) if kind == "care-priced"]
    assert (priced["coverage_version"], priced["advance_cents"]) == (1, 0)
    assert (priced["amo_claim_cents"], priced["amc_claim_cents"]) == (1750, 750)


async def test_a_version_never_begins_before_a_price_that_rests_on_its_absence(world, given_coverage) -> None:
    facts = Facts()
    await world.hear(facts.requested(), facts.completed())  # completed, by the fact's time, after our now

    given = await given_coverage(facts, **COVERED)

    assert datetime.fromisoformat(given.json()["valid_from"]) > COMPLETED


async def test_a_batch_ends_as_its_records_one_by_one_do(world, given_coverage) -> None:
    one_by_one, together = Facts(), Facts()
    for facts in (one_by_one, together):
        await given_coverage(facts, **COVERED)
    names = ("completed", "requested", "started", "cancelled")

    first, second = (
        [getattr(facts, name)(sequence=number) for number, name in enumerate(names, start=1)]
        for facts in (one_by_one, together)
    )

    singly = await world.hear(*first)
    at_once = await deliver_batch(second, world.routes, world.sessions, now=world.clock.now())

    assert [each.ending for each in at_once] == [each.ending for each in singly]
    kinds = [
        [kind for kind, _ in await world.published(facts.appointment_id)] for facts in (one_by_one, together)
    ]
    assert kinds[0] == kinds[1] == ["quote-issued", "care-priced", "leg-opened", "leg-opened"]
