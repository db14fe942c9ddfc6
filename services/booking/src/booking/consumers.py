"""The events booking listens to, and the use case each one triggers."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from booking.usecases import reactions
from common.events import claims, documents, payment
from common.events.base import AppointmentFact, Event
from common.events.envelope import Meta
from common.messaging.records import Outcome
from common.messaging.routes import Routes

routes = Routes()

# Facts that decide nothing here and are shown in the progress of the appointment.
_SHOWN: tuple[type[AppointmentFact], ...] = (
    claims.QuoteIssuedV1,
    claims.CarePricedV1,
    claims.LegOpenedV1,
    claims.LegSentV1,
    claims.LegAcknowledgedV1,
    claims.LegPaidV1,
    claims.LegRejectedV1,
    claims.LegReversedV1,
    claims.BalanceOpenedV1,
    claims.BalanceSettledV1,
    payment.HoldExpiredV1,
    payment.HoldReleasedV1,
    payment.CapturedV1,
    payment.ShortV1,
    payment.RefundMadeV1,
    payment.BalanceChargedV1,
    payment.BalanceChargeFailedV1,
    documents.IssuedV1,
    documents.WithdrawnV1,
    documents.DispensedV1,
)


@routes.prepares
async def lock_roots(session: AsyncSession, events: Sequence[Event]) -> None:
    facts = [event for event in events if isinstance(event, AppointmentFact)]
    await reactions.prepare(session, [event.appointment_id for event in facts])


async def on_shown(session: AsyncSession, event: AppointmentFact, meta: Meta, _: datetime) -> Outcome:
    return await reactions.take_note(session, event, meta=meta)


for _shown in _SHOWN:
    routes.on(_shown)(on_shown)


@routes.on(payment.HoldPlacedV1)
async def on_hold_placed(
    session: AsyncSession, event: payment.HoldPlacedV1, meta: Meta, now: datetime
) -> Outcome:
    return await reactions.take_hold(session, event, meta=meta, now=now)


@routes.on(payment.HoldWaivedV1)
async def on_hold_waived(
    session: AsyncSession, event: payment.HoldWaivedV1, meta: Meta, now: datetime
) -> Outcome:
    return await reactions.take_hold(session, event, meta=meta, now=now)


@routes.on(payment.HoldScheduledV1)
async def on_hold_scheduled(
    session: AsyncSession, event: payment.HoldScheduledV1, meta: Meta, now: datetime
) -> Outcome:
    return await reactions.take_hold(session, event, meta=meta, now=now)


@routes.on(payment.HoldFailedV1)
async def on_hold_failed(
    session: AsyncSession, event: payment.HoldFailedV1, meta: Meta, now: datetime
) -> Outcome:
    return await reactions.take_failed_hold(session, event, meta=meta, now=now)


@routes.on(payment.HoldActionRequiredV1)
async def on_hold_action_required(
    session: AsyncSession, event: payment.HoldActionRequiredV1, meta: Meta, _: datetime
) -> Outcome:
    return await reactions.take_required_action(session, event, meta=meta)


@routes.on(claims.QuoteVoidedV1)
async def on_quote_voided(
    session: AsyncSession, event: claims.QuoteVoidedV1, meta: Meta, now: datetime
) -> Outcome:
    return await reactions.take_voided_quote(session, event, meta=meta, now=now)
