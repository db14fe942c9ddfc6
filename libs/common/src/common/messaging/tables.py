"""The tables of the messaging runtime. Each service owns its copy, next to the data they must commit with."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE, JSONB, Range
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.db import new_metadata


class RootRow:
    """Mixed into the row that numbers the events of one key; every use case locks it before anything else."""

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)


class Base(DeclarativeBase):
    metadata = new_metadata()
    type_annotation_map = {  # noqa: RUF012
        datetime: DateTime(timezone=True),
        dict[str, str]: JSONB(none_as_null=True),
        dict[str, Any]: JSONB(none_as_null=True),
    }


class OutboxRow(Base):
    """An event on its way out: exactly the bytes and headers the relay will send."""

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("topic", "key", "sequence"),
        # every row is inserted and deleted once: do not wait until a share of a nearly empty table is dead
        {"postgresql_with": {"autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 5000}},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    topic: Mapped[str]
    key: Mapped[str]
    sequence: Mapped[int] = mapped_column(BigInteger)
    headers: Mapped[dict[str, str]]
    body: Mapped[bytes]


class OutboxArchiveRow(Base):
    """An event the broker has acknowledged. A partition a day by the clock, made and dropped by the relay."""

    __tablename__ = "outbox_archive"
    __table_args__ = (
        Index(None, "key", "topic", "sequence"),
        {"postgresql_partition_by": "RANGE (archived_at)"},
    )

    archived_at: Mapped[datetime] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    topic: Mapped[str]
    key: Mapped[str]
    sequence: Mapped[int] = mapped_column(BigInteger)
    headers: Mapped[dict[str, str]]
    body: Mapped[bytes]


class InboxRow(Base):
    """Which sequences of a key were applied here: a member is a duplicate, a gap is a hole."""

    __tablename__ = "inbox"
    __table_args__ = {"postgresql_with": {"fillfactor": 70}}  # noqa: RUF012  room to update a row on its page

    topic: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    applied: Mapped[list[Range[int]]] = mapped_column(INT8MULTIRANGE)
    parked: Mapped[bool] = mapped_column(server_default=text("false"))  # dead letters of this key wait


class DeadLetterRow(Base):
    """A record that could not be applied, or queues behind one. Without an envelope it has no sequence."""

    __tablename__ = "dead_letter"
    __table_args__ = (
        Index(None, "topic", "key"),
        Index(
            "uq_dead_letter_unreadable_once",
            "topic",
            "origin",
            unique=True,
            postgresql_where=text("sequence IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    topic: Mapped[str]
    key: Mapped[str]
    sequence: Mapped[int | None] = mapped_column(BigInteger)
    origin: Mapped[str]
    reason: Mapped[str]
    headers: Mapped[dict[str, str]]
    body: Mapped[bytes]
    parked_at: Mapped[datetime]


class TaskRow(Base):
    """Work that calls out or waits for a time. No outcome: it is still to be done."""

    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint(
            "num_nulls(lease_token, lease_until, lease_worker) IN (0, 3)", name="leased_wholly_or_not"
        ),
        CheckConstraint("(outcome IS NULL) = (finished_at IS NULL)", name="finished_with_an_outcome"),
        CheckConstraint("outcome IS NULL OR lease_token IS NULL", name="finished_without_a_lease"),
        Index(None, "due_at", postgresql_where=text("outcome IS NULL")),
        Index(None, "finished_at", postgresql_where=text("outcome IS NOT NULL")),
        {"postgresql_with": {"fillfactor": 70}},
    )

    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    payload: Mapped[dict[str, Any] | None]
    cause: Mapped[dict[str, str] | None]  # what its events will name as their cause
    due_at: Mapped[datetime]
    first_due_at: Mapped[datetime | None]  # set where a failed attempt has moved due_at
    attempt: Mapped[int]
    reason: Mapped[str | None]  # why the last attempt did not finish it
    lease_token: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]  # real time, never shifted
    lease_worker: Mapped[int | None] = mapped_column(BigInteger)
    outcome: Mapped[str | None]  # `failed`: no attempt is left
    finished_at: Mapped[datetime | None]

    again = False  # not stored: whether adding a finished one opens it anew


class HistoryRow(Base):
    """A fact of an appointment as this service learnt or made it. Append-only, without personal data."""

    __tablename__ = "history"
    __table_args__ = (Index(None, "appointment_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    appointment_id: Mapped[UUID]
    sequence: Mapped[int | None] = mapped_column(BigInteger)  # none: a fact of another service
    fact: Mapped[str]
    cause: Mapped[str | None]  # the id of the event that set it off
    about_id: Mapped[
        UUID | None
    ]  # the thing that the fact is about: a document, hold, leg, refund or balance
    at: Mapped[datetime]
