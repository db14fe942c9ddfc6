"""Notes about the transaction that a session runs: one typed object, and who sets each of its fields.

A session carries the object in its `info`: the code that sets a note (a request, a delivery, a task) and the
code that reads it (the outbox, the vault, the access log) share nothing but the session.
"""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

WakeKind = Literal["outbox", "task"]
KeyOwner = tuple[UUID, str]  # a patient, and which of their data keys


@dataclass(frozen=True, slots=True)
class Cause:
    """The event or task that started a transaction. Events written in the transaction name it."""

    correlation_id: UUID
    causation_id: UUID
    traceparent: str | None = None


@dataclass(slots=True)
class TransactionNotes:
    """The notes of one session. Each field names the module that sets it and those that read it."""

    # Set by messaging.delivery for each record and by messaging.tasks for each task; read by whatever writes
    # events, history and tasks. None: a request of a person started the transaction.
    cause: Cause | None = None

    # Set by messaging.delivery for each record: the thing that its event is about. Read by messaging.history.
    about_id: UUID | None = None

    # Set by messaging.outbox and messaging.tasks; emptied by db, which wakes the workers after the commit.
    wakes: set[WakeKind] = field(default_factory=set)

    # Set by messaging.outbox, messaging.history and `note_change`; emptied by db, which tells those who wait
    # for these things after the commit.
    changed: set[UUID] = field(default_factory=set)

    # Set by web.deps for requests that only read; db then refuses to write, web.access to log an access.
    read_only: bool = False

    # Set by web.idempotency when a key was looked up; web.permissions then keeps the connection.
    idempotency_begun: bool = False

    # Rows of the access log that web.access added; web.permissions and web.access keep them over a rollback.
    access_rows: list[object] = field(default_factory=list)

    # Outbox and history rows that messaging.writes writes in one statement before the commit. None: each row
    # goes to the session.
    collected_rows: list[object] | None = None

    # Root rows that messaging.roots locked for a whole batch of records, by model and id.
    locked_roots: dict[tuple[type[object], UUID], object] = field(default_factory=dict)

    # Set and read by the vault: owners whose data key this session made, and keys it has read (None: no key).
    made_keys: set[KeyOwner] = field(default_factory=set)
    read_keys: dict[KeyOwner, bytes | None] = field(default_factory=dict)


def note_change(session: AsyncSession, thing_id: UUID) -> None:
    """After the commit, requests that wait for this thing look at it again.

    Facts about an appointment note it by themselves; call this for a card, a refund or a document.
    """
    notes_of(session).changed.add(thing_id)


def notes_of(session: AsyncSession | Session) -> TransactionNotes:
    """The notes of this session; empty ones for a new session."""
    notes = session.info.get(TransactionNotes)
    if notes is None:
        notes = session.info[TransactionNotes] = TransactionNotes()
    return notes
