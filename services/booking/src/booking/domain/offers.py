"""What a practitioner offers. An offer promises nothing: only the claim of its time settles who has it."""

from datetime import datetime, timedelta
from typing import ClassVar, Final

from common.errors import DomainError, Refusal

DECIDE_WITHIN: Final = timedelta(minutes=15)


class TimePassed(DomainError):
    code: ClassVar[str] = "time-passed"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


def check_ahead(*, starts_at: datetime, now: datetime) -> None:
    """Raises TimePassed for a time that has begun."""
    if starts_at <= now:
        raise TimePassed("this time is over")


def decide_by(*, starts_at: datetime, now: datetime, within: timedelta = DECIDE_WITHIN) -> datetime:
    """Until when a request keeps its time without a hold: never longer than to the start."""
    return min(now + within, starts_at)
