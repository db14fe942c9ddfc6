"""The states of an appointment and the only moves between them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final

from common.errors import DomainError, Refusal

START_EARLY: Final = timedelta(
    minutes=15
)  # a practitioner may open the consultation this long before its time


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
    """Raises TooEarly: nobody is absent before the time has come."""
    if now < starts_at:
        raise TooEarly("nobody is absent before the time of the appointment")
