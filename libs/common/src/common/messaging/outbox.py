"""Writing an event in the caller's transaction. The relay takes it from there."""

from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from common import telemetry
from common.events.base import AppointmentFact, Event, thing_of
from common.events.envelope import Meta
from common.ids import uuid7
from common.messaging import history, writes
from common.messaging.tables import OutboxRow, RootRow
from common.transaction import Cause, notes_of

MAX_BODY_BYTES: Final = 256 * 1024


class BodyTooLarge(Exception):
    """An event carries ids and states; what is large belongs to an API or to storage."""


def add(session: AsyncSession, root: RootRow, event: Event, *, now: datetime) -> None:
    """Publishes `event` as the next of `root`, whose row the caller has locked.

    A fact about an appointment is written to its history as well. A forgotten lock ends in a violation of
    uq_outbox_topic_key_sequence, not in two events with one number.
    """
    if event.key() != str(root.id):
        raise ValueError(f"{event.type} belongs to {event.key()}, not to {root.id}")
    notes = notes_of(session)
    cause = notes.cause
    written = row(event, sequence=root.version + 1, now=now, cause=cause)
    root.version += 1
    writes.write(session, written)
    notes.wakes.add("outbox")
    notes.changed.add(root.id)
    if isinstance(event, AppointmentFact):
        causation = str(cause.causation_id) if cause else None
        history.add(
            session,
            event.appointment_id,
            sequence=written.sequence,
            fact=event.type,
            cause=causation,
            about_id=thing_of(event),
            at=now,
        )


def row(
    event: Event,
    *,
    sequence: int,
    now: datetime,
    cause: Cause | None = None,
) -> OutboxRow:
    """What `add` stores, and where a hot statement takes its parameters from.

    Raises BodyTooLarge above 256 KiB.
    """
    body = event.model_dump_json().encode()
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"{event.type} {event.key()}: {len(body)} bytes")
    event_id = uuid7(now)
    meta = Meta(
        specversion="1.0",
        datacontenttype="application/json",
        id=event_id,
        source=f"/{event.topic.partition('.')[0]}",
        type=event.type,
        subject=event.key(),
        time=now,
        sequence=sequence,
        dataschema=event.dataschema(),
        correlationid=cause.correlation_id if cause else event_id,
        causationid=cause.causation_id if cause else None,
        traceparent=(cause.traceparent if cause else None) or telemetry.traceparent(),
    )
    return OutboxRow(topic=event.topic, key=event.key(), sequence=sequence, headers=meta.headers(), body=body)
