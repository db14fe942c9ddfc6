"""Root rows, locked one by one, or those of a batch in one statement before its first record is applied.

A service names those of a batch with `@routes.prepares`; `lock` then finds a row here and need not ask.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.messaging.tables import RootRow
from common.transaction import notes_of

R = TypeVar("R", bound=RootRow)


async def lock_all(session: AsyncSession, model: type[R], ids: Iterable[UUID]) -> None:
    """Locks those that exist, in the order of their ids, until the transaction ends."""
    query = select(model).where(model.id.in_(set(ids))).order_by(model.id).with_for_update()
    notes_of(session).locked_roots |= {(model, row.id): row for row in await session.scalars(query)}


async def lock_or_make_all(
    session: AsyncSession, model: type[R], ids: Iterable[UUID], *, blank: Mapping[str, Any]
) -> None:
    """As `lock_all`, with those made that are missing: `blank` is all but the id."""
    wanted = sorted(set(ids))
    if not wanted:
        return
    await lock_all(session, model, wanted)
    missing = [each for each in wanted if find_locked(session, model, each) is None]
    if missing:
        values = [{"id": each, **blank} for each in missing]
        await session.execute(insert(model).values(values).on_conflict_do_nothing())
        await lock_all(session, model, missing)


async def lock(session: AsyncSession, model: type[R], root_id: UUID, *, blank: Mapping[str, Any]) -> R:
    """Held until the transaction ends. The first fact of a key makes its row: `blank` is all but the id."""
    held = find_locked(session, model, root_id)
    if held is not None:
        return held  # with all the others of its batch
    query = select(model).where(model.id == root_id).with_for_update()
    query = query.execution_options(populate_existing=True)
    known = await session.scalar(query)
    if known is not None:
        return known
    created = insert(model).values(id=root_id, **blank).on_conflict_do_nothing()
    made = (await session.scalars(created.returning(model))).one_or_none()
    # None: another transaction was quicker, and has committed.
    return made or (await session.scalars(query)).one()


def find_locked(session: AsyncSession, model: type[R], root_id: UUID) -> R | None:
    """The row if `lock_all` has it in this transaction; none says nothing about the table."""
    row = notes_of(session).locked_roots.get((model, root_id))
    return row if isinstance(row, model) else None
