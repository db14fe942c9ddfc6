"""Calls to the provider about a hold: what is asked for, and what to do without an answer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.money import Cents
from payment import store
from payment.domain.holds import FailureReason, HoldStatus, after
from payment.domain.plan import CardState
from payment.models import AppointmentRoot, CardRow, HoldRow
from payment.usecases.observing import hold_failed, lock_hold
from payment.usecases.planning import is_over
from payment.usecases.settling import settle

_NOT_SENT: Final = frozenset({HoldStatus.PENDING, HoldStatus.UNKNOWN})


@dataclass(frozen=True, slots=True)
class HoldOrder:
    """What the provider is asked for. The same hold is always asked for in the same words."""

    hold_id: UUID
    appointment_id: UUID
    attempt: int
    token: str
    amount_cents: Cents
    off_session: bool
    called_before: bool
    wanted: bool


@dataclass(frozen=True, slots=True)
class SettleOrder:
    hold_id: UUID
    provider_id: str
    capture_cents: Cents | None  # None: release it
    captured_cents: Cents  # before, by the provider itself


async def begin_hold(session: AsyncSession, hold_id: UUID, *, now: datetime) -> HoldOrder | None:
    """None: there is nothing to ask for any more. From its commit on the provider may know of the hold."""
    found = await lock_hold(session, hold_id)
    if found is None or found[1].status not in _NOT_SENT:
        return None
    root, hold = found
    card = await store.find_card(session, hold.card_id)
    late = not root.is_secured and root.decide_by is not None and now >= root.decide_by
    wanted = not late and card is not None and _may_use(card, root, hold)
    if hold.called_at is None:
        if not wanted:
            reason: FailureReason = "decide-by-passed" if late else "provider-refused"
            await hold_failed(session, root, hold, reason, now=now)
            return None
        hold.called_at = now
    return HoldOrder(
        hold_id=hold.id,
        appointment_id=root.id,
        attempt=hold.attempt,
        token=card.provider_token if card is not None else "",
        amount_cents=hold.asked_cents,
        off_session=hold.off_session,
        called_before=hold.called_at != now,
        wanted=wanted and (not is_over(root) or root.priced_at is not None),
    )


def _may_use(card: CardRow, root: AppointmentRoot, hold: HoldRow) -> bool:
    """It may have been removed, or its mandate withdrawn, since the hold was decided."""
    if card.account_id != root.account_id:
        return False
    return card.state is CardState.READY if hold.off_session else card.state is not CardState.MISSING


async def mark_unknown(session: AsyncSession, hold_id: UUID) -> None:
    found = await lock_hold(session, hold_id)
    if found is not None and found[1].status is HoldStatus.PENDING:
        found[1].status = after(found[1].status, HoldStatus.UNKNOWN)


async def give_up_hold(session: AsyncSession, hold_id: UUID, *, now: datetime) -> None:
    """The provider knows nothing of it, and nobody wants it any more."""
    found = await lock_hold(session, hold_id)
    if found is None or found[1].status not in _NOT_SENT:
        return
    root, hold = found
    if is_over(root):
        hold.status = after(hold.status, HoldStatus.WITHDRAWN)
        await settle(session, root, now=now)
    else:
        await hold_failed(session, root, hold, "decide-by-passed", now=now)


async def refuse_hold(session: AsyncSession, hold_id: UUID, *, now: datetime) -> None:
    """The provider would not even try: a token it does not know, an order it does not take."""
    found = await lock_hold(session, hold_id)
    if found is not None and found[1].status in _NOT_SENT:
        await hold_failed(session, *found, "provider-refused", now=now)


async def begin_settlement(session: AsyncSession, hold_id: UUID) -> SettleOrder | None:
    found = await lock_hold(session, hold_id)
    if found is None or not found[1].awaits_settlement:
        return None
    hold = found[1]
    if hold.provider_id is None:
        return None
    return SettleOrder(hold_id, hold.provider_id, hold.capture_cents, hold.captured_cents)


async def find_asking(session: AsyncSession, hold_id: UUID) -> str | None:
    """The provider's id of a hold that waits for its patient."""
    found = await lock_hold(session, hold_id)
    return found[1].provider_id if found and found[1].status is HoldStatus.ACTION_REQUIRED else None


@dataclass(frozen=True, slots=True)
class LiveHold:
    provider_id: str
    capture_before: datetime


async def find_live(session: AsyncSession, hold_id: UUID) -> LiveHold | None:
    found = await lock_hold(session, hold_id)
    if found is None or found[1].status is not HoldStatus.HELD:
        return None
    hold = found[1]
    if hold.provider_id is None or hold.capture_before is None:
        return None
    return LiveHold(hold.provider_id, hold.capture_before)
