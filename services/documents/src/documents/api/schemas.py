"""Bodies of the documents API: what comes in is refused when unknown, what goes out is complete."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field
from typing_extensions import TypeAliasType

from common.web.schemas import LINES, ONE_LINE, In, Out
from documents.domain.content import Folder, Kind, Substitution
from documents.domain.dispensing import LineLeft
from documents.domain.prescribing import MOST_CHARACTERS, MOST_DAYS, MOST_LINES, MOST_RENEWALS
from documents.domain.visits import DocumentStatus
from documents.models import Dispensation, Document

Words = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS, pattern=LINES)]
Renewals = Annotated[int, Field(ge=0, le=MOST_RENEWALS)]
Days = Annotated[int, Field(ge=1, le=MOST_DAYS)]


class DrugLineCreate(In):
    type: Literal["drug"]
    label: Words
    dosage: Words
    inn: Words | None = None
    cip13: Annotated[str, Field(pattern=r"^34009[0-9]{8}$")] | None = None
    duration_days: Days | None = None
    packs: Annotated[int, Field(ge=1, le=99)] | None = None
    renewals: Renewals = 0
    not_substitutable: Substitution | None = None
    refundable: bool = True
    related_to_ald: bool = False


class DeviceLineCreate(In):
    type: Literal["device"]
    label: Words
    quantity: Annotated[int, Field(ge=1, le=999)]
    conditions: Words
    lpp: Annotated[str, Field(pattern=r"^[0-9A-Z]{1,13}$")] | None = None
    duration_days: Days | None = None
    renewals: Renewals = 0
    related_to_ald: bool = False


class FreeLineCreate(In):
    type: Literal["free"]
    text: Words
    indication: Words | None = None
    urgent: bool = False
    renewals: Renewals = 0
    related_to_ald: bool = False


# with a name of its own generators make one type of it, and not one for each place
LineCreate = TypeAliasType(
    "LineCreate",
    Annotated[DrugLineCreate | DeviceLineCreate | FreeLineCreate, Field(discriminator="type")],
)


class PrescriptionCreate(In):
    folder: Folder
    lines: Annotated[list[LineCreate], Field(min_length=1, max_length=MOST_LINES)]
    weight_grams: Annotated[int, Field(ge=200, le=500_000)] | None = None
    height_cm: Annotated[int, Field(ge=20, le=260)] | None = None

    def content(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class ReportSectionCreate(In):
    title: Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)]
    text: Annotated[str, Field(min_length=1, max_length=20_000, pattern=LINES)]


class ReportCreate(In):
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=LINES)] | None = None
    sections: Annotated[list[ReportSectionCreate], Field(min_length=1, max_length=20)]
    regular_doctor_name: Annotated[str, Field(min_length=1, max_length=200, pattern=ONE_LINE)] | None = None

    def content(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


_FAILURE = (
    "Why a `failed` document was never issued: `signer-differs`, `text-not-drawable` or "
    "`text-differs-from-data` (the paper would not say what was written), `values-impossible`, or `given-up` "
    "after many attempts. More may come."
)


class VerificationAccess(Out):
    """What the QR code holds: whoever is given it can verify the document."""

    number: str
    url: str


class DocumentRead(Out):
    id: UUID
    appointment_id: UUID
    patient_id: UUID
    practitioner_id: UUID
    kind: Kind
    folder: Folder | None
    status: DocumentStatus
    failure: Annotated[str | None, Field(description=_FAILURE)]
    created_at: datetime
    issued_at: datetime | None
    withdrawn_at: datetime | None
    number: str | None
    sha256: str | None
    size_bytes: int | None
    verification: VerificationAccess | None

    @classmethod
    def of(cls, row: Document, *, url: str | None) -> "DocumentRead":
        access = None
        if row.number is not None and url is not None:
            access = VerificationAccess(number=row.number, url=url)
        return cls(
            id=row.id,
            appointment_id=row.appointment_id,
            patient_id=row.patient_id,
            practitioner_id=row.practitioner_id,
            kind=row.kind,
            folder=row.folder,
            status=row.status,
            failure=row.failure,
            created_at=row.created_at,
            issued_at=row.issued_at,
            withdrawn_at=row.withdrawn_at,
            number=row.number,
            sha256=row.sha256,
            size_bytes=row.size_bytes,
            verification=access,
        )


class DocumentPage(Out):
    items: list[DocumentRead]
    next_cursor: str | None


class FileCheck(In):
    """The SHA-256 of the file in hand; with the code, the answer says more than yes or no."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]
    code: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class VerificationRead(Out):
    """Nothing about the patient: only what lets somebody trust the paper they hold."""

    status: Literal["authentic", "invalid", "withdrawn", "unknown"]
    number: str | None
    document_id: UUID | None
    kind: Kind | None
    issued_at: datetime | None
    practitioner_name: str | None
    practitioner_rpps: str | None

    @classmethod
    def of(
        cls, status: Literal["authentic", "invalid", "withdrawn", "unknown"], row: Document | None
    ) -> "VerificationRead":
        return cls(
            status=status,
            number=row.number if row else None,
            document_id=row.id if row else None,
            kind=row.kind if row else None,
            issued_at=row.issued_at if row else None,
            practitioner_name=row.practitioner_name if row else None,
            practitioner_rpps=row.practitioner_rpps if row else None,
        )


class DispensedLineCreate(In):
    position: Annotated[int, Field(ge=1, le=MOST_LINES)]


class DispensationCreate(In):
    code: Annotated[str, Field(min_length=1, max_length=64)]
    lines: Annotated[list[DispensedLineCreate], Field(min_length=1, max_length=MOST_LINES)]

    @property
    def positions(self) -> list[int]:
        return [line.position for line in self.lines]


class DispensedLineRead(Out):
    position: int
    dispensed: int
    allowed: int


class DispensationRead(Out):
    id: UUID
    document_id: UUID
    dispensed_at: datetime
    lines: list[DispensedLineRead]

    @classmethod
    def of(cls, row: Dispensation, left: Sequence[LineLeft]) -> "DispensationRead":
        return cls(
            id=row.id,
            document_id=row.document_id,
            dispensed_at=row.dispensed_at,
            lines=[
                DispensedLineRead(position=line.position, dispensed=line.dispensed, allowed=line.allowed)
                for line in left
            ],
        )
