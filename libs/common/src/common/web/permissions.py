"""Who may see what: grants learnt from booking's events, and on a miss one question to booking."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Protocol
from uuid import UUID

import httpx
from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import TextClause, delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common import outages
from common.clock import wall
from common.errors import DomainError, Refusal
from common.events.base import Event
from common.events.booking import (
    BookingFact,
    PatientLinkedV1,
    PatientUnlinkedV1,
    PractitionerPublishedV1,
    PractitionerWithdrawnV1,
)
from common.transaction import notes_of
from common.web.auth import Caller, Role
from common.web.problems import Problem
from common.web.service_client import ServiceAway, ServiceClient
from common.web.tables import GrantRow, PractitionerKeyRow

_QUESTION_SECONDS: Final = 0.3
_LATER_SECONDS: Final = 1
_HIT: Final = timedelta(seconds=60)
_HITS: Final = 10_000

_log = logging.getLogger(__name__)


class NotSeen(DomainError):
    """It is not there, or not for this caller: the answer is the same."""

    code: ClassVar[str] = "not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class Permissions(Protocol):
    """`clinical`: health data beyond states and amounts, which support does not see."""

    async def may_see_patient(
        self, session: AsyncSession, caller: Caller, patient_id: UUID, *, clinical: bool = True
    ) -> None:
        """Raises NotSeen."""

    async def may_see_appointment(
        self, session: AsyncSession, caller: Caller, appointment_id: UUID, *, clinical: bool = False
    ) -> None:
        """Raises NotSeen."""


def seen_by_role(caller: Caller, *, clinical: bool) -> bool:
    """Whether the role alone is enough: another service asks for somebody it has checked itself."""
    return Role.SERVICE in caller.roles or (Role.SUPPORT in caller.roles and not clinical)


async def _permissions(request: Request) -> Permissions:
    permissions: Permissions = request.app.state.permissions
    return permissions


PermissionsDep = Annotated[Permissions, Depends(_permissions)]


# A patient's account acts for the patients it is linked to, and may follow the appointments it pays for. A
# practitioner sees the patients of their own appointments.
_PATIENT: Final = text("""
    SELECT EXISTS (
        SELECT FROM "grant" WHERE patient_id = :patient_id AND holder = :account AND appointment_id IS NULL
    ) OR EXISTS (
        SELECT FROM practitioner_key AS k
        JOIN "grant" AS g ON g.holder = 'practitioner:' || k.practitioner_id
        WHERE k.rpps = :rpps AND g.patient_id = :patient_id
    )
""")
_APPOINTMENT: Final = text("""
    SELECT EXISTS (
        SELECT FROM "grant" WHERE appointment_id = :appointment_id AND holder = :account
    ) OR EXISTS (
        SELECT FROM "grant" AS a JOIN "grant" AS p USING (patient_id)
        WHERE a.appointment_id = :appointment_id AND p.holder = :account AND p.appointment_id IS NULL
    ) OR EXISTS (
        SELECT FROM practitioner_key AS k
        JOIN "grant" AS g ON g.holder = 'practitioner:' || k.practitioner_id
        WHERE k.rpps = :rpps AND g.appointment_id = :appointment_id
    )
""")


_GRANT: Final = text("""
    INSERT INTO "grant" (holder, patient_id, appointment_id)
    SELECT holder, CAST(:patient_id AS uuid), CAST(:appointment_id AS uuid)
    FROM unnest(CAST(:holders AS text[])) AS holder
    ON CONFLICT DO NOTHING
""")


class GrantedPermissions:
    """Rights where they are learnt: the `grant` table, else booking's word, a yes kept for a minute."""

    def __init__(self, booking: ServiceClient | None, *, now: Callable[[], datetime] = wall) -> None:
        self._booking = booking
        self._now = now
        self._hits: OrderedDict[tuple[Caller, str, UUID], datetime] = OrderedDict()

    async def may_see_patient(
        self, session: AsyncSession, caller: Caller, patient_id: UUID, *, clinical: bool = True
    ) -> None:
        if seen_by_role(caller, clinical=clinical):
            return
        if not await self._may(session, caller, _PATIENT, "patient_id", patient_id):
            raise NotSeen("no such patient")

    async def may_see_appointment(
        self, session: AsyncSession, caller: Caller, appointment_id: UUID, *, clinical: bool = False
    ) -> None:
        if seen_by_role(caller, clinical=clinical):
            return
        if not await self._may(session, caller, _APPOINTMENT, "appointment_id", appointment_id):
            raise NotSeen("no such appointment")

    async def _may(
        self, session: AsyncSession, caller: Caller, query: TextClause, named: str, identifier: UUID
    ) -> bool:
        account = f"account:{caller.subject}" if Role.PATIENT in caller.roles else None
        rpps = caller.rpps if Role.PRACTITIONER in caller.roles else None
        if account is None and rpps is None:
            return False
        known = self._hits.get((caller, named, identifier))
        if known is not None and self._now() < known:
            return True
        with session.no_autoflush:
            granted = await session.scalar(query, {"account": account, "rpps": rpps, named: identifier})
        if granted:
            return True
        return await self._ask(session, caller, named, identifier)

    async def _ask(self, session: AsyncSession, caller: Caller, named: str, identifier: UUID) -> bool:
        if self._booking is None:
            return False
        notes = notes_of(session)
        if notes.idempotency_begun or session.dirty or set(session.new) - set(notes.access_rows):
            raise RuntimeError("rights are checked before anything is written or locked")
        # Gives the connection back, for booking may take its time. Not by a rollback, which would expire
        # what the caller has read; there is nothing to commit but accesses already noted.
        await session.commit()
        asked = {"subject": str(caller.subject), named: str(identifier)}
        if caller.rpps is not None and Role.PRACTITIONER in caller.roles:
            asked["rpps"] = caller.rpps
        try:
            answer = await self._booking.get(
                "/booking/v1/internal/rights", params=asked, seconds=_QUESTION_SECONDS
            )
            answer.raise_for_status()
            allowed = _Answer.model_validate_json(answer.content).allowed
        except (ServiceAway, Problem, ValidationError, httpx.HTTPStatusError) as error:
            outages.report(_log, "booking", error, "booking did not say who may see a patient")
            # nobody knows yet: the grant comes by event, or booking answers the next time
            raise NotSeen("nothing is known of it yet", retry_after=_LATER_SECONDS) from error
        if allowed:
            self._hits[caller, named, identifier] = self._now() + _HIT
            if len(self._hits) > _HITS:
                self._hits.popitem(last=False)
        return allowed


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)

    allowed: bool


async def learn(session: AsyncSession, event: Event) -> None:
    """Takes the rights out of booking's events. Every order of arrival across topics ends in the same grants.

    An unlinked account keeps the states and amounts of the appointments it pays for, and loses the patient.
    """
    match event:
        case PatientLinkedV1():
            await _grant(session, [f"account:{event.account_id}"], event.patient_id, None)
        case PatientUnlinkedV1():
            await session.execute(
                delete(GrantRow).where(
                    GrantRow.patient_id == event.patient_id,
                    GrantRow.holder == f"account:{event.account_id}",
                    GrantRow.appointment_id.is_(None),
                )
            )
        case PractitionerPublishedV1():
            row = {"practitioner_id": event.practitioner_id, "rpps": event.rpps}
            await session.execute(
                insert(PractitionerKeyRow)
                .values(row)
                .on_conflict_do_update(index_elements=["practitioner_id"], set_={"rpps": event.rpps})
            )
        case PractitionerWithdrawnV1():
            pass  # they may still open the files of those they have seen
        case BookingFact():
            holders = [f"practitioner:{event.practitioner_id}", f"account:{event.account_id}"]
            await _grant(session, holders, event.patient_id, event.appointment_id)
        case _:
            pass


async def _grant(
    session: AsyncSession, holders: Sequence[str], patient_id: UUID, appointment_id: UUID | None
) -> None:
    """One statement for all: every fact of an appointment says again who may see it."""
    named = {"holders": list(holders), "patient_id": patient_id, "appointment_id": appointment_id}
    await session.execute(_GRANT, named)
