"""What is read together: an appointment with its progress, and who meets whom."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from booking import store
from booking.domain.ages import LEGAL_ZONE
from booking.domain.cancellation import Party
from booking.domain.identity import Identity
from booking.domain.lifecycle import FINAL, Status
from booking.domain.reasons import REASONS, Reason
from booking.models import Appointment, Patient, Practitioner
from booking.usecases.patients import identity_of
from booking.usecases.requests import REASON
from common import vault
from common.crypto import Keyring
from common.messaging import history
from common.messaging.tables import HistoryRow
from common.web.auth import Caller

_FACTS_FOLLOW_FOR: Final = timedelta(hours=1)


class AppointmentView(NamedTuple):
    appointment: Appointment
    facts: Sequence[HistoryRow]
    reason_code: str | None


class VisitParticipants(NamedTuple):
    appointment: Appointment
    practitioner: Practitioner
    patient: Identity
    reason: Reason | None


async def find_view(
    session: AsyncSession, keyring: Keyring, appointment_id: UUID, *, caller: Caller
) -> AppointmentView | None:
    """None: not there, or not for this caller. Support sees no reason."""
    seen = await store.find_seen(session, appointment_id, caller=caller)
    if seen is None:
        return None
    clinical = seen.party is not Party.PLATFORM
    code = await _reason_code(session, keyring, seen.appointment) if clinical else None
    facts = await store.list_history(session, [appointment_id])
    return AppointmentView(seen.appointment, facts[appointment_id], code)


async def has_all_facts(
    session: AsyncSession, appointment_id: UUID, *, last_fact_id: int, now: datetime
) -> bool:
    """True when a client that has this fact has them all: there was no visit, and that is an hour ago.

    Payment tells what it releases or charges within minutes of the end.
    """
    appointment = await store.find_appointment(session, appointment_id)
    if appointment is None or appointment.status not in FINAL - {Status.COMPLETED}:
        return False
    if appointment.ended_at is None or now - appointment.ended_at < _FACTS_FOLLOW_FOR:
        return False
    return not await history.after(session, appointment_id, last_fact_id, 1)


async def is_settled(session: AsyncSession, appointment_id: UUID) -> bool | None:
    """True once the request is decided or waits for the patient; None before."""
    appointment = await store.find_appointment(session, appointment_id)
    waits = appointment is not None and appointment.status is Status.REQUESTED and not appointment.action
    return None if waits else True


async def participants(
    session: AsyncSession, keyring: Keyring, appointment: Appointment, *, now: datetime
) -> VisitParticipants:
    """The caller has written the access log. Raises PatientNotFound after an erasure."""
    patient: Patient = await store.get_patient_of(session, appointment)
    identity = await identity_of(session, keyring, patient)
    practitioner = await store.get_practitioner_of(session, appointment)
    code = await _reason_code(session, keyring, appointment)
    known = {row.code: row for row in REASONS.valid(now.astimezone(LEGAL_ZONE).date())}
    return VisitParticipants(appointment, practitioner, identity, known.get(code or ""))


async def _reason_code(session: AsyncSession, keyring: Keyring, appointment: Appointment) -> str | None:
    if appointment.reason is None:
        return None
    return await vault.decrypt(session, keyring, appointment.patient_id, appointment.reason, field=REASON)
