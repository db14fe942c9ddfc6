from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from booking.consumers import routes
from booking.domain.lifecycle import Status
from booking.models import Appointment
from common.events import claims, documents, payment
from common.events.base import AppointmentFact, Event
from common.events.catalogue import CATALOGUE
from common.events.topics import topics_read_by
from common.messaging.delivery import deliver
from common.messaging.records import APPLIED, DUPLICATE, Ending, Outcome, ignored
from common.messaging.tables import HistoryRow, OutboxRow
from common.money import Cents
from support.records import NOW, record

ENDED = [Status.CANCELLED, Status.ABANDONED, Status.NOT_BILLED, Status.PATIENT_ABSENT]
RUNNING = [Status.STARTED, Status.COMPLETED]


def waived(appointment_id: UUID, *, schedule_no: int = 1) -> payment.HoldWaivedV1:
    return payment.HoldWaivedV1(appointment_id=appointment_id, revision=1, schedule_no=schedule_no)


def placed(appointment_id: UUID, *, schedule_no: int = 1) -> payment.HoldPlacedV1:
    return payment.HoldPlacedV1(
        appointment_id=appointment_id,
        revision=1,
        schedule_no=schedule_no,
        hold_id=UUID(int=9),
        attempt=1,
        currency="EUR",
        held_cents=Cents(750),
        capture_before=NOW + timedelta(days=6),
    )


def scheduled(appointment_id: UUID) -> payment.HoldScheduledV1:
    return payment.HoldScheduledV1(
        appointment_id=appointment_id, revision=1, schedule_no=1, place_at=NOW + timedelta(days=3)
    )


def action(appointment_id: UUID, *, schedule_no: int = 1) -> payment.HoldActionRequiredV1:
    return payment.HoldActionRequiredV1(
        appointment_id=appointment_id,
        revision=1,
        schedule_no=schedule_no,
        action="three-d-secure",
        expires_at=NOW + timedelta(minutes=14),
    )


def failed(appointment_id: UUID, reason: Any = "declined", *, schedule_no: int = 1) -> payment.HoldFailedV1:
    return payment.HoldFailedV1(
        appointment_id=appointment_id, revision=1, schedule_no=schedule_no, reason=reason
    )


def voided(appointment_id: UUID, reason: Any = "refused") -> claims.QuoteVoidedV1:
    refusal: Any = "no-tariff" if reason == "refused" else None
    return claims.QuoteVoidedV1(appointment_id=appointment_id, revision=1, reason=reason, refusal=refusal)


Published = Callable[[], Awaitable[list[tuple[int, str]]]]


@pytest.fixture
def published(sessions) -> Published:
    async def published() -> list[tuple[int, str]]:
        async with sessions() as session:
            rows = await session.scalars(select(OutboxRow).order_by(OutboxRow.id))
            return [(row.sequence, row.headers["ce_type"]) for row in rows]

    return published


@pytest.mark.parametrize("settled", [waived, placed, scheduled])
async def test_a_settled_price_confirms_once_however_often_it_comes(
    sessions, given_appointment, published, settled
) -> None:
    appointment = await given_appointment()
    fact = record(settled(appointment.id))

    outcomes = [await deliver(fact, routes, sessions, now=NOW) for _ in range(2)]

    assert outcomes == [APPLIED, DUPLICATE]
    assert await published() == [(2, "booking.appointment-confirmed")]
    async with sessions() as session:
        stored = await session.get_one(Appointment, appointment.id)
        [confirmed] = await session.scalars(select(OutboxRow))
        facts = await session.scalars(select(HistoryRow.fact).order_by(HistoryRow.id))
        assert list(facts) == [fact.headers["ce_type"], "booking.appointment-confirmed"]
    assert (stored.status, stored.version) == (Status.CONFIRMED, 2)
    assert confirmed.headers["ce_causationid"] == fact.headers["ce_id"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.CONFIRMED, "already-confirmed"),
        *[(status, "consultation-started") for status in RUNNING],
        *[(status, "appointment-ended") for status in ENDED],
    ],
)
async def test_a_hold_is_ignored_once_the_state_moved_on(
    sessions, given_appointment, published, status, reason
) -> None:
    appointment = await given_appointment(status=status)

    assert await deliver(record(placed(appointment.id)), routes, sessions, now=NOW) == ignored(reason)
    assert await published() == []


async def test_a_hold_that_comes_after_the_decision_was_due_ends_the_request(
    sessions, given_appointment, published
) -> None:
    appointment = await given_appointment()
    late = NOW + timedelta(minutes=15)

    outcome = await deliver(record(placed(appointment.id)), routes, sessions, now=late)

    assert (outcome, await published()) == (APPLIED, [(2, "booking.appointment-abandoned")])
    async with sessions() as session:
        stored = await session.get_one(Appointment, appointment.id)
    assert (stored.status, stored.end_reason) == (Status.ABANDONED, "decide-by-passed")


@pytest.mark.parametrize("status", [Status.REQUESTED, Status.CONFIRMED])
@pytest.mark.parametrize(
    ("reason", "why"),
    [
        ("declined", "hold-failed"),
        ("provider-refused", "hold-failed"),
        ("action-refused", "action-refused"),
        ("action-expired", "action-refused"),
        ("decide-by-passed", "decide-by-passed"),
    ],
)
async def test_a_hold_that_failed_gives_the_time_back(
    sessions, given_appointment, published, status, reason, why
) -> None:
    appointment = await given_appointment(status=status)

    outcome = await deliver(record(failed(appointment.id, reason)), routes, sessions, now=NOW)

    assert (outcome, await published()) == (APPLIED, [(2, "booking.appointment-abandoned")])
    async with sessions() as session:
        stored = await session.get_one(Appointment, appointment.id)
    assert (stored.status, stored.end_reason) == (Status.ABANDONED, why)


@pytest.mark.parametrize("fact", [failed, action])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *[(status, "consultation-started") for status in RUNNING],
        *[(status, "appointment-ended") for status in ENDED],
    ],
)
async def test_what_payment_says_of_a_hold_changes_nothing_later(
    sessions, given_appointment, published, fact, status, reason
) -> None:
    appointment = await given_appointment(status=status)

    assert await deliver(record(fact(appointment.id)), routes, sessions, now=NOW) == ignored(reason)
    assert await published() == []


@pytest.mark.parametrize("fact", [waived, placed, failed, action])
async def test_what_names_an_older_schedule_is_ignored(sessions, given_appointment, published, fact) -> None:
    appointment = await given_appointment(status=Status.CONFIRMED, schedule_no=2)

    outcome = await deliver(record(fact(appointment.id, schedule_no=1)), routes, sessions, now=NOW)

    assert outcome == ignored("older-schedule")
    assert await published() == []
    async with sessions() as session:
        assert (await session.get_one(Appointment, appointment.id)).action is None


async def test_without_a_price_a_request_is_abandoned(sessions, given_appointment, published) -> None:
    appointment = await given_appointment()

    outcome = await deliver(record(voided(appointment.id)), routes, sessions, now=NOW)

    assert (outcome, await published()) == (APPLIED, [(2, "booking.appointment-abandoned")])


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.CONFIRMED, "already-confirmed"),
        *[(status, "consultation-started") for status in RUNNING],
        *[(status, "appointment-ended") for status in ENDED],
    ],
)
async def test_a_refused_price_changes_nothing_later(
    sessions, given_appointment, published, status, reason
) -> None:
    appointment = await given_appointment(status=status)

    assert await deliver(record(voided(appointment.id)), routes, sessions, now=NOW) == ignored(reason)
    assert await published() == []


@pytest.mark.parametrize("status", list(Status))
async def test_a_quote_voided_by_the_end_of_the_appointment_ends_nothing(
    sessions, given_appointment, published, status
) -> None:
    appointment = await given_appointment(status=status)
    fact = record(voided(appointment.id, "appointment-ended"))

    assert await deliver(fact, routes, sessions, now=NOW) == ignored("appointment-ended")
    assert await published() == []


def _story(appointment_id: UUID, *facts: Callable[[UUID], Event]) -> list[Any]:
    return [record(fact(appointment_id), sequence=each) for each, fact in enumerate(facts, 1)]


STORIES = [
    ((action, placed), Status.CONFIRMED, None),
    ((action, failed), Status.ABANDONED, None),
    ((placed, action), Status.CONFIRMED, "three-d-secure"),  # a higher price, asked for later
    ((placed, action, waived), Status.CONFIRMED, None),
    ((scheduled, action, placed), Status.CONFIRMED, None),
]


@pytest.mark.parametrize(
    ("facts", "order", "status", "asked"),
    [
        (facts, order, status, asked)
        for facts, status, asked in STORIES
        for order in permutations(range(len(facts)))
    ],
)
async def test_facts_of_payment_in_any_order_and_twice_end_alike(
    sessions, given_appointment, facts, order, status, asked
) -> None:
    appointment = await given_appointment()
    records = _story(appointment.id, *facts)

    for each in [*order, *reversed(order)]:
        outcome = await deliver(records[each], routes, sessions, now=NOW)
        assert outcome.ending is not Ending.REJECTED

    async with sessions() as session:
        stored = await session.get_one(Appointment, appointment.id)
    assert (stored.status, stored.action, stored.payment_sequence) == (status, asked, len(facts))


async def test_a_fact_about_an_appointment_that_never_was_is_rejected(sessions) -> None:
    outcome = await deliver(record(placed(uuid4())), routes, sessions, now=NOW)

    assert outcome == Outcome(Ending.REJECTED, "appointment-not-found")


def test_every_fact_of_the_others_about_an_appointment_is_read() -> None:
    topics = {topic.name for topic in topics_read_by("booking")}

    read = {event.type for event in CATALOGUE.values() if event.topic in topics}

    assert {each for each in read if routes.reads(each)} == read


@pytest.mark.parametrize("status", list(Status))
async def test_a_fact_that_only_informs_is_shown_in_every_state(sessions, given_appointment, status) -> None:
    appointment = await given_appointment(status=status)
    document = documents.IssuedV1(
        appointment_id=appointment.id,
        document_id=uuid4(),
        patient_id=appointment.patient_id,
        practitioner_id=appointment.practitioner_id,
        kind="prescription",
        folder="drugs",
    )

    outcome = await deliver(record(document, at=NOW), routes, sessions, now=NOW + timedelta(hours=1))

    assert isinstance(document, AppointmentFact)
    assert outcome == APPLIED
    async with sessions() as session:
        [row] = await session.scalars(select(HistoryRow))
    assert (row.fact, row.at, row.sequence) == ("documents.issued", NOW, None)
