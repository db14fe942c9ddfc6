"""Cards on file: a token and the mandate given with it, saved and deleted at the provider."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import DomainError, Refusal
from common.ids import uuid7
from common.messaging import tasks
from common.money import Cents
from payment import store
from payment.domain.cards import usable_for
from payment.domain.mandates import text_of
from payment.domain.plan import WINDOW, CardState
from payment.domain.provider import ProviderSetup, SetupStatus
from payment.models import AppointmentRoot, AwaitedAction, CardRow, CardStatus
from payment.usecases.planning import proceed, review_scheduled


class CardAlreadySaved(DomainError):
    code: ClassVar[str] = "card-already-saved"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class CardNotUsable(DomainError):
    code: ClassVar[str] = "card-not-usable"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class NoActionAwaited(DomainError):
    code: ClassVar[str] = "no-action-awaited"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class PriceChanged(DomainError):
    code: ClassVar[str] = "price-changed"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


@dataclass(frozen=True, slots=True)
class SaveOrder:
    card_id: UUID
    token: str


async def add_card(
    session: AsyncSession,
    *,
    account_id: UUID,
    provider_token: str,
    mandate_text: str,
    accepted: bool,
    ceiling_cents: Cents,
    now: datetime,
) -> CardRow:
    """Without the patient's yes there is no mandate, and the card is only ever used with the patient there.

    Raises CardAlreadySaved, MandateTextNotFound.
    """
    text = text_of(mandate_text)
    if await store.card_token_exists(session, provider_token):
        raise CardAlreadySaved("this token was saved before")
    card = CardRow(
        id=uuid7(now),
        account_id=account_id,
        provider_token=provider_token,
        status=CardStatus.SAVING,
        created_at=now,
    )
    if accepted:
        card.mandate_text_version, card.mandate_reason = mandate_text, text.reason
        card.mandate_accepted_at, card.mandate_ceiling_cents = now, ceiling_cents
        card.mandate_within_days = text.charge_within.days
    session.add(card)
    tasks.add(session, "save-card", str(card.id), due_at=now)
    return card


async def get_card(session: AsyncSession, card_id: UUID, *, account_id: UUID) -> CardRow:
    """Raises CardNotFound, for another account's card too."""
    card = await store.find_card(session, card_id)
    if card is None or card.account_id != account_id or card.status is CardStatus.REMOVED:
        raise store.CardNotFound("no such card")
    return card


async def remove_card(session: AsyncSession, card_id: UUID, *, account_id: UUID, now: datetime) -> None:
    """Removing it twice is removing it once. Raises CardNotFound for another account's card."""
    card = await store.lock_card(session, card_id)
    if card.account_id != account_id:
        raise store.CardNotFound("no such card")
    forget(session, card, now=now)


async def withdraw_mandate(
    session: AsyncSession, card_id: UUID, *, account_id: UUID, now: datetime
) -> CardRow:
    """The card stays, and is used with its holder only. Withdrawing it twice is withdrawing it once.

    Raises CardNotFound for another account's card, and for one that was removed.
    """
    card = await store.lock_card(session, card_id)
    if card.account_id != account_id or card.status is CardStatus.REMOVED:
        raise store.CardNotFound("no such card")
    if card.mandate is not None:
        card.mandate_withdrawn_at = now
        _review_holds(session, card, now=now)
    return card


def forget(session: AsyncSession, card: CardRow, *, now: datetime) -> None:
    """Nothing recognisable stays here, and the provider deletes it. What is held on it stays held."""
    if card.status is CardStatus.REMOVED:
        return
    card.status, card.removed_at = CardStatus.REMOVED, now
    card.last4 = card.action_url = None
    tasks.add(session, "forget-card", str(card.id), due_at=now)
    _review_holds(session, card, now=now)


def _review_holds(session: AsyncSession, card: CardRow, *, now: datetime) -> None:
    """By a task: it sees every hold that was scheduled with this card before it was lost."""
    tasks.add(session, "review-scheduled-holds", str(card.id), due_at=now, again=True)


async def review_holds(session: AsyncSession, card_id: UUID, *, now: datetime) -> None:
    """Asks the patient for another card where a scheduled hold relied on this one."""
    card = await store.find_card(session, card_id)
    if card is not None:
        await review_scheduled(session, card.account_id, now=now)


async def erase_accounts_of(session: AsyncSession, patient_id: UUID, *, now: datetime) -> int:
    """Forgets the cards of every account that acted for this patient alone; returns how many cards."""
    accounts = await store.erase_patient(session, patient_id, now=now)
    forgotten = 0
    for account_id in accounts:
        for card in await store.lock_account_cards(session, account_id):
            forget(session, card, now=now)
            forgotten += 1
    return forgotten


async def begin_saving(session: AsyncSession, card_id: UUID) -> SaveOrder | None:
    card = await store.lock_card(session, card_id)
    return SaveOrder(card.id, card.provider_token) if card.status is CardStatus.SAVING else None


async def observe_setup(session: AsyncSession, card_id: UUID, seen: ProviderSetup, *, now: datetime) -> bool:
    """Forward moves only. Streams are locked before the card, as everywhere. False: no card of ours."""
    known = await store.find_card(session, card_id)
    if known is None:
        return False
    waiting = await store.list_roots_awaiting(session, known) if seen.status is SetupStatus.SUCCEEDED else []
    roots = [await store.lock_root(session, appointment_id) for appointment_id in waiting]
    card = await store.lock_card(session, card_id)
    if card.status is CardStatus.ACTIVE and seen.status is SetupStatus.DECLINED:
        card.status = CardStatus.REFUSED  # the bank or the provider has withdrawn it since
        _review_holds(session, card, now=now)
        return True
    if card.status not in {CardStatus.SAVING, CardStatus.ACTION_REQUIRED}:
        return True
    card.network, card.last4 = seen.network, seen.last4
    card.expiry_month, card.expiry_year = seen.expiry_month, seen.expiry_year
    match seen.status:
        case SetupStatus.REQUIRES_ACTION:
            card.status = CardStatus.ACTION_REQUIRED
            card.action_url = seen.challenge.url if seen.challenge is not None else None
        case SetupStatus.DECLINED:
            card.status, card.action_url = CardStatus.REFUSED, None
        case SetupStatus.SUCCEEDED:
            card.status, card.action_url = CardStatus.ACTIVE, None
            await session.flush()
            for root in roots:
                await proceed(session, root, now=now, present=True)
    return True


async def refuse_card(session: AsyncSession, card_id: UUID) -> None:
    """The provider does not know the token."""
    card = await store.lock_card(session, card_id)
    if card.status is CardStatus.SAVING:
        card.status = CardStatus.REFUSED


async def begin_forgetting(session: AsyncSession, card_id: UUID) -> str | None:
    card = await store.lock_card(session, card_id)
    return card.provider_token if card.forgotten_at is None else None


async def mark_forgotten(session: AsyncSession, card_id: UUID, *, now: datetime) -> None:
    card = await store.lock_card(session, card_id)
    card.forgotten_at = now


# --- the patient's part in a hold --------------------------------------------------------------------------


async def choose_card(session: AsyncSession, root: AppointmentRoot, card_id: UUID, *, now: datetime) -> None:
    """The answer to `card-missing`, and another card for any later attempt. The root must be locked.

    Raises CardNotFound, CardNotUsable, NoActionAwaited.
    """
    card = await store.find_card(session, card_id)
    if card is None or card.account_id != root.account_id or card.status is CardStatus.REMOVED:
        raise store.CardNotFound("no such card")
    if card.status is CardStatus.REFUSED:
        raise CardNotUsable("the provider refused to save this card")
    if root.action not in {AwaitedAction.CARD_MISSING, AwaitedAction.PRICE_ABOVE_PREVIEW}:
        raise NoActionAwaited("the appointment does not wait for a card")
    await _check_mandate(session, root, card, now=now)
    root.card_id = card.id
    if root.action is AwaitedAction.CARD_MISSING:
        root.action_revision = 0  # asked again if this card is not good enough either
        await proceed(session, root, now=now, present=True)


async def _check_mandate(
    session: AsyncSession, root: AppointmentRoot, card: CardRow, *, now: datetime
) -> None:
    """Far ahead of the visit only a card that can be used without its holder helps. Raises CardNotUsable."""
    if root.starts_at is None or root.starts_at - now <= WINDOW:
        return
    usable = usable_for(
        card.facts,
        amount_cents=root.advance_cents,
        charged_cents=await store.charged_without_holder(session, root.id),
        starts_at=root.starts_at,
        now=now,
    )
    if usable in {CardState.MISSING, CardState.HOLDER_ONLY}:
        raise CardNotUsable("no accepted mandate of this card covers the advance until the visit")


async def accept_price(
    session: AsyncSession, root: AppointmentRoot, advance_cents: Cents, *, now: datetime
) -> None:
    """The patient accepts to advance this much, and means the newest price. The root must be locked.

    Raises NoActionAwaited, PriceChanged.
    """
    if root.action is not AwaitedAction.PRICE_ABOVE_PREVIEW:
        raise NoActionAwaited("no price waits to be accepted")
    if advance_cents != root.advance_cents:
        raise PriceChanged("the price is another one by now", extra={"advance_cents": root.advance_cents})
    root.agreed_cents = root.advance_cents
    await proceed(session, root, now=now, present=True)
