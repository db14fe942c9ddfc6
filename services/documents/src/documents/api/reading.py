"""What patients and their practitioners read: lists, documents and files."""

import logging
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from common import outages
from common.web import pages
from common.web.access import AccessDep, record
from common.web.deps import Cursor, CursorKey, Limit, Now, Prefer, SessionsDep, Transaction
from common.web.problems import problem, responses
from common.web.progress import ProgressDep
from documents import store
from documents.api.auth import KeyringDep, StorageDep, wait_for_file
from documents.api.schemas import DocumentPage, DocumentRead
from documents.domain.content import Folder, Kind
from documents.models import Document
from documents.storage import StorageAway
from documents.usecases import writing
from documents.usecases.checking import DocumentNotFound

router = APIRouter(prefix="/documents/v1", tags=["documents"])

_STORAGE_RETRY: Final = "5"  # seconds
_log: Final = logging.getLogger(__name__)


@router.get("/patients/{patient_id}/documents")
async def list_documents(
    patient_id: UUID,
    access: AccessDep,
    keyring: KeyringDep,
    transaction: Transaction,
    cursor: Cursor,
    limit: Limit,
    key: CursorKey,
    folder: Annotated[Folder | None, Query()] = None,
    kind: Annotated[Kind | None, Query()] = None,
    appointment_id: Annotated[UUID | None, Query()] = None,
) -> DocumentPage:
    """Newest first: what was issued, and what is being drawn."""
    await access.patient(transaction, patient_id, what="documents", purpose="care")
    rows = await store.list_of_patient(
        transaction,
        patient_id,
        folder=folder,
        kind=kind,
        appointment_id=appointment_id,
        before=UUID(cursor[0]) if cursor else None,
        limit=limit + 1,
    )
    items = [
        DocumentRead.of(row, url=await writing.open_url(transaction, keyring, row)) for row in rows[:limit]
    ]
    more = pages.encode([str(rows[limit - 1].id)], key=key) if len(rows) > limit else None
    return DocumentPage(items=items, next_cursor=more)


@router.get("/documents/{document_id}")
async def read_document(
    document_id: UUID,
    access: AccessDep,
    keyring: KeyringDep,
    transaction: Transaction,
    progress: ProgressDep,
    wait: Prefer,
) -> DocumentRead:
    """`Prefer: wait` waits while it is being drawn."""
    if wait:
        async with progress.sessions() as session:
            row = await _found(session, document_id)
            await access.permissions.may_see_patient(session, access.caller, row.patient_id)
        await wait_for_file(progress, document_id, seconds=wait)
    row = await _found(transaction, document_id)
    await access.patient(transaction, row.patient_id, what="document", purpose="care")
    return DocumentRead.of(row, url=await writing.open_url(transaction, keyring, row))


async def _found(session: AsyncSession, document_id: UUID) -> Document:
    row = await store.find_document(session, document_id)
    if row is None:
        raise DocumentNotFound("no such document", retry_after=1)
    return row


@router.get(
    "/documents/{document_id}/content",
    response_class=Response,
    responses={
        200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}},
        **responses(409, 503),
    },
)
async def read_content(
    document_id: UUID,
    access: AccessDep,
    keyring: KeyringDep,
    storage: StorageDep,
    sessions: SessionsDep,
    now: Now,
) -> Response:
    """The sealed PDF. A withdrawn one is still given: it shows what was once handed out."""
    async with sessions() as session:
        row = await _found(session, document_id)
        await access.patient(session, row.patient_id, what=f"file:{row.kind}", purpose="care")
    async with sessions.begin() as session:
        record(
            session,
            caller=access.caller,
            patient_id=row.patient_id,
            what=f"file:{row.kind}",
            purpose="care",
            allowed=True,
            now=now,
        )
    if row.storage_key is None or row.number is None:
        raise problem(409, "document-not-ready", "The document is being drawn.", headers={"Retry-After": "1"})
    try:
        sealed = await storage.get(row.storage_key)
    except StorageAway as away:
        outages.report(_log, "storage", away, "a document cannot be read")
        detail = "The storage of documents does not answer."
        raise problem(503, "storage-away", detail, headers={"Retry-After": _STORAGE_RETRY}) from away
    async with sessions() as session:
        pdf = await writing.open_file(session, keyring, row, sealed)
    return Response(
        pdf,
        media_type="application/pdf",
        headers={
            "Content-Disposition": f'attachment; filename="{row.number}.pdf"',
            "ETag": f'"{row.sha256}"',
            "Cache-Control": "private, no-store",
        },
    )
