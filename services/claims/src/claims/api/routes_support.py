"""What support, practitioners and operations see and do about claims: HTTP in, use case, HTTP out."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from claims import store
from claims.api.auth import ConfigDep
from claims.api.schemas import BalanceRead, LegRead
from claims.api.schemas_support import (
    AgeingPage,
    AgeingRead,
    CodingWrite,
    ReasonWrite,
    ReturnsFileRead,
    ReturnsFileWrite,
    StatementLineRead,
    StatementPage,
    StoryEntryRead,
    StoryPage,
    UnpricedCarePage,
    UnpricedCareRead,
)
from claims.models import Leg
from claims.usecases import balances, legs, reading, reports, returns_files, unpriced
from claims.usecases.unpriced import Coding
from common.web import idempotency, pages
from common.web.access import AccessDep
from common.web.auth import CallerDep, Role, requires
from common.web.deps import Cursor, CursorKey, Limit, Now, Reading, SessionsDep, Transaction
from common.web.idempotency import IdempotencyKey
from common.web.problems import responses
from common.web.schemas import FROM_INCLUDED, TO_EXCLUDED, QueryDate

router = APIRouter(prefix="/claims/v1", tags=["claims support"])


@router.get(
    "/unpriced-care",
    dependencies=[requires(Role.PRACTITIONER, Role.SUPPORT, Role.ADMINISTRATOR)],
)
async def list_unpriced_care(
    caller: CallerDep, reading_: Reading, cursor: Cursor, limit: Limit, key: CursorKey
) -> UnpricedCarePage:
    """Performed care that no rule gives a price, with the reason; a practitioner sees their own."""
    sees_all = bool({Role.SUPPORT, Role.ADMINISTRATOR} & caller.roles)
    after = UUID(cursor[0]) if cursor else None
    rpps = None if sees_all else caller.rpps or ""
    rows = await store.list_unpriced(reading_, rpps=rpps, after=after, limit=limit + 1)
    more = pages.encode([str(rows[limit - 1].appointment_id)], key=key) if len(rows) > limit else None
    return UnpricedCarePage(items=[UnpricedCareRead.of(row) for row in rows[:limit]], next_cursor=more)


@router.get(
    "/appointments/{appointment_id}/unpriced-care",
    responses=responses(404),
    dependencies=[requires(Role.PRACTITIONER, Role.SUPPORT)],
)
async def read_unpriced_care(
    appointment_id: UUID, access: AccessDep, transaction: Transaction
) -> UnpricedCareRead:
    await _see(access, transaction, appointment_id, what="unpriced-care")
    return UnpricedCareRead.of(await store.get_unpriced(transaction, appointment_id))


@router.post(
    "/appointments/{appointment_id}/unpriced-care/coding",
    responses=responses(404, 409),
    dependencies=[requires(Role.PRACTITIONER)],
)
async def correct_coding(
    appointment_id: UUID,
    body: CodingWrite,
    access: AccessDep,
    key: IdempotencyKey,
    config: ConfigDep,
    transaction: Transaction,
    now: Now,
) -> StoryEntryRead:
    """Prices the care with a corrected coding. Without a price for it either, all stays as it was."""
    return await _price(access, key, config, transaction, appointment_id, body.coding(), now)


@router.post(
    "/appointments/{appointment_id}/unpriced-care/pricing",
    responses=responses(404, 409),
    dependencies=[requires(Role.PRACTITIONER, Role.SUPPORT)],
)
async def price_unpriced_care(
    appointment_id: UUID,
    access: AccessDep,
    key: IdempotencyKey,
    config: ConfigDep,
    transaction: Transaction,
    now: Now,
) -> StoryEntryRead:
    """Prices the care again as it is coded, with the tables of now."""
    return await _price(access, key, config, transaction, appointment_id, None, now)


@router.get(
    "/appointments/{appointment_id}/story",
    responses=responses(404),
    dependencies=[requires(Role.PRACTITIONER, Role.SUPPORT)],
)
async def read_story(
    appointment_id: UUID,
    access: AccessDep,
    transaction: Transaction,
    cursor: Cursor,
    limit: Limit,
    key: CursorKey,
) -> StoryPage:
    """Every state of the care act, its claims and balances, with amount, reason and date; oldest first."""
    await _see(access, transaction, appointment_id, what="story")
    await store.get_root(transaction, appointment_id)
    after = int(cursor[0]) if cursor else 0
    rows = await store.list_story(transaction, appointment_id, after=after, limit=limit + 1)
    more = pages.encode([str(rows[limit - 1].id)], key=key) if len(rows) > limit else None
    return StoryPage(items=[StoryEntryRead.of(row) for row in rows[:limit]], next_cursor=more)


@router.post(
    "/appointments/{appointment_id}/legs/{leg_id}/dispute",
    responses=responses(404, 409),
    dependencies=[requires(Role.PRACTITIONER, Role.SUPPORT)],
)
async def dispute_leg(
    appointment_id: UUID,
    leg_id: UUID,
    body: ReasonWrite,
    access: AccessDep,
    key: IdempotencyKey,
    transaction: Transaction,
    now: Now,
) -> LegRead:
    """Contests what the payer has not paid or has taken back."""
    await _see(access, transaction, appointment_id, what="claim")
    act = partial(legs.dispute, transaction, appointment_id, leg_id, reason=body.reason, now=now)
    return await _moved(transaction, key, leg_id, act, now=now)


@router.post(
    "/appointments/{appointment_id}/legs/{leg_id}/paper",
    responses=responses(404, 409),
    dependencies=[requires(Role.PRACTITIONER, Role.SUPPORT)],
)
async def hand_over_paper(
    appointment_id: UUID,
    leg_id: UUID,
    body: ReasonWrite,
    access: AccessDep,
    key: IdempotencyKey,
    transaction: Transaction,
    now: Now,
) -> LegRead:
    """Claims on paper what no file brings to the payer; nothing is sent for it any more."""
    await _see(access, transaction, appointment_id, what="claim")
    act = partial(legs.hand_over_paper, transaction, appointment_id, leg_id, reason=body.reason, now=now)
    return await _moved(transaction, key, leg_id, act, now=now)


@router.post(
    "/appointments/{appointment_id}/legs/{leg_id}/write-off",
    responses=responses(404, 409),
    dependencies=[requires(Role.PRACTITIONER, Role.SUPPORT)],
)
async def write_leg_off(
    appointment_id: UUID,
    leg_id: UUID,
    body: ReasonWrite,
    access: AccessDep,
    key: IdempotencyKey,
    transaction: Transaction,
    now: Now,
) -> LegRead:
    """Gives up what the payer still owes."""
    await _see(access, transaction, appointment_id, what="claim")
    act = partial(legs.write_off, transaction, appointment_id, leg_id, reason=body.reason, now=now)
    return await _moved(transaction, key, leg_id, act, now=now)


@router.post(
    "/appointments/{appointment_id}/balances/{balance_id}/write-off",
    responses=responses(404, 409),
    dependencies=[requires(Role.PRACTITIONER, Role.SUPPORT)],
)
async def write_balance_off(
    appointment_id: UUID,
    balance_id: UUID,
    body: ReasonWrite,
    access: AccessDep,
    key: IdempotencyKey,
    transaction: Transaction,
    now: Now,
) -> BalanceRead:
    """The patient is not asked for it any more."""
    await _see(access, transaction, appointment_id, what="balance")
    if await idempotency.begin(transaction, key, now=now) is None:
        await balances.write_off(transaction, appointment_id, balance_id, reason=body.reason, now=now)
        await idempotency.finish(transaction, key, status=200, reference=str(balance_id), now=now)
    row = await store.find_balance(transaction, balance_id)
    if row is None:
        raise store.BalanceNotFound("no balance of this id")
    return BalanceRead.of(row)


@router.get("/ageing", dependencies=[requires(Role.SUPPORT, Role.ADMINISTRATOR)])
async def list_ageing(
    reading_: Reading, now: Now, cursor: Cursor, limit: Limit, key: CursorKey
) -> AgeingPage:
    """What each payer owes, and since when."""
    rows = await reports.ageing(reading_, after=cursor[0] if cursor else None, limit=limit + 1, now=now)
    more = pages.encode([rows[limit - 1].payer], key=key) if len(rows) > limit else None
    return AgeingPage(items=[AgeingRead.of(row) for row in rows[:limit]], next_cursor=more)


@router.get(
    "/practitioners/{practitioner_id}/statement",
    responses=responses(404),
    dependencies=[requires(Role.PRACTITIONER, Role.SUPPORT, Role.ADMINISTRATOR)],
)
async def read_statement(
    practitioner_id: UUID,
    caller: CallerDep,
    reading_: Reading,
    from_on: Annotated[QueryDate, Query(alias="from", description=FROM_INCLUDED)],
    before: Annotated[QueryDate, Query(alias="to", description=TO_EXCLUDED)],
    cursor: Cursor,
    limit: Limit,
    key: CursorKey,
) -> StatementPage:
    """Fees of care given in a period and what payers have paid of them; a practitioner reads their own."""
    sees_all = bool({Role.SUPPORT, Role.ADMINISTRATOR} & caller.roles)
    if sees_all:  # of those who have left too: payers still pay for their care
        known = await store.find_practitioner(reading_, practitioner_id) is not None
    else:
        known = await store.speaks_for(reading_, caller.rpps, practitioner_id)
    if not known:
        raise store.PractitionerNotFound("no practitioner of this id is known here, or is yours")
    if before < from_on:
        raise reports.PeriodReversed
    after = (datetime.fromisoformat(cursor[0]), UUID(cursor[1])) if cursor else None
    seen = await reports.statement(
        reading_, practitioner_id, from_on=from_on, before=before, after=after, limit=limit + 1
    )
    more = None
    if len(seen.lines) > limit:
        last, _ = seen.lines[limit - 1]
        more = pages.encode([last.completed_at.isoformat(), str(last.id)], key=key)
    return StatementPage(
        currency="EUR",
        fee_cents=seen.fee_cents,
        claimed_cents=seen.claimed_cents,
        paid_cents=seen.paid_cents,
        owed_back_cents=seen.owed_back_cents,
        items=[StatementLineRead.of(act, of_act) for act, of_act in seen.lines[:limit]],
        next_cursor=more,
    )


@router.post("/returns-files", dependencies=[requires(Role.ADMINISTRATOR)])
async def import_returns_file(
    body: ReturnsFileWrite, config: ConfigDep, sessions: SessionsDep, now: Now
) -> ReturnsFileRead:
    """Payers' answers and bank lines of a file: each line is imported once, however often the file comes."""
    text = returns_files.text_of(body.text, body.base64)
    return ReturnsFileRead.of(await returns_files.import_file(sessions, config, text, now=now))


async def _price(
    access: AccessDep,
    key: IdempotencyKey,
    config: ConfigDep,
    transaction: Transaction,
    appointment_id: UUID,
    coding: Coding | None,
    now: datetime,
) -> StoryEntryRead:
    await _see(access, transaction, appointment_id, what="unpriced-care")
    if await idempotency.begin(transaction, key, now=now) is None:
        await unpriced.correct(transaction, config, appointment_id, coding, now=now)
        await idempotency.finish(transaction, key, status=200, reference=str(appointment_id), now=now)
    return StoryEntryRead.of(await store.get_pricing(transaction, appointment_id))


async def _moved(
    transaction: Transaction,
    key: IdempotencyKey,
    leg_id: UUID,
    act: Callable[[], Awaitable[Leg]],
    *,
    now: datetime,
) -> LegRead:
    """The leg after `act`, which happens once for a key."""
    if await idempotency.begin(transaction, key, now=now) is None:
        await act()
        await idempotency.finish(transaction, key, status=200, reference=str(leg_id), now=now)
    leg = await store.get_leg(transaction, leg_id)
    return LegRead.of(leg, await store.list_submissions(transaction, [leg_id]))


async def _see(access: AccessDep, transaction: Transaction, appointment_id: UUID, *, what: str) -> None:
    patient_id = await reading.find_patient_of(transaction, appointment_id)
    await access.appointment(transaction, appointment_id, patient_id=patient_id, what=what, purpose="billing")
