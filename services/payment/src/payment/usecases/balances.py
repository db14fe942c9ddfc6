"""What a patient owes later: shown, and charged to a card only under its mandate."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.events.claims import BalanceFact, BalanceOpenedV1, BalanceSettledV1
from common.events.payment import BalanceChargedV1, BalanceChargeFailedV1
from common.messaging import history, outbox, tasks
from common.messaging.records import APPLIED, Outcome, ignored, waiting
from common.money import Cents
from payment import store
from payment.domain import ledger
from payment.domain.cards import expires_at
from payment.domain.mandates import objection
from payment.domain.plan import CardState
from payment.domain.provider import ProviderPayment, ProviderStatus
from payment.models import AppointmentRoot, BalanceRow, BalanceStatus, CardRow
from payment.usecases import refunds
from payment.usecases.journal import post

ChargeFailure = Literal["no-mandate", "above-ceiling", "declined", "action-required"]


@dataclass(frozen=True, slots=True)
class ChargeOrder:
    balance_id: UUID
    appointment_id: UUID
    token: str
    amount_cents: Cents
    called_before: bool


async def open_balance(session: AsyncSession, event: BalanceOpenedV1, *, now: datetime) -> Outcome:
    root = await store.lock_root(session, event.appointment_id)
    history.note(session, root.id, event.type, at=now)
    known = await store.find_balance(session, event.balance_id)
    if known is not None and known.status is not BalanceStatus.SETTLED:
        return ignored("balance-known")
    if known is not None:
        return ignored("balance-settled")
    balance = _row(event, BalanceStatus.PENDING if event.collect else BalanceStatus.SHOWN, now=now)
    session.add(balance)
    if event.reason != "captured-less-than-due":  # that part is due since the final price
        post(session, root, f"{balance.id}:due", ledger.due(event.amount_cents), now=now)
    if event.collect:
        tasks.add(session, "charge-balance", str(balance.id), due_at=now)
    return APPLIED


def _row(event: BalanceFact, status: BalanceStatus, *, now: datetime) -> BalanceRow:
    return BalanceRow(
        id=event.balance_id,
        appointment_id=event.appointment_id,
        account_id=event.account_id,
        amount_cents=event.amount_cents,
        status=status,
        charged_cents=0,
        refunded_cents=0,
        created_at=now,
    )


async def settle_balance(session: AsyncSession, event: BalanceSettledV1, *, now: datetime) -> Outcome:
    root = await store.lock_root(session, event.appointment_id)
    history.note(session, root.id, event.type, at=now)
    balance = await store.find_balance(session, event.balance_id)
    if balance is None:  # it came before the fact that opens it: nothing of it will be charged
        session.add(_row(event, BalanceStatus.SETTLED, now=now))
        return waiting("balance-opened")
    if event.settled_by == "charge" or balance.status in {BalanceStatus.CHARGED, BalanceStatus.SETTLED}:
        return ignored("already-settled")
    if balance.called_at is not None and balance.status is BalanceStatus.PENDING:
        return ignored("charge-on-its-way")  # the charge wins; support gives it back
    balance.status = BalanceStatus.SETTLED
    post(session, root, f"{balance.id}:settled", ledger.no_longer_due(balance.amount_cents), now=now)
    return APPLIED


async def begin_charge(session: AsyncSession, balance_id: UUID, *, now: datetime) -> ChargeOrder | None:
    """A mandate must cover it, else it fails without the card being asked."""
    found = await _locked(session, balance_id)
    if found is None or found[1].status is not BalanceStatus.PENDING:
        return None
    root, balance = found
    if balance.called_at is not None and balance.card_id is not None:
        card = await store.find_card(session, balance.card_id)
    else:
        card = await _card_of(session, root, balance, now=now)
    if card is None:
        return None
    called_before = balance.called_at is not None
    balance.card_id, balance.called_at = card.id, balance.called_at or now
    return ChargeOrder(balance.id, root.id, card.provider_token, balance.amount_cents, called_before)


async def _card_of(
    session: AsyncSession, root: AppointmentRoot, balance: BalanceRow, *, now: datetime
) -> CardRow | None:
    card = await store.find_usable_card(session, balance.account_id, chosen=root.card_id)
    end = expires_at(card.facts) if card is not None else None
    if end is not None and end < now:
        card = None
    ready = card is not None and card.state is CardState.READY
    reason = objection(
        card.mandate if card is not None and ready else None,
        amount_cents=balance.amount_cents,
        charged_cents=await store.charged_without_holder(session, root.id, but=balance.id),
        care_at=root.ends_at or root.priced_at or balance.created_at,
        now=now,
    )
    if reason is None:
        return card
    _fail(session, root, balance, reason, now=now)
    return None


async def observe_charge(
    session: AsyncSession, balance_id: UUID, seen: ProviderPayment, *, now: datetime
) -> BalanceRow | None:
    """A response, a webhook and a poll all end here. None: it is no balance of ours."""
    found = await _locked(session, balance_id)
    if found is None:
        return None
    root, balance = found
    balance.provider_id = balance.provider_id or seen.id
    if balance.status is BalanceStatus.PENDING:
        match seen.status:
            case ProviderStatus.CAPTURED:
                _charge(session, root, balance, seen, now=now)
            case ProviderStatus.DECLINED | ProviderStatus.EXPIRED:
                _fail(session, root, balance, "declined", now=now)
            case ProviderStatus.CANCELED:
                _fail(session, root, balance, "action-required", now=now)
            case ProviderStatus.REQUIRES_ACTION | ProviderStatus.AUTHORIZED:
                pass  # the task ends it: nobody is there to act
    await refunds.observe_refunds(session, root, balance, seen.refunds, not_due_cents=Cents(0), now=now)
    return balance


def _charge(
    session: AsyncSession, root: AppointmentRoot, balance: BalanceRow, seen: ProviderPayment, *, now: datetime
) -> None:
    balance.status, balance.charged_cents = BalanceStatus.CHARGED, seen.captured_cents
    post(session, root, f"{balance.id}:charged", ledger.paid_by_card(seen.captured_cents), now=now)
    charged = BalanceChargedV1(
        appointment_id=root.id,
        balance_id=balance.id,
        currency="EUR",
        amount_cents=seen.captured_cents,
    )
    outbox.add(session, root, charged, now=now)


def _fail(
    session: AsyncSession, root: AppointmentRoot, balance: BalanceRow, reason: ChargeFailure, *, now: datetime
) -> None:
    balance.status, balance.failure = BalanceStatus.FAILED, reason
    failed = BalanceChargeFailedV1(
        appointment_id=root.id,
        balance_id=balance.id,
        currency="EUR",
        amount_cents=balance.amount_cents,
        reason=reason,
    )
    outbox.add(session, root, failed, now=now)


async def refuse_charge(session: AsyncSession, balance_id: UUID, *, now: datetime) -> None:
    """The provider would not even try."""
    found = await _locked(session, balance_id)
    if found is not None and found[1].status is BalanceStatus.PENDING:
        _fail(session, *found, "declined", now=now)


async def _locked(session: AsyncSession, balance_id: UUID) -> tuple[AppointmentRoot, BalanceRow] | None:
    balance = await store.find_balance(session, balance_id)
    if balance is None:
        return None
    root = await store.lock_root(session, balance.appointment_id)
    fresh = await store.find_balance(session, balance_id)
    return None if fresh is None else (root, fresh)
