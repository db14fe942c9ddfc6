"""Posting to the ledger: a journal under its business key, once, in the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from payment.domain.ledger import Entry
from payment.models import AppointmentRoot, LedgerRow

CURRENCY = "EUR"


def post(
    session: AsyncSession, root: AppointmentRoot, journal: str, entries: Sequence[Entry], *, now: datetime
) -> None:
    """The root must be locked. A journal posted twice violates uq_ledger_entry_journal."""
    if sum(entry.amount_cents for entry in entries) != 0:
        raise ValueError(f"journal {journal} does not balance")
    for entry in entries:
        session.add(
            LedgerRow(
                journal=journal,
                account=entry.account,
                amount_cents=entry.amount_cents,
                currency=CURRENCY,
                appointment_id=root.id,
                at=now,
            )
        )
