"""What documents must know of an appointment: how far the visit is, and when its billing document is due."""

from enum import StrEnum
from typing import ClassVar

from common.errors import DomainError, Refusal
from common.money import Cents


class Visit(StrEnum):
    """How far documents has heard the story of an appointment."""

    UNKNOWN = "unknown"  # only facts of claims or payment came so far
    EXPECTED = "expected"
    STARTED = "started"
    COMPLETED = "completed"
    ENDED = "ended"  # cancelled, abandoned, not billed, patient absent: it has no documents


class DocumentStatus(StrEnum):
    """The life of one document."""

    REQUESTED = "requested"
    ISSUED = "issued"
    WITHDRAWN = "withdrawn"
    FAILED = "failed"


class ConsultationNotStarted(DomainError):
    """Nothing is written about a visit that has not begun, or that did not take place."""

    code: ClassVar[str] = "consultation-not-started"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


def may_be_written_about(visit: Visit) -> bool:
    return visit in {Visit.STARTED, Visit.COMPLETED}


def after(visit: Visit, reached: Visit) -> Visit:
    """The furthest of the two: an ended visit stays ended, a completed one stays completed."""
    order = (Visit.UNKNOWN, Visit.EXPECTED, Visit.STARTED, Visit.COMPLETED, Visit.ENDED)
    return max(visit, reached, key=order.index)


def billing_is_due(visit: Visit, *, priced: bool, advance_cents: Cents, paid_cents: Cents | None) -> bool:
    """Whether all is known that the billing document states: the price, and what the patient paid of it."""
    if visit is Visit.ENDED or not priced:
        return False
    return advance_cents == 0 or paid_cents is not None
