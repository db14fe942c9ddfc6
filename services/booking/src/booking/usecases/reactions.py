"""What booking does with the facts of payment, claims and documents, in each state of an appointment."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from booking import store
from booking.domain.lifecycle import Status
from booking.models import Appointment
from booking.usecases.appointments import abandon, confirm
from common.events.base import AppointmentFact
from common.events.booking import AbandonReason
from common.events.claims import QuoteVoidedV1
from common.events.envelope import Meta
from common.events.payment import (
    HoldActionRequiredV1,
    HoldFailedV1,
    HoldPlacedV1,
    HoldScheduledV1,
    HoldWaivedV1,
)
from common.messaging import history
from common.messaging.records import APPLIED, Outcome, ignored

_WHY_FAILED: Final[Mapping[str, AbandonReason]] = {
    "declined": "hold-failed",
    "provider-refused": "hold-failed",
    "action-refused": "action-refused",
    "action-expired": "action-refused",
    "decide-by-passed": "decide-by-passed",
}


async def take_note(session: AsyncSession, event: AppointmentFact, *, meta: Meta) -> Outcome:
    """A fact that changes nothing here: the progress of the appointment shows it."""
    await _learn(session, event, meta)
    return APPLIED


async def take_hold(
    session: AsyncSession,
    event: HoldPlacedV1 | HoldWaivedV1 | HoldScheduledV1,
    *,
    meta: Meta,
    now: datetime,
) -> Outcome:
    """Money is settled as far as it can be before the visit: the request becomes an appointment."""
    appointment = await _learn(session, event, meta)
    if event.schedule_no != appointment.schedule_no:
        return ignored("older-schedule")
    _ask(appointment, None, meta)
    match appointment.status:
        case Status.REQUESTED if now >= appointment.decide_by:
            # Too late, as the timer would have said; payment voids what no confirmation follows.
            await abandon(session, appointment, "decide-by-passed", now=now)
            return APPLIED
        case Status.REQUESTED:
            await confirm(session, appointment, now=now)
            return APPLIED
        case Status.CONFIRMED:
            return ignored("already-confirmed")  # a second hold, for a higher price
        case Status.STARTED | Status.COMPLETED:
            return ignored("consultation-started")
        case Status.CANCELLED | Status.ABANDONED | Status.NOT_BILLED | Status.PATIENT_ABSENT:
            return ignored("appointment-ended")  # while the hold was on its way; payment voids it


async def take_failed_hold(
    session: AsyncSession, event: HoldFailedV1, *, meta: Meta, now: datetime
) -> Outcome:
    """Payment gave up for good: nobody comes to a consultation that is not settled."""
    appointment = await _learn(session, event, meta)
    if event.schedule_no != appointment.schedule_no:
        return ignored("older-schedule")
    _ask(appointment, None, meta)
    match appointment.status:
        case Status.REQUESTED | Status.CONFIRMED:
            await abandon(session, appointment, _WHY_FAILED[event.reason], now=now)
            return APPLIED
        case Status.STARTED | Status.COMPLETED:
            return ignored("consultation-started")  # it takes place, and what is missing is a receivable
        case Status.CANCELLED | Status.ABANDONED | Status.NOT_BILLED | Status.PATIENT_ABSENT:
            return ignored("appointment-ended")


async def take_required_action(session: AsyncSession, event: HoldActionRequiredV1, *, meta: Meta) -> Outcome:
    """Shown to the patient until a newer fact of payment says otherwise."""
    appointment = await _learn(session, event, meta)
    if event.schedule_no != appointment.schedule_no:
        return ignored("older-schedule")
    newest = _ask(appointment, event, meta)
    match appointment.status:
        case Status.REQUESTED | Status.CONFIRMED:
            return APPLIED if newest else ignored("newer-fact-known")
        case Status.STARTED | Status.COMPLETED:
            return ignored("consultation-started")
        case Status.CANCELLED | Status.ABANDONED | Status.NOT_BILLED | Status.PATIENT_ABSENT:
            return ignored("appointment-ended")


async def take_voided_quote(
    session: AsyncSession, event: QuoteVoidedV1, *, meta: Meta, now: datetime
) -> Outcome:
    """Without a price nothing can be confirmed. That an appointment ended is known here already."""
    appointment = await _learn(session, event, meta)
    if event.reason == "appointment-ended":
        return ignored("appointment-ended")
    match appointment.status:
        case Status.REQUESTED:
            await abandon(session, appointment, "price-refused", now=now)
            return APPLIED
        case Status.CONFIRMED:
            return ignored("already-confirmed")  # the earlier price stands
        case Status.STARTED | Status.COMPLETED:
            return ignored("consultation-started")
        case Status.CANCELLED | Status.ABANDONED | Status.NOT_BILLED | Status.PATIENT_ABSENT:
            return ignored("appointment-ended")


async def prepare(session: AsyncSession, appointment_ids: Sequence[UUID]) -> None:
    """Locks what a batch of facts is about, before the first of them is applied."""
    await store.lock_appointments(session, appointment_ids)


async def _learn(session: AsyncSession, event: AppointmentFact, meta: Meta) -> Appointment:
    appointment = await store.lock_appointment(session, event.appointment_id)
    history.note(session, appointment.id, event.type, at=meta.time)
    return appointment


def _ask(appointment: Appointment, event: HoldActionRequiredV1 | None, meta: Meta) -> bool:
    """Payment's newest fact by its sequence decides what is asked of the patient, in any order of arrival."""
    if meta.sequence <= appointment.payment_sequence:
        return False
    appointment.payment_sequence = meta.sequence
    appointment.action = event.action if event else None
    appointment.action_expires_at = event.expires_at if event else None
    return True
