"""Holds: what a price asks for, what the provider says, and when time is up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, assert_never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.events.payment import (
    CapturedV1,
    HoldActionRequiredV1,
    HoldExpiredV1,
    HoldFailedV1,
    HoldPlacedV1,
    HoldReleasedV1,
    HoldScheduledV1,
    HoldWaivedV1,
)
from common.ids import uuid7
from common.messaging import outbox, tasks
from common.money import Cents
from payment import store
from payment.domain import ledger, plan
from payment.domain.holds import OPEN, FailureReason, HoldStatus, after, failure_of, path
from payment.domain.plan import CardState
from payment.domain.provider import ProviderPayment
from payment.models import AwaitedAction, CardRow, HoldRow, ReleaseReason, Stream
from payment.usecases import refunds
from payment.usecases.journal import post
from payment.usecases.settling import close, release, settle

_NOT_SENT: Final = frozenset({HoldStatus.PENDING, HoldStatus.UNKNOWN})


def is_over(stream: Stream) -> bool:
    """No hold is wanted any more."""
    ends = (stream.ended_at, stream.lapsed_at, stream.failed_at, stream.priced_at)
    return any(end is not None for end in ends)


# --- from a price to a hold --------------------------------------------------------------------------------


async def proceed(session: AsyncSession, stream: Stream, *, now: datetime, off_session: bool = False) -> None:
    """Does what the newest price asks for; the root must be locked. Twice is once."""
    if stream.starts_at is None or stream.decide_by is None or stream.revision == 0 or is_over(stream):
        return
    if stream.quote_schedule_no < stream.schedule_no:
        return  # moved: the price of the new time comes
    holds = list(await store.list_holds(session, stream.id))
    live = _live_hold(stream, holds)
    card = await store.find_usable_card(session, stream.account_id, chosen=stream.card_id)
    coming = [hold.asked_cents for hold in holds if hold.status in OPEN and not hold.is_going]
    step = plan.plan(
        plan.Situation(
            now=now,
            starts_at=stream.starts_at,
            decide_by=stream.decide_by,
            told=stream.is_answered,
            secured=stream.is_secured,
            advance_cents=stream.advance_cents,
            agreed_cents=stream.agreed_cents,
            held_cents=live.held_cents if live is not None else None,
            open_cents=max(coming, default=None),
            card=card.state if card is not None else CardState.MISSING,
            place_at=stream.place_at,
        )
    )
    match step:
        case plan.Keep() | plan.Nothing() | plan.Waive():
            _stand(session, stream, step, live, now=now)
        case plan.Schedule(place_at):
            _schedule(session, stream, holds, place_at, now=now)
        case plan.Place(amount_cents):
            assert card is not None  # noqa: S101  the plan asks for one first
            _attempt(session, stream, len(holds) + 1, card, amount_cents, off_session=off_session, now=now)
        case plan.Ask(action, expires_at):
            ask(session, stream, AwaitedAction(action), expires_at=expires_at, now=now)
        case plan.TooLate():
            await _too_late(session, stream, live, now=now)
        case _:
            assert_never(step)


def _stand(
    session: AsyncSession,
    stream: Stream,
    step: plan.Keep | plan.Nothing | plan.Waive,
    live: HoldRow | None,
    *,
    now: datetime,
) -> None:
    """No new hold: there is one, or one on its way, or none is needed."""
    if isinstance(step, plan.Keep) or stream.action is not AwaitedAction.THREE_D_SECURE:
        _clear_action(stream)
    if isinstance(step, plan.Keep) and live is not None and not stream.is_answered:
        _publish_placed(session, stream, live, now=now)  # the hold stands for the new time too
    if isinstance(step, plan.Waive):
        stream.waived = True
        stream.answered_schedule_no = stream.quote_schedule_no
        outbox.add(session, stream, HoldWaivedV1(**_answers(stream)), now=now)


def _live_hold(stream: Stream, holds: list[HoldRow]) -> HoldRow | None:
    """The newest one that lasts until the visit is over."""
    for hold in reversed(holds):
        lasts = hold.capture_before is None or stream.ends_at is None or hold.capture_before > stream.ends_at
        if hold.status is HoldStatus.HELD and not hold.is_going and lasts:
            return hold
    return None


def _answers(stream: Stream) -> dict[str, Any]:
    return {
        "appointment_id": stream.id,
        "revision": stream.revision,
        "schedule_no": stream.quote_schedule_no,
    }


def _attempt(
    session: AsyncSession,
    stream: Stream,
    attempt: int,
    card: CardRow,
    cents: Cents,
    *,
    off_session: bool,
    now: datetime,
) -> None:
    _clear_action(stream)
    hold = HoldRow(
        id=uuid7(now),
        appointment_id=stream.id,
        attempt=attempt,
        revision=stream.revision,
        schedule_no=stream.quote_schedule_no,
        card_id=card.id,
        off_session=off_session,
        status=HoldStatus.PENDING,
        asked_cents=cents,
        held_cents=0,
        captured_cents=0,
        released_cents=0,
        refunded_cents=0,
        created_at=now,
    )
    session.add(hold)
    tasks.add(session, "place-hold", str(hold.id), due_at=now)


def _schedule(
    session: AsyncSession, stream: Stream, holds: Sequence[HoldRow], place_at: datetime, *, now: datetime
) -> None:
    _clear_action(stream)
    early = {hold.id: hold for hold in holds if hold.status is HoldStatus.HELD and not hold.is_going}
    release(session, early, list(early), ReleaseReason.REPLACED, now=now)  # it ends before the new time
    stream.place_at = place_at
    key = f"{stream.id}:{stream.quote_schedule_no}"
    tasks.add(session, "place-scheduled-hold", key, due_at=place_at, again=True)
    if not stream.is_answered:
        stream.answered_schedule_no = stream.quote_schedule_no
        outbox.add(session, stream, HoldScheduledV1(**_answers(stream), place_at=place_at), now=now)


def ask(
    session: AsyncSession, stream: Stream, action: AwaitedAction, *, expires_at: datetime, now: datetime
) -> None:
    """The patient has to do something; asked once for each price."""
    if (stream.action, stream.action_revision) == (action, stream.revision):
        return
    stream.action, stream.action_revision, stream.action_expires_at = action, stream.revision, expires_at
    fact = HoldActionRequiredV1(**_answers(stream), action=action.value, expires_at=expires_at)
    outbox.add(session, stream, fact, now=now)
    key = f"{stream.id}:{stream.revision}:{action}"
    tasks.add(session, "expire-action", key, due_at=expires_at, again=True)


def _clear_action(stream: Stream) -> None:
    stream.action = stream.action_expires_at = None


async def _too_late(session: AsyncSession, stream: Stream, live: HoldRow | None, *, now: datetime) -> None:
    if not stream.is_secured:
        await fail(session, stream, "decide-by-passed", now=now)
    elif live is None and stream.place_at is not None:
        await fail(session, stream, "action-expired", now=now)
    else:
        _clear_action(stream)  # the visit takes place, and what no hold covers is a receivable


async def fail(session: AsyncSession, stream: Stream, reason: FailureReason, *, now: datetime) -> None:
    """Finally: booking gives the time back."""
    stream.failed_at = now
    _clear_action(stream)
    outbox.add(session, stream, HoldFailedV1(**_answers(stream), reason=reason), now=now)
    await settle(session, stream, now=now)


# --- calling the provider ----------------------------------------------------------------------------------


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


async def _locked(session: AsyncSession, hold_id: UUID) -> tuple[Stream, HoldRow] | None:
    appointment_id = await store.find_appointment_of_hold(session, hold_id)
    if appointment_id is None:
        return None
    stream = await store.lock_stream(session, appointment_id)
    return stream, await store.get_hold(session, hold_id)


async def begin_hold(session: AsyncSession, hold_id: UUID, *, now: datetime) -> HoldOrder | None:
    """None: there is nothing to ask for any more. From its commit on the provider may know of the hold."""
    found = await _locked(session, hold_id)
    if found is None or found[1].status not in _NOT_SENT:
        return None
    stream, hold = found
    card = await store.find_card(session, hold.card_id)
    late = not stream.is_secured and stream.decide_by is not None and now >= stream.decide_by
    wanted = not late and card is not None and card.state is not CardState.MISSING
    if hold.called_at is None:
        if not wanted:
            await _failed(session, stream, hold, "decide-by-passed" if late else "provider-refused", now=now)
            return None
        hold.called_at = now
    return HoldOrder(
        hold_id=hold.id,
        appointment_id=stream.id,
        attempt=hold.attempt,
        token=card.provider_token if card is not None else "",
        amount_cents=hold.asked_cents,
        off_session=hold.off_session,
        called_before=hold.called_at != now,
        wanted=wanted and (not is_over(stream) or stream.priced_at is not None),
    )


async def mark_unknown(session: AsyncSession, hold_id: UUID) -> None:
    found = await _locked(session, hold_id)
    if found is not None and found[1].status is HoldStatus.PENDING:
        found[1].status = after(found[1].status, HoldStatus.UNKNOWN)


async def give_up_hold(session: AsyncSession, hold_id: UUID, *, now: datetime) -> None:
    """The provider knows nothing of it, and nobody wants it any more."""
    found = await _locked(session, hold_id)
    if found is None or found[1].status not in _NOT_SENT:
        return
    stream, hold = found
    if is_over(stream):
        hold.status = after(hold.status, HoldStatus.WITHDRAWN)
        await settle(session, stream, now=now)
    else:
        await _failed(session, stream, hold, "decide-by-passed", now=now)


async def refuse_hold(session: AsyncSession, hold_id: UUID, *, now: datetime) -> None:
    """The provider would not even try: a token it does not know, an order it does not take."""
    found = await _locked(session, hold_id)
    if found is not None and found[1].status in _NOT_SENT:
        await _failed(session, *found, "provider-refused", now=now)


async def begin_settlement(session: AsyncSession, hold_id: UUID) -> SettleOrder | None:
    found = await _locked(session, hold_id)
    if found is None or not found[1].awaits_settlement or found[1].provider_id is None:
        return None
    return SettleOrder(hold_id, found[1].provider_id, found[1].capture_cents)


async def find_asking(session: AsyncSession, hold_id: UUID) -> str | None:
    """The provider's id of a hold that waits for its patient."""
    found = await _locked(session, hold_id)
    return found[1].provider_id if found and found[1].status is HoldStatus.ACTION_REQUIRED else None


@dataclass(frozen=True, slots=True)
class LiveHold:
    provider_id: str
    capture_before: datetime


async def find_live(session: AsyncSession, hold_id: UUID) -> LiveHold | None:
    found = await _locked(session, hold_id)
    if found is None or found[1].status is not HoldStatus.HELD:
        return None
    hold = found[1]
    if hold.provider_id is None or hold.capture_before is None:
        return None
    return LiveHold(hold.provider_id, hold.capture_before)


# --- what the provider says --------------------------------------------------------------------------------


async def observe_hold(
    session: AsyncSession, hold_id: UUID, seen: ProviderPayment, *, now: datetime
) -> HoldRow | None:
    """A response, a webhook and a poll all end here. None: it is no hold of ours."""
    found = await _locked(session, hold_id)
    if found is None:
        return None
    await observe(session, *found, seen, now=now)
    return found[1]


async def observe(
    session: AsyncSession, stream: Stream, hold: HoldRow, seen: ProviderPayment, *, now: datetime
) -> None:
    """Forward moves only, one event for each; the root must be locked. Old news changes nothing."""
    hold.provider_id = hold.provider_id or seen.id
    hold.called_at = hold.called_at or now
    moves = path(hold.status, seen, released_by_us=hold.is_going)
    for target in moves:
        if target is HoldStatus.FAILED:
            await _failed(session, stream, hold, failure_of(seen), now=now)
            return
        hold.status = after(hold.status, target)
        _moved(session, stream, hold, seen, now=now)
    for reference in seen.refunds:
        await refunds.observe_refund(session, stream, reference, now=now)
    if moves:
        await settle(session, stream, now=now)
        if hold.awaits_settlement:
            tasks.add(session, "settle-hold", str(hold.id), due_at=now, again=True)


def _moved(
    session: AsyncSession, stream: Stream, hold: HoldRow, seen: ProviderPayment, *, now: datetime
) -> None:
    match hold.status:
        case HoldStatus.ACTION_REQUIRED:
            _asks(session, stream, hold, seen, now=now)
        case HoldStatus.HELD:
            _held(session, stream, hold, seen, now=now)
        case HoldStatus.CAPTURED:
            _captured(session, stream, hold, seen, now=now)
        case HoldStatus.VOIDED:
            _let_go(session, stream, hold, now=now)
            released = HoldReleasedV1(
                appointment_id=stream.id,
                hold_id=hold.id,
                currency="EUR",
                released_cents=hold.released_cents,
                reason=(hold.release_reason or ReleaseReason.APPOINTMENT_ENDED).value,
            )
            outbox.add(session, stream, released, now=now)
        case HoldStatus.EXPIRED:
            _let_go(session, stream, hold, now=now)
            hold.capture_cents = None
            expired = HoldExpiredV1(
                appointment_id=stream.id, hold_id=hold.id, currency="EUR", held_cents=hold.held_cents
            )
            outbox.add(session, stream, expired, now=now)
        case _:
            raise ValueError(f"nothing to say about a hold that is {hold.status}")


def _asks(
    session: AsyncSession, stream: Stream, hold: HoldRow, seen: ProviderPayment, *, now: datetime
) -> None:
    if seen.challenge is None or stream.decide_by is None or stream.starts_at is None:
        raise ValueError("an action without a page for it, or for a hold without a price")
    until = plan.action_deadline(
        decide_by=stream.decide_by,
        starts_at=stream.starts_at,
        secured=stream.is_secured,
        live=False,
        scheduled=stream.place_at is not None,
    )
    hold.action_url = seen.challenge.url
    hold.action_expires_at = min(until, seen.challenge.expires_at)
    tasks.add(session, "expire-challenge", str(hold.id), due_at=hold.action_expires_at)
    if is_over(stream):
        return  # nobody is asked any more: settle lets it go
    stream.action, stream.action_revision = AwaitedAction.THREE_D_SECURE, hold.revision
    stream.action_expires_at = hold.action_expires_at
    asked = HoldActionRequiredV1(
        appointment_id=stream.id,
        revision=hold.revision,
        schedule_no=hold.schedule_no,
        action="three-d-secure",
        expires_at=hold.action_expires_at,
    )
    outbox.add(session, stream, asked, now=now)


def _held(
    session: AsyncSession, stream: Stream, hold: HoldRow, seen: ProviderPayment, *, now: datetime
) -> None:
    if seen.capture_before is None:
        raise ValueError("an authorisation without an end")
    hold.held_cents = seen.authorized_cents
    hold.capture_before = seen.capture_before
    hold.action_url = None
    post(session, stream, f"{hold.id}:held", ledger.held(hold.held_cents), now=now)
    tasks.add(session, "watch-hold", str(hold.id), due_at=max(now, seen.capture_before - plan.WARNING))
    if hold.held_cents >= stream.advance_cents or stream.action is AwaitedAction.THREE_D_SECURE:
        _clear_action(stream)
    _publish_placed(session, stream, hold, now=now)


def _publish_placed(session: AsyncSession, stream: Stream, hold: HoldRow, *, now: datetime) -> None:
    """Names the newest price that the hold covers, so that booking hears of the time it now has."""
    if hold.capture_before is None:
        raise ValueError("only a hold with its end is live")
    covers = hold.held_cents >= stream.advance_cents
    revision = stream.revision if covers else hold.revision
    schedule_no = stream.quote_schedule_no if covers else hold.schedule_no
    if not is_over(stream):
        stream.answered_schedule_no = max(stream.answered_schedule_no, schedule_no)
        stream.agreed_cents = Cents(max(stream.agreed_cents, hold.held_cents))
    placed = HoldPlacedV1(
        appointment_id=stream.id,
        revision=revision,
        schedule_no=schedule_no,
        hold_id=hold.id,
        attempt=hold.attempt,
        currency="EUR",
        held_cents=hold.held_cents,
        capture_before=hold.capture_before,
    )
    outbox.add(session, stream, placed, now=now)
    if stream.decide_by is not None:
        due = stream.decide_by + plan.CONFIRMATION_MARGIN
        tasks.add(session, "void-unconfirmed", f"{stream.id}:{schedule_no}", due_at=due)


def _captured(
    session: AsyncSession, stream: Stream, hold: HoldRow, seen: ProviderPayment, *, now: datetime
) -> None:
    hold.captured_cents, hold.released_cents = (
        seen.captured_cents,
        Cents(hold.held_cents - seen.captured_cents),
    )
    if stream.priced_at is None:  # the part of the advance that a late cancellation costs
        post(session, stream, f"{stream.id}:due", ledger.due(hold.captured_cents), now=now)
    taken = [*ledger.let_go(hold.captured_cents), *ledger.paid_by_card(hold.captured_cents)]
    post(session, stream, f"{hold.id}:captured", taken, now=now)
    post(session, stream, f"{hold.id}:released", ledger.let_go(hold.released_cents), now=now)
    captured = CapturedV1(
        appointment_id=stream.id,
        hold_id=hold.id,
        currency="EUR",
        captured_cents=hold.captured_cents,
        released_cents=hold.released_cents,
    )
    outbox.add(session, stream, captured, now=now)
    close(session, stream, captured_cents=hold.captured_cents, now=now)


def _let_go(session: AsyncSession, stream: Stream, hold: HoldRow, *, now: datetime) -> None:
    hold.released_cents = hold.held_cents
    post(session, stream, f"{hold.id}:released", ledger.let_go(hold.released_cents), now=now)


async def _failed(
    session: AsyncSession, stream: Stream, hold: HoldRow, reason: FailureReason, *, now: datetime
) -> None:
    """Before booking has an answer it is final; later the patient is asked again while there is time."""
    hold.status = after(hold.status, HoldStatus.FAILED)
    hold.failure, hold.action_url = reason, None
    if stream.action is AwaitedAction.THREE_D_SECURE:
        _clear_action(stream)
    if hold.is_going or is_over(stream) or stream.starts_at is None or stream.decide_by is None:
        await settle(session, stream, now=now)
        return
    holds = list(await store.list_holds(session, stream.id))
    live = _live_hold(stream, holds)
    if any(each.status in OPEN and not each.is_going for each in holds):
        return  # another attempt is on its way
    if stream.advance_cents == 0 or (live is not None and live.held_cents >= stream.advance_cents):
        await proceed(session, stream, now=now)
    elif not stream.is_secured:
        await fail(session, stream, reason, now=now)
    elif live is not None:
        stream.agreed_cents = live.held_cents  # accepting the price again is how the patient tries again
        stream.action_revision = 0
        await proceed(session, stream, now=now)
    else:
        await _ask_for_another_card(session, stream, stream.starts_at, stream.decide_by, reason, now=now)


async def _ask_for_another_card(
    session: AsyncSession,
    stream: Stream,
    starts_at: datetime,
    decide_by: datetime,
    reason: FailureReason,
    *,
    now: datetime,
) -> None:
    scheduled = stream.place_at is not None
    until = plan.action_deadline(
        decide_by=decide_by, starts_at=starts_at, secured=True, live=False, scheduled=scheduled
    )
    if now < until:
        stream.action_revision = 0
        ask(session, stream, AwaitedAction.CARD_MISSING, expires_at=until, now=now)
    elif scheduled:
        await fail(session, stream, reason, now=now)


# --- when time is up ---------------------------------------------------------------------------------------


async def expire_action(
    session: AsyncSession, appointment_id: UUID, *, revision: int, action: str, now: datetime
) -> None:
    stream = await store.lock_stream(session, appointment_id)
    if (stream.action, stream.action_revision) != (action, revision) or is_over(stream):
        return
    holds = list(await store.list_holds(session, stream.id))
    if action == AwaitedAction.THREE_D_SECURE and any(h.status is HoldStatus.ACTION_REQUIRED for h in holds):
        return  # the challenge has its own end
    live = _live_hold(stream, holds)
    if not stream.is_secured or (live is None and stream.place_at is not None):
        await fail(session, stream, "action-expired", now=now)
    else:
        _clear_action(stream)


async def lapse(session: AsyncSession, appointment_id: UUID, *, now: datetime) -> None:
    """Nobody confirmed the appointment in time: the hold is released without being asked for."""
    stream = await store.lock_stream(session, appointment_id)
    if stream.confirmed_at is None and not is_over(stream):
        stream.lapsed_at = now
        _clear_action(stream)
        await settle(session, stream, now=now)


async def place_scheduled(
    session: AsyncSession, appointment_id: UUID, *, schedule_no: int, now: datetime
) -> None:
    """The window has opened: the saved card is asked without its holder."""
    stream = await store.lock_stream(session, appointment_id)
    if stream.quote_schedule_no != schedule_no or stream.place_at is None or is_over(stream):
        return
    if stream.confirmed_at is None:
        stream.lapsed_at = now
        return
    await proceed(session, stream, now=now, off_session=True)
