"""The log of every access to a patient's health data, which the patient can read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from common.clock import Clock
from common.db import Sessions
from common.transaction import notes_of
from common.web import pages
from common.web.auth import Caller, CallerDep
from common.web.deps import Cursor, CursorKey, Limit, Reading
from common.web.permissions import NotSeen, Permissions, PermissionsDep
from common.web.schemas import Out
from common.web.tables import AccessLogRow


def record(
    session: AsyncSession,
    *,
    caller: Caller,
    patient_id: UUID,
    what: str,
    purpose: str,
    allowed: bool,
    now: datetime,
) -> None:
    """Adds a row to the caller's transaction. `what` and `purpose` are coded words."""
    notes = notes_of(session)
    if notes.read_only:
        raise RuntimeError("an access is written down in a Transaction, Reading never commits")
    row = AccessLogRow(
        at=now,
        patient_id=patient_id,
        subject=caller.subject,
        client=caller.client,
        role=",".join(sorted(caller.roles)),
        what=what,
        purpose=purpose,
        allowed=allowed,
    )
    session.add(row)
    notes.access_rows.append(row)


@dataclass(frozen=True, slots=True)
class Access:
    """Checks a right and writes it down: granted in the transaction that reads, refused in one of its own."""

    caller: Caller
    permissions: Permissions
    sessions: Sessions
    clock: Clock

    async def patient(
        self, session: AsyncSession, patient_id: UUID, *, what: str, purpose: str, clinical: bool = True
    ) -> None:
        """Raises NotSeen. To be called before anything is written."""
        try:
            await self.permissions.may_see_patient(session, self.caller, patient_id, clinical=clinical)
        except NotSeen:
            await self._refused(session, patient_id, what, purpose)
            raise
        self._record(session, patient_id, what, purpose, allowed=True)

    async def appointment(
        self,
        session: AsyncSession,
        appointment_id: UUID,
        *,
        patient_id: UUID | None,
        what: str,
        purpose: str,
        clinical: bool = False,
    ) -> None:
        """As `patient`. Without a `patient_id` (nothing is known here yet) nobody's log can be written."""
        try:
            await self.permissions.may_see_appointment(
                session, self.caller, appointment_id, clinical=clinical
            )
        except NotSeen:
            if patient_id is not None:
                await self._refused(session, patient_id, what, purpose)
            raise
        if patient_id is not None:
            self._record(session, patient_id, what, purpose, allowed=True)

    async def _refused(self, session: AsyncSession, patient_id: UUID, what: str, purpose: str) -> None:
        await session.rollback()  # gives the connection back before another one is taken
        notes = notes_of(session)
        earlier, notes.access_rows = notes.access_rows, []
        async with self.sessions.begin() as second:
            second.add_all(earlier)
            self._record(second, patient_id, what, purpose, allowed=False)

    def _record(
        self, session: AsyncSession, patient_id: UUID, what: str, purpose: str, *, allowed: bool
    ) -> None:
        record(
            session,
            caller=self.caller,
            patient_id=patient_id,
            what=what,
            purpose=purpose,
            allowed=allowed,
            now=self.clock.now(),
        )


async def _access(request: Request, caller: CallerDep, permissions: PermissionsDep) -> Access:
    state = request.app.state
    return Access(caller, permissions, state.sessions, state.clock)


AccessDep = Annotated[Access, Depends(_access)]


class AccessRead(Out):
    at: datetime
    subject: UUID
    client: str | None
    role: str
    what: str
    purpose: str
    allowed: bool

    @classmethod
    def of(cls, row: AccessLogRow) -> "AccessRead":
        return cls(
            at=row.at,
            subject=row.subject,
            client=row.client,
            role=row.role,
            what=row.what,
            purpose=row.purpose,
            allowed=row.allowed,
        )


class AccessPage(Out):
    items: list[AccessRead]
    next_cursor: str | None


def routes(service: str) -> APIRouter:
    """`GET /{service}/v1/patients/{patient_id}/access-log`, newest first, for whoever may see the patient."""
    router = APIRouter(prefix=f"/{service}/v1/patients", tags=["access log"])

    @router.get("/{patient_id}/access-log", operation_id=f"list_{service}_accesses")
    async def list_accesses(
        patient_id: UUID,
        caller: CallerDep,
        permissions: PermissionsDep,
        session: Reading,
        cursor: Cursor,
        limit: Limit,
        key: CursorKey,
    ) -> AccessPage:
        """Who read what about the patient, and who was refused; newest first."""
        await permissions.may_see_patient(session, caller, patient_id)
        rows = await _page(session, patient_id, before=int(cursor[0]) if cursor else None, limit=limit + 1)
        more = len(rows) > limit
        return AccessPage(
            items=[AccessRead.of(row) for row in rows[:limit]],
            next_cursor=pages.encode([str(rows[limit - 1].id)], key=key) if more else None,
        )

    return router


async def _page(
    session: AsyncSession, patient_id: UUID, *, before: int | None, limit: int
) -> Sequence[AccessLogRow]:
    query = select(AccessLogRow).where(AccessLogRow.patient_id == patient_id)
    if before is not None:
        query = query.where(AccessLogRow.id < before)
    return (await session.scalars(query.order_by(AccessLogRow.id.desc()).limit(limit))).all()
