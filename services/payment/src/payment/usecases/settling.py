"""Deciding which hold is captured and which are released, and publishing what is missing."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.events.payment import ShortV1
from common.messaging import outbox, tasks
from common.money import Cents
from payment import store
from payment.domain import settlement
from payment.domain.holds import HoldStatus, after
from payment.models import HoldRow, ReleaseReason, Stream


def view(hold: HoldRow) -> settlement.HoldView:
    return settlement.HoldView(
        id=hold.id,
        attempt=hold.attempt,
        status=hold.status,
        held_cents=hold.held_cents,
        called=hold.called_at is not None,
        going=hold.is_going,
    )


async def settle(session: AsyncSession, stream: Stream, *, now: datetime) -> None:
    """Called after every fact that may decide something; the root must be locked. Twice is once."""
    holds = {hold.id: hold for hold in await store.list_holds(session, stream.id)}
    views = [view(hold) for hold in holds.values()]
    over = stream.ended_at or stream.lapsed_at or stream.failed_at
    if stream.priced_at is None and over is None:
        release(session, holds, settlement.superseded(views), ReleaseReason.REPLACED, now=now)
        return
    decided = next((hold.id for hold in holds.values() if _is_capture(hold)), None)
    if decided is not None or stream.settled_at is not None:
        release(session, holds, settlement.releasable(views, but=decided), ReleaseReason.REPLACED, now=now)
        return
    due = stream.due_cents if stream.priced_at is not None else stream.kept_cents
    outcome = settlement.settle(views, due_cents=due)
    if outcome is None:
        return
    if outcome.capture is not None:
        holds[outcome.capture].capture_cents = outcome.capture_cents
        tasks.add(session, "settle-hold", str(outcome.capture), due_at=now, again=True)
    release(session, holds, outcome.release, _reason(stream, due), now=now)
    if outcome.capture is None and stream.priced_at is not None:
        close(session, stream, captured_cents=Cents(0), now=now)


def close(session: AsyncSession, stream: Stream, *, captured_cents: Cents, now: datetime) -> None:
    """What is due and was not captured is a receivable: shown, and never charged by itself."""
    stream.settled_at = now
    stream.short_cents = Cents(max(stream.due_cents - captured_cents, 0))
    if stream.short_cents > 0:
        short = ShortV1(
            appointment_id=stream.id,
            currency="EUR",
            captured_cents=captured_cents,
            short_cents=stream.short_cents,
        )
        outbox.add(session, stream, short, now=now)


def _is_capture(hold: HoldRow) -> bool:
    return hold.capture_cents is not None and hold.status in {HoldStatus.HELD, HoldStatus.CAPTURED}


def _reason(stream: Stream, due: Cents) -> ReleaseReason:
    if stream.priced_at is not None:
        return ReleaseReason.REPLACED if due > 0 else ReleaseReason.NOTHING_DUE
    return ReleaseReason.NOT_CONFIRMED if stream.ended_at is None else ReleaseReason.APPOINTMENT_ENDED


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
