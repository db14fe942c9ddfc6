"""A practitioner writes a prescription or a report; a task draws it, and here it becomes issued."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common import vault
from common.crypto import Keyring
from common.errors import DomainError, Refusal
from common.events.documents import IssuedV1
from common.ids import uuid7
from common.messaging import outbox
from documents import store
from documents.domain import prescribing
from documents.domain.assembly import line_of
from documents.domain.content import Folder, Issue, Kind
from documents.domain.numbers import normal_code
from documents.domain.visits import ConsultationNotStarted, DocumentStatus, may_be_written_about
from documents.models import AppointmentRoot, Document
from documents.usecases.visits import add_document, event_fields

CONTENT: Final = "content"
CODE: Final = "code"
FILE: Final = "file"


class AppointmentNotFound(DomainError):
    """Not there, not known here yet, or another practitioner's."""

    code: ClassVar[str] = "not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sealed file in the storage, with the number and code that were printed on it."""

    issue: Issue
    practitioner_name: str
    practitioner_rpps: str
    pdf_sha256: str
    size_bytes: int
    storage_key: str


async def prescribe(
    session: AsyncSession,
    keyring: Keyring,
    appointment_id: UUID,
    *,
    content: Mapping[str, Any],
    rpps: str,
    now: datetime,
) -> Document:
    """Asks for a prescription.

    Raises AppointmentNotFound, ConsultationNotStarted, CannotPrescribe, LineRefused or
    SecurePrescriptionRequired.
    """
    root = await _of_signer(session, appointment_id, rpps=rpps)
    folder = Folder(content["folder"])
    lines = [line_of(row) for row in content["lines"]]
    prescribing.check(lines, folder=folder, profession=root.profession or "")
    return await _write(
        session, keyring, root, Kind.PRESCRIPTION, folder=folder, content=content, rpps=rpps, now=now
    )


async def report(
    session: AsyncSession,
    keyring: Keyring,
    appointment_id: UUID,
    *,
    content: Mapping[str, Any],
    rpps: str,
    now: datetime,
) -> Document:
    """Asks for a consultation report. Raises AppointmentNotFound or ConsultationNotStarted."""
    root = await _of_signer(session, appointment_id, rpps=rpps)
    return await _write(
        session, keyring, root, Kind.CONSULTATION_REPORT, folder=None, content=content, rpps=rpps, now=now
    )


async def _of_signer(session: AsyncSession, appointment_id: UUID, *, rpps: str) -> AppointmentRoot:
    root = await store.lock_root(session, appointment_id)
    if root.practitioner_id is None or root.patient_id is None or root.profession is None:
        raise AppointmentNotFound("no such appointment", retry_after=1)
    known = await store.find_rpps(session, root.practitioner_id)
    if known is not None and known != rpps:  # unknown yet: the task compares with booking's word
        raise AppointmentNotFound("no such appointment")
    if not may_be_written_about(root.visit):
        raise ConsultationNotStarted("nothing is written before or without a consultation", retry_after=1)
    return root


async def _write(
    session: AsyncSession,
    keyring: Keyring,
    root: AppointmentRoot,
    kind: Kind,
    *,
    folder: Folder | None,
    content: Mapping[str, Any],
    rpps: str,
    now: datetime,
) -> Document:
    if root.patient_id is None or root.practitioner_id is None:
        raise AppointmentNotFound("no such appointment", retry_after=1)
    sealed = await vault.encrypt(
        session,
        keyring,
        root.patient_id,
        json.dumps(content, ensure_ascii=False),
        field=CONTENT,
        now=now,
        kind="kept",
    )
    document = Document(
        id=uuid7(now),
        appointment_id=root.id,
        patient_id=root.patient_id,
        practitioner_id=root.practitioner_id,
        kind=kind,
        folder=folder,
        status=DocumentStatus.REQUESTED,
        revision=None,
        signer_rpps=rpps,
        content=sealed,
        created_at=now,
    )
    add_document(session, document, now=now)
    return document


async def open_content(session: AsyncSession, keyring: Keyring, document: Document) -> Mapping[str, Any]:
    """What the practitioner wrote. Raises DataErased."""
    if document.content is None:
        return {}
    text = await vault.decrypt(
        session, keyring, document.patient_id, document.content, field=CONTENT, kind="kept"
    )
    content: Mapping[str, Any] = json.loads(text)
    return content


async def seal_file(
    session: AsyncSession, keyring: Keyring, document: Document, pdf: bytes, *, now: datetime
) -> bytes:
    """The file as the storage keeps it: it can be read with the patient's key only."""
    return await vault.encrypt(
        session,
        keyring,
        document.patient_id,
        base64.b64encode(pdf).decode(),
        field=f"{FILE}:{document.id}",
        now=now,
        kind="kept",
    )


async def open_file(session: AsyncSession, keyring: Keyring, document: Document, sealed: bytes) -> bytes:
    text = await vault.decrypt(
        session, keyring, document.patient_id, sealed, field=f"{FILE}:{document.id}", kind="kept"
    )
    return base64.b64decode(text)


async def issue(
    session: AsyncSession, keyring: Keyring, document_id: UUID, drawn: Drawn, *, now: datetime
) -> str:
    """The file counts from here on, unless what happened meanwhile withdrew it. The word says which."""
    found = await store.find_document(session, document_id)
    if found is None:
        return "not-found"
    root = await store.lock_root(session, found.appointment_id)
    document = await store.lock_document(session, document_id)
    if document is None or document.status is not DocumentStatus.REQUESTED:
        return "not-requested"
    code = normal_code(drawn.issue.verification_code)
    url = await vault.encrypt(
        session, keyring, document.patient_id, drawn.issue.verification_url, field=CODE, now=now, kind="kept"
    )
    document.status = DocumentStatus.ISSUED
    document.number = drawn.issue.number
    document.code_hash = keyring.blind_index(code, field=CODE)
    document.code = url
    document.practitioner_name = drawn.practitioner_name
    document.practitioner_rpps = drawn.practitioner_rpps
    document.sha256 = drawn.pdf_sha256
    document.size_bytes = drawn.size_bytes
    document.storage_key = drawn.storage_key
    document.issued_at = now
    outbox.add(session, root, IssuedV1(**event_fields(document)), now=now)
    return "issued"


async def fail(session: AsyncSession, document_id: UUID, *, failure: str) -> None:
    """The document can never be issued; the caller who asked for it reads `failure`, a code."""
    document = await store.lock_document(session, document_id)
    if document is not None and document.status is DocumentStatus.REQUESTED:
        document.status = DocumentStatus.FAILED
        document.failure = failure


async def open_url(session: AsyncSession, keyring: Keyring, document: Document) -> str | None:
    """The address of the verification, code included: for the patient and the practitioner."""
    if document.code is None:
        return None
    return await vault.decrypt(session, keyring, document.patient_id, document.code, field=CODE, kind="kept")
