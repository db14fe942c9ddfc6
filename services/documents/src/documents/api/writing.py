"""What practitioners write: HTTP in, use case, HTTP out."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from common.crypto import Keyring
from common.web import idempotency
from common.web.access import Access, AccessDep, record
from common.web.deps import Now, Prefer
from common.web.idempotency import IdempotencyKey, Key
from common.web.problems import responses
from common.web.progress import Progress, ProgressDep
from documents import store
from documents.api.auth import KeyringDep, Practitioner, rpps_of, wait_for_file, wait_for_visit
from documents.api.schemas import DocumentRead, PrescriptionCreate, ReportCreate
from documents.domain.visits import DocumentStatus
from documents.models import Document
from documents.usecases import writing
from documents.usecases.writing import AppointmentNotFound

router = APIRouter(prefix="/documents/v1/appointments", tags=["writing"])

Write = Callable[[AsyncSession], Awaitable[Document]]


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A request to write something about an appointment."""

    appointment_id: UUID
    what: str
    access: Access
    key: Key
    keyring: Keyring
    progress: Progress
    wait: float
    now: datetime


@router.post("/{appointment_id}/prescriptions", status_code=201, responses=responses(409))
async def create_prescription(
    appointment_id: UUID,
    body: PrescriptionCreate,
    caller: Practitioner,
    access: AccessDep,
    key: IdempotencyKey,
    keyring: KeyringDep,
    progress: ProgressDep,
    now: Now,
    wait: Prefer,
    response: Response,
) -> DocumentRead:
    """By the practitioner of the consultation, once it began. `Prefer: wait` waits for the file."""
    asked = WriteRequest(appointment_id, "prescription", access, key, keyring, progress, wait, now)
    rpps, content = rpps_of(caller), body.content()
    return await _written(
        asked,
        lambda session: writing.prescribe(
            session, keyring, appointment_id, content=content, rpps=rpps, now=now
        ),
        response,
    )


@router.post("/{appointment_id}/report", status_code=201, responses=responses(409))
async def create_report(
    appointment_id: UUID,
    body: ReportCreate,
    caller: Practitioner,
    access: AccessDep,
    key: IdempotencyKey,
    keyring: KeyringDep,
    progress: ProgressDep,
    now: Now,
    wait: Prefer,
    response: Response,
) -> DocumentRead:
    """The consultation report, for the patient and the regular doctor."""
    asked = WriteRequest(appointment_id, "consultation-report", access, key, keyring, progress, wait, now)
    rpps, content = rpps_of(caller), body.content()
    return await _written(
        asked,
        lambda session: writing.report(session, keyring, appointment_id, content=content, rpps=rpps, now=now),
        response,
    )


async def _written(asked: WriteRequest, write: Write, response: Response) -> DocumentRead:
    """One transaction; then, after its commit, the wait for the file."""
    if asked.wait:
        await wait_for_visit(asked.progress, asked.access, asked.appointment_id, seconds=asked.wait)
    patient_id = await _allowed(asked)
    async with asked.progress.sessions.begin() as session:
        if patient_id is not None:
            record(
                session,
                caller=asked.access.caller,
                patient_id=patient_id,
                what=asked.what,
                purpose="care",
                allowed=True,
                now=asked.now,
            )
        earlier = await idempotency.begin(session, asked.key, now=asked.now)
        if earlier is None:
            document_id = (await write(session)).id
            await idempotency.finish(
                session, asked.key, status=201, reference=str(document_id), now=asked.now
            )
        else:
            document_id = UUID(earlier)
    await wait_for_file(asked.progress, document_id, seconds=asked.wait)
    return await _read(asked, document_id, response)


async def _allowed(asked: WriteRequest) -> UUID | None:
    """Before the transaction, which must not be rolled back while booking is asked. Raises NotSeen."""
    async with asked.progress.sessions() as session:
        root = await store.find_root(session, asked.appointment_id)
        patient_id = None if root is None else root.patient_id
        await asked.access.appointment(
            session, asked.appointment_id, patient_id=patient_id, what=asked.what, purpose="care"
        )
        return patient_id


async def _read(asked: WriteRequest, document_id: UUID, response: Response) -> DocumentRead:
    async with asked.progress.sessions() as session:
        row = await store.find_document(session, document_id)
        if row is None:
            raise AppointmentNotFound("no such document")
        if row.status is DocumentStatus.REQUESTED:
            response.headers["Retry-After"] = "1"
        return DocumentRead.of(row, url=await writing.open_url(session, asked.keyring, row))
