"""The states of an appointment and the only moves between them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final

from common.errors import DomainError, Refusal

# A practitioner may open the consultation this long before its time.
START_EARLY: Final = timedelta(minutes=15)
# Somebody who has not come this long after the time is absent.
ABSENT_AFTER: Final = timedelta(minutes=10)
# After the start of the consultation, only the practitioner reports a failure later than this.
FAILURE_WITHIN: Final = timedelta(minutes=10)


class Status(StrEnum):
    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    STARTED = "started"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    NOT_BILLED = "not-billed"
    PATIENT_ABSENT = "patient-absent"


# Statuses that keep their time from anybody else; the exclusion constraint says the same list.
LIVE: Final = frozenset({Status.REQUESTED, Status.CONFIRMED, Status.STARTED, Status.COMPLETED})
# Statuses in which the patient is not free for another visit; once it is completed they are.
BUSY: Final = frozenset({Status.REQUESTED, Status.CONFIRMED, Status.STARTED})
FINAL: Final = frozenset(
    {Status.COMPLETED, Status.CANCELLED, Status.ABANDONED, Status.NOT_BILLED, Status.PATIENT_ABSENT}
)


class Move(StrEnum):
    CONFIRM = "confirm"
    ABANDON = "abandon"
    CANCEL = "cancel"
    RESCHEDULE = "reschedule"
    START = "start"
    COMPLETE = "complete"
    DECLARE_UNSUITABLE = "declare-unsuitable"
    REPORT_PRACTITIONER_ABSENT = "report-practitioner-absent"
    REPORT_TECHNICAL_FAILURE = "report-technical-failure"
    REPORT_PATIENT_ABSENT = "report-patient-absent"


class MoveRefused(DomainError):
    code: ClassVar[str] = "appointment-move-refused"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class TooEarly(DomainError):
    code: ClassVar[str] = "too-early"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class TooLate(DomainError):
    code: ClassVar[str] = "too-late"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class DocumentIssued(DomainError):
    code: ClassVar[str] = "document-issued"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


_MOVES: Final[Mapping[tuple[Status, Move], Status]] = {
    (Status.REQUESTED, Move.CONFIRM): Status.CONFIRMED,
    (Status.REQUESTED, Move.ABANDON): Status.ABANDONED,
    (Status.REQUESTED, Move.CANCEL): Status.CANCELLED,
    (Status.CONFIRMED, Move.ABANDON): Status.ABANDONED,
    (Status.CONFIRMED, Move.CANCEL): Status.CANCELLED,
    # A request cannot be moved: the hold for its first time may be on its way.
    (Status.CONFIRMED, Move.RESCHEDULE): Status.CONFIRMED,
    (Status.CONFIRMED, Move.START): Status.STARTED,
    (Status.CONFIRMED, Move.DECLARE_UNSUITABLE): Status.NOT_BILLED,
    (Status.CONFIRMED, Move.REPORT_PRACTITIONER_ABSENT): Status.NOT_BILLED,
    (Status.CONFIRMED, Move.REPORT_TECHNICAL_FAILURE): Status.NOT_BILLED,
    (Status.CONFIRMED, Move.REPORT_PATIENT_ABSENT): Status.PATIENT_ABSENT,
    (Status.STARTED, Move.COMPLETE): Status.COMPLETED,
    (Status.STARTED, Move.DECLARE_UNSUITABLE): Status.NOT_BILLED,
    (Status.STARTED, Move.REPORT_TECHNICAL_FAILURE): Status.NOT_BILLED,
    (Status.STARTED, Move.REPORT_PATIENT_ABSENT): Status.PATIENT_ABSENT,
}


def after(status: Status, move: Move) -> Status:
    try:
        return _MOVES[status, move]
    except KeyError:
        raise MoveRefused(f"a {status} appointment cannot {move}") from None


def check_start(*, starts_at: datetime, now: datetime) -> None:
    """Raises TooEarly more than 15 minutes before the appointment."""
    if now < starts_at - START_EARLY:
        raise TooEarly("a consultation opens 15 minutes before its time")


def check_absence(*, starts_at: datetime, now: datetime) -> None:
    """Raises TooEarly less than 10 minutes after the time of the appointment."""
    if now < starts_at + ABSENT_AFTER:
        raise TooEarly("nobody is absent before 10 minutes after the time of the appointment")


def check_no_document(*, document_issued: bool) -> None:
    """Raises DocumentIssued: what was written shows that both took part."""
    if document_issued:
        raise DocumentIssued("a document of this consultation is issued: it took place")


def check_failure(*, started_at: datetime | None, document_issued: bool, now: datetime) -> None:
    """Whether anybody but the practitioner may report a technical failure of the consultation.

    Until it starts they may. After the start they may for 10 minutes, while no document is issued: later the
    care was given, and the practitioner says whether it was. Raises TooLate, DocumentIssued.
    """
    if started_at is None:
        return
    check_no_document(document_issued=document_issued)
    if now >= started_at + FAILURE_WITHIN:
        raise TooLate("10 minutes after the start only the practitioner reports a technical failure")
