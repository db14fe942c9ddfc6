"""Every query of the payment service, by name."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import case, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import DomainError, Refusal
from common.messaging import roots
from common.messaging.housekeeping import Purge
from common.messaging.tables import HistoryRow
from common.money import Cents
from common.transaction import note_change
from payment.domain.holds import HoldStatus
from payment.domain.ledger import Account
from payment.models import (
    AccountPatientRow,
    AppointmentRoot,
    AwaitedAction,
    BalanceRow,
    BalanceStatus,
    CardRow,
    CardStatus,
    HoldRow,
    LedgerRow,
    ProviderComparisonRow,
    ProviderEventRow,
    RefundRow,
    RefundStatus,
)

PURGES: Final = (
    Purge(
        "provider_event",
        "provider_events",
        "SELECT ctid FROM provider_event WHERE received_at < :before LIMIT :limit FOR UPDATE SKIP LOCKED",
    ),
)


class AppointmentNotFound(DomainError):
    code: ClassVar[str] = "appointment-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class CardNotFound(DomainError):
    code: ClassVar[str] = "card-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


# --- appointments ------------------------------------------------------------------------------------------

_BLANK = {
    "version": 0,
    "schedule_no": 0,
    "revision": 0,
    "quote_schedule_no": 0,
    "advance_cents": 0,
    "agreed_cents": 0,
    "answered_schedule_no": 0,
    "waived": False,
    "action_revision": 0,
    "kept_cents": 0,
    "due_cents": 0,
    "short_cents": 0,
}


async def lock_root(session: AsyncSession, appointment_id: UUID) -> AppointmentRoot:
    """The root row, held until the transaction ends; the first fact of an appointment creates it."""
    return await roots.lock(session, AppointmentRoot, appointment_id, blank=_BLANK)


async def lock_roots(session: AsyncSession, appointment_ids: Iterable[UUID]) -> None:
    """All of a batch, in the order of their ids; `lock_root` then has them."""
    await roots.lock_or_make_all(session, AppointmentRoot, appointment_ids, blank=_BLANK)


async def lock_known_root(session: AsyncSession, appointment_id: UUID) -> AppointmentRoot:
    """Raises AppointmentNotFound for one that no event has named."""
    query = select(AppointmentRoot).where(AppointmentRoot.id == appointment_id).with_for_update()
    root = (await session.scalars(query, execution_options={"populate_existing": True})).one_or_none()
    if root is None:
        raise AppointmentNotFound("no such appointment", retry_after=1)
    return root


async def find_root(session: AsyncSession, appointment_id: UUID) -> AppointmentRoot | None:
    return await session.get(AppointmentRoot, appointment_id, populate_existing=True)


async def list_roots_awaiting(session: AsyncSession, card: CardRow) -> Sequence[UUID]:
    """Appointments whose scheduled hold waits until this card may be charged without its holder."""
    query = (
        select(AppointmentRoot.id)
        .where(
            AppointmentRoot.account_id == card.account_id,
            AppointmentRoot.action == AwaitedAction.THREE_D_SECURE,
            ~exists().where(
                HoldRow.appointment_id == AppointmentRoot.id, HoldRow.status == HoldStatus.ACTION_REQUIRED
            ),
        )
        .order_by(AppointmentRoot.id)
    )
    return (await session.scalars(query)).all()


async def list_scheduled(session: AsyncSession, account_id: UUID) -> Sequence[UUID]:
    """Appointments of the account whose hold follows nearer to the visit, in the order of their ids."""
    query = (
        select(AppointmentRoot.id)
        .where(
            AppointmentRoot.account_id == account_id,
            AppointmentRoot.place_at.is_not(None),
            *(
                end.is_(None)
                for end in (AppointmentRoot.ended_at, AppointmentRoot.priced_at, AppointmentRoot.failed_at)
            ),
        )
        .order_by(AppointmentRoot.id)
    )
    return (await session.scalars(query)).all()


async def last_change(session: AsyncSession, appointment_id: UUID) -> int:
    query = select(func.max(HistoryRow.id)).where(HistoryRow.appointment_id == appointment_id)
    return await session.scalar(query) or 0


# --- holds -------------------------------------------------------------------------------------------------


async def list_holds(session: AsyncSession, appointment_id: UUID) -> Sequence[HoldRow]:
    """Oldest attempt first; the root must be locked by who decides on them."""
    await session.flush()
    query = select(HoldRow).where(HoldRow.appointment_id == appointment_id).order_by(HoldRow.attempt)
    return (await session.scalars(query, execution_options={"populate_existing": True})).all()


async def find_appointment_of_hold(session: AsyncSession, hold_id: UUID) -> UUID | None:
    return await session.scalar(select(HoldRow.appointment_id).where(HoldRow.id == hold_id))


async def count_holds(session: AsyncSession) -> dict[HoldStatus, int]:
    """How many are on their way, wait for their patient, or are live."""
    open_ones = [HoldStatus.PENDING, HoldStatus.UNKNOWN, HoldStatus.ACTION_REQUIRED, HoldStatus.HELD]
    query = select(HoldRow.status, func.count()).where(HoldRow.status.in_(open_ones)).group_by(HoldRow.status)
    found = {status: int(count) for status, count in await session.execute(query)}
    return {status: found.get(status, 0) for status in open_ones}


async def get_hold(session: AsyncSession, hold_id: UUID) -> HoldRow:
    return await session.get_one(HoldRow, hold_id, populate_existing=True)


# --- cards -------------------------------------------------------------------------------------------------


async def list_cards(session: AsyncSession, account_id: UUID) -> Sequence[CardRow]:
    query = (
        select(CardRow)
        .where(CardRow.account_id == account_id, CardRow.status != CardStatus.REMOVED)
        .order_by(CardRow.created_at.desc(), CardRow.id.desc())
    )
    return (await session.scalars(query)).all()


async def list_usable_cards(
    session: AsyncSession, account_id: UUID | None, *, chosen: UUID | None
) -> Sequence[CardRow]:
    """The one chosen for the appointment while it is good, then the others of the account, newest first."""
    if account_id is None:
        return []
    query = (
        select(CardRow)
        .where(
            CardRow.account_id == account_id,
            CardRow.status.in_([CardStatus.SAVING, CardStatus.ACTIVE, CardStatus.ACTION_REQUIRED]),
        )
        .order_by((CardRow.id == chosen).desc().nulls_last(), CardRow.created_at.desc(), CardRow.id.desc())
    )
    return (await session.scalars(query)).all()


async def find_usable_card(
    session: AsyncSession, account_id: UUID | None, *, chosen: UUID | None
) -> CardRow | None:
    """The first of `list_usable_cards`."""
    return next(iter(await list_usable_cards(session, account_id, chosen=chosen)), None)


async def find_card(session: AsyncSession, card_id: UUID) -> CardRow | None:
    return await session.get(CardRow, card_id, populate_existing=True)


async def lock_card(session: AsyncSession, card_id: UUID) -> CardRow:
    """Locks a card in order to change it; requests that wait for it look again. Raises CardNotFound."""
    note_change(session, card_id)
    query = select(CardRow).where(CardRow.id == card_id).with_for_update()
    card = (await session.scalars(query, execution_options={"populate_existing": True})).one_or_none()
    if card is None:
        raise CardNotFound("no such card")
    return card


async def share_card(session: AsyncSession, card_id: UUID) -> None:
    """Until this transaction ends nobody removes the card: who does it then sees what relies on it."""
    await session.execute(select(CardRow.id).where(CardRow.id == card_id).with_for_update(read=True))


async def lock_account_cards(session: AsyncSession, account_id: UUID) -> Sequence[CardRow]:
    query = (
        select(CardRow)
        .where(CardRow.account_id == account_id, CardRow.status != CardStatus.REMOVED)
        .order_by(CardRow.id)
        .with_for_update()
    )
    return (await session.scalars(query, execution_options={"populate_existing": True})).all()


async def card_token_exists(session: AsyncSession, token: str) -> bool:
    return bool(await session.scalar(select(exists().where(CardRow.provider_token == token))))


# --- balances and refunds ----------------------------------------------------------------------------------


async def find_balance(session: AsyncSession, balance_id: UUID) -> BalanceRow | None:
    return await session.get(BalanceRow, balance_id, populate_existing=True)


async def list_balances(session: AsyncSession, appointment_id: UUID) -> Sequence[BalanceRow]:
    await session.flush()
    of_it = select(BalanceRow).where(BalanceRow.appointment_id == appointment_id)
    query = of_it.order_by(BalanceRow.created_at, BalanceRow.id)
    return (await session.scalars(query)).all()


async def charged_without_holder(
    session: AsyncSession, appointment_id: UUID, *, but: UUID | None = None
) -> Cents:
    """Cents captured, or about to be, from holds placed without the holder, and of balances likewise.

    All of them count towards the ceiling of the mandate; the balance `but` does not.
    """
    coming = case(
        (HoldRow.status == HoldStatus.HELD, func.coalesce(HoldRow.capture_cents, 0)), else_=literal(0)
    )
    captures = select(func.coalesce(func.sum(HoldRow.captured_cents + coming), 0)).where(
        HoldRow.appointment_id == appointment_id, HoldRow.off_session
    )
    query = select(func.coalesce(func.sum(BalanceRow.amount_cents), 0)).where(
        BalanceRow.appointment_id == appointment_id,
        BalanceRow.id.is_distinct_from(but),
        (BalanceRow.status == BalanceStatus.CHARGED)
        | ((BalanceRow.status == BalanceStatus.PENDING) & BalanceRow.called_at.is_not(None)),
    )
    return Cents(int(await session.scalar(captures) or 0) + int(await session.scalar(query) or 0))


async def list_refunds(session: AsyncSession, appointment_id: UUID) -> Sequence[RefundRow]:
    await session.flush()
    of_it = select(RefundRow).where(RefundRow.appointment_id == appointment_id)
    query = of_it.order_by(RefundRow.created_at, RefundRow.id)
    return (await session.scalars(query)).all()


async def get_refund(session: AsyncSession, refund_id: UUID) -> RefundRow:
    return await session.get_one(RefundRow, refund_id, populate_existing=True)


def is_counted(refund: RefundRow) -> bool:
    return refund.status is not RefundStatus.FAILED


# --- ledger ------------------------------------------------------------------------------------------------


async def list_entries(session: AsyncSession, appointment_id: UUID) -> Sequence[LedgerRow]:
    await session.flush()
    query = select(LedgerRow).where(LedgerRow.appointment_id == appointment_id).order_by(LedgerRow.id)
    return (await session.scalars(query)).all()


async def ledger_totals(session: AsyncSession) -> dict[Account, int]:
    query = select(LedgerRow.account, func.sum(LedgerRow.amount_cents)).group_by(LedgerRow.account)
    return {account: int(total) for account, total in await session.execute(query)}


async def list_unbalanced_journals(session: AsyncSession) -> Sequence[str]:
    """Always empty; the check says so."""
    query = (
        select(LedgerRow.journal).group_by(LedgerRow.journal).having(func.sum(LedgerRow.amount_cents) != 0)
    )
    return (await session.scalars(query)).all()


async def books(session: AsyncSession) -> dict[str, int]:
    """The amounts of all holds and charges in cents, as the ledger must have them."""
    holds = select(
        func.coalesce(func.sum(HoldRow.held_cents - HoldRow.captured_cents - HoldRow.released_cents), 0),
        func.coalesce(func.sum(HoldRow.captured_cents), 0),
        func.coalesce(func.sum(HoldRow.refunded_cents), 0),
    )
    charges = select(
        func.coalesce(func.sum(BalanceRow.charged_cents), 0),
        func.coalesce(func.sum(BalanceRow.refunded_cents), 0),
    )
    live, captured, refunded = (await session.execute(holds)).one()
    charged, returned = (await session.execute(charges)).one()
    return {
        "held_cents": int(live),
        "captured_cents": int(captured) + int(charged),
        "refunded_cents": int(refunded) + int(returned),
    }


async def find_taken(session: AsyncSession, reference: UUID) -> HoldRow | BalanceRow | None:
    """The hold or the charge of this id."""
    hold = await session.get(HoldRow, reference, populate_existing=True)
    return hold or await session.get(BalanceRow, reference, populate_existing=True)


async def list_taken(
    session: AsyncSession, *, before: datetime
) -> Sequence[tuple[UUID, tuple[int, int, int]]]:
    """Ids with the cents that are reserved, captured and refunded, of all that was made before."""
    reserved = HoldRow.held_cents - HoldRow.captured_cents - HoldRow.released_cents
    holds = select(HoldRow.id, reserved, HoldRow.captured_cents, HoldRow.refunded_cents).where(
        (reserved > 0) | (HoldRow.captured_cents > 0), HoldRow.created_at < before
    )
    charges = select(BalanceRow.id, literal(0), BalanceRow.charged_cents, BalanceRow.refunded_cents).where(
        BalanceRow.charged_cents > 0, BalanceRow.created_at < before
    )
    rows = [*await session.execute(holds), *await session.execute(charges)]
    return [(row[0], (int(row[1]), int(row[2]), int(row[3]))) for row in rows]


async def keep_comparison(session: AsyncSession, values: dict[str, Any]) -> None:
    statement = insert(ProviderComparisonRow).values(id=1, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))


async def find_comparison(session: AsyncSession) -> ProviderComparisonRow | None:
    return await session.get(ProviderComparisonRow, 1, populate_existing=True)


# --- webhooks, accounts ------------------------------------------------------------------------------------


async def keep_provider_event(session: AsyncSession, row: dict[str, Any]) -> bool:
    """Whether it is new: a webhook comes as often as its sender likes."""
    statement = insert(ProviderEventRow).values(row).on_conflict_do_nothing().returning(ProviderEventRow.id)
    return await session.scalar(statement) is not None


async def mark_provider_event(session: AsyncSession, event_id: str, outcome: str) -> None:
    statement = update(ProviderEventRow).where(ProviderEventRow.id == event_id).values(outcome=outcome)
    await session.execute(statement)


async def link_account(session: AsyncSession, account_id: UUID, patient_id: UUID) -> None:
    values = {"account_id": account_id, "patient_id": patient_id}
    await session.execute(insert(AccountPatientRow).values(values).on_conflict_do_nothing())


async def unlink_account(session: AsyncSession, account_id: UUID, patient_id: UUID) -> None:
    row = await session.get(AccountPatientRow, (account_id, patient_id), with_for_update=True)
    if row is not None and row.erased_at is None:
        await session.delete(row)


async def erase_patient(session: AsyncSession, patient_id: UUID, *, now: datetime) -> Sequence[UUID]:
    """Marks the patient; returns the accounts that act for nobody else any more."""
    erased = (
        update(AccountPatientRow)
        .where(AccountPatientRow.patient_id == patient_id)
        .values(erased_at=func.coalesce(AccountPatientRow.erased_at, now))
        .returning(AccountPatientRow.account_id)
    )
    accounts = (await session.scalars(erased)).all()
    others = select(AccountPatientRow.account_id).where(
        AccountPatientRow.account_id.in_(accounts), AccountPatientRow.erased_at.is_(None)
    )
    kept = set((await session.scalars(others)).all())
    return sorted(set(accounts) - kept)
