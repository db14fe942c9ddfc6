"""Parked keys: what queues behind them, and how they come back."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from common.errors import DomainError, Refusal
from common.events.payment import HoldWaivedV1
from common.messaging import deadletter, history
from common.messaging.delivery import deliver, deliver_batch, park, redrive
from common.messaging.records import APPLIED, PARKED, Ending, Outcome, PartitionStopped, Record, ignored
from common.messaging.routes import Routes
from common.messaging.tables import HistoryRow
from support.records import NOW, record

TOPIC = "payment.appointment"


class Refused(DomainError):
    code: ClassVar[str] = "refused"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


def waived(appointment_id: UUID, sequence: int) -> Record:
    event = HoldWaivedV1(appointment_id=appointment_id, revision=1, schedule_no=1)
    return record(event, sequence=sequence)


def routes_with(hook: Callable[[int], None] = lambda _: None) -> Routes:
    routes = Routes()

    @routes.on(HoldWaivedV1)
    async def apply(session: Any, event: HoldWaivedV1, meta: Any, _: Any) -> Outcome:
        history.add(session, event.appointment_id, sequence=meta.sequence, fact=meta.type, at=meta.time)
        await session.flush()
        hook(meta.sequence)
        return APPLIED

    return routes


async def applied(sessions: Any, appointment_id: UUID) -> list[int]:
    ours = select(HistoryRow.sequence).where(HistoryRow.appointment_id == appointment_id)
    async with sessions() as session:
        return list(await session.scalars(ours.order_by(HistoryRow.id)))


@pytest.fixture
async def parked(sessions) -> UUID:
    """A key whose first record a bug kept out, with two records behind it."""
    key, routes = uuid4(), routes_with()
    await park(waived(key, 1), sessions, reason="LookupError", now=NOW)
    outcomes = [await deliver(waived(key, n), routes, sessions, now=NOW) for n in (2, 3)]
    assert outcomes == [PARKED, PARKED]
    return key


async def test_a_redrive_applies_the_queue_in_order_and_frees_the_key(sessions, parked) -> None:
    routes = routes_with()

    redriven = await redrive(TOPIC, str(parked), routes, sessions, now=NOW)
    after = await deliver(waived(parked, 4), routes, sessions, now=NOW)

    assert (redriven.outcomes, redriven.left, redriven.reason) == ((APPLIED,) * 3, 0, None)
    assert after == APPLIED
    assert await applied(sessions, parked) == [1, 2, 3, 4]


async def test_a_redrive_stops_where_it_fails_again_and_goes_on_from_there(sessions, parked) -> None:
    def stumble(sequence: int) -> None:
        if sequence == 2:
            raise LookupError

    stopped = await redrive(TOPIC, str(parked), routes_with(stumble), sessions, now=NOW)
    behind = await deliver(waived(parked, 4), routes_with(), sessions, now=NOW)
    freed = await redrive(TOPIC, str(parked), routes_with(), sessions, now=NOW)

    assert (stopped.outcomes, stopped.left, stopped.reason) == ((APPLIED,), 2, "LookupError")
    assert behind == PARKED
    assert (len(freed.outcomes), freed.left) == (3, 0)
    assert await applied(sessions, parked) == [1, 2, 3, 4]


async def test_a_redriven_conflict_is_a_state_that_moved_on(sessions, parked) -> None:
    def refuse(sequence: int) -> None:
        if sequence == 1:
            raise Refused

    redriven = await redrive(TOPIC, str(parked), routes_with(refuse), sessions, now=NOW)

    assert redriven.outcomes == (ignored("refused"), APPLIED, APPLIED)
    assert await applied(sessions, parked) == [2, 3]


async def test_what_was_parked_and_comes_again_is_a_duplicate(sessions, parked) -> None:
    outcomes = [await deliver(waived(parked, n), routes_with(), sessions, now=NOW) for n in (1, 2)]

    assert [outcome.ending for outcome in outcomes] == [Ending.DUPLICATE] * 2
    async with sessions() as session:
        assert len(await deadletter.letters_of(session, topic=TOPIC, key=str(parked))) == 3


async def test_a_batch_queues_the_parked_key_and_applies_the_others(sessions, parked) -> None:
    other = uuid4()
    records = [waived(other, 1), waived(parked, 4), waived(other, 2), waived(parked, 2)]

    outcomes = await deliver_batch(records, routes_with(), sessions, now=NOW)

    assert [each.ending for each in outcomes] == [
        Ending.APPLIED,
        Ending.PARKED,
        Ending.APPLIED,
        Ending.DUPLICATE,
    ]
    assert await applied(sessions, other) == [1, 2]
    assert await applied(sessions, parked) == []


async def test_a_batch_in_which_one_fails_leaves_nothing(sessions, left_behind) -> None:
    def stumble(sequence: int) -> None:
        if sequence == 3:
            raise LookupError

    key = uuid4()
    with pytest.raises(LookupError):
        await deliver_batch([waived(key, n) for n in (1, 2, 3)], routes_with(stumble), sessions, now=NOW)

    assert await left_behind() == [0, 0, 0]
    assert await applied(sessions, key) == []


async def test_an_unknown_version_of_a_parked_key_stops_the_partition_too(sessions, parked) -> None:
    newer = waived(parked, 4)
    headers = {**newer.headers, "ce_dataschema": "urn:event:payment.hold-waived:v2"}

    with pytest.raises(PartitionStopped):
        await deliver(replace(newer, headers=headers), routes_with(), sessions, now=NOW)


async def test_parked_keys_are_counted_and_listed_with_what_they_died_of(sessions, parked) -> None:
    another = uuid4()
    await park(waived(another, 1), sessions, reason="KeyError", now=NOW)
    broken = replace(waived(uuid4(), 1), headers={})
    for _ in range(2):
        await deliver(broken, routes_with(), sessions, now=NOW)

    async with sessions() as session:
        count = await deadletter.count_parked(session)
        listed = await deadletter.list_parked(session)
        unreadable = await deadletter.list_unreadable(session)

    assert count == 2
    assert [(each.key, each.letters, each.reason) for each in listed] == [
        (str(parked), 3, "LookupError"),
        (str(another), 1, "KeyError"),
    ]
    assert [letter.reason for letter in unreadable] == ["envelope-unreadable"]


async def test_a_discarded_letter_lets_the_ones_behind_it_through(sessions, parked) -> None:
    async with sessions.begin() as session:
        [first, *_] = await deadletter.letters_of(session, topic=TOPIC, key=str(parked))
        assert await deadletter.discard(session, first.id)

    await redrive(TOPIC, str(parked), routes_with(), sessions, now=NOW)

    assert await applied(sessions, parked) == [2, 3]
    assert (await deliver(waived(parked, 1), routes_with(), sessions, now=NOW)).ending is Ending.DUPLICATE


async def test_what_arrives_during_a_redrive_is_never_left_behind(pool) -> None:
    key, routes = uuid4(), routes_with()
    await park(waived(key, 1), pool, reason="LookupError", now=NOW)

    async def arrive() -> None:
        for sequence in range(2, 30):
            await deliver(waived(key, sequence), routes, pool, now=NOW)

    async def redrive_often() -> None:
        for _ in range(20):
            await redrive(TOPIC, str(key), routes, pool, now=NOW)

    await asyncio.gather(arrive(), redrive_often())
    await redrive(TOPIC, str(key), routes, pool, now=NOW)

    assert await applied(pool, key) == list(range(1, 30))
    async with pool() as session:
        assert await deadletter.count_parked(session) == 0


@pytest.mark.parametrize(
    "broken",
    [
        {"ce_subject": "another"},
        {"ce_sequence": str(2**63 - 1)},
        {"ce_sequence": "0"},
        {"ce_time": "2030-06-01T09:00:00"},
        {"content-type": "text/plain"},
    ],
)
async def test_an_envelope_that_does_not_fit_is_unreadable(sessions, left_behind, broken) -> None:
    sent = waived(uuid4(), 1)

    outcome = await deliver(
        replace(sent, headers={**sent.headers, **broken}), routes_with(), sessions, now=NOW
    )

    assert outcome == Outcome(Ending.REJECTED, "envelope-unreadable")
    assert await left_behind() == [0, 1, 0]


async def test_a_key_no_index_takes_is_listed_shortened(sessions) -> None:
    key = "k" * 10_000
    sent = waived(uuid4(), 1)
    long = replace(sent, key=key, headers={**sent.headers, "ce_subject": key})

    outcome = await deliver(long, routes_with(), sessions, now=NOW)

    assert outcome.ending is Ending.REJECTED
    async with sessions() as session:
        [letter] = await deadletter.list_unreadable(session)
    assert letter.key == "k" * 200
