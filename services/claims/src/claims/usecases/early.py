"""Facts that come before the request of their appointment: kept as marks, applied after it in their order."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.models import EarlyFact, Status, Stream
from common.events.base import AppointmentFact
from common.events.envelope import Meta


async def known_stream(session: AsyncSession, event: AppointmentFact, meta: Meta) -> Stream | None:
    """The locked root of an appointment whose request has come; None: the fact waits for it."""
    stream = await store.lock_stream(session, event.appointment_id)
    if stream.status is Status.UNKNOWN:
        await keep(session, stream, event, meta)
        return None
    return stream


async def keep(session: AsyncSession, stream: Stream, event: AppointmentFact, meta: Meta) -> None:
    stream.facts_wait = True
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
    stream = await store.held_stream(session, appointment_id)
    if not stream.facts_wait:
        return []
    stream.facts_wait = False
    return await store.take_early_facts(session, appointment_id)
