"""From a price to a hold, and what becomes of it when its time is up."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.events.payment import (
    HoldActionRequiredV1,
    HoldFailedV1,
    HoldPlacedV1,
    HoldScheduledV1,
    HoldWaivedV1,
)
from common.ids import uuid7
from common.messaging import outbox, tasks
from common.money import Cents
from payment import store
from payment.domain import plan
from payment.domain.cards import usable_for
from payment.domain.holds import OPEN, FailureReason, HoldStatus
from payment.domain.plan import CardState
from payment.models import AwaitedAction, CardRow, HoldRow, ReleaseReason, Stream
from payment.usecases.settling import release, settle


def is_over(stream: Stream) -> bool:
    """No hold is wanted any more."""
    ends = (stream.ended_at, stream.lapsed_at, stream.failed_at, stream.priced_at)
    return any(end is not None for end in ends)


async def proceed(session: AsyncSession, stream: Stream, *, now: datetime, present: bool = False) -> None:
    """Does what the newest price asks for; the root must be locked. Twice is once.

    `present`: the patient acts at this moment. A patient whose booking waits for its answer is there, too.
    """
    if stream.starts_at is None or stream.decide_by is None or stream.revision == 0 or is_over(stream):
        return
    if stream.quote_schedule_no < stream.schedule_no:
        return  # moved: the price of the new time comes
    holds = list(await store.list_holds(session, stream.id))
    live = live_hold(stream, holds)
    card, usable = await _pick_card(session, stream, stream.starts_at, now=now)
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
            card=usable,
            present=present or stream.is_first_answer,
            lapsed=0 if present else sum(_has_lapsed(hold, stream) for hold in holds),
            place_at=stream.place_at,
        )
    )
    match step:
        case plan.Keep() | plan.Nothing() | plan.Waive():
            _stand(session, stream, step, live, now=now)
        case plan.Schedule(place_at):
            assert card is not None  # noqa: S101  the plan asks for one first
            await store.share_card(session, card.id)
            stream.card_id = card.id  # a card that is saved later does not take its place
            _schedule(session, stream, holds, place_at, now=now)
        case plan.Place(amount_cents):
            assert card is not None  # noqa: S101  the plan asks for one first
            off_session = not (present or stream.is_first_answer)
            _attempt(session, stream, len(holds) + 1, card, amount_cents, off_session=off_session, now=now)
        case plan.Ask(action, expires_at):
            ask(session, stream, AwaitedAction(action), expires_at=expires_at, now=now)
        case plan.TooLate():
            await _too_late(session, stream, live, now=now)
        case _:
            assert_never(step)


async def _pick_card(
    session: AsyncSession, stream: Stream, starts_at: datetime, *, now: datetime
) -> tuple[CardRow | None, CardState]:
    """The card for the next hold, and what it is good for.

    It is the one chosen for the appointment, else the newest. Where the newest is only good with its holder
    and they are not needed, an older one under a mandate that covers the hold is taken instead.
    """
    cards = await store.list_usable_cards(session, stream.account_id, chosen=stream.card_id)
    charged = await store.charged_without_holder(session, stream.id)
    uses = [
        usable_for(
            card.facts,
            amount_cents=stream.advance_cents,
            charged_cents=charged,
            starts_at=starts_at,
            now=now,
        )
        for card in cards
    ]
    good = [(card, use) for card, use in zip(cards, uses, strict=True) if use is not CardState.MISSING]
    if not good:
        return None, CardState.MISSING
    near = starts_at - now <= plan.WINDOW
    if good[0][0].id == stream.card_id or (near and stream.is_first_answer):
        return good[0]
    return next((each for each in good if each[1] is CardState.READY), good[0])


def _has_lapsed(hold: HoldRow, stream: Stream) -> bool:
    return hold.status is HoldStatus.EXPIRED and hold.schedule_no == stream.quote_schedule_no


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
        clear_action(stream)
    if isinstance(step, plan.Keep) and live is not None and not stream.is_answered:
        publish_placed(session, stream, live, now=now)  # the hold stands for the new time too
    if isinstance(step, plan.Waive):
        stream.waived = True
        stream.answered_schedule_no = stream.quote_schedule_no
        outbox.add(session, stream, HoldWaivedV1(**_answers(stream)), now=now)


def live_hold(stream: Stream, holds: list[HoldRow]) -> HoldRow | None:
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
    clear_action(stream)
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
        capture_told=False,
        created_at=now,
    )
    session.add(hold)
    tasks.add(session, "place-hold", str(hold.id), due_at=now)


def _schedule(
    session: AsyncSession, stream: Stream, holds: Sequence[HoldRow], place_at: datetime, *, now: datetime
) -> None:
    clear_action(stream)
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


def clear_action(stream: Stream) -> None:
    stream.action = stream.action_expires_at = None


async def _too_late(session: AsyncSession, stream: Stream, live: HoldRow | None, *, now: datetime) -> None:
    if not stream.is_secured:
        await fail(session, stream, "decide-by-passed", now=now)
    elif live is None and stream.place_at is not None:
        await fail(session, stream, "action-expired", now=now)
    else:
        clear_action(stream)  # the visit takes place, and what no hold covers is a receivable


async def fail(session: AsyncSession, stream: Stream, reason: FailureReason, *, now: datetime) -> None:
    """Finally: booking gives the time back."""
    stream.failed_at = now
    clear_action(stream)
    outbox.add(session, stream, HoldFailedV1(**_answers(stream), reason=reason), now=now)
    await settle(session, stream, now=now)


def publish_placed(session: AsyncSession, stream: Stream, hold: HoldRow, *, now: datetime) -> None:
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


async def ask_for_another_card(
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
) -> datetime | None:
    """Returns when to look again, if the patient was asked anew and has more time."""
    stream = await store.lock_stream(session, appointment_id)
    if (stream.action, stream.action_revision) != (action, revision) or is_over(stream):
        return None
    if stream.action_expires_at is not None and stream.action_expires_at > now:
        return stream.action_expires_at
    holds = list(await store.list_holds(session, stream.id))
    if action == AwaitedAction.THREE_D_SECURE and any(h.status is HoldStatus.ACTION_REQUIRED for h in holds):
        return None  # the challenge has its own end
    live = live_hold(stream, holds)
    if not stream.is_secured or (live is None and stream.place_at is not None):
        await fail(session, stream, "action-expired", now=now)
    else:
        clear_action(stream)
    return None


async def lapse(session: AsyncSession, appointment_id: UUID, *, now: datetime) -> None:
    """Nobody confirmed the appointment in time: the hold is released without being asked for."""
    stream = await store.lock_stream(session, appointment_id)
    if stream.confirmed_at is None and not is_over(stream):
        stream.lapsed_at = now
        clear_action(stream)
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
    await proceed(session, stream, now=now)


async def hold_again(session: AsyncSession, stream: Stream, lapsed: HoldRow, *, now: datetime) -> None:
    """The provider let a hold lapse: another one is due while there is time, as a scheduled one would be."""
    if lapsed.is_going or stream.starts_at is None or is_over(stream):
        return
    holds = list(await store.list_holds(session, stream.id))
    if live_hold(stream, holds) is None and (stream.place_at is None or stream.place_at <= now):
        stream.place_at = plan.place_again_at(starts_at=stream.starts_at, now=now)
    await proceed(session, stream, now=now)


async def review_scheduled(session: AsyncSession, account_id: UUID, *, now: datetime) -> None:
    """A card of the account is good for nothing new any more: whoever relied on it is asked at once."""
    for appointment_id in await store.list_scheduled(session, account_id):
        await proceed(session, await store.lock_stream(session, appointment_id), now=now)
