"""Events into use cases, nothing else."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from common import vault
from common.events.base import AppointmentFact, Event
from common.events.booking import (
    AppointmentAbandonedV1,
    AppointmentCancelledV1,
    AppointmentConfirmedV1,
    AppointmentMovedV1,
    AppointmentRequestedV1,
    ConsultationCompletedV1,
    ConsultationNotBilledV1,
    ConsultationStartedV1,
    PatientAbsentV1,
    PatientErasedV1,
    PatientLinkedV1,
    PatientUnlinkedV1,
    PractitionerPublishedV1,
    PractitionerWithdrawnV1,
)
from common.events.claims import CarePricedV1
from common.events.envelope import Meta
from common.events.payment import CapturedV1, ShortV1
from common.messaging.records import APPLIED, Outcome
from common.messaging.routes import Routes
from common.money import Cents
from common.web import permissions
from documents import store
from documents.domain.visits import Visit
from documents.usecases import visits

routes = Routes()


@routes.prepares
async def lock_roots(session: AsyncSession, events: Sequence[Event]) -> None:
    """Those of a batch in one statement and one order: the handlers find them locked."""
    told = [event for event in events if isinstance(event, AppointmentFact)]
    await store.lock_roots(session, [event.appointment_id for event in told])


@routes.on(AppointmentRequestedV1)
async def on_requested(
    session: AsyncSession, event: AppointmentRequestedV1, meta: Meta, now: datetime
) -> Outcome:
    await permissions.learn(session, event)
    return await visits.hear_of_visit(
        session, event, meta, reached=Visit.EXPECTED, profession=event.profession, now=now
    )


@routes.on(AppointmentConfirmedV1)
async def on_confirmed(
    session: AsyncSession, event: AppointmentConfirmedV1, meta: Meta, now: datetime
) -> Outcome:
    await permissions.learn(session, event)
    return await visits.hear_of_visit(session, event, meta, reached=Visit.EXPECTED, now=now)


@routes.on(AppointmentMovedV1)
async def on_moved(session: AsyncSession, event: AppointmentMovedV1, meta: Meta, now: datetime) -> Outcome:
    await permissions.learn(session, event)
    return await visits.hear_of_visit(session, event, meta, reached=Visit.EXPECTED, now=now)


@routes.on(ConsultationStartedV1)
async def on_started(
    session: AsyncSession, event: ConsultationStartedV1, meta: Meta, now: datetime
) -> Outcome:
    await permissions.learn(session, event)
    return await visits.hear_of_visit(session, event, meta, reached=Visit.STARTED, now=now)


@routes.on(ConsultationCompletedV1)
async def on_completed(
    session: AsyncSession, event: ConsultationCompletedV1, meta: Meta, now: datetime
) -> Outcome:
    await permissions.learn(session, event)
    return await visits.hear_of_visit(
        session, event, meta, reached=Visit.COMPLETED, profession=event.profession, now=now
    )


@routes.on(AppointmentAbandonedV1)
async def on_abandoned(
    session: AsyncSession, event: AppointmentAbandonedV1, meta: Meta, now: datetime
) -> Outcome:
    await permissions.learn(session, event)
    return await visits.hear_of_visit(session, event, meta, reached=Visit.ENDED, now=now)


@routes.on(AppointmentCancelledV1)
async def on_cancelled(
    session: AsyncSession, event: AppointmentCancelledV1, meta: Meta, now: datetime
) -> Outcome:
    await permissions.learn(session, event)
    return await visits.hear_of_visit(session, event, meta, reached=Visit.ENDED, now=now)


@routes.on(ConsultationNotBilledV1)
async def on_not_billed(
    session: AsyncSession, event: ConsultationNotBilledV1, meta: Meta, now: datetime
) -> Outcome:
    await permissions.learn(session, event)
    return await visits.hear_of_visit(session, event, meta, reached=Visit.ENDED, now=now)


@routes.on(PatientAbsentV1)
async def on_patient_absent(
    session: AsyncSession, event: PatientAbsentV1, meta: Meta, now: datetime
) -> Outcome:
    await permissions.learn(session, event)
    return await visits.hear_of_visit(session, event, meta, reached=Visit.ENDED, now=now)


@routes.on(CarePricedV1)
async def on_care_priced(session: AsyncSession, event: CarePricedV1, meta: Meta, now: datetime) -> Outcome:
    return await visits.take_price(session, event, meta, now=now)


@routes.on(CapturedV1)
async def on_captured(session: AsyncSession, event: CapturedV1, meta: Meta, now: datetime) -> Outcome:
    paid = event.captured_cents if event.total_captured_cents is None else event.total_captured_cents
    return await visits.take_payment(session, event, meta, paid_cents=paid, now=now)


@routes.on(ShortV1)
async def on_short(session: AsyncSession, event: ShortV1, meta: Meta, now: datetime) -> Outcome:
    return await visits.take_payment(session, event, meta, paid_cents=Cents(event.captured_cents), now=now)


@routes.on(PatientLinkedV1)
async def on_linked(session: AsyncSession, event: PatientLinkedV1, _: Meta, __: datetime) -> Outcome:
    await permissions.learn(session, event)
    return APPLIED


@routes.on(PatientUnlinkedV1)
async def on_unlinked(session: AsyncSession, event: PatientUnlinkedV1, _: Meta, __: datetime) -> Outcome:
    await permissions.learn(session, event)
    return APPLIED


@routes.on(PatientErasedV1)
async def on_erased(session: AsyncSession, event: PatientErasedV1, _: Meta, now: datetime) -> Outcome:
    await vault.destroy(session, event.patient_id)
    return await visits.erase_patient(session, event.patient_id, now=now)


@routes.on(PractitionerPublishedV1)
async def on_practitioner_published(
    session: AsyncSession, event: PractitionerPublishedV1, _: Meta, __: datetime
) -> Outcome:
    await permissions.learn(session, event)
    return APPLIED


@routes.on(PractitionerWithdrawnV1)
async def on_practitioner_withdrawn(
    session: AsyncSession, event: PractitionerWithdrawnV1, _: Meta, __: datetime
) -> Outcome:
    await permissions.learn(session, event)
    return APPLIED
