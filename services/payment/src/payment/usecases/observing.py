"""What the provider says of a hold: a response, a webhook and a poll all end here."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.events.payment import HoldActionRequiredV1, HoldExpiredV1, HoldReleasedV1
from common.messaging import history, outbox, tasks
from common.money import Cents
from payment import store
from payment.domain import ledger, plan
from payment.domain.holds import OPEN, FailureReason, HoldStatus, after, failure_of, path
from payment.domain.provider import ProviderPayment
from payment.models import AppointmentRoot, AwaitedAction, HoldRow, ReleaseReason
from payment.usecases import balances, refunds
from payment.usecases.journal import post
from payment.usecases.planning import (
    ask_for_another_card,
    clear_action,
    fail,
    hold_again,
    is_over,
    live_hold,
    proceed,
    publish_placed,
)
from payment.usecases.settling import close, paid_cents, settle, tell_capture, undue_cents


async def lock_hold(session: AsyncSession, hold_id: UUID) -> tuple[AppointmentRoot, HoldRow] | None:
    """The root row of its appointment is locked before it is read."""
    appointment_id = await store.find_appointment_of_hold(session, hold_id)
    if appointment_id is None:
        return None
    root = await store.lock_root(session, appointment_id)
    return root, await store.get_hold(session, hold_id)


async def observe_payment(session: AsyncSession, seen: ProviderPayment, *, now: datetime) -> bool:
    """Of a hold or of a charge. False: of none of ours. Raises ValueError for a reference that is no id."""
    reference = UUID(seen.reference)
    if await observe_hold(session, reference, seen, now=now) is not None:
        return True
    return await balances.observe_charge(session, reference, seen, now=now) is not None


async def observe_hold(
    session: AsyncSession, hold_id: UUID, seen: ProviderPayment, *, now: datetime
) -> HoldRow | None:
    """A response, a webhook and a poll all end here. None: it is no hold of ours."""
    found = await lock_hold(session, hold_id)
    if found is None:
        return None
    await observe(session, *found, seen, now=now)
    return found[1]


async def observe(
    session: AsyncSession, root: AppointmentRoot, hold: HoldRow, seen: ProviderPayment, *, now: datetime
) -> None:
    """Forward moves only, one event for each; the root must be locked. Old news changes nothing."""
    hold.provider_id = hold.provider_id or seen.id
    hold.called_at = hold.called_at or now
    moves = path(hold.status, seen, released_by_us=hold.is_going)
    for target in moves:
        if target is HoldStatus.FAILED:
            await hold_failed(session, root, hold, failure_of(seen), now=now)
            return
        hold.status = after(hold.status, target)
        await _moved(session, root, hold, seen, now=now)
    captured_in_part = _take_part(session, root, hold, seen, now=now)
    if seen.refunds:
        given = await store.list_refunds(session, root.id)
        above = undue_cents(root, await store.list_holds(session, root.id), given)
        await refunds.observe_refunds(session, root, hold, seen.refunds, not_due_cents=above, now=now)
    if moves or captured_in_part:
        await settle(session, root, now=now)
        if hold.status is HoldStatus.EXPIRED:
            await hold_again(session, root, hold, now=now)
        if hold.awaits_settlement:
            tasks.add(session, "settle-hold", str(hold.id), due_at=now, again=True)


async def _moved(
    session: AsyncSession, root: AppointmentRoot, hold: HoldRow, seen: ProviderPayment, *, now: datetime
) -> None:
    match hold.status:
        case HoldStatus.ACTION_REQUIRED:
            _asks(session, root, hold, seen, now=now)
        case HoldStatus.HELD:
            _held(session, root, hold, seen, now=now)
        case HoldStatus.CAPTURED:
            await _captured(session, root, hold, seen, now=now)
        case HoldStatus.VOIDED:
            _let_go(session, root, hold, now=now)
            released = HoldReleasedV1(
                appointment_id=root.id,
                hold_id=hold.id,
                currency="EUR",
                released_cents=hold.released_cents,
                reason=(hold.release_reason or ReleaseReason.APPOINTMENT_ENDED).value,
            )
            outbox.add(session, root, released, now=now)
        case HoldStatus.EXPIRED:
            _let_go(session, root, hold, now=now)
            hold.capture_cents = None
            expired = HoldExpiredV1(
                appointment_id=root.id, hold_id=hold.id, currency="EUR", held_cents=hold.held_cents
            )
            outbox.add(session, root, expired, now=now)
        case _:
            raise ValueError(f"nothing to say about a hold that is {hold.status}")


def _asks(
    session: AsyncSession, root: AppointmentRoot, hold: HoldRow, seen: ProviderPayment, *, now: datetime
) -> None:
    if seen.challenge is None or root.decide_by is None or root.starts_at is None:
        raise ValueError("an action without a page for it, or for a hold without a price")
    until = plan.action_deadline(
        decide_by=root.decide_by,
        starts_at=root.starts_at,
        secured=root.is_secured,
        live=False,
        scheduled=root.place_at is not None,
    )
    hold.action_url = seen.challenge.url
    hold.action_expires_at = min(until, seen.challenge.expires_at)
    tasks.add(session, "expire-challenge", str(hold.id), due_at=hold.action_expires_at)
    if is_over(root):
        return  # nobody is asked any more: settle lets it go
    root.action, root.action_revision = AwaitedAction.THREE_D_SECURE, hold.revision
    root.action_expires_at = hold.action_expires_at
    asked = HoldActionRequiredV1(
        appointment_id=root.id,
        revision=hold.revision,
        schedule_no=hold.schedule_no,
        action="three-d-secure",
        expires_at=hold.action_expires_at,
    )
    outbox.add(session, root, asked, now=now)


def _held(
    session: AsyncSession, root: AppointmentRoot, hold: HoldRow, seen: ProviderPayment, *, now: datetime
) -> None:
    if seen.capture_before is None:
        raise ValueError("an authorisation without an end")
    hold.held_cents = seen.authorized_cents
    hold.capture_before = seen.capture_before
    hold.action_url = None
    post(session, root, f"{hold.id}:held", ledger.held(hold.held_cents), now=now)
    tasks.add(session, "watch-hold", str(hold.id), due_at=max(now, seen.capture_before - plan.WARNING))
    if hold.held_cents >= root.advance_cents or root.action is AwaitedAction.THREE_D_SECURE:
        clear_action(root)
    publish_placed(session, root, hold, now=now)


async def _captured(
    session: AsyncSession, root: AppointmentRoot, hold: HoldRow, seen: ProviderPayment, *, now: datetime
) -> None:
    """By us, or by the provider itself: then the final price, or the end, says what becomes of it."""
    taken = Cents(seen.captured_cents - hold.captured_cents)
    hold.captured_cents = seen.captured_cents
    hold.released_cents = Cents(hold.held_cents - seen.captured_cents)
    if hold.capture_cents is not None and root.priced_at is None:
        # the part of the advance that a late cancellation costs
        kept = Cents(min(root.kept_cents, hold.captured_cents))
        post(session, root, f"{root.id}:due", ledger.due(kept), now=now)
    entries = [*ledger.let_go(taken), *ledger.paid_by_card(taken)]
    post(session, root, f"{hold.id}:captured", entries, now=now)
    post(session, root, f"{hold.id}:released", ledger.let_go(hold.released_cents), now=now)
    if hold.capture_cents is None:
        history.note(session, root.id, "payment.captured-by-provider", at=now)
        return  # settle tells it once it is known what is due
    holds = await store.list_holds(session, root.id)
    paid = paid_cents(holds, await store.list_refunds(session, root.id))
    tell_capture(session, root, hold, paid=paid, now=now)
    await close(session, root, now=now)


def _take_part(
    session: AsyncSession, root: AppointmentRoot, hold: HoldRow, seen: ProviderPayment, *, now: datetime
) -> bool:
    """The provider captured a part by itself, and keeps the rest reserved. Whether it is news."""
    taken = Cents(seen.captured_cents - hold.captured_cents)
    if hold.status is not HoldStatus.HELD or taken <= 0 or seen.captured_cents > hold.held_cents:
        return False
    hold.captured_cents = seen.captured_cents
    hold.capture_cents = None  # what is left to capture is decided anew
    entries = [*ledger.let_go(taken), *ledger.paid_by_card(taken)]
    post(session, root, f"{hold.id}:captured:{seen.captured_cents}", entries, now=now)
    history.note(session, root.id, "payment.captured-by-provider", at=now)
    return True


def _let_go(session: AsyncSession, root: AppointmentRoot, hold: HoldRow, *, now: datetime) -> None:
    hold.released_cents = hold.reserved_cents
    post(session, root, f"{hold.id}:released", ledger.let_go(hold.released_cents), now=now)


async def hold_failed(
    session: AsyncSession, root: AppointmentRoot, hold: HoldRow, reason: FailureReason, *, now: datetime
) -> None:
    """Before booking has an answer it is final; later the patient is asked again while there is time."""
    hold.status = after(hold.status, HoldStatus.FAILED)
    hold.failure, hold.action_url = reason, None
    if root.action is AwaitedAction.THREE_D_SECURE:
        clear_action(root)
    if hold.is_going or is_over(root) or root.starts_at is None or root.decide_by is None:
        await settle(session, root, now=now)
        return
    holds = list(await store.list_holds(session, root.id))
    live = live_hold(root, holds)
    if any(each.status in OPEN and not each.is_going for each in holds):
        return  # another attempt is on its way
    if root.advance_cents == 0 or (live is not None and live.held_cents >= root.advance_cents):
        await proceed(session, root, now=now)
    elif not root.is_secured:
        await fail(session, root, reason, now=now)
    elif live is not None:
        root.agreed_cents = live.held_cents  # accepting the price again is how the patient tries again
        root.action_revision = 0
        await proceed(session, root, now=now)
    else:
        await ask_for_another_card(session, root, root.starts_at, root.decide_by, reason, now=now)
