"""Records that could not be applied, and behind each the later ones of its key, in order.

A key is parked while a letter of it is here. A record without a readable envelope has no place in an order:
it is listed once, by its origin, and parks nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.messaging import inbox
from common.messaging.records import Record
from common.messaging.tables import DeadLetterRow

QUEUED = "parked"  # the reason of what only waits behind another one

_KEY_SHOWN = 200


@dataclass(frozen=True, slots=True)
class ParkedKey:
    topic: str
    key: str
    letters: int
    reason: str
    parked_at: datetime


async def park(session: AsyncSession, record: Record, *, sequence: int, reason: str, now: datetime) -> None:
    """Makes a letter of a record that was claimed in this transaction, and parks its key."""
    queue(session, record, sequence=sequence, reason=reason, now=now)
    await inbox.mark_parked(session, topic=record.topic, key=record.key, parked=True)


def queue(
    session: AsyncSession, record: Record, *, sequence: int, reason: str = QUEUED, now: datetime
) -> None:
    """Makes a letter behind those of its key, which is parked already."""
    session.add(
        DeadLetterRow(
            topic=record.topic,
            key=record.key,
            sequence=sequence,
            origin=record.origin,
            reason=reason,
            headers=dict(record.headers),
            body=record.body,
            parked_at=now,
        )
    )


async def add_unreadable(session: AsyncSession, record: Record, *, reason: str, now: datetime) -> None:
    """Listed once, however often it is delivered."""
    listed = insert(DeadLetterRow).values(
        topic=record.topic,
        key=record.key[:_KEY_SHOWN],
        origin=record.origin,
        reason=reason,
        headers=dict(record.headers),
        body=record.body,
        parked_at=now,
    )
    await session.execute(listed.on_conflict_do_nothing())


async def count_parked(session: AsyncSession) -> int:
    """How many keys are parked."""
    keys = (
        select(DeadLetterRow.topic, DeadLetterRow.key)
        .where(DeadLetterRow.sequence.is_not(None))
        .distinct()
        .subquery()
    )
    return await session.scalar(select(func.count()).select_from(keys)) or 0


async def list_parked(session: AsyncSession) -> list[ParkedKey]:
    """Every parked key with what its first letter died of, the longest parked first."""
    rows = await session.execute(
        select(
            DeadLetterRow.topic,
            DeadLetterRow.key,
            func.count(),
            (func.array_agg(aggregate_order_by(DeadLetterRow.reason, DeadLetterRow.id)))[1],
            func.min(DeadLetterRow.parked_at),
        )
        .where(DeadLetterRow.sequence.is_not(None))
        .group_by(DeadLetterRow.topic, DeadLetterRow.key)
        .order_by(func.min(DeadLetterRow.id))
    )
    return [ParkedKey(*row) for row in rows]


async def list_unreadable(session: AsyncSession) -> Sequence[DeadLetterRow]:
    unreadable = select(DeadLetterRow).where(DeadLetterRow.sequence.is_(None)).order_by(DeadLetterRow.id)
    return (await session.scalars(unreadable)).all()


async def letters_of(session: AsyncSession, *, topic: str, key: str) -> Sequence[DeadLetterRow]:
    """The letters of a key in the order in which they will be applied."""
    queue = (
        select(DeadLetterRow)
        .where(DeadLetterRow.topic == topic, DeadLetterRow.key == key)
        .order_by(DeadLetterRow.id)
    )
    return (await session.scalars(queue)).all()


async def find_first(session: AsyncSession, *, topic: str, key: str) -> DeadLetterRow | None:
    first = (
        select(DeadLetterRow)
        .where(DeadLetterRow.topic == topic, DeadLetterRow.key == key, DeadLetterRow.sequence.is_not(None))
        .order_by(DeadLetterRow.id)
        .limit(1)
    )
    return await session.scalar(first)


async def discard(session: AsyncSession, letter_id: int) -> bool:
    """Gives one letter up for good. Its inbox mark stays, so it never comes again."""
    letter = await session.get(DeadLetterRow, letter_id)
    if letter is None:
        return False
    await inbox.lock(session, topic=letter.topic, key=letter.key)
    await session.delete(letter)
    await free_if_empty(session, topic=letter.topic, key=letter.key)
    return True


async def free_if_empty(session: AsyncSession, *, topic: str, key: str) -> bool:
    """Ends the parking of a key without letters. The caller holds `inbox.lock`."""
    if await find_first(session, topic=topic, key=key) is not None:
        return False
    await inbox.mark_parked(session, topic=topic, key=key, parked=False)
    return True
