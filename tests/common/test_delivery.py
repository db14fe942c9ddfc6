from dataclasses import replace
from typing import ClassVar
from uuid import uuid4

from sqlalchemy import select

from common.errors import DomainError, Refusal
from common.events.payment import HoldWaivedV1
from common.messaging import tasks
from common.messaging.delivery import deliver
from common.messaging.records import APPLIED, Ending, Outcome, ignored
from common.messaging.routes import Routes
from common.messaging.tables import DeadLetterRow
from support.records import NOW, record

EVENT = HoldWaivedV1(appointment_id=uuid4(), revision=1, schedule_no=1)

routes = Routes()
conflicting = Routes()


class MovedOn(DomainError):
    code: ClassVar[str] = "moved-on"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


@routes.on(HoldWaivedV1)
async def apply(*_: object) -> Outcome:
    return APPLIED


@conflicting.on(HoldWaivedV1)
async def refuse(session, *_: object) -> Outcome:
    tasks.add(session, "rolled-back", "k", due_at=NOW)
    raise MovedOn


async def test_a_conflict_is_a_state_that_moved_on(sessions, left_behind) -> None:
    assert await deliver(record(EVENT), conflicting, sessions, now=NOW) == ignored("moved-on")
    assert await left_behind() == [1, 0, 0]


async def test_garbage_is_a_dead_letter_once_and_its_key_queues_behind_it(sessions) -> None:
    garbage, behind = replace(record(EVENT), body=b"{}"), record(EVENT, sequence=2)
    other = record(HoldWaivedV1(appointment_id=uuid4(), revision=1, schedule_no=1))

    outcomes = [await deliver(r, routes, sessions, now=NOW) for r in (garbage, garbage, behind, other)]

    endings = [Ending.REJECTED, Ending.DUPLICATE, Ending.PARKED, Ending.APPLIED]
    assert [outcome.ending for outcome in outcomes] == endings
    async with sessions() as session:
        letters = await session.scalars(select(DeadLetterRow).order_by(DeadLetterRow.id))
    assert [(letter.reason, letter.body) for letter in letters] == [
        ("body-unreadable", b"{}"),
        ("parked", behind.body),
    ]


async def test_a_type_nobody_here_reads_is_marked_and_passes_by(sessions, left_behind) -> None:
    assert await deliver(record(EVENT), Routes(), sessions, now=NOW) == ignored("type-not-read")
    assert await left_behind() == [1, 0, 0]


async def test_a_hole_is_reported(sessions, caplog) -> None:
    assert await deliver(record(EVENT, sequence=2), routes, sessions, now=NOW) == APPLIED
    assert "an event before sequence 2 of payment.appointment is missing" in caplog.text
    assert str(EVENT.appointment_id) not in caplog.text, "a key may be the id of a patient"
