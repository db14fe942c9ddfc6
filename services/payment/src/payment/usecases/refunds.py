"""Giving back what was captured or charged: by us, or by the provider itself."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import DomainError, Refusal
from common.events.payment import RefundMadeV1
from common.ids import uuid7
from common.messaging import history, outbox, tasks
from common.money import Cents
from common.transaction import note_change
from payment import store
from payment.domain import ledger
from payment.domain.holds import HoldStatus
from payment.domain.provider import ProviderRefund
from payment.models import (
    AppointmentRoot,
    BalanceRow,
    BalanceStatus,
    HoldRow,
    Origin,
    RefundFailure,
    RefundRow,
    RefundStatus,
)
from payment.usecases.journal import post

_NOTHING_LEFT: Final = frozenset({"above-the-capture"})
_log: Final = logging.getLogger(__name__)


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
    root = await store.lock_known_root(session, appointment_id)
    asked = [each for each in await store.list_refunds(session, root.id) if store.is_counted(each)]
    sources: list[tuple[UUID | None, UUID | None, int]] = [
        (hold.id, None, hold.captured_cents)
        for hold in await store.list_holds(session, root.id)
        if hold.status is HoldStatus.CAPTURED
    ]
    sources += [
        (None, balance.id, balance.charged_cents)
        for balance in await store.list_balances(session, root.id)
        if balance.status is BalanceStatus.CHARGED
    ]
    most = 0
    for hold_id, balance_id, taken in sources:
        given = sum(
            each.amount_cents for each in asked if (each.hold_id, each.balance_id) == (hold_id, balance_id)
        )
        if given + amount_cents <= taken:
            return add_refund(
                session, root, hold_id=hold_id, balance_id=balance_id, amount_cents=amount_cents, now=now
            )
        most = max(most, taken - given)
    raise RefundAboveCaptured(
        "no capture or charge has that much left to give back", extra={"left_cents": most}
    )


def add_refund(
    session: AsyncSession,
    root: AppointmentRoot,
    *,
    hold_id: UUID | None = None,
    balance_id: UUID | None = None,
    amount_cents: Cents,
    not_due: bool = False,
    now: datetime,
) -> RefundRow:
    """Asks the provider by a task. `not_due`: what was captured above what is due goes back unasked."""
    refund = RefundRow(
        id=uuid7(now),
        appointment_id=root.id,
        hold_id=hold_id,
        balance_id=balance_id,
        amount_cents=amount_cents,
        status=RefundStatus.PENDING,
        origin=Origin.PLATFORM,
        not_due_cents=amount_cents if not_due else 0,
        created_at=now,
    )
    session.add(refund)
    tasks.add(session, "refund", str(refund.id), due_at=now)
    return refund


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


async def observe_refunds(
    session: AsyncSession,
    root: AppointmentRoot,
    source: HoldRow | BalanceRow,
    seen: Sequence[ProviderRefund],
    *,
    not_due_cents: Cents,
    now: datetime,
) -> None:
    """The provider's list of the refunds of one payment; the root must be locked. Each of them counts once.

    `not_due_cents` is captured above what is due: refunds give that back first.
    """
    known = {row.id: row for row in await store.list_refunds(session, root.id)} if seen else {}
    for each in seen:
        refund = known.get(_id_of(each))
        if refund is None:
            refund = known.setdefault(_id_of(each), _by_itself(root, source, each, now=now))
        elif refund.status is RefundStatus.MADE:
            continue
        taken = source.captured_cents if isinstance(source, HoldRow) else source.charged_cents
        if source.refunded_cents + each.amount_cents > taken:
            _log.warning("a refund of %s gives back more than was taken", source.id)
            continue
        session.add(refund)
        refund.not_due_cents = Cents(min(each.amount_cents, not_due_cents))
        not_due_cents = Cents(not_due_cents - refund.not_due_cents)
        _made(session, root, source, refund, now=now)


def _id_of(seen: ProviderRefund) -> UUID:
    """Our own id, or for a refund that we did not ask for one that follows from the provider's."""
    try:
        return UUID(seen.reference or "")
    except ValueError:
        return uuid5(NAMESPACE_URL, f"refund:{seen.id}")


def _by_itself(
    root: AppointmentRoot, source: HoldRow | BalanceRow, seen: ProviderRefund, *, now: datetime
) -> RefundRow:
    return RefundRow(
        id=_id_of(seen),
        appointment_id=root.id,
        hold_id=source.id if isinstance(source, HoldRow) else None,
        balance_id=source.id if isinstance(source, BalanceRow) else None,
        amount_cents=seen.amount_cents,
        status=RefundStatus.PENDING,
        origin=Origin.PROVIDER,
        not_due_cents=0,
        created_at=now,
    )


def _made(
    session: AsyncSession,
    root: AppointmentRoot,
    source: HoldRow | BalanceRow,
    refund: RefundRow,
    *,
    now: datetime,
) -> None:
    refund.status, refund.made_at, refund.failure = RefundStatus.MADE, now, None
    note_change(session, refund.id)
    source.refunded_cents = Cents(source.refunded_cents + refund.amount_cents)
    entries = ledger.refunded(refund.amount_cents, not_due=refund.not_due_cents)
    post(session, root, f"{refund.id}:refunded", entries, now=now)
    made = RefundMadeV1(
        appointment_id=root.id,
        refund_id=refund.id,
        currency="EUR",
        refunded_cents=refund.amount_cents,
        origin=refund.origin.value,
    )
    outbox.add(session, root, made, now=now)


async def refuse_refund(session: AsyncSession, refund_id: UUID, *, code: str, now: datetime) -> None:
    """The provider gives nothing back; the refund says why, and counts no more."""
    known = await store.get_refund(session, refund_id)
    await store.lock_root(session, known.appointment_id)
    refund = await store.get_refund(session, refund_id)
    if refund.status is RefundStatus.PENDING:
        refund.status = RefundStatus.FAILED
        note_change(session, refund.id)
        refund.failure = (
            RefundFailure.NOTHING_LEFT if code in _NOTHING_LEFT else RefundFailure.PROVIDER_REFUSED
        )
        history.note(session, refund.appointment_id, "payment.refund-refused", at=now)
