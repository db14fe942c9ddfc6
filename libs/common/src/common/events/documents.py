"""Events the documents service publishes."""

from typing import ClassVar, Literal
from uuid import UUID

from common.events.base import AppointmentFact

DocumentKind = Literal[
    "prescription", "care-sheet", "receipt", "invoice", "claim-statement", "consultation-report"
]
Folder = Literal["drugs", "biology", "imaging", "other"]


class DocumentFact(AppointmentFact):
    topic: ClassVar[str] = "documents.appointment"

    document_id: UUID
    patient_id: UUID
    practitioner_id: UUID
    kind: DocumentKind
    folder: Folder | None  # of a prescription


class IssuedV1(DocumentFact):
    type: ClassVar[str] = "documents.issued"
    version: ClassVar[int] = 1


class WithdrawnV1(DocumentFact):
    type: ClassVar[str] = "documents.withdrawn"
    version: ClassVar[int] = 1


class DispensedV1(DocumentFact):
    """A pharmacy recorded that it handed something out; what, is read by API."""

    type: ClassVar[str] = "documents.dispensed"
    version: ClassVar[int] = 1
