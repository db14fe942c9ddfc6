"""Facts that come before the request of their appointment: kept as marks, applied after it in their order."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.models import AppointmentRoot, EarlyFact, Status
from common.events.base import AppointmentFact
from common.events.envelope import Meta


async def known_root(session: AsyncSession, event: AppointmentFact, meta: Meta) -> AppointmentRoot | None:
    """The locked root of an appointment whose request has come; None: the fact waits for it."""
    root = await store.lock_root(session, event.appointment_id)
    if root.status is Status.UNKNOWN:
        await keep(session, root, event, meta)
        return None
    return root


async def keep(session: AsyncSession, root: AppointmentRoot, event: AppointmentFact, meta: Meta) -> None:
    root.facts_wait = True
    fact = EarlyFact(
        appointment_id=event.appointment_id,
        topic=event.topic,
        sequence=meta.sequence,
        type=event.type,
        headers=meta.headers(),
        body=event.model_dump_json().encode(),
    )
    await store.keep_early_fact(session, fact)


async def take_early_facts(session: AsyncSession, appointment_id: UUID) -> Sequence[EarlyFact]:
    """The facts that waited, in the order in which they happened; they are marks no more."""
    root = await store.locked_root(session, appointment_id)
    if not root.facts_wait:
        return []
    root.facts_wait = False
    return await store.take_early_facts(session, appointment_id)
