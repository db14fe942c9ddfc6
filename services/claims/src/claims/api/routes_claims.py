"""Care acts, their legs and their history: HTTP in, use case, HTTP out."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from claims import store
from claims.api.auth import ConfigDep, sees_reasons, wait_for
from claims.api.schemas import CareActRead, ClaimFactRead, HistoryPage, InsuredRead, LegRead
from claims.usecases import care, legs, reading
from common.messaging import history
from common.web import idempotency, pages
from common.web.access import AccessDep
from common.web.auth import CallerDep, Role, requires
from common.web.deps import Cursor, CursorKey, Limit, Now, Prefer, Transaction
from common.web.idempotency import IdempotencyKey
from common.web.problems import responses
from common.web.progress import ProgressDep

router = APIRouter(prefix="/claims/v1", tags=["claims"])


@router.get("/appointments/{appointment_id}/care-act", responses=responses(404))
async def read_care_act(
    appointment_id: UUID,
    access: AccessDep,
    config: ConfigDep,
    transaction: Transaction,
    progress: ProgressDep,
    prefer: Prefer,
) -> CareActRead:
    """The final price and the claims. 404 with Retry-After until the consultation is priced."""
    await wait_for(access, progress, appointment_id, lambda s: store.find_care_act(s, appointment_id), prefer)
    patient_id = await reading.find_patient_of(transaction, appointment_id)
    await access.appointment(
        transaction, appointment_id, patient_id=patient_id, what="care-act", purpose="billing"
    )
    seen = await reading.care_act(transaction, config, appointment_id)
    shown = [LegRead.of(leg, seen.submissions) for leg in seen.legs]
    reasons = sees_reasons(access.caller)
    return CareActRead.of(seen.act, seen.result, shown, seen.balances, reasons=reasons)


@router.post(
    "/appointments/{appointment_id}/legs/{leg_id}/correction",
    responses=responses(403, 404, 409),
    dependencies=[requires(Role.PATIENT, Role.PRACTITIONER, Role.SUPPORT)],
)
async def correct_leg(
    appointment_id: UUID,
    leg_id: UUID,
    access: AccessDep,
    caller: CallerDep,
    key: IdempotencyKey,
    config: ConfigDep,
    transaction: Transaction,
    now: Now,
) -> LegRead:
    """Sends a rejected leg again, for the insured person as the coverage says now."""
    patient_id = await reading.find_patient_of(transaction, appointment_id)
    await access.appointment(
        transaction, appointment_id, patient_id=patient_id, what="claim", purpose="correction"
    )
    if await idempotency.begin(transaction, key, now=now) is None:
        practitioner = Role.PRACTITIONER in caller.roles
        await legs.correct(transaction, config, appointment_id, leg_id, by_practitioner=practitioner, now=now)
        await idempotency.finish(transaction, key, status=200, reference=str(leg_id), now=now)
    leg = await store.get_leg(transaction, leg_id)
    return LegRead.of(leg, await store.list_submissions(transaction, [leg_id]))


@router.get("/appointments/{appointment_id}/history", responses=responses(404))
async def list_claim_facts(
    appointment_id: UUID,
    access: AccessDep,
    transaction: Transaction,
    cursor: Cursor,
    limit: Limit,
    key: CursorKey,
) -> HistoryPage:
    """What happened here to the appointment, oldest first."""
    patient_id = await reading.find_patient_of(transaction, appointment_id)
    await access.appointment(
        transaction, appointment_id, patient_id=patient_id, what="history", purpose="billing"
    )
    rows = await history.after(transaction, appointment_id, int(cursor[0]) if cursor else 0, limit + 1)
    more = pages.encode([str(rows[limit - 1].id)], key=key) if len(rows) > limit else None
    return HistoryPage(items=[ClaimFactRead.of(row) for row in rows[:limit]], next_cursor=more)


@router.get(
    "/internal/appointments/{appointment_id}/insured",
    responses=responses(404),
    dependencies=[requires(Role.SERVICE)],
    tags=["internal"],
)
async def read_insured(
    appointment_id: UUID,
    access: AccessDep,
    config: ConfigDep,
    transaction: Transaction,
    purpose: Annotated[str, Query(pattern=r"^[a-z][a-z-]{2,39}$")],
) -> InsuredRead:
    """The insured person in clear, for a document. The purpose goes to the access log."""
    patient_id = await reading.find_patient_of(transaction, appointment_id)
    await access.appointment(
        transaction,
        appointment_id,
        patient_id=patient_id,
        what="insured-number",
        purpose=purpose,
        clinical=True,
    )
    return InsuredRead.of(await care.insured_person(transaction, config, appointment_id))
