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
from payment.models import End, Stream
from payment.usecases.journal import post
from payment.usecases.planning import proceed
from payment.usecases.settling import settle

_WAITS_FOR_A_QUOTE: Final = waiting("quote-issued")


async def take_quote(session: AsyncSession, quote: QuoteIssuedV1, *, now: datetime) -> Outcome:
    stream = await store.lock_stream(session, quote.appointment_id)
    history.note(session, stream.id, quote.type, at=now)
    stream.account_id = quote.account_id
    if stream.ended_at is not None:
        return ignored("appointment-ended")
    if stream.priced_at is not None:
        return ignored("already-priced")
    if stream.failed_at is not None:
        return ignored("hold-failed")
    if quote.schedule_no < stream.schedule_no:
        return ignored("older-schedule")
    if quote.revision <= stream.revision:
        return ignored("older-revision")
    if stream.revision == 0:
        preview = quote.accepted_advance_cents
        limit = quote.advance_cents if preview is None else preview
        stream.agreed_cents = Cents(min(limit, quote.advance_cents))
    if quote.schedule_no > stream.quote_schedule_no:
        stream.place_at = None  # a scheduled hold was for the time before
    stream.revision, stream.quote_schedule_no = quote.revision, quote.schedule_no
    stream.schedule_no = quote.schedule_no
    stream.advance_cents = quote.advance_cents
    stream.decide_by, stream.starts_at, stream.ends_at = quote.decide_by, quote.starts_at, quote.ends_at
    await proceed(session, stream, now=now)
    return APPLIED


async def take_request(session: AsyncSession, event: AppointmentRequestedV1, *, now: datetime) -> Outcome:
    stream = await _learn(session, event, now=now)
    return APPLIED if stream.revision else _WAITS_FOR_A_QUOTE


async def take_move(session: AsyncSession, event: AppointmentMovedV1, *, now: datetime) -> Outcome:
    """A hold for the old time stays; the price of the new time says what becomes of it."""
    stream = await _learn(session, event, now=now)
    if event.schedule_no < stream.schedule_no:
        return ignored("older-schedule")
    stream.schedule_no = event.schedule_no
    return APPLIED if stream.quote_schedule_no >= event.schedule_no else _WAITS_FOR_A_QUOTE


async def take_confirmation(
    session: AsyncSession, event: AppointmentConfirmedV1, *, at: datetime, now: datetime
) -> Outcome:
    stream = await _learn(session, event, now=now)
    stream.confirmed_at = stream.confirmed_at or at
    if stream.ended_at is not None:
        return ignored("appointment-ended")
    if stream.lapsed_at is not None:
        # We had given up waiting: the visit takes place after all, so a hold is due again.
        stream.lapsed_at = None
        await proceed(session, stream, now=now)
    return APPLIED if stream.revision else _WAITS_FOR_A_QUOTE


async def take_end(
    session: AsyncSession, event: BookingFact, end: End, *, at: datetime, now: datetime
) -> Outcome:
    """No bill for this appointment: whatever is held is released, at once or as soon as it is known."""
    stream = await _learn(session, event, now=now)
    if stream.ended_at is not None:
        return ignored("already-ended")
    if stream.priced_at is not None:
        return ignored("already-priced")
    stream.ended_at, stream.ended_by = at, end
    stream.kept_cents = _kept(stream, event, at=at)
    stream.action = stream.action_expires_at = None
    await settle(session, stream, now=now)
    return APPLIED if stream.revision else _WAITS_FOR_A_QUOTE


def _kept(stream: Stream, event: BookingFact, *, at: datetime) -> Cents:
    """Only the patient's own doing can cost the patient anything."""
    match event:
        case AppointmentCancelledV1(cancelled_by="patient", cancelled_at=cancelled_at):
            cancelled = cancelled_at
        case PatientAbsentV1():
            cancelled = max(at, event.starts_at)
        case _:
            return Cents(0)
    return kept(stream.advance_cents, policy=NOTHING_KEPT, starts_at=event.starts_at, cancelled_at=cancelled)


async def take_price(session: AsyncSession, event: CarePricedV1, *, at: datetime, now: datetime) -> Outcome:
    """The final price: at most what is held is captured, the rest of the hold is released."""
    stream = await store.lock_stream(session, event.appointment_id)
    history.note(session, stream.id, event.type, at=now)
    stream.account_id = event.account_id
    if stream.ended_at is not None:
        return ignored("appointment-ended")
    if stream.priced_at is not None:
        return ignored("already-priced")
    stream.priced_at, stream.due_cents = at, event.advance_cents
    if stream.action != "three-d-secure":
        stream.action = stream.action_expires_at = None
    post(session, stream, f"{stream.id}:due", ledger.due(event.advance_cents), now=now)
    await settle(session, stream, now=now)
    return APPLIED


async def _learn(session: AsyncSession, event: BookingFact, *, now: datetime) -> Stream:
    stream = await store.lock_stream(session, event.appointment_id)
    history.note(session, stream.id, event.type, at=now)
    stream.account_id = event.account_id
    if stream.schedule_no == 0:
        stream.schedule_no = event.schedule_no
    if stream.starts_at is None:
        stream.starts_at, stream.ends_at = event.starts_at, event.ends_at
    if stream.decide_by is None and isinstance(event, AppointmentRequestedV1):
        stream.decide_by = event.decide_by
    return stream
