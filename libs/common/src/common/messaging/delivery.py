"""Records into committed transactions, one by one or a batch at once. Offsets are the consumer's business."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from common import telemetry
from common.db import Sessions
from common.errors import DomainError, Refusal
from common.events.base import Event, thing_of
from common.events.envelope import Meta
from common.messaging import deadletter, inbox, writes
from common.messaging.failures import is_infrastructure
from common.messaging.records import (
    DUPLICATE,
    PARKED,
    Ending,
    Outcome,
    PartitionStopped,
    Record,
    RecordRejected,
    ignored,
)
from common.messaging.routes import Routes
from common.telemetry import Metrics
from common.transaction import Cause, notes_of

_LAST_SEQUENCE: Final = 2**63 - 2  # a range of int8 still has an upper end above it
_LONGEST_KEY: Final = 200  # far above an id, far below what an index takes

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Redriven:
    """How far a parked key came."""

    outcomes: tuple[Outcome, ...]
    left: int
    reason: str | None  # what stopped it; none: the key is free


async def deliver(
    record: Record,
    routes: Routes,
    sessions: Sessions,
    *,
    now: datetime,
    metrics: Metrics | None = None,
) -> Outcome:
    """Applies one record and commits it, or commits why not.

    Raises PartitionStopped, and whatever a handler raises that is neither a DomainError nor RecordRejected:
    then nothing is committed.
    """
    meta = None
    try:
        meta = envelope(record)
        async with sessions.begin() as session:
            writes.collect(session)
            claim = await _claim(session, record, meta)
            outcome = _settle(session, record, meta, claim, routes, now, metrics)
            if outcome is None:
                outcome = await _run(session, *_read(record, meta, routes), routes, now)
                await routes.conclude(session, now)
            await writes.flush(session)
            return outcome
    except RecordRejected as error:
        outcome = Outcome(Ending.REJECTED, str(error))
    except DomainError as error:
        # A conflict is a state that moved on. Any other refusal is a record that should not exist.
        moved_on = error.refusal is Refusal.CONFLICT
        outcome = ignored(error.code) if moved_on else Outcome(Ending.REJECTED, error.code)
    # What the handler wrote is rolled back; the mark, and a dead letter, commit on their own.
    async with sessions.begin() as session:
        if meta is None:
            await deadletter.add_unreadable(session, record, reason=outcome.code, now=now)
        elif (await _claim(session, record, meta)).new and outcome.ending is Ending.REJECTED:
            await deadletter.park(session, record, sequence=meta.sequence, reason=outcome.code, now=now)
    return outcome


async def deliver_batch(
    records: Sequence[Record],
    routes: Routes,
    sessions: Sessions,
    *,
    now: datetime,
    metrics: Metrics | None = None,
) -> list[Outcome]:
    """Applies records of one topic, in their order, in one transaction.

    All or nothing: whatever goes wrong is raised and rolls all of it back. `deliver` then finds out which
    record it was.
    """
    metas = [envelope(record) for record in records]
    topic = records[0].topic
    numbered = [(record.key, meta.sequence) for record, meta in zip(records, metas, strict=True)]
    async with sessions.begin() as session:
        writes.collect(session)
        claims = await inbox.claim_all(session, topic=topic, records=numbered)
        steps: list[tuple[Meta, Event | Outcome]] = []
        for record, meta, claim in zip(records, metas, claims, strict=True):
            outcome = _settle(session, record, meta, claim, routes, now, metrics)
            steps.append((meta, outcome) if outcome else _read(record, meta, routes))
        await routes.prepare(session, [step for _, step in steps if isinstance(step, Event)])
        outcomes = [
            await _run(session, meta, step, routes, now) if isinstance(step, Event) else step
            for meta, step in steps
        ]
        await routes.conclude(session, now)
        await writes.flush(session)
        return outcomes


async def park(record: Record, sessions: Sessions, *, reason: str, now: datetime) -> Outcome:
    """Makes a dead letter of a record that a bug keeps from being applied; its key is parked with it."""
    meta = envelope(record)
    async with sessions.begin() as session:
        if not (await _claim(session, record, meta)).new:
            return DUPLICATE
        await deadletter.park(session, record, sequence=meta.sequence, reason=reason, now=now)
    return Outcome(Ending.REJECTED, reason)


async def redrive(topic: str, key: str, routes: Routes, sessions: Sessions, *, now: datetime) -> Redriven:
    """Applies the letters of a parked key in order, each in its own transaction, until one fails again.

    Only this reader sees it: nothing is published again. Each transaction first keeps the consumer from
    claiming this key, so that no record is queued behind a letter that is just going away.

    Raises what the infrastructure raises; then the letters stay as they are.
    """
    outcomes: list[Outcome] = []
    reason = None
    try:
        while outcome := await _redrive_first(topic, key, routes, sessions, now):
            outcomes.append(outcome)
    except DomainError as error:
        reason = error.code
    except (RecordRejected, PartitionStopped) as error:
        reason = str(error)
    except Exception as error:
        if is_infrastructure(error):
            raise
        _log.exception("redrive of a key of %s failed", topic)
        reason = type(error).__name__
    return Redriven(tuple(outcomes), await _left(sessions, topic, key, reason), reason)


async def _redrive_first(
    topic: str, key: str, routes: Routes, sessions: Sessions, now: datetime
) -> Outcome | None:
    """None: no letter is left."""
    async with sessions.begin() as session:
        await inbox.lock(session, topic=topic, key=key)
        letter = await deadletter.find_first(session, topic=topic, key=key)
        if letter is None:
            await inbox.mark_parked(session, topic=topic, key=key, parked=False)
            return None
        await session.delete(letter)
        record = Record(letter.topic, letter.key, letter.origin, letter.headers, letter.body)
        try:
            async with session.begin_nested():
                meta = envelope(record)
                outcome = await _run(session, *_read(record, meta, routes), routes, now)
                await routes.conclude(session, now)
                return outcome
        except DomainError as error:
            if error.refusal is not Refusal.CONFLICT:
                raise
            return ignored(error.code)


async def _left(sessions: Sessions, topic: str, key: str, reason: str | None) -> int:
    async with sessions.begin() as session:
        letters = await deadletter.letters_of(session, topic=topic, key=key)
        if letters and reason is not None:
            letters[0].reason = reason
        return len(letters)


def _settle(
    session: AsyncSession,
    record: Record,
    meta: Meta,
    claim: inbox.Claim,
    routes: Routes,
    now: datetime,
    metrics: Metrics | None,
) -> Outcome | None:
    """How a record ends that no handler sees; None: a handler does."""
    if claim.hole:
        _report_hole(record, meta, metrics)
    if not claim.new:
        return DUPLICATE
    if not routes.reads(meta.type):
        return ignored("type-not-read")
    routes.find(meta)  # a version nobody here reads stops the partition; it does not queue
    if claim.parked:
        deadletter.queue(session, record, sequence=meta.sequence, now=now)
        return PARKED
    return None


def _report_hole(record: Record, meta: Meta, metrics: Metrics | None) -> None:
    """An earlier event of this key has not come; `replay --key` brings it.

    The key may be the id of a patient, so the log names the record by its place in Kafka.
    """
    _log.warning(
        "an event before sequence %s of %s is missing, see %s", meta.sequence, record.topic, record.origin
    )
    if metrics is not None:
        metrics.count("inbox_gaps_total", topic=record.topic)


def _read(record: Record, meta: Meta, routes: Routes) -> tuple[Meta, Event]:
    try:
        return routes.read(meta, record.body)
    except ValidationError as error:
        raise RecordRejected("body-unreadable") from error


async def _run(session: AsyncSession, meta: Meta, event: Event, routes: Routes, now: datetime) -> Outcome:
    _, handler = routes.find(meta)
    with telemetry.span(meta.type, kind="consumer", parent=meta.traceparent) as traceparent:
        notes_of(session).about_id = thing_of(event)
        notes_of(session).cause = Cause(meta.correlationid, meta.id, traceparent)
        return await handler(session, event, meta, now)


async def _claim(session: AsyncSession, record: Record, meta: Meta) -> inbox.Claim:
    return await inbox.claim(session, topic=record.topic, key=record.key, sequence=meta.sequence)


def envelope(record: Record) -> Meta:
    """What stands beside the body. Raises RecordRejected when it cannot be read or belongs to another key."""
    try:
        meta = Meta.model_validate(record.headers)
    except ValidationError as error:
        raise RecordRejected("envelope-unreadable") from error
    fits = meta.subject == record.key and len(record.key) <= _LONGEST_KEY
    if not fits or meta.sequence > _LAST_SEQUENCE:
        raise RecordRejected("envelope-unreadable")
    return meta
