"""The events payment listens to, and the use case each one triggers."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from common.events.base import AppointmentFact, Event
from common.events.booking import (
    AppointmentAbandonedV1,
    AppointmentCancelledV1,
    AppointmentConfirmedV1,
    AppointmentMovedV1,
    AppointmentRequestedV1,
    ConsultationNotBilledV1,
    PatientAbsentV1,
    PatientErasedV1,
    PatientLinkedV1,
    PatientUnlinkedV1,
)
from common.events.claims import BalanceOpenedV1, BalanceSettledV1, CarePricedV1, QuoteIssuedV1
from common.events.envelope import Meta
from common.messaging.records import APPLIED, Outcome
from common.messaging.routes import Routes
from payment import store
from payment.models import End
from payment.usecases import balances, cards, facts

routes = Routes()


@routes.prepares
async def lock_roots(session: AsyncSession, events: Sequence[Event]) -> None:
    """Those of a batch in one statement and one order: the handlers find them locked."""
    told = [event for event in events if isinstance(event, AppointmentFact)]
    await store.lock_roots(session, [event.appointment_id for event in told])


@routes.on(QuoteIssuedV1)
async def on_quote_issued(session: AsyncSession, event: QuoteIssuedV1, _: Meta, now: datetime) -> Outcome:
    return await facts.take_quote(session, event, now=now)


@routes.on(CarePricedV1)
async def on_care_priced(session: AsyncSession, event: CarePricedV1, meta: Meta, now: datetime) -> Outcome:
    return await facts.take_price(session, event, at=meta.time, now=now)


@routes.on(BalanceOpenedV1)
async def on_balance_opened(session: AsyncSession, event: BalanceOpenedV1, _: Meta, now: datetime) -> Outcome:
    return await balances.open_balance(session, event, now=now)


@routes.on(BalanceSettledV1)
async def on_balance_settled(
    session: AsyncSession, event: BalanceSettledV1, _: Meta, now: datetime
) -> Outcome:
    return await balances.settle_balance(session, event, now=now)


@routes.on(AppointmentRequestedV1)
async def on_appointment_requested(
    session: AsyncSession, event: AppointmentRequestedV1, _: Meta, now: datetime
) -> Outcome:
    return await facts.take_request(session, event, now=now)


@routes.on(AppointmentMovedV1)
async def on_appointment_moved(
    session: AsyncSession, event: AppointmentMovedV1, _: Meta, now: datetime
) -> Outcome:
    return await facts.take_move(session, event, now=now)


@routes.on(AppointmentConfirmedV1)
async def on_appointment_confirmed(
    session: AsyncSession, event: AppointmentConfirmedV1, meta: Meta, now: datetime
) -> Outcome:
    return await facts.take_confirmation(session, event, at=meta.time, now=now)


@routes.on(AppointmentCancelledV1)
async def on_appointment_cancelled(
    session: AsyncSession, event: AppointmentCancelledV1, meta: Meta, now: datetime
) -> Outcome:
    return await facts.take_end(session, event, End.CANCELLED, at=meta.time, now=now)


@routes.on(AppointmentAbandonedV1)
async def on_appointment_abandoned(
    session: AsyncSession, event: AppointmentAbandonedV1, meta: Meta, now: datetime
) -> Outcome:
    return await facts.take_end(session, event, End.ABANDONED, at=meta.time, now=now)


@routes.on(ConsultationNotBilledV1)
async def on_consultation_not_billed(
    session: AsyncSession, event: ConsultationNotBilledV1, meta: Meta, now: datetime
) -> Outcome:
    return await facts.take_end(session, event, End.NOT_BILLED, at=meta.time, now=now)


@routes.on(PatientAbsentV1)
async def on_patient_absent(
    session: AsyncSession, event: PatientAbsentV1, meta: Meta, now: datetime
) -> Outcome:
    return await facts.take_end(session, event, End.PATIENT_ABSENT, at=meta.time, now=now)


@routes.on(PatientLinkedV1)
async def on_patient_linked(session: AsyncSession, event: PatientLinkedV1, _: Meta, __: datetime) -> Outcome:
    await store.link_account(session, event.account_id, event.patient_id)
    return APPLIED


@routes.on(PatientUnlinkedV1)
async def on_patient_unlinked(
    session: AsyncSession, event: PatientUnlinkedV1, _: Meta, __: datetime
) -> Outcome:
    await store.unlink_account(session, event.account_id, event.patient_id)
    return APPLIED


@routes.on(PatientErasedV1)
async def on_patient_erased(session: AsyncSession, event: PatientErasedV1, _: Meta, now: datetime) -> Outcome:
    await cards.erase_accounts_of(session, event.patient_id, now=now)
    return APPLIED
