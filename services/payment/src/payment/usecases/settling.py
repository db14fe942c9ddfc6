"""Deciding which hold is captured and which are released, what is missing and what is given back."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.events.payment import CapturedV1, ShortV1
from common.messaging import outbox, tasks
from common.money import Cents
from payment import store
from payment.domain import settlement
from payment.domain.holds import HoldStatus, after
from payment.models import AppointmentRoot, HoldRow, RefundRow, RefundStatus, ReleaseReason
from payment.usecases.refunds import add_refund


def view(hold: HoldRow) -> settlement.HoldView:
    return settlement.HoldView(
        id=hold.id,
        attempt=hold.attempt,
        status=hold.status,
        held_cents=hold.reserved_cents,
        called=hold.called_at is not None,
        going=hold.is_going,
    )


async def settle(session: AsyncSession, root: AppointmentRoot, *, now: datetime) -> None:
    """Called after every fact that may decide something; the root must be locked. Twice is once."""
    holds = {hold.id: hold for hold in await store.list_holds(session, root.id)}
    views = [view(hold) for hold in holds.values()]
    over = root.ended_at or root.lapsed_at or root.failed_at
    if root.priced_at is None and over is None:
        release(session, holds, settlement.superseded(views), ReleaseReason.REPLACED, now=now)
        return
    decided = next((hold.id for hold in holds.values() if _is_capture(hold)), None)
    if decided is not None or root.settled_at is not None:
        release(session, holds, settlement.releasable(views, but=decided), ReleaseReason.REPLACED, now=now)
        if root.settled_at is not None:
            await _conclude(session, root, now=now)
        return
    due = _due(root)
    paid = paid_cents(holds.values(), await store.list_refunds(session, root.id))
    outcome = settlement.settle(views, due_cents=Cents(max(due - paid, 0)))
    if outcome is None:
        return
    if outcome.capture is not None:
        holds[outcome.capture].capture_cents = outcome.capture_cents
        tasks.add(session, "settle-hold", str(outcome.capture), due_at=now, again=True)
    release(session, holds, outcome.release, _reason(root, due), now=now)
    if outcome.capture is None:
        if root.priced_at is not None:
            await close(session, root, now=now)
        else:
            await _conclude(session, root, now=now)


def _due(root: AppointmentRoot) -> Cents:
    """Cents that the patient owes on the card: of the final price, or of a late cancellation."""
    return root.due_cents if root.priced_at is not None else root.kept_cents


def paid_cents(holds: Iterable[HoldRow], refunds: Sequence[RefundRow]) -> Cents:
    """What was captured, without what was, or is about to be, given back because it is not due."""
    returned = sum(refund.not_due_cents for refund in refunds if store.is_counted(refund))
    return Cents(sum(hold.captured_cents for hold in holds) - returned)


def undue_cents(root: AppointmentRoot, holds: Iterable[HoldRow], refunds: Sequence[RefundRow]) -> Cents:
    """What is captured above what is due, and not given back yet."""
    made = [refund for refund in refunds if refund.status is RefundStatus.MADE]
    return Cents(max(paid_cents(holds, made) - _due(root), 0))


async def close(session: AsyncSession, root: AppointmentRoot, *, now: datetime) -> None:
    """What is due and was not captured is a receivable: shown, and never charged by itself."""
    root.settled_at = now
    await _conclude(session, root, now=now)
    holds = await store.list_holds(session, root.id)
    paid = paid_cents(holds, await store.list_refunds(session, root.id))
    root.short_cents = Cents(max(root.due_cents - paid, 0))
    if root.short_cents > 0:
        short = ShortV1(
            appointment_id=root.id, currency="EUR", captured_cents=paid, short_cents=root.short_cents
        )
        outbox.add(session, root, short, now=now)


async def _conclude(session: AsyncSession, root: AppointmentRoot, *, now: datetime) -> None:
    """Tells what the provider captured by itself, and gives back what is captured above what is due."""
    holds = await store.list_holds(session, root.id)
    refunds = await store.list_refunds(session, root.id)
    paid = paid_cents(holds, refunds)
    captures = [
        settlement.Refundable(hold.id, _left(hold, refunds))
        for hold in holds
        if hold.status is HoldStatus.CAPTURED
    ]
    for hold_id, cents in settlement.excess(captures, paid_cents=paid, due_cents=_due(root)):
        add_refund(session, root, hold_id=hold_id, amount_cents=cents, not_due=True, now=now)
    for hold in holds:
        if hold.status is HoldStatus.CAPTURED and not hold.capture_told:
            tell_capture(session, root, hold, paid=paid, now=now)


def _left(hold: HoldRow, refunds: Sequence[RefundRow]) -> Cents:
    given = sum(each.amount_cents for each in refunds if each.hold_id == hold.id and store.is_counted(each))
    return Cents(hold.captured_cents - given)


def tell_capture(
    session: AsyncSession, root: AppointmentRoot, hold: HoldRow, *, paid: Cents, now: datetime
) -> None:
    """`paid`: see `paid_cents`. What of it is above what is due goes back."""
    hold.capture_told = True
    captured = CapturedV1(
        appointment_id=root.id,
        hold_id=hold.id,
        currency="EUR",
        captured_cents=hold.captured_cents,
        released_cents=hold.released_cents,
        total_captured_cents=Cents(min(paid, _due(root))),
        origin="provider" if hold.capture_cents is None else "platform",
    )
    outbox.add(session, root, captured, now=now)


def _is_capture(hold: HoldRow) -> bool:
    return hold.capture_cents is not None and hold.status in {HoldStatus.HELD, HoldStatus.CAPTURED}


def _reason(root: AppointmentRoot, due: Cents) -> ReleaseReason:
    if root.priced_at is not None:
        return ReleaseReason.REPLACED if due > 0 else ReleaseReason.NOTHING_DUE
    return ReleaseReason.NOT_CONFIRMED if root.ended_at is None else ReleaseReason.APPOINTMENT_ENDED


def release(
    session: AsyncSession,
    holds: Mapping[UUID, HoldRow],
    ids: Sequence[UUID],
    reason: ReleaseReason,
    *,
    now: datetime,
) -> None:
    for hold_id in ids:
        hold = holds[hold_id]
        if hold.status is HoldStatus.PENDING:
            # Once it was sent, only the provider's answer says what there is to release.
            if hold.called_at is None:
                hold.status = after(hold.status, HoldStatus.WITHDRAWN)
            continue
        hold.release_reason = reason
        tasks.add(session, "settle-hold", str(hold.id), due_at=now, again=True)
