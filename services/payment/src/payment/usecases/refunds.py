"""Giving back what was captured or charged: asked for by support, done by the provider."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import DomainError, Refusal
from common.events.payment import RefundMadeV1
from common.ids import uuid7
from common.messaging import outbox, tasks
from common.money import Cents
from common.transaction import note_change
from payment import store
from payment.domain import ledger
from payment.domain.holds import HoldStatus
from payment.models import BalanceStatus, RefundRow, RefundStatus, Stream
from payment.usecases.journal import post


class RefundAboveCaptured(DomainError):
    code: ClassVar[str] = "refund-above-captured"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


@dataclass(frozen=True, slots=True)
class RefundOrder:
    refund_id: UUID
    provider_id: str
    amount_cents: Cents


async def ask_refund(
    session: AsyncSession, appointment_id: UUID, *, amount_cents: Cents, now: datetime
) -> RefundRow:
    """From the capture, or from a later charge, whichever has enough left. Raises RefundAboveCaptured."""
    stream = await store.lock_known_stream(session, appointment_id)
    asked = [each for each in await store.list_refunds(session, stream.id) if store.is_counted(each)]
    sources: list[tuple[UUID | None, UUID | None, int]] = [
        (hold.id, None, hold.captured_cents)
        for hold in await store.list_holds(session, stream.id)
        if hold.status is HoldStatus.CAPTURED
    ]
    sources += [
        (None, balance.id, balance.charged_cents)
        for balance in await store.list_balances(session, stream.id)
        if balance.status is BalanceStatus.CHARGED
    ]
    for hold_id, balance_id, taken in sources:
        given = sum(
            each.amount_cents for each in asked if (each.hold_id, each.balance_id) == (hold_id, balance_id)
        )
        if given + amount_cents <= taken:
            refund = RefundRow(
                id=uuid7(now),
                appointment_id=stream.id,
                hold_id=hold_id,
                balance_id=balance_id,
                amount_cents=amount_cents,
                status=RefundStatus.PENDING,
                created_at=now,
            )
            session.add(refund)
            tasks.add(session, "refund", str(refund.id), due_at=now)
            return refund
    raise RefundAboveCaptured("no capture or charge has that much left to give back")


async def begin_refund(session: AsyncSession, refund_id: UUID) -> RefundOrder | None:
    refund = await store.get_refund(session, refund_id)
    if refund.status is not RefundStatus.PENDING:
        return None
    source = (
        await store.get_hold(session, refund.hold_id)
        if refund.hold_id is not None
        else await store.find_balance(session, refund.balance_id or refund.id)
    )
    if source is None or source.provider_id is None:
        return None
    return RefundOrder(refund.id, source.provider_id, refund.amount_cents)


async def observe_refund(session: AsyncSession, stream: Stream, reference: str, *, now: datetime) -> None:
    """The provider's list of refunds names it; the root must be locked. Once."""
    refund = next(
        (each for each in await store.list_refunds(session, stream.id) if str(each.id) == reference), None
    )
    if refund is None or refund.status is RefundStatus.MADE:
        return
    refund.status, refund.made_at = RefundStatus.MADE, now
    note_change(session, refund.id)
    if refund.hold_id is not None:
        hold = await store.get_hold(session, refund.hold_id)
        hold.refunded_cents = Cents(hold.refunded_cents + refund.amount_cents)
    elif refund.balance_id is not None:
        balance = await store.find_balance(session, refund.balance_id)
        if balance is not None:
            balance.refunded_cents = Cents(balance.refunded_cents + refund.amount_cents)
    post(session, stream, f"{refund.id}:refunded", ledger.refunded(refund.amount_cents), now=now)
    made = RefundMadeV1(
        appointment_id=stream.id, refund_id=refund.id, currency="EUR", refunded_cents=refund.amount_cents
    )
    outbox.add(session, stream, made, now=now)


async def refuse_refund(session: AsyncSession, refund_id: UUID) -> None:
    known = await store.get_refund(session, refund_id)
    await store.lock_stream(session, known.appointment_id)
    refund = await store.get_refund(session, refund_id)
    if refund.status is RefundStatus.PENDING:
        refund.status = RefundStatus.FAILED
        note_change(session, refund.id)
