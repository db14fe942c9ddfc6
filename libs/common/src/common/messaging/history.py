"""The append-only facts of an appointment: they feed server-sent events and the support story."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from common.messaging import writes
from common.messaging.tables import HistoryRow
from common.transaction import notes_of


def add(
    session: AsyncSession,
    appointment_id: UUID,
    *,
    sequence: int,
    fact: str,
    cause: str | None = None,
    at: datetime,
) -> None:
    """A fact this service made. `outbox.add` calls it for every event about an appointment."""
    writes.write(session, row(appointment_id, sequence=sequence, fact=fact, cause=cause, at=at))


def note(session: AsyncSession, appointment_id: UUID, fact: str, *, at: datetime) -> None:
    """A fact learnt from another service; the event being applied is its cause.

    The appointment's root row must be locked: ids grow in the order of commits only then.
    """
    noted = row(appointment_id, sequence=None, fact=fact, cause=_cause(session), at=at)
    writes.write(session, noted)


def row(
    appointment_id: UUID, *, sequence: int | None, fact: str, cause: str | None, at: datetime
) -> HistoryRow:
    """What `add` stores, and where a hot statement takes its parameters from."""
    return HistoryRow(appointment_id=appointment_id, sequence=sequence, fact=fact, cause=cause, at=at)


async def after(
    session: AsyncSession, appointment_id: UUID, last_id: int, limit: int
) -> Sequence[HistoryRow]:
    """The oldest facts with an id above `last_id`, at most `limit` of them."""
    newer = (
        select(HistoryRow)
        .where(HistoryRow.appointment_id == appointment_id, HistoryRow.id > last_id)
        .order_by(HistoryRow.id)
        .limit(limit)
    )
    return (await session.scalars(newer)).all()


def _cause(session: AsyncSession) -> str | None:
    cause = notes_of(session).cause
    return str(cause.causation_id) if cause else None
