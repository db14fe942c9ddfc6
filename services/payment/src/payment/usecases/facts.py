"""What other services tell about an appointment, in whatever order it arrives."""

from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from common.events.booking import (
    AppointmentCancelledV1,
    AppointmentConfirmedV1,
    AppointmentMovedV1,
    AppointmentRequestedV1,
    BookingFact,
    PatientAbsentV1,
)
from common.events.claims import CarePricedV1, QuoteIssuedV1
from common.messaging import history
from common.messaging.records import APPLIED, Outcome, ignored, waiting
from common.money import Cents
from payment import store
from payment.domain import ledger
from payment.domain.cancellation import NOTHING_KEPT, kept
from payment.models import AppointmentRoot, End
from payment.usecases.journal import post
from payment.usecases.planning import proceed
from payment.usecases.settling import settle

_WAITS_FOR_A_QUOTE: Final = waiting("quote-issued")


async def take_quote(session: AsyncSession, quote: QuoteIssuedV1, *, now: datetime) -> Outcome:
    root = await store.lock_root(session, quote.appointment_id)
    history.note(session, root.id, quote.type, at=now)
    root.account_id = quote.account_id
    if root.ended_at is not None:
        return ignored("appointment-ended")
    if root.priced_at is not None:
        return ignored("already-priced")
    if root.failed_at is not None:
        return ignored("hold-failed")
    if quote.schedule_no < root.schedule_no:
        return ignored("older-schedule")
    if quote.revision <= root.revision:
        return ignored("older-revision")
    if root.revision == 0:
        preview = quote.accepted_advance_cents
        limit = quote.advance_cents if preview is None else preview
        root.agreed_cents = Cents(min(limit, quote.advance_cents))
    if quote.schedule_no > root.quote_schedule_no:
        root.place_at = None  # a scheduled hold was for the time before
    root.revision, root.quote_schedule_no = quote.revision, quote.schedule_no
    root.schedule_no = quote.schedule_no
    root.advance_cents = quote.advance_cents
    root.decide_by, root.starts_at, root.ends_at = quote.decide_by, quote.starts_at, quote.ends_at
    await proceed(session, root, now=now)
    return APPLIED


async def take_request(session: AsyncSession, event: AppointmentRequestedV1, *, now: datetime) -> Outcome:
    root = await _learn(session, event, now=now)
    return APPLIED if root.revision else _WAITS_FOR_A_QUOTE


async def take_move(session: AsyncSession, event: AppointmentMovedV1, *, now: datetime) -> Outcome:
    """A hold for the old time stays; the price of the new time says what becomes of it."""
    root = await _learn(session, event, now=now)
    if event.schedule_no < root.schedule_no:
        return ignored("older-schedule")
    root.schedule_no = event.schedule_no
    return APPLIED if root.quote_schedule_no >= event.schedule_no else _WAITS_FOR_A_QUOTE


async def take_confirmation(
    session: AsyncSession, event: AppointmentConfirmedV1, *, at: datetime, now: datetime
) -> Outcome:
    root = await _learn(session, event, now=now)
    root.confirmed_at = root.confirmed_at or at
    if root.ended_at is not None:
        return ignored("appointment-ended")
    if root.lapsed_at is not None:
        # We had given up waiting: the visit takes place after all, so a hold is due again.
        root.lapsed_at = None
        await proceed(session, root, now=now)
    return APPLIED if root.revision else _WAITS_FOR_A_QUOTE


async def take_end(
    session: AsyncSession, event: BookingFact, end: End, *, at: datetime, now: datetime
) -> Outcome:
    """No bill for this appointment: whatever is held is released, at once or as soon as it is known."""
    root = await _learn(session, event, now=now)
    if root.ended_at is not None:
        return ignored("already-ended")
    if root.priced_at is not None:
        return ignored("already-priced")
    root.ended_at, root.ended_by = at, end
    root.kept_cents = _kept(root, event, at=at)
    root.action = root.action_expires_at = None
    await settle(session, root, now=now)
    return APPLIED if root.revision else _WAITS_FOR_A_QUOTE


def _kept(root: AppointmentRoot, event: BookingFact, *, at: datetime) -> Cents:
    """Only the patient's own doing can cost the patient anything."""
    match event:
        case AppointmentCancelledV1(cancelled_by="patient", cancelled_at=cancelled_at):
            cancelled = cancelled_at
        case PatientAbsentV1():
            cancelled = max(at, event.starts_at)
        case _:
            return Cents(0)
    return kept(root.advance_cents, policy=NOTHING_KEPT, starts_at=event.starts_at, cancelled_at=cancelled)


async def take_price(session: AsyncSession, event: CarePricedV1, *, at: datetime, now: datetime) -> Outcome:
    """The final price: at most what is held is captured, the rest of the hold is released."""
    root = await store.lock_root(session, event.appointment_id)
    history.note(session, root.id, event.type, at=now)
    root.account_id = event.account_id
    if root.ended_at is not None:
        return ignored("appointment-ended")
    if root.priced_at is not None:
        return ignored("already-priced")
    root.priced_at, root.due_cents = at, event.advance_cents
    if root.action != "three-d-secure":
        root.action = root.action_expires_at = None
    post(session, root, f"{root.id}:due", ledger.due(event.advance_cents), now=now)
    await settle(session, root, now=now)
    return APPLIED


async def _learn(session: AsyncSession, event: BookingFact, *, now: datetime) -> AppointmentRoot:
    root = await store.lock_root(session, event.appointment_id)
    history.note(session, root.id, event.type, at=now)
    root.account_id = event.account_id
    if root.schedule_no == 0:
        root.schedule_no = event.schedule_no
    if root.starts_at is None:
        root.starts_at, root.ends_at = event.starts_at, event.ends_at
    if root.decide_by is None and isinstance(event, AppointmentRequestedV1):
        root.decide_by = event.decide_by
    return root
