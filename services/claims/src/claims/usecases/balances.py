"""What a patient owes after the visit: shown here, charged by payment under the mandate or not at all."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain.leg import Move, State
from claims.models import AppointmentRoot, Balance, BalanceState, Leg, Status
from claims.usecases import early, story
from claims.usecases.config import ClaimsConfig
from common.errors import DomainError, Refusal
from common.events.claims import BalanceOpenedV1, BalanceSettledV1
from common.events.envelope import Meta
from common.events.payment import BalanceChargedV1, BalanceChargeFailedV1, ShortV1
from common.ids import uuid7
from common.messaging import history, outbox
from common.messaging.records import APPLIED, Outcome, ignored, waiting
from common.money import Cents

Reason = Literal["leg-rejected", "captured-less-than-due", "rights-never-proven"]
SettledBy = Literal["charge", "payer", "write-off"]


class BalanceNotOpen(DomainError):
    code: ClassVar[str] = "balance-not-open"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


async def open_for_leg(
    session: AsyncSession, config: ClaimsConfig, root: AppointmentRoot, leg: Leg, *, now: datetime
) -> None:
    """The AMC refused its part. Shown; charged only where the policy says so, and within the mandate."""
    left = Cents(leg.amount_cents - leg.paid_cents)
    await _open(session, config, root, reason="leg-rejected", leg=leg, amount_cents=left, now=now)


async def open_for_rights(
    session: AsyncSession, config: ClaimsConfig, root: AppointmentRoot, leg: Leg, *, now: datetime
) -> None:
    """The rights of a performed act were never proven: a receivable, never a silent charge."""
    cents = leg.amount_cents
    await _open(session, config, root, reason="rights-never-proven", leg=leg, amount_cents=cents, now=now)


async def take_short(
    session: AsyncSession, config: ClaimsConfig, event: ShortV1, meta: Meta, *, now: datetime
) -> Outcome:
    root = await early.known_root(session, event, meta)
    if root is None:
        return waiting("appointment-requested")
    if root.status is not Status.PRICED:
        await early.keep(session, root, event, meta)
        return waiting("consultation-completed")
    opened = await _open(
        session,
        config,
        root,
        reason="captured-less-than-due",
        leg=None,
        amount_cents=event.short_cents,
        now=now,
    )
    if not opened:
        return ignored("already-open")
    history.note(session, root.id, meta.type, at=meta.time)
    return APPLIED


async def take_charge(
    session: AsyncSession, event: BalanceChargedV1, meta: Meta, *, now: datetime
) -> Outcome:
    root = await early.known_root(session, event, meta)
    if root is None:
        return waiting("appointment-requested")
    balance = await store.find_balance(session, event.balance_id)
    if balance is None:
        return ignored("balance-unknown")
    if balance.state is BalanceState.SETTLED:
        return ignored("already-settled")
    history.note(session, root.id, meta.type, at=meta.time)
    _settle(session, root, balance, "charge", now=now)
    if balance.leg_id is not None:
        leg = await store.lock_leg(session, balance.leg_id)
        if leg.state is State.REJECTED:
            story.move(session, leg, Move.ASK_PATIENT, now=now)
        if leg.state is State.FALLBACK_PATIENT:
            story.move(session, leg, Move.PATIENT_PAYS, now=now)
    return APPLIED


async def take_failed_charge(
    session: AsyncSession, event: BalanceChargeFailedV1, meta: Meta, *, now: datetime
) -> Outcome:
    """Payment could not collect it: the balance stays open, with the reason."""
    root = await early.known_root(session, event, meta)
    if root is None:
        return waiting("appointment-requested")
    balance = await store.find_balance(session, event.balance_id)
    if balance is None:
        return ignored("balance-unknown")
    if balance.state is BalanceState.SETTLED:
        return ignored("already-settled")
    history.note(session, root.id, meta.type, at=meta.time)
    balance.charge_failure = event.reason
    story.tell(
        session,
        root.id,
        "balance",
        "charge-failed",
        now=now,
        amount_cents=balance.amount_cents,
        reason=event.reason,
    )
    return APPLIED


async def write_off(
    session: AsyncSession, appointment_id: UUID, balance_id: UUID, *, reason: str, now: datetime
) -> Balance:
    """Nobody asks the patient for it any more. Raises BalanceNotFound, BalanceNotOpen."""
    root = await store.lock_root(session, appointment_id)
    balance = await store.find_balance(session, balance_id)
    if balance is None or balance.appointment_id != appointment_id:
        raise store.BalanceNotFound("no balance of this id")
    if balance.state is BalanceState.SETTLED:
        raise BalanceNotOpen("this balance is settled")
    _settle(session, root, balance, "write-off", now=now, reason=reason)
    if balance.leg_id is not None:
        leg = await store.lock_leg(session, balance.leg_id)
        if leg.state is State.FALLBACK_PATIENT:
            story.move(session, leg, Move.WRITE_OFF, now=now, reason=reason)
    return balance


async def settle_of_leg(session: AsyncSession, root: AppointmentRoot, leg: Leg, *, now: datetime) -> None:
    """A leg that was rejected is paid after all: the patient owes nothing for it."""
    balance = await store.find_open_balance_of_leg(session, leg.id)
    if balance is not None:
        _settle(session, root, balance, "payer", now=now)


async def _open(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    *,
    reason: Reason,
    leg: Leg | None,
    amount_cents: Cents,
    now: datetime,
) -> bool:
    leg_id: UUID | None = leg.id if leg else None
    if await store.find_balance_for(session, root.id, reason=reason, leg_id=leg_id) is not None:
        return False
    balance = Balance(
        id=uuid7(now),
        appointment_id=root.id,
        leg_id=leg_id,
        payer_kind=leg.payer_kind if leg else None,
        reason=reason,
        amount_cents=amount_cents,
        collect=config.terms.collect_balances,
        state=BalanceState.OPEN,
        opened_at=now,
    )
    store.add_balance(session, balance)
    opened = BalanceOpenedV1.model_validate(
        {
            **_about(root, balance),
            "reason": reason,
            "payer_kind": balance.payer_kind,
            "collect": balance.collect,
        }
    )
    outbox.add(session, root, opened, now=now)
    story.tell(
        session, root.id, "balance", "open", now=now, leg=leg, amount_cents=amount_cents, reason=reason
    )
    return True


def _settle(
    session: AsyncSession,
    root: AppointmentRoot,
    balance: Balance,
    settled_by: SettledBy,
    *,
    now: datetime,
    reason: str | None = None,
) -> None:
    story.tell(
        session,
        root.id,
        "balance",
        "settled",
        now=now,
        amount_cents=balance.amount_cents,
        reason=reason or settled_by,
    )
    balance.state, balance.settled_by, balance.settled_at = BalanceState.SETTLED, settled_by, now
    settled = BalanceSettledV1.model_validate({**_about(root, balance), "settled_by": settled_by})
    outbox.add(session, root, settled, now=now)


def _about(root: AppointmentRoot, balance: Balance) -> dict[str, object]:
    return {
        "appointment_id": root.id,
        "balance_id": balance.id,
        "account_id": root.account_id,
        "currency": "EUR",
        "amount_cents": balance.amount_cents,
    }
