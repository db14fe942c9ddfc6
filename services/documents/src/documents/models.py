"""Tables of the documents service."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.db import COLUMN_TYPES, new_metadata
from common.messaging.tables import RootRow
from common.money import Cents
from documents.domain.content import Folder, Kind
from documents.domain.visits import DocumentStatus, Visit


class Base(DeclarativeBase):
    metadata = new_metadata()
    type_annotation_map = COLUMN_TYPES


class AppointmentRoot(RootRow, Base):
    """An appointment: locked first by every use case. What billing needs stands here until all of it came."""

    __tablename__ = "stream"

    visit: Mapped[Visit]
    patient_id: Mapped[UUID | None]
    practitioner_id: Mapped[UUID | None]
    profession: Mapped[str | None]
    price: Mapped[dict[str, Any] | None]  # amounts of the highest revision, sheet mode; no personal data
    paid_cents: Mapped[Cents | None]  # none: payment has not said yet


class Document(Base):
    """A document of an appointment. Its file is sealed in the storage; what was written is sealed here."""

    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("number"),
        UniqueConstraint("appointment_id", "revision"),
        Index(None, "patient_id", "id"),
        Index(None, "appointment_id"),
        CheckConstraint("(kind = 'prescription') = (folder IS NOT NULL)", name="prescriptions_have_a_folder"),
        CheckConstraint(
            "status <> 'issued' OR (number IS NOT NULL AND sha256 IS NOT NULL AND storage_key IS NOT NULL)",
            name="issued_is_complete",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    appointment_id: Mapped[UUID] = mapped_column(ForeignKey("stream.id"))
    patient_id: Mapped[UUID]
    practitioner_id: Mapped[UUID]
    kind: Mapped[Kind]
    folder: Mapped[Folder | None]
    status: Mapped[DocumentStatus]
    failure: Mapped[str | None] = mapped_column(String(64))  # coded: why it failed
    revision: Mapped[int | None] = mapped_column(Integer)  # of the price a billing document states
    signer_rpps: Mapped[str | None] = mapped_column(String(11))  # who wrote it; none: the platform
    content: Mapped[bytes | None]  # sealed
    created_at: Mapped[datetime]
    number: Mapped[str | None]
    code_hash: Mapped[bytes | None]  # what a verification compares
    code: Mapped[bytes | None]  # sealed: shown to the patient
    practitioner_name: Mapped[str | None]  # public, as a verification says it
    practitioner_rpps: Mapped[str | None]
    sha256: Mapped[str | None] = mapped_column(String(64))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    storage_key: Mapped[str | None]
    issued_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    restricted_at: Mapped[datetime | None]  # the patient was erased: kept by law, shown to nobody here


class Dispensation(Base):
    """What a pharmacy recorded that it handed out."""

    __tablename__ = "dispensation"
    __table_args__ = (Index(None, "document_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    document_id: Mapped[UUID] = mapped_column(ForeignKey("document.id"))
    dispensed_by: Mapped[UUID]
    dispensed_at: Mapped[datetime]
    positions: Mapped[dict[str, Any]]  # {"lines": [1, 3]}
