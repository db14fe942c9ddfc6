"""Public verification, and what pharmacies record."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from common.web import idempotency
from common.web.deps import Now, Reading, Transaction
from common.web.idempotency import IdempotencyKey
from common.web.limits import rate_limited
from common.web.problems import responses
from documents.api.auth import KeyringDep, Pharmacist
from documents.api.schemas import DispensationCreate, DispensationRead, FileCheck, VerificationRead
from documents.usecases import checking

router = APIRouter(prefix="/documents/v1", tags=["verification"])

Number = Annotated[str, Path(max_length=40)]

# One budget for both ways of asking: guessing 128 bits is hopeless, and asking is cheap to stop.
_LIMIT = rate_limited("verification", requests=240, seconds=60)


@router.get("/verifications/{number}", dependencies=[_LIMIT])
async def verify_document(
    number: Number,
    code: Annotated[str, Query(min_length=1, max_length=64)],
    keyring: KeyringDep,
    session: Reading,
) -> VerificationRead:
    """For anyone who holds the paper: whether number and code are those of a document that counts."""
    verified = await checking.verify(session, keyring, number, code=code, sha256=None)
    return VerificationRead.of(verified.answer, verified.document)


@router.post("/verifications/{number}", dependencies=[_LIMIT])
async def verify_file(
    number: Number, body: FileCheck, keyring: KeyringDep, session: Reading
) -> VerificationRead:
    """For anyone who holds the file: whether it is, to the byte, the one that was issued."""
    verified = await checking.verify(session, keyring, number, code=body.code, sha256=body.sha256)
    return VerificationRead.of(verified.answer, verified.document)


@router.post("/documents/{document_id}/dispensations", status_code=201, responses=responses(409))
async def create_dispensation(
    document_id: UUID,
    body: DispensationCreate,
    pharmacist: Pharmacist,
    key: IdempotencyKey,
    keyring: KeyringDep,
    transaction: Transaction,
    now: Now,
) -> DispensationRead:
    """What a pharmacy handed out: each line once, and once for each renewal."""
    earlier = await idempotency.begin(transaction, key, now=now)
    if earlier is not None:
        return DispensationRead.of(*await checking.state_of(transaction, keyring, UUID(earlier)))
    row, left = await checking.record_dispensation(
        transaction,
        keyring,
        document_id,
        code=body.code,
        positions=body.positions,
        dispensed_by=pharmacist.subject,
        now=now,
    )
    await idempotency.finish(transaction, key, status=201, reference=str(row.id), now=now)
    return DispensationRead.of(row, left)
