"""The ledger, for support."""

from uuid import UUID

from fastapi import APIRouter

from common.web.auth import Role, requires
from common.web.deps import Reading
from common.web.openapi import bounded
from payment import store
from payment.api.schemas import EntryRead, LedgerCheckRead, LedgerRead
from payment.domain.ledger import Account

router = APIRouter(
    prefix="/payment/v1/ledger",
    tags=["ledger"],
    dependencies=[requires(Role.SUPPORT, Role.ADMINISTRATOR)],
)


@router.get("", openapi_extra=bounded("the entries of one payment"))
async def read_ledger(appointment_id: UUID, session: Reading) -> LedgerRead:
    """Every entry of one appointment, oldest first."""
    entries = await store.list_entries(session, appointment_id)
    return LedgerRead(appointment_id=appointment_id, items=[EntryRead.of(row) for row in entries])


@router.get("/check")
async def check_ledger(session: Reading) -> LedgerCheckRead:
    """Whether every journal balances, and the ledger says what the holds and charges say."""
    totals = await store.ledger_totals(session)
    books = await store.books(session)
    unbalanced = list(await store.list_unbalanced_journals(session))
    agrees = (
        not unbalanced
        and totals.get(Account.CARD_HOLDS, 0) == books["held_cents"]
        and totals.get(Account.PROVIDER, 0) == books["captured_cents"] - books["refunded_cents"]
    )
    return LedgerCheckRead(
        currency="EUR", totals=totals, **books, unbalanced_journals=unbalanced, agrees=agrees
    )
