"""Who may call what, and the rights that booking knows from its own tables."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from booking import store
from booking.api.backlog import Backlog
from booking.usecases.requests import RequestResources
from common.crypto import Keyring
from common.web.auth import Caller, Role, requires
from common.web.permissions import NotSeen, seen_by_role
from common.web.problems import Problem

PatientCaller = Annotated[Caller, requires(Role.PATIENT)]
PractitionerCaller = Annotated[Caller, requires(Role.PRACTITIONER)]
AdministratorCaller = Annotated[Caller, requires(Role.ADMINISTRATOR)]
AgendaCaller = Annotated[Caller, requires(Role.ADMINISTRATOR, Role.PRACTITIONER)]
PersonCaller = Annotated[Caller, requires(Role.PATIENT, Role.PRACTITIONER, Role.SUPPORT)]
ReaderCaller = Annotated[Caller, requires(Role.PATIENT, Role.PRACTITIONER, Role.SUPPORT, Role.SERVICE)]
ServiceCaller = Annotated[Caller, requires(Role.SERVICE)]


class OwnPermissions:
    """The rights every other service learns from booking's events or asks booking for."""

    async def may_see_patient(
        self, session: AsyncSession, caller: Caller, patient_id: UUID, *, clinical: bool = True
    ) -> None:
        if seen_by_role(caller, clinical=clinical):
            return
        subject, rpps = _holder(caller)
        if not await store.knows_patient(session, subject=subject, rpps=rpps, patient_id=patient_id):
            raise NotSeen("no such patient")

    async def may_see_appointment(
        self, session: AsyncSession, caller: Caller, appointment_id: UUID, *, clinical: bool = False
    ) -> None:
        if seen_by_role(caller, clinical=clinical):
            return
        subject, rpps = _holder(caller)
        if not await store.knows_appointment(
            session, subject=subject, rpps=rpps, appointment_id=appointment_id
        ):
            raise NotSeen("no such appointment")


def _holder(caller: Caller) -> tuple[UUID | None, str | None]:
    return (
        caller.subject if Role.PATIENT in caller.roles else None,
        caller.rpps if Role.PRACTITIONER in caller.roles else None,
    )


async def _keyring(request: Request) -> Keyring:
    resources: RequestResources = request.app.state.resources
    return resources.keyring


async def _resources(request: Request) -> RequestResources:
    backlog: Backlog = request.app.state.backlog
    if backlog.full:
        raise Problem(
            503, "bookings-paused", "Try again in a moment; nothing was booked.", headers={"Retry-After": "5"}
        )
    resources: RequestResources = request.app.state.resources
    return resources


KeyringDep = Annotated[Keyring, Depends(_keyring)]
ResourcesDep = Annotated[RequestResources, Depends(_resources)]
