"""The append-only facts of an appointment: they feed server-sent events and the support story."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.messaging import writes
from common.messaging.tables import HistoryRow
from common.transaction import note_change, notes_of


def add(
    session: AsyncSession,
    appointment_id: UUID,
    *,
    sequence: int,
    fact: str,
    cause: str | None = None,
    about_id: UUID | None = None,
    at: datetime,
) -> None:
    """A fact this service made. `outbox.add` calls it for every event about an appointment."""
    added = row(appointment_id, sequence=sequence, fact=fact, cause=cause, about_id=about_id, at=at)
    writes.write(session, added)


def note(
    session: AsyncSession, appointment_id: UUID, fact: str, *, about_id: UUID | None = None, at: datetime
) -> None:
    """A fact learnt from another service; the event being applied is its cause, and says what it is about.

    The appointment's root row must be locked: ids grow in the order of commits only then.
    """
    about_id = about_id or notes_of(session).about_id
    noted = row(appointment_id, sequence=None, fact=fact, cause=_cause(session), about_id=about_id, at=at)
    writes.write(session, noted)
    note_change(session, appointment_id)


def row(
    appointment_id: UUID,
    *,
    sequence: int | None,
    fact: str,
    cause: str | None,
    about_id: UUID | None = None,
    at: datetime,
) -> HistoryRow:
    """What `add` stores, and where a hot statement takes its parameters from."""
    return HistoryRow(
        appointment_id=appointment_id, sequence=sequence, fact=fact, cause=cause, about_id=about_id, at=at
    )


async def last_ids(session: AsyncSession, appointment_ids: Collection[UUID]) -> dict[UUID, int]:
    """The id of the newest fact of each of these appointments; none for one without facts."""
    newest = select(HistoryRow.appointment_id, func.max(HistoryRow.id).label("last_id"))
    newest = newest.where(HistoryRow.appointment_id.in_(appointment_ids)).group_by(HistoryRow.appointment_id)
    return {each.appointment_id: each.last_id for each in await session.execute(newest)}


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
