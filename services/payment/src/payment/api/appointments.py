"""The payment of an appointment: HTTP in, use case, HTTP out."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession

from common.money import Cents
from common.web import idempotency
from common.web.auth import Caller, CallerDep, Role, requires
from common.web.deps import Now, Prefer, Reading
from common.web.idempotency import IdempotencyKey
from common.web.openapi import bounded
from common.web.problems import responses
from common.web.progress import Progress, ProgressDep
from payment import store
from payment.api.auth import check_payer, may_read, not_found
from payment.api.schemas import (
    CardChoiceCreate,
    PaymentRead,
    PriceAcceptanceCreate,
    RefundCreate,
    RefundList,
    RefundRead,
)
from payment.domain.status import FINAL_FOR_NOW
from payment.models import RefundStatus
from payment.usecases import cards, refunds

router = APIRouter(prefix="/payment/v1/appointments", tags=["payments"])

Patient = Annotated[Caller, requires(Role.PATIENT)]
Refunder = Annotated[Caller, requires(Role.SUPPORT, Role.ADMINISTRATOR)]


@router.get("/{appointment_id}", responses=responses(404))
async def read_payment(
    appointment_id: UUID, caller: CallerDep, progress: ProgressDep, wait: Prefer
) -> PaymentRead:
    """404 until the first event of the appointment has come; `Prefer: wait` waits for a hold's outcome."""
    return await _read(progress, appointment_id, caller, seconds=wait)


async def _read(progress: Progress, appointment_id: UUID, caller: Caller, *, seconds: float) -> PaymentRead:
    async def decided(session: AsyncSession) -> PaymentRead | None:
        payment = await _find(session, appointment_id, caller)
        return payment if payment is not None and payment.status in FINAL_FOR_NOW else None

    found = await progress.wait_until(decided, seconds, about=appointment_id)
    if found is None:
        async with progress.sessions() as session:
            found = await _find(session, appointment_id, caller)
    if found is None:
        raise not_found()
    return found


async def _find(session: AsyncSession, appointment_id: UUID, caller: Caller) -> PaymentRead | None:
    root = await store.find_root(session, appointment_id)
    if root is None or not may_read(caller, root):
        return None
    holds = await store.list_holds(session, appointment_id)
    card = await store.find_usable_card(session, root.account_id, chosen=root.card_id)
    return PaymentRead.of(root, holds, card)


@router.post("/{appointment_id}/price-acceptance", responses=responses(404, 409))
async def accept_price(
    appointment_id: UUID,
    accepted: PriceAcceptanceCreate,
    caller: Patient,
    key: IdempotencyKey,
    progress: ProgressDep,
    now: Now,
    wait: Prefer,
) -> PaymentRead:
    """The patient accepts an advance above what the preview or the hold was for."""
    async with progress.sessions.begin() as session:
        await check_payer(session, caller, appointment_id)
        if await idempotency.begin(session, key, now=now) is None:
            root = await store.lock_known_root(session, appointment_id)
            await cards.accept_price(session, root, Cents(accepted.advance_cents), now=now)
            await _finish(session, key, appointment_id, now=now)
    return await _read(progress, appointment_id, caller, seconds=wait)


@router.post("/{appointment_id}/card", responses=responses(404, 409))
async def choose_card(
    appointment_id: UUID,
    choice: CardChoiceCreate,
    caller: Patient,
    key: IdempotencyKey,
    progress: ProgressDep,
    now: Now,
    wait: Prefer,
) -> PaymentRead:
    """The answer to `card-missing`: the hold is tried with this card."""
    async with progress.sessions.begin() as session:
        await check_payer(session, caller, appointment_id)
        if await idempotency.begin(session, key, now=now) is None:
            root = await store.lock_known_root(session, appointment_id)
            await cards.choose_card(session, root, choice.card_id, now=now)
            await _finish(session, key, appointment_id, now=now)
    return await _read(progress, appointment_id, caller, seconds=wait)


async def _finish(session: AsyncSession, key: IdempotencyKey, reference: UUID, *, now: datetime) -> None:
    await idempotency.finish(session, key, status=200, reference=str(reference), now=now)


@router.post("/{appointment_id}/refunds", status_code=201, responses=responses(404, 409))
async def create_refund(
    appointment_id: UUID,
    refund: RefundCreate,
    _: Refunder,
    key: IdempotencyKey,
    progress: ProgressDep,
    now: Now,
    wait: Prefer,
) -> RefundRead:
    """Gives back a part of what was captured or charged; never more than is left of it."""
    async with progress.sessions.begin() as session:
        earlier = await idempotency.begin(session, key, now=now)
        if earlier is None:
            amount = Cents(refund.amount_cents)
            row = await refunds.ask_refund(session, appointment_id, amount_cents=amount, now=now)
            earlier = str(row.id)
            await idempotency.finish(session, key, status=201, reference=earlier, now=now)
    return await _refund(progress, UUID(earlier), seconds=wait)


async def _refund(progress: Progress, refund_id: UUID, *, seconds: float) -> RefundRead:
    async def made(session: AsyncSession) -> RefundRead | None:
        row = await store.get_refund(session, refund_id)
        return None if row.status is RefundStatus.PENDING else RefundRead.of(row)

    found = await progress.wait_until(made, seconds, about=refund_id)
    if found is not None:
        return found
    async with progress.sessions() as session:
        return RefundRead.of(await store.get_refund(session, refund_id))


@router.get(
    "/{appointment_id}/refunds",
    responses=responses(404),
    openapi_extra=bounded("refunds of one payment, together at most what was captured"),
)
async def list_refunds(appointment_id: UUID, caller: CallerDep, session: Reading) -> RefundList:
    """Every refund of the appointment, oldest first."""
    root = await store.find_root(session, appointment_id)
    if root is None or not may_read(caller, root):
        raise not_found()
    rows = await store.list_refunds(session, appointment_id)
    return RefundList(items=[RefundRead.of(row) for row in rows])
