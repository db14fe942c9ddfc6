"""The tables of the web layer and the vault. Each service owns its copy, next to what they commit with."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Identity, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.db import COLUMN_TYPES, new_metadata


class Base(DeclarativeBase):
    metadata = new_metadata()
    type_annotation_map = COLUMN_TYPES


class IdempotencyRow(Base):
    """A request that was answered: never its body, only where its result stands."""

    __tablename__ = "idempotency"

    scope: Mapped[str] = mapped_column(primary_key=True)  # caller, route and key, hashed
    fingerprint: Mapped[bytes]
    status: Mapped[int] = mapped_column(Integer)
    reference: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(index=True)


class GrantRow(Base):
    """Who may act for a patient: for all of them (no appointment), or because of one appointment."""

    __tablename__ = "grant"
    __table_args__ = (
        UniqueConstraint("patient_id", "holder", "appointment_id", postgresql_nulls_not_distinct=True),
        Index(None, "appointment_id", "holder"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    holder: Mapped[str]  # account:<uuid> or practitioner:<uuid>
    patient_id: Mapped[UUID]
    appointment_id: Mapped[UUID | None]


class PractitionerKeyRow(Base):
    """Which practitioner a token with this RPPS number speaks for."""

    __tablename__ = "practitioner_key"
    __table_args__ = (Index(None, "rpps"),)

    practitioner_id: Mapped[UUID] = mapped_column(primary_key=True)
    rpps: Mapped[str]


class AccessLogRow(Base):
    """Every access to a patient's health data, granted or refused. Rows are never changed."""

    __tablename__ = "access_log"
    __table_args__ = (Index(None, "patient_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime]
    patient_id: Mapped[UUID]
    subject: Mapped[UUID]
    client: Mapped[str | None]  # which service or application asked
    role: Mapped[str]
    what: Mapped[str]
    purpose: Mapped[str]
    allowed: Mapped[bool]


class DataKeyRow(Base):
    """The wrapped key of one patient's data in this service. Without the row, the data is gone."""

    __tablename__ = "data_key"

    patient_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)  # erasable, or kept because the law says so
    wrapped: Mapped[bytes]
    master_key: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime]


class ProcessRow(Base):
    """A running API or worker process of this service, and which master keys it has in its settings."""

    __tablename__ = "process"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str]  # api or worker
    master_keys: Mapped[list[str]] = mapped_column(ARRAY(String))  # NAME:FINGERPRINT, never a key
    seen_at: Mapped[datetime]  # real time, never shifted


class RateLimitRow(Base):
    """How much of a rate limit an address has used: when all its requests will have come back."""

    __tablename__ = "rate_limit"

    key: Mapped[bytes] = mapped_column(primary_key=True)  # name of the limit and address, hashed with a key
    full_at: Mapped[datetime] = mapped_column(index=True)
