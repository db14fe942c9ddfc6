"""Cards on file: HTTP in, use case, HTTP out."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from common.money import Cents
from common.web import idempotency
from common.web.auth import Caller, Role, requires
from common.web.deps import Now, Prefer, Reading, Transaction
from common.web.idempotency import IdempotencyKey
from common.web.openapi import bounded
from common.web.problems import responses
from common.web.progress import Progress, ProgressDep
from payment import store
from payment.api.schemas import CardCreate, CardList, CardRead
from payment.models import CardStatus
from payment.usecases import cards

router = APIRouter(prefix="/payment/v1/cards", tags=["cards"])

Patient = Annotated[Caller, requires(Role.PATIENT)]


@router.post("", status_code=201, responses=responses(404, 409))
async def add_card(
    card: CardCreate, caller: Patient, key: IdempotencyKey, progress: ProgressDep, now: Now, wait: Prefer
) -> CardRead:
    """Saves a token of the card provider. With `Prefer: wait` it answers once the provider has spoken."""
    async with progress.sessions.begin() as session:
        card_id = await _add(session, card, caller, key, now)
    return await _read(progress, card_id, caller, now=now, seconds=wait)


async def _add(
    session: AsyncSession, card: CardCreate, caller: Caller, key: IdempotencyKey, now: datetime
) -> UUID:
    earlier = await idempotency.begin(session, key, now=now)
    if earlier is not None:
        return UUID(earlier)
    row = await cards.add_card(
        session,
        account_id=caller.subject,
        provider_token=card.provider_token,
        mandate_text=card.mandate.text_version,
        accepted=card.mandate.accepted,
        ceiling_cents=Cents(card.mandate.ceiling_cents),
        now=now,
    )
    await idempotency.finish(session, key, status=201, reference=str(row.id), now=now)
    return row.id


async def _read(
    progress: Progress, card_id: UUID, caller: Caller, *, now: datetime, seconds: float
) -> CardRead:
    async def saved(session: AsyncSession) -> CardRead | None:
        card = await cards.get_card(session, card_id, account_id=caller.subject)
        return None if card.status is CardStatus.SAVING else CardRead.of(card, now=now)

    found = await progress.wait_until(saved, seconds, about=card_id)
    if found is not None:
        return found
    async with progress.sessions() as session:
        return CardRead.of(await cards.get_card(session, card_id, account_id=caller.subject), now=now)


@router.get("", openapi_extra=bounded("the cards of one person"))
async def list_cards(caller: Patient, session: Reading, now: Now) -> CardList:
    """The caller's cards, newest first."""
    return CardList(
        items=[CardRead.of(card, now=now) for card in await store.list_cards(session, caller.subject)]
    )


@router.get("/{card_id}", responses=responses(404))
async def read_card(
    card_id: UUID, caller: Patient, progress: ProgressDep, now: Now, wait: Prefer
) -> CardRead:
    """With `Prefer: wait` it answers once the provider has spoken."""
    return await _read(progress, card_id, caller, now=now, seconds=wait)


@router.delete("/{card_id}", status_code=204, responses=responses(404))
async def remove_card(card_id: UUID, caller: Patient, transaction: Transaction, now: Now) -> Response:
    """The card is used for nothing new; a live hold on it stays."""
    await cards.remove_card(transaction, card_id, account_id=caller.subject, now=now)
    return Response(status_code=204)


@router.delete("/{card_id}/mandate", responses=responses(404))
async def withdraw_mandate(card_id: UUID, caller: Patient, transaction: Transaction, now: Now) -> CardRead:
    """The card is never used without its holder again; a hold that was scheduled with it asks its patient."""
    card = await cards.withdraw_mandate(transaction, card_id, account_id=caller.subject, now=now)
    return CardRead.of(card, now=now)
