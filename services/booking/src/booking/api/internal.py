"""What other services ask: rights they have not learnt yet, and who meets whom."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from booking import store
from booking.api.auth import KeyringDep, ServiceCaller
from booking.api.schemas import AppointmentIdentity, RightsAnswer
from booking.usecases import reading
from common.web.access import AccessDep
from common.web.deps import Now, Reading, Transaction
from common.web.permissions import NotSeen
from common.web.problems import responses

router = APIRouter(prefix="/booking/v1/internal", tags=["internal"])

Purpose = Annotated[str, Query(pattern=r"^[a-z]+(-[a-z]+)*$", max_length=40)]


@router.get("/rights")
async def read_rights(
    _: ServiceCaller,
    session: Reading,
    subject: Annotated[UUID, Query()],
    rpps: Annotated[str | None, Query(pattern=r"^[0-9]{11}$")] = None,
    patient_id: Annotated[UUID | None, Query()] = None,
    appointment_id: Annotated[UUID | None, Query()] = None,
) -> RightsAnswer:
    """Whether this account or practitioner may see what is named: the patient, the appointment, or both."""
    allowed = patient_id is not None or appointment_id is not None
    if patient_id is not None:
        allowed = await store.knows_patient(session, subject=subject, rpps=rpps, patient_id=patient_id)
    if allowed and appointment_id is not None:
        allowed = await store.knows_appointment(
            session, subject=subject, rpps=rpps, appointment_id=appointment_id
        )
    return RightsAnswer(allowed=allowed)


@router.get("/appointments/{appointment_id}/identity", responses=responses(404))
async def read_appointment_identity(
    appointment_id: UUID,
    purpose: Purpose,
    _: ServiceCaller,
    may: AccessDep,
    keyring: KeyringDep,
    transaction: Transaction,
    now: Now,
) -> AppointmentIdentity:
    """Who meets whom, for what is printed about it. The purpose goes to the access log."""
    found = await store.find_appointment(transaction, appointment_id)
    if found is None:
        raise NotSeen("no such appointment")
    await may.appointment(
        transaction, appointment_id, patient_id=found.patient_id, what="identity", purpose=purpose
    )
    return AppointmentIdentity.of(*await reading.participants(transaction, keyring, found, now=now))
