"""The root rows of a batch, locked in one statement before its first record is applied.

A service names them with `@routes.prepares`; its `lock_...` functions then find a row here and need not ask.
"""

from collections.abc import Iterable
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from common.messaging.tables import StreamRoot

_LOCKED: Final = "messaging.roots"

R = TypeVar("R", bound=StreamRoot)


async def lock_all(session: AsyncSession, model: type[R], ids: Iterable[UUID]) -> None:
    """Locks those that exist, in the order of their ids, until the transaction ends."""
    query = select(model).where(model.id.in_(set(ids))).order_by(model.id).with_for_update()
    rows: dict[tuple[Any, UUID], StreamRoot] = session.info.setdefault(_LOCKED, {})
    rows |= {(model, row.id): row for row in await session.scalars(query)}


def find_locked(session: AsyncSession, model: type[R], root_id: UUID) -> R | None:
    """The row if `lock_all` has it in this transaction; none says nothing about the table."""
    row = session.info.get(_LOCKED, {}).get((model, root_id))
    return row if isinstance(row, model) else None
