"""What writing an event leaves in the transaction beside the outbox row."""

from collections.abc import Collection
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Mapped

from common.events.booking import PatientErasedV1
from common.events.payment import HoldWaivedV1
from common.messaging import history, outbox
from common.messaging.tables import HistoryRow, OutboxRow, RootRow
from common.transaction import Cause, notes_of
from support.records import NOW


class Woken:
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.ids: list[UUID] = []

    def set(self, kind: str) -> None:
        self.kinds.append(kind)

    def changed(self, ids: Collection[UUID]) -> None:
        self.ids.extend(ids)


@pytest.fixture
def wake() -> Woken:
    return Woken()


class Root(RootRow):
    id: Mapped[UUID]

    def __init__(self, root_id: UUID, version: int = 0) -> None:
        self.id = root_id
        self.version = version


async def test_an_appointments_events_are_numbered_and_become_its_history(sessions) -> None:
    root, cause = Root(uuid4(), 4), Cause(uuid4(), uuid4())
    async with sessions.begin() as session:
        notes_of(session).cause = cause
        for revision in (1, 2):
            event = HoldWaivedV1(appointment_id=root.id, revision=revision, schedule_no=1)
            outbox.add(session, root, event, now=NOW)

    assert root.version == 6
    async with sessions() as session:
        rows = (await session.scalars(select(OutboxRow).order_by(OutboxRow.id))).all()
        facts = await history.after(session, root.id, 0, 10)
    assert [(row.sequence, row.headers["ce_causationid"]) for row in rows] == [
        (5, str(cause.causation_id)),
        (6, str(cause.causation_id)),
    ]
    assert [(fact.sequence, fact.fact, fact.cause, fact.at) for fact in facts] == [
        (5, "payment.hold-waived", str(cause.causation_id), NOW),
        (6, "payment.hold-waived", str(cause.causation_id), NOW),
    ]


async def test_an_event_that_is_not_about_an_appointment_has_no_history(sessions) -> None:
    root = Root(uuid4())
    async with sessions.begin() as session:
        outbox.add(session, root, PatientErasedV1(patient_id=root.id), now=NOW)

    async with sessions() as session:
        assert (await session.scalars(select(HistoryRow))).all() == []
        assert (await session.scalars(select(OutboxRow.sequence))).all() == [1]


async def test_the_history_goes_on_after_the_last_id_a_reader_saw(sessions) -> None:
    appointment_id, cause = uuid4(), Cause(uuid4(), uuid4())
    async with sessions.begin() as session:
        history.note(session, appointment_id, "booking.appointment-moved", at=NOW)
        history.note(session, uuid4(), "booking.appointment-moved", at=NOW)
        notes_of(session).cause = cause
        history.note(session, appointment_id, "claims.quote-issued", at=NOW)

    async with sessions() as session:
        [first] = await history.after(session, appointment_id, 0, 1)
        rest = await history.after(session, appointment_id, first.id, 10)
    assert (first.fact, first.sequence, first.cause) == ("booking.appointment-moved", None, None)
    assert [(each.fact, each.cause) for each in rest] == [("claims.quote-issued", str(cause.causation_id))]


async def test_a_commit_wakes_the_relay_and_a_rollback_does_not(pool, wake) -> None:
    root = Root(uuid4())
    event = HoldWaivedV1(appointment_id=root.id, revision=1, schedule_no=1)
    async with pool() as session:
        outbox.add(session, root, event, now=NOW)
        await session.rollback()
        assert wake.kinds == []

    async with pool.begin() as session:
        outbox.add(session, Root(root.id), event, now=NOW)

    assert wake.kinds == ["outbox"]
