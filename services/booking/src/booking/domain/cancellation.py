"""What it means to give up a time: free until two hours before, allowed until the start, counted when late.

A cancellation gives a time up, and so does a move to another time: both follow this clock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from booking.domain.lifecycle import TooLate


class Party(StrEnum):
    PATIENT = "patient"
    PRACTITIONER = "practitioner"
    PLATFORM = "platform"


class StrikeKind(StrEnum):
    LATE_CANCELLATION = "late-cancellation"
    PATIENT_ABSENT = "patient-absent"


@dataclass(frozen=True, slots=True)
class Policy:
    free_until: timedelta = timedelta(hours=2)


POLICY: Final = Policy()


@dataclass(frozen=True, slots=True)
class Cancellation:
    free: bool
    strike: bool


def judge(party: Party, *, starts_at: datetime, now: datetime, policy: Policy = POLICY) -> Cancellation:
    """What giving up the time `starts_at` means, by a cancellation or a move.

    Exactly two hours before is free. Only a patient gets a strike, and only for giving a time up late.

    Raises TooLate for a patient once the time of the appointment has come.
    """
    free = starts_at - now >= policy.free_until
    match party:
        case Party.PATIENT:
            if now >= starts_at:
                raise TooLate("the time of the appointment has come")
            return Cancellation(free=free, strike=not free)
        case Party.PRACTITIONER | Party.PLATFORM:
            return Cancellation(free=True, strike=False)
