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
from payment.models import AppointmentRoot, AwaitedAction, CardRow, HoldRow, ReleaseReason
from payment.usecases.settling import release, settle


def is_over(root: AppointmentRoot) -> bool:
    """No hold is wanted any more."""
    ends = (root.ended_at, root.lapsed_at, root.failed_at, root.priced_at)
    return any(end is not None for end in ends)


async def proceed(
    session: AsyncSession, root: AppointmentRoot, *, now: datetime, present: bool = False
) -> None:
    """Does what the newest price asks for; the root must be locked. Twice is once.

    `present`: the patient acts at this moment. A patient whose booking waits for its answer is there, too.
    """
    if root.starts_at is None or root.decide_by is None or root.revision == 0 or is_over(root):
        return
    if root.quote_schedule_no < root.schedule_no:
        return  # moved: the price of the new time comes
    holds = list(await store.list_holds(session, root.id))
    live = live_hold(root, holds)
    card, usable = await _pick_card(session, root, root.starts_at, now=now)
    coming = [hold.asked_cents for hold in holds if hold.status in OPEN and not hold.is_going]
    step = plan.plan(
        plan.Situation(
            now=now,
            starts_at=root.starts_at,
            decide_by=root.decide_by,
            told=root.is_answered,
            secured=root.is_secured,
            advance_cents=root.advance_cents,
            agreed_cents=root.agreed_cents,
            held_cents=live.held_cents if live is not None else None,
            open_cents=max(coming, default=None),
            card=usable,
            present=present or root.is_first_answer,
            lapsed=0 if present else sum(_has_lapsed(hold, root) for hold in holds),
            place_at=root.place_at,
        )
    )
    match step:
        case plan.Keep() | plan.Nothing() | plan.Waive():
            _stand(session, root, step, live, now=now)
        case plan.Schedule(place_at):
            assert card is not None  # noqa: S101  the plan asks for one first
            await store.share_card(session, card.id)
            root.card_id = card.id  # a card that is saved later does not take its place
            _schedule(session, root, holds, place_at, now=now)
        case plan.Place(amount_cents):
            assert card is not None  # noqa: S101  the plan asks for one first
            off_session = not (present or root.is_first_answer)
            _attempt(session, root, len(holds) + 1, card, amount_cents, off_session=off_session, now=now)
        case plan.Ask(action, expires_at):
            ask(session, root, AwaitedAction(action), expires_at=expires_at, now=now)
        case plan.TooLate():
            await _too_late(session, root, live, now=now)
        case _:
            assert_never(step)


async def _pick_card(
    session: AsyncSession, root: AppointmentRoot, starts_at: datetime, *, now: datetime
) -> tuple[CardRow | None, CardState]:
    """The card for the next hold, and what it is good for.

    It is the one chosen for the appointment, else the newest. Where the newest is only good with its holder
    and they are not needed, an older one under a mandate that covers the hold is taken instead.
    """
    cards = await store.list_usable_cards(session, root.account_id, chosen=root.card_id)
    charged = await store.charged_without_holder(session, root.id)
    uses = [
        usable_for(
            card.facts,
            amount_cents=root.advance_cents,
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
    if good[0][0].id == root.card_id or (near and root.is_first_answer):
        return good[0]
    return next((each for each in good if each[1] is CardState.READY), good[0])


def _has_lapsed(hold: HoldRow, root: AppointmentRoot) -> bool:
    return hold.status is HoldStatus.EXPIRED and hold.schedule_no == root.quote_schedule_no


def _stand(
    session: AsyncSession,
    root: AppointmentRoot,
    step: plan.Keep | plan.Nothing | plan.Waive,
    live: HoldRow | None,
    *,
    now: datetime,
) -> None:
    """No new hold: there is one, or one on its way, or none is needed."""
    if isinstance(step, plan.Keep) or root.action is not AwaitedAction.THREE_D_SECURE:
        clear_action(root)
    if isinstance(step, plan.Keep) and live is not None and not root.is_answered:
        publish_placed(session, root, live, now=now)  # the hold stands for the new time too
    if isinstance(step, plan.Waive):
        root.waived = True
        root.answered_schedule_no = root.quote_schedule_no
        outbox.add(session, root, HoldWaivedV1(**_answers(root)), now=now)


def live_hold(root: AppointmentRoot, holds: list[HoldRow]) -> HoldRow | None:
    """The newest one that lasts until the visit is over."""
    for hold in reversed(holds):
        lasts = hold.capture_before is None or root.ends_at is None or hold.capture_before > root.ends_at
        if hold.status is HoldStatus.HELD and not hold.is_going and lasts:
            return hold
    return None


def _answers(root: AppointmentRoot) -> dict[str, Any]:
    return {
        "appointment_id": root.id,
        "revision": root.revision,
        "schedule_no": root.quote_schedule_no,
    }


def _attempt(
    session: AsyncSession,
    root: AppointmentRoot,
    attempt: int,
    card: CardRow,
    cents: Cents,
    *,
    off_session: bool,
    now: datetime,
) -> None:
    clear_action(root)
    hold = HoldRow(
        id=uuid7(now),
        appointment_id=root.id,
        attempt=attempt,
        revision=root.revision,
        schedule_no=root.quote_schedule_no,
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
    session: AsyncSession,
    root: AppointmentRoot,
    holds: Sequence[HoldRow],
    place_at: datetime,
    *,
    now: datetime,
) -> None:
    clear_action(root)
    early = {hold.id: hold for hold in holds if hold.status is HoldStatus.HELD and not hold.is_going}
    release(session, early, list(early), ReleaseReason.REPLACED, now=now)  # it ends before the new time
    root.place_at = place_at
    key = f"{root.id}:{root.quote_schedule_no}"
    tasks.add(session, "place-scheduled-hold", key, due_at=place_at, again=True)
    if not root.is_answered:
        root.answered_schedule_no = root.quote_schedule_no
        outbox.add(session, root, HoldScheduledV1(**_answers(root), place_at=place_at), now=now)


def ask(
    session: AsyncSession,
    root: AppointmentRoot,
    action: AwaitedAction,
    *,
    expires_at: datetime,
    now: datetime,
) -> None:
    """The patient has to do something; asked once for each price."""
    if (root.action, root.action_revision) == (action, root.revision):
        return
    root.action, root.action_revision, root.action_expires_at = action, root.revision, expires_at
    fact = HoldActionRequiredV1(**_answers(root), action=action.value, expires_at=expires_at)
    outbox.add(session, root, fact, now=now)
    key = f"{root.id}:{root.revision}:{action}"
    tasks.add(session, "expire-action", key, due_at=expires_at, again=True)


def clear_action(root: AppointmentRoot) -> None:
    root.action = root.action_expires_at = None


async def _too_late(
    session: AsyncSession, root: AppointmentRoot, live: HoldRow | None, *, now: datetime
) -> None:
    if not root.is_secured:
        await fail(session, root, "decide-by-passed", now=now)
    elif live is None and root.place_at is not None:
        await fail(session, root, "action-expired", now=now)
    else:
        clear_action(root)  # the visit takes place, and what no hold covers is a receivable


async def fail(session: AsyncSession, root: AppointmentRoot, reason: FailureReason, *, now: datetime) -> None:
    """Finally: booking gives the time back."""
    root.failed_at = now
    clear_action(root)
    outbox.add(session, root, HoldFailedV1(**_answers(root), reason=reason), now=now)
    await settle(session, root, now=now)


def publish_placed(session: AsyncSession, root: AppointmentRoot, hold: HoldRow, *, now: datetime) -> None:
    """Names the newest price that the hold covers, so that booking hears of the time it now has."""
    if hold.capture_before is None:
        raise ValueError("only a hold with its end is live")
    covers = hold.held_cents >= root.advance_cents
    revision = root.revision if covers else hold.revision
    schedule_no = root.quote_schedule_no if covers else hold.schedule_no
    if not is_over(root):
        root.answered_schedule_no = max(root.answered_schedule_no, schedule_no)
        root.agreed_cents = Cents(max(root.agreed_cents, hold.held_cents))
    placed = HoldPlacedV1(
        appointment_id=root.id,
        revision=revision,
        schedule_no=schedule_no,
        hold_id=hold.id,
        attempt=hold.attempt,
        currency="EUR",
        held_cents=hold.held_cents,
        capture_before=hold.capture_before,
    )
    outbox.add(session, root, placed, now=now)
    if root.decide_by is not None:
        due = root.decide_by + plan.CONFIRMATION_MARGIN
        tasks.add(session, "void-unconfirmed", f"{root.id}:{schedule_no}", due_at=due)


async def ask_for_another_card(
    session: AsyncSession,
    root: AppointmentRoot,
    starts_at: datetime,
    decide_by: datetime,
    reason: FailureReason,
    *,
    now: datetime,
) -> None:
    scheduled = root.place_at is not None
    until = plan.action_deadline(
        decide_by=decide_by, starts_at=starts_at, secured=True, live=False, scheduled=scheduled
    )
    if now < until:
        root.action_revision = 0
        ask(session, root, AwaitedAction.CARD_MISSING, expires_at=until, now=now)
    elif scheduled:
        await fail(session, root, reason, now=now)


# --- when time is up ---------------------------------------------------------------------------------------


async def expire_action(
    session: AsyncSession, appointment_id: UUID, *, revision: int, action: str, now: datetime
) -> datetime | None:
    """Returns when to look again, if the patient was asked anew and has more time."""
    root = await store.lock_root(session, appointment_id)
    if (root.action, root.action_revision) != (action, revision) or is_over(root):
        return None
    if root.action_expires_at is not None and root.action_expires_at > now:
        return root.action_expires_at
    holds = list(await store.list_holds(session, root.id))
    if action == AwaitedAction.THREE_D_SECURE and any(h.status is HoldStatus.ACTION_REQUIRED for h in holds):
        return None  # the challenge has its own end
    live = live_hold(root, holds)
    if not root.is_secured or (live is None and root.place_at is not None):
        await fail(session, root, "action-expired", now=now)
    else:
        clear_action(root)
    return None


async def lapse(session: AsyncSession, appointment_id: UUID, *, now: datetime) -> None:
    """Nobody confirmed the appointment in time: the hold is released without being asked for."""
    root = await store.lock_root(session, appointment_id)
    if root.confirmed_at is None and not is_over(root):
        root.lapsed_at = now
        clear_action(root)
        await settle(session, root, now=now)


async def place_scheduled(
    session: AsyncSession, appointment_id: UUID, *, schedule_no: int, now: datetime
) -> None:
    """The window has opened: the saved card is asked without its holder."""
    root = await store.lock_root(session, appointment_id)
    if root.quote_schedule_no != schedule_no or root.place_at is None or is_over(root):
        return
    if root.confirmed_at is None:
        root.lapsed_at = now
        return
    await proceed(session, root, now=now)


async def hold_again(session: AsyncSession, root: AppointmentRoot, lapsed: HoldRow, *, now: datetime) -> None:
    """The provider let a hold lapse: another one is due while there is time, as a scheduled one would be."""
    if lapsed.is_going or root.starts_at is None or is_over(root):
        return
    holds = list(await store.list_holds(session, root.id))
    if live_hold(root, holds) is None and (root.place_at is None or root.place_at <= now):
        root.place_at = plan.place_again_at(starts_at=root.starts_at, now=now)
    await proceed(session, root, now=now)


async def review_scheduled(session: AsyncSession, account_id: UUID, *, now: datetime) -> None:
    """A card of the account is good for nothing new any more: whoever relied on it is asked at once."""
    for appointment_id in await store.list_scheduled(session, account_id):
        await proceed(session, await store.lock_root(session, appointment_id), now=now)
