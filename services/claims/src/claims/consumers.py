"""The events claims listens to, and the use case each one triggers."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from claims.usecases import ahead, balances, care, coverage, legs, practitioners, quotes, sheets
from claims.usecases.config import ClaimsConfig
from claims.usecases.early import take_early_facts
from common.events.base import Event
from common.events.booking import (
    AppointmentAbandonedV1,
    AppointmentCancelledV1,
    AppointmentConfirmedV1,
    AppointmentMovedV1,
    AppointmentRequestedV1,
    BookingFact,
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
from common.events.envelope import Meta
from common.events.payment import BalanceChargedV1, BalanceChargeFailedV1, CapturedV1, ShortV1
from common.messaging.records import APPLIED, Outcome, ignored
from common.messaging.routes import Routes
from common.web import permissions


def routes_of(config: ClaimsConfig) -> Routes:
    """What claims reads; `config` is what the use cases work with."""
    routes = Routes()

    @routes.prepares
    async def prepare(session: AsyncSession, events: Sequence[Event]) -> None:
        await ahead.prepare(session, config, events)

    @routes.concludes
    async def conclude(session: AsyncSession, now: datetime) -> None:
        await legs.open_planned(session, config, now=now)

    _read_appointments(routes, config)
    _read_ends(routes)
    _read_people(routes, config)
    _read_payments(routes, config)
    return routes


def _read_appointments(routes: Routes, config: ClaimsConfig) -> None:
    @routes.on(AppointmentRequestedV1)
    async def on_appointment_requested(
        session: AsyncSession, event: AppointmentRequestedV1, meta: Meta, now: datetime
    ) -> Outcome:
        with session.no_autoflush:  # one UPDATE of the root instead of one per query
            await permissions.learn(session, event)
            outcome = await quotes.take_request(session, config, event, meta, now=now)
        await _catch_up(routes, session, event, now)
        return outcome

    @routes.on(AppointmentConfirmedV1)
    async def on_appointment_confirmed(
        session: AsyncSession, event: AppointmentConfirmedV1, _: Meta, __: datetime
    ) -> Outcome:
        await permissions.learn(session, event)
        return ignored("changes-no-price")

    @routes.on(AppointmentMovedV1)
    async def on_appointment_moved(
        session: AsyncSession, event: AppointmentMovedV1, meta: Meta, now: datetime
    ) -> Outcome:
        await permissions.learn(session, event)
        return await quotes.take_move(session, config, event, meta, now=now)

    @routes.on(ConsultationStartedV1)
    async def on_consultation_started(
        session: AsyncSession, event: ConsultationStartedV1, meta: Meta, _: datetime
    ) -> Outcome:
        await permissions.learn(session, event)
        return await quotes.take_start(session, event, meta)

    @routes.on(ConsultationCompletedV1)
    async def on_consultation_completed(
        session: AsyncSession, event: ConsultationCompletedV1, meta: Meta, now: datetime
    ) -> Outcome:
        with session.no_autoflush:
            await permissions.learn(session, event)
            outcome = await care.take_completion(session, config, event, meta, now=now)
        if outcome is APPLIED:
            await _catch_up(routes, session, event, now)
        return outcome


def _read_ends(routes: Routes) -> None:
    async def end(session: AsyncSession, event: BookingFact, meta: Meta, now: datetime) -> Outcome:
        await permissions.learn(session, event)
        outcome = await quotes.take_end(session, event, meta, now=now)
        if outcome is APPLIED:  # what a late cancellation cost may have been captured before it was heard of
            await _catch_up(routes, session, event, now)
        return outcome

    @routes.on(AppointmentCancelledV1)
    async def on_appointment_cancelled(
        session: AsyncSession, event: AppointmentCancelledV1, meta: Meta, now: datetime
    ) -> Outcome:
        return await end(session, event, meta, now)

    @routes.on(AppointmentAbandonedV1)
    async def on_appointment_abandoned(
        session: AsyncSession, event: AppointmentAbandonedV1, meta: Meta, now: datetime
    ) -> Outcome:
        return await end(session, event, meta, now)

    @routes.on(ConsultationNotBilledV1)
    async def on_consultation_not_billed(
        session: AsyncSession, event: ConsultationNotBilledV1, meta: Meta, now: datetime
    ) -> Outcome:
        return await end(session, event, meta, now)

    @routes.on(PatientAbsentV1)
    async def on_patient_absent(
        session: AsyncSession, event: PatientAbsentV1, meta: Meta, now: datetime
    ) -> Outcome:
        return await end(session, event, meta, now)


def _read_people(routes: Routes, config: ClaimsConfig) -> None:
    async def learn(session: AsyncSession, event: Event) -> Outcome:
        await permissions.learn(session, event)
        return APPLIED

    @routes.on(PractitionerPublishedV1)
    async def on_practitioner_published(
        session: AsyncSession, event: PractitionerPublishedV1, meta: Meta, _: datetime
    ) -> Outcome:
        await practitioners.take_publication(session, event, meta)
        return await learn(session, event)

    @routes.on(PractitionerWithdrawnV1)
    async def on_practitioner_withdrawn(
        session: AsyncSession, event: PractitionerWithdrawnV1, meta: Meta, _: datetime
    ) -> Outcome:
        await practitioners.take_withdrawal(session, event, meta)
        return await learn(session, event)

    @routes.on(PatientLinkedV1)
    async def on_patient_linked(
        session: AsyncSession, event: PatientLinkedV1, _: Meta, __: datetime
    ) -> Outcome:
        return await learn(session, event)

    @routes.on(PatientUnlinkedV1)
    async def on_patient_unlinked(
        session: AsyncSession, event: PatientUnlinkedV1, _: Meta, __: datetime
    ) -> Outcome:
        return await learn(session, event)

    @routes.on(PatientErasedV1)
    async def on_patient_erased(
        session: AsyncSession, event: PatientErasedV1, _: Meta, __: datetime
    ) -> Outcome:
        await coverage.erase(session, config, event.patient_id)
        return await learn(session, event)


def _read_payments(routes: Routes, config: ClaimsConfig) -> None:
    @routes.on(CapturedV1)
    async def on_captured(session: AsyncSession, event: CapturedV1, meta: Meta, now: datetime) -> Outcome:
        return await sheets.take_capture(session, config, event, meta, now=now)

    @routes.on(ShortV1)
    async def on_short(session: AsyncSession, event: ShortV1, meta: Meta, now: datetime) -> Outcome:
        return await balances.take_short(session, config, event, meta, now=now)

    @routes.on(BalanceChargedV1)
    async def on_balance_charged(
        session: AsyncSession, event: BalanceChargedV1, meta: Meta, now: datetime
    ) -> Outcome:
        outcome = await balances.take_charge(session, event, meta, now=now)
        if outcome is APPLIED:
            await sheets.take_rest(session, config, event.appointment_id, now=now)
        return outcome

    @routes.on(BalanceChargeFailedV1)
    async def on_balance_charge_failed(
        session: AsyncSession, event: BalanceChargeFailedV1, meta: Meta, now: datetime
    ) -> Outcome:
        return await balances.take_failed_charge(session, event, meta, now=now)


async def _catch_up(routes: Routes, session: AsyncSession, event: BookingFact, now: datetime) -> None:
    """Applies the facts that waited for this one, in the order in which they happened."""
    for fact in await take_early_facts(session, event.appointment_id):
        meta, early = routes.read(Meta.model_validate(fact.headers), fact.body)
        _, handler = routes.find(meta)
        await handler(session, early, meta, now)
