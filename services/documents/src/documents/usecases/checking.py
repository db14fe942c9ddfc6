"""Anyone with number and code verifies a document; a pharmacy records what it hands out."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from common.crypto import Keyring
from common.errors import DomainError, Refusal
from common.events.documents import DispensedV1
from common.ids import uuid7
from common.messaging import outbox
from documents import store
from documents.domain.assembly import line_of
from documents.domain.content import Kind, in_printed_order
from documents.domain.dispensing import LineLeft, NotDispensable, dispense
from documents.domain.numbers import normal_code, normal_number
from documents.domain.visits import DocumentStatus
from documents.models import Dispensation, Document
from documents.usecases.visits import event_fields
from documents.usecases.writing import CODE, open_content

Answer = Literal["authentic", "invalid", "withdrawn", "unknown"]

PARIS: Final = ZoneInfo("Europe/Paris")  # days of validity are those of the country that prescribes


class DocumentNotFound(DomainError):
    code: ClassVar[str] = "not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class DocumentWithdrawn(DomainError):
    code: ClassVar[str] = "document-withdrawn"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


@dataclass(frozen=True, slots=True)
class Verified:
    """The answer to a verification, and the document when number and code are its own."""

    answer: Answer
    document: Document | None


async def verify(
    session: AsyncSession,
    keyring: Keyring,
    number: str,
    *,
    code: str | None,
    sha256: str | None,
) -> Verified:
    """By number and code, by number and hash of the file, or both.

    Says the same of a number that does not exist and of a wrong code.
    """
    canonical = normal_number(number)
    document = None if canonical is None else await store.find_by_number(session, canonical)
    if document is None or document.code_hash is None or document.sha256 is None:
        return Verified("unknown", None)
    if code is not None and not _is_its_code(keyring, document, code):
        return Verified("unknown", None)
    same = sha256 is not None and hmac.compare_digest(sha256.lower(), document.sha256)
    if sha256 is not None and not same:
        # Without a code nothing is said about the document to somebody who has another file.
        return Verified("invalid", document if code is not None else None)
    if document.status is DocumentStatus.WITHDRAWN:
        return Verified("withdrawn", document)
    return Verified("authentic", document)


def _is_its_code(keyring: Keyring, document: Document, code: str) -> bool:
    expected = document.code_hash or b""
    return hmac.compare_digest(keyring.blind_index(normal_code(code), field=CODE), expected)


async def record_dispensation(
    session: AsyncSession,
    keyring: Keyring,
    document_id: UUID,
    *,
    code: str,
    positions: Sequence[int],
    dispensed_by: UUID,
    now: datetime,
) -> tuple[Dispensation, Sequence[LineLeft]]:
    """What a pharmacy handed out. The code on the paper is its right to the prescription.

    Raises DocumentNotFound, DocumentWithdrawn, NotDispensable, NothingLeftToDispense or PrescriptionExpired.
    """
    found = await store.find_document(session, document_id)
    if found is None or not _is_its_code(keyring, found, code):
        raise DocumentNotFound("no such document")
    root = await store.lock_root(session, found.appointment_id)
    document = await store.lock_document(session, document_id)
    if document is None or document.status is not DocumentStatus.ISSUED:
        raise DocumentWithdrawn("the document no longer counts")
    left = await _left(session, keyring, document, positions=positions, now=now)
    row = Dispensation(
        id=uuid7(now),
        document_id=document.id,
        dispensed_by=dispensed_by,
        dispensed_at=now,
        positions={"lines": list(positions)},
    )
    session.add(row)
    outbox.add(session, root, DispensedV1(**event_fields(document)), now=now)
    return row, left


async def _left(
    session: AsyncSession, keyring: Keyring, document: Document, *, positions: Sequence[int], now: datetime
) -> Sequence[LineLeft]:
    if document.kind is not Kind.PRESCRIPTION or document.folder is None:
        raise NotDispensable("only a prescription is dispensed")
    content = await open_content(session, keyring, document)
    earlier = await store.list_dispensations(session, document.id)
    return dispense(
        in_printed_order([line_of(row) for row in content["lines"]]),
        folder=document.folder,
        written_on=document.created_at.astimezone(PARIS).date(),
        on=now.astimezone(PARIS).date(),
        earlier=[position for row in earlier for position in row.positions["lines"]],
        positions=positions,
    )


async def state_of(
    session: AsyncSession, keyring: Keyring, dispensation_id: UUID
) -> tuple[Dispensation, Sequence[LineLeft]]:
    """A dispensation that was recorded, and what is left now: the answer to a repeated request."""
    row = await session.get_one(Dispensation, dispensation_id)
    document = await session.get_one(Document, row.document_id)
    content = await open_content(session, keyring, document)
    every = [
        position
        for each in await store.list_dispensations(session, document.id)
        for position in each.positions["lines"]
    ]
    return row, [
        LineLeft(position, every.count(position), 1 + line_of(line).renewals)
        for position, line in enumerate(content["lines"], start=1)
    ]
