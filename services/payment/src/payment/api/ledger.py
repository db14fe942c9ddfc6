"""The ledger, for support."""

from uuid import UUID

from fastapi import APIRouter

from common.web.auth import Role, requires
from common.web.deps import Reading
from common.web.openapi import bounded
from payment import store
from payment.api.schemas import EntryRead, LedgerCheckRead, LedgerRead

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
    """Whether the ledger says what the holds and charges say, and the card provider too.

    Every six hours the worker compares each payment at the provider with ours. It posts what the provider
    did by itself; what still differs is listed here until the next comparison.
    """
    totals = await store.ledger_totals(session)
    books = await store.books(session)
    unbalanced = list(await store.list_unbalanced_journals(session))
    comparison = await store.find_comparison(session)
    return LedgerCheckRead.of(totals, books, unbalanced, comparison)
