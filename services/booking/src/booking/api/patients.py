"""Patients and relatives: HTTP in, use case, HTTP out."""

from uuid import UUID

from fastapi import APIRouter, Response

from booking import store
from booking.api.auth import KeyringDep, PatientCaller, PersonCaller
from booking.api.schemas import (
    ConsentCreate,
    ConsentList,
    ConsentRead,
    PatientCreate,
    PatientList,
    PatientRead,
    PatientUpdate,
)
from booking.usecases import patients
from common.web import access, etags, idempotency
from common.web.access import AccessDep
from common.web.deps import Now, Transaction
from common.web.etags import IfMatch
from common.web.idempotency import IdempotencyKey
from common.web.openapi import bounded
from common.web.problems import responses

router = APIRouter(prefix="/booking/v1/patients", tags=["patients"])


@router.post("", status_code=201, responses=responses(409))
async def create_patient(
    body: PatientCreate,
    key: IdempotencyKey,
    caller: PatientCaller,
    keyring: KeyringDep,
    transaction: Transaction,
    now: Now,
    response: Response,
) -> PatientRead:
    """The caller's own profile, or a relative's."""
    earlier = await idempotency.begin(transaction, key, now=now)
    if earlier is None:
        row, link = await patients.create_patient(
            transaction,
            keyring,
            body.identity(),
            relation=body.relation,
            account_id=caller.subject,
            now=now,
        )
        await idempotency.finish(transaction, key, status=201, reference=str(row.id), now=now)
    else:
        row, link = await store.get_patient(transaction, UUID(earlier), account_id=caller.subject)
    response.headers["ETag"] = etags.etag(row.revision)
    return PatientRead.of(row.id, await patients.identity_of(transaction, keyring, row), link)


@router.get("", openapi_extra=bounded("an account has at most 20 profiles"))
async def list_patients(
    caller: PatientCaller, keyring: KeyringDep, transaction: Transaction, now: Now
) -> PatientList:
    """The caller's own profile and relatives, at most 20."""
    items = []
    for row, link in await store.list_patients(transaction, caller.subject):
        access.record(
            transaction,
            caller=caller,
            patient_id=row.id,
            what="identity",
            purpose="own-profiles",
            allowed=True,
            now=now,
        )
        items.append(PatientRead.of(row.id, await patients.identity_of(transaction, keyring, row), link))
    return PatientList(items=items)


@router.get("/{patient_id}", responses=responses(404))
async def read_patient(
    patient_id: UUID,
    caller: PersonCaller,
    may: AccessDep,
    keyring: KeyringDep,
    transaction: Transaction,
    response: Response,
) -> PatientRead:
    """By the account, and by practitioners who see the patient. The reading stands in the access log."""
    await may.patient(transaction, patient_id, what="identity", purpose="care")
    row, link = await store.get_seen_patient(transaction, patient_id, account_id=caller.subject)
    response.headers["ETag"] = etags.etag(row.revision)
    return PatientRead.of(row.id, await patients.identity_of(transaction, keyring, row), link)


@router.patch("/{patient_id}", responses=responses(404, 412, 428))
async def update_patient(
    patient_id: UUID,
    body: PatientUpdate,
    if_match: IfMatch,
    caller: PatientCaller,
    keyring: KeyringDep,
    transaction: Transaction,
    now: Now,
    response: Response,
) -> PatientRead:
    """Changes what is given; needs If-Match."""
    row, link = await store.get_patient(transaction, patient_id, account_id=caller.subject, lock=True)
    etags.check(if_match, row.revision)
    identity = await patients.update_patient(transaction, keyring, row, body.changes(), now=now)
    response.headers["ETag"] = etags.etag(row.revision)
    return PatientRead.of(row.id, identity, link)


@router.delete("/{patient_id}", status_code=204, responses=responses(404, 409))
async def erase_patient(
    patient_id: UUID, caller: PatientCaller, keyring: KeyringDep, transaction: Transaction, now: Now
) -> None:
    """Destroys what is known of the patient; ids, states and amounts of past appointments stay."""
    await patients.erase_patient(transaction, keyring, patient_id, account_id=caller.subject, now=now)


@router.post("/{patient_id}/consents", status_code=201, responses=responses(404, 409))
async def give_consent(
    patient_id: UUID,
    body: ConsentCreate,
    key: IdempotencyKey,
    caller: PatientCaller,
    transaction: Transaction,
    now: Now,
) -> ConsentRead:
    """The patient agrees to video consultations; needed before the first booking."""
    await store.get_patient(transaction, patient_id, account_id=caller.subject)
    earlier = await idempotency.begin(transaction, key, now=now)
    if earlier is not None:
        return ConsentRead.of(await store.get_consent(transaction, UUID(earlier)))
    row = await patients.give_consent(
        transaction,
        patient_id,
        account_id=caller.subject,
        text_version=body.text_version,
        channel=body.channel,
        now=now,
    )
    await idempotency.finish(transaction, key, status=201, reference=str(row.id), now=now)
    return ConsentRead.of(row)


@router.get(
    "/{patient_id}/consents",
    responses=responses(404),
    openapi_extra=bounded("one consent for each version of the text"),
)
async def list_consents(patient_id: UUID, caller: PatientCaller, transaction: Transaction) -> ConsentList:
    """What the patient agreed to, newest first."""
    await store.get_patient(transaction, patient_id, account_id=caller.subject)
    return ConsentList(
        items=[ConsentRead.of(row) for row in await store.list_consents(transaction, patient_id)]
    )
