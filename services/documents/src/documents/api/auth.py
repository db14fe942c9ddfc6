"""What routes need besides the common dependencies, and who may write."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from common.crypto import Keyring
from common.web.access import Access
from common.web.auth import Caller, Role, requires
from common.web.progress import Progress
from documents import store
from documents.domain.visits import DocumentStatus, Visit, may_be_written_about
from documents.storage import Storage
from documents.usecases.writing import AppointmentNotFound


async def _keyring(request: Request) -> Keyring:
    keyring: Keyring = request.app.state.keyring
    return keyring


async def _storage(request: Request) -> Storage:
    storage: Storage = request.app.state.storage
    return storage


KeyringDep = Annotated[Keyring, Depends(_keyring)]
StorageDep = Annotated[Storage, Depends(_storage)]
Practitioner = Annotated[Caller, requires(Role.PRACTITIONER)]
Pharmacist = Annotated[Caller, requires(Role.PHARMACIST)]


def rpps_of(caller: Caller) -> str:
    """Who signs. Raises AppointmentNotFound for a practitioner's token without an RPPS number."""
    if caller.rpps is None:
        raise AppointmentNotFound("no such appointment")
    return caller.rpps


async def wait_for_visit(progress: Progress, access: Access, appointment_id: UUID, *, seconds: float) -> None:
    """`Prefer: wait` of somebody who may see the appointment: until one may write about it, or it ended."""
    async with progress.sessions() as session:
        await access.permissions.may_see_appointment(session, access.caller, appointment_id)

    async def ready(session: AsyncSession) -> bool | None:
        root = await store.find_root(session, appointment_id)
        if root is None or root.profession is None:
            return None
        return True if may_be_written_about(root.visit) or root.visit is Visit.ENDED else None

    await progress.wait_until(ready, seconds, about=appointment_id)


async def wait_for_file(progress: Progress, document_id: UUID, *, seconds: float) -> None:
    """Until the document is drawn, or given up."""

    async def drawn(session: AsyncSession) -> bool | None:
        row = await store.find_document(session, document_id)
        return True if row is None or row.status is not DocumentStatus.REQUESTED else None

    await progress.wait_until(drawn, seconds, about=document_id)
