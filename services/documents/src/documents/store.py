"""Every query of documents by name, with its lock."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from common.messaging import roots
from common.transaction import note_change
from common.web.tables import PractitionerKeyRow
from documents.domain.content import Folder, Kind
from documents.domain.visits import DocumentStatus, Visit
from documents.models import AppointmentRoot, Dispensation, Document

_BLANK: Final = {"version": 0, "visit": Visit.UNKNOWN}


async def lock_root(session: AsyncSession, appointment_id: UUID) -> AppointmentRoot:
    """The root row of an appointment, made when nothing was known of it."""
    return await roots.lock(session, AppointmentRoot, appointment_id, blank=_BLANK)


async def lock_roots(session: AsyncSession, appointment_ids: Iterable[UUID]) -> None:
    """All of a batch, in the order of their ids; `lock_root` then has them."""
    await roots.lock_or_make_all(session, AppointmentRoot, appointment_ids, blank=_BLANK)


async def find_root(session: AsyncSession, appointment_id: UUID) -> AppointmentRoot | None:
    return await session.get(AppointmentRoot, appointment_id, populate_existing=True)


async def find_document(session: AsyncSession, document_id: UUID) -> Document | None:
    found = select(Document).where(Document.id == document_id, Document.restricted_at.is_(None))
    return (await session.scalars(found.execution_options(populate_existing=True))).one_or_none()


async def lock_document(session: AsyncSession, document_id: UUID) -> Document | None:
    """Locks a document in order to change it; requests that wait for it look again."""
    note_change(session, document_id)
    found = select(Document).where(Document.id == document_id).with_for_update()
    return (await session.scalars(found.execution_options(populate_existing=True))).one_or_none()


async def find_by_number(session: AsyncSession, number: str) -> Document | None:
    return (await session.scalars(select(Document).where(Document.number == number))).one_or_none()


async def find_billing(session: AsyncSession, appointment_id: UUID, *, revision: int) -> Document | None:
    found = select(Document).where(Document.appointment_id == appointment_id, Document.revision == revision)
    return (await session.scalars(found)).one_or_none()


async def list_live(session: AsyncSession, appointment_id: UUID) -> Sequence[Document]:
    """The documents of an appointment that are asked for or issued."""
    found = (
        select(Document)
        .where(
            Document.appointment_id == appointment_id,
            Document.status.in_([DocumentStatus.REQUESTED, DocumentStatus.ISSUED]),
        )
        .order_by(Document.id)
    )
    return (await session.scalars(found)).all()


async def list_of_patient(
    session: AsyncSession,
    patient_id: UUID,
    *,
    folder: Folder | None,
    kind: Kind | None,
    appointment_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> Sequence[Document]:
    """Newest first: what is asked for, and what was issued once."""
    found = select(Document).where(
        Document.patient_id == patient_id,
        Document.restricted_at.is_(None),
        or_(Document.status == DocumentStatus.REQUESTED, Document.issued_at.is_not(None)),
    )
    if folder is not None:
        found = found.where(Document.folder == folder)
    if kind is not None:
        found = found.where(Document.kind == kind)
    if appointment_id is not None:
        found = found.where(Document.appointment_id == appointment_id)
    if before is not None:
        found = found.where(Document.id < before)
    return (await session.scalars(found.order_by(Document.id.desc()).limit(limit))).all()


async def find_rpps(session: AsyncSession, practitioner_id: UUID) -> str | None:
    """The RPPS number a practitioner's tokens carry; None while booking has not published it to us."""
    return await session.scalar(
        select(PractitionerKeyRow.rpps).where(PractitionerKeyRow.practitioner_id == practitioner_id)
    )


async def list_dispensations(session: AsyncSession, document_id: UUID) -> Sequence[Dispensation]:
    found = select(Dispensation).where(Dispensation.document_id == document_id).order_by(Dispensation.id)
    return (await session.scalars(found)).all()


async def restrict_documents(session: AsyncSession, patient_id: UUID, *, now: datetime) -> None:
    """What the law keeps of an erased patient is kept, and no longer shown."""
    await session.execute(
        update(Document)
        .where(Document.patient_id == patient_id, Document.restricted_at.is_(None))
        .values(restricted_at=now)
    )
