"""Visits that stand in the way of an agenda: booked at a time that it does not have open any more."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from booking import store
from booking.domain import agenda
from booking.domain.cancellation import Party
from booking.domain.lifecycle import Status
from booking.models import Appointment, Practitioner
from booking.usecases.appointments import cancel_locked
from booking.usecases.practitioners import agenda_of
from common.events.booking import CancelReason


async def list_conflicts(
    session: AsyncSession, practitioner: Practitioner, *, now: datetime
) -> list[Appointment]:
    """The visits to come, soonest first, that the agenda does not have open; all, of a practitioner who left.

    Nothing happens to them by itself.
    """
    visits = await store.list_visits_to_come(session, practitioner.id, now=now)
    if practitioner.withdrawn_at is not None:
        return list(visits)
    rules, exceptions = await agenda_of(session, practitioner.id)
    times = [(each.starts_at, each.ends_at) for each in visits]
    open_ = agenda.are_open(rules, exceptions, times, zone=ZoneInfo(practitioner.time_zone))
    return [visit for visit, is_open in zip(visits, open_, strict=True) if not is_open]


async def cancel_visits(
    session: AsyncSession,
    practitioner: Practitioner,
    appointment_ids: Sequence[UUID],
    *,
    reason: CancelReason,
    party: Party,
    now: datetime,
) -> list[Appointment]:
    """Cancels these visits of the practitioner, all or none; what is cancelled already stays as it is.

    `party` is who cancels: the practitioner, or the platform. Patients pay nothing.
    Raises AppointmentNotFound when one is not of this practitioner, MoveRefused when one has started or ended
    otherwise.
    """
    await store.lock_appointments(session, appointment_ids)
    found = []
    for appointment_id in dict.fromkeys(appointment_ids):
        visit = await store.lock_appointment(session, appointment_id)
        if visit.practitioner_id != practitioner.id:
            raise store.AppointmentNotFound("no such appointment")
        if visit.status is not Status.CANCELLED:
            await cancel_locked(session, visit, party, reason=reason, now=now)
        found.append(visit)
    return found
