"""The sheet of a direct payment states what the patient has paid, so it waits for the money (rule T0)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.models import BalanceState, Status
from claims.usecases import early, legs
from claims.usecases.config import ClaimsConfig
from common.events.envelope import Meta
from common.events.payment import CapturedV1
from common.messaging import history
from common.messaging.records import APPLIED, Outcome, ignored, waiting


async def take_capture(
    session: AsyncSession, config: ClaimsConfig, event: CapturedV1, meta: Meta, *, now: datetime
) -> Outcome:
    root = await early.known_root(session, event, meta)
    if root is None:
        return waiting("appointment-requested")
    if root.status is Status.ENDED:
        return ignored("visit-ended")
    if root.status is not Status.PRICED:
        await early.keep(session, root, event, meta)
        return waiting("consultation-completed")
    if not root.sheet_waits:
        return ignored("no-sheet-waits")
    act = await store.get_care_act(session, root.id)
    # the provider may have captured a part by itself before
    captured = event.captured_cents if event.total_captured_cents is None else event.total_captured_cents
    if captured < act.advance_cents:
        return ignored("less-than-the-advance")
    history.note(session, root.id, meta.type, at=meta.time)
    await legs.let_sheet_leave(session, config, root, now=now)
    return APPLIED


async def take_rest(
    session: AsyncSession, config: ClaimsConfig, appointment_id: UUID, *, now: datetime
) -> None:
    """A balance was charged: what the card did not give at first is paid, if nothing else is open."""
    root = await store.lock_root(session, appointment_id)
    if not root.sheet_waits:
        return
    balances = await store.list_balances(session, appointment_id)
    if all(balance.state is BalanceState.SETTLED for balance in balances):
        await legs.let_sheet_leave(session, config, root, now=now)
