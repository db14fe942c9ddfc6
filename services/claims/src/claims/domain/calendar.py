"""Working days of the claims deadlines: Monday to Friday without the holidays, in the time of Paris."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

PARIS: Final = ZoneInfo("Europe/Paris")
_SATURDAY: Final = 5

Holidays: TypeAlias = Callable[[int], AbstractSet[date]]  # of a civil year

# The figures of the social security code (article R161-47) and of the inter-AMC contract, in working days.
SEND_DIRECT_PAYMENT: Final = 3
SEND_THIRD_PARTY: Final = 8
ACKNOWLEDGE: Final = 2
SEND_AGAIN: Final = 2
PAY: Final = 7
_PAPER_YEARS: Final = 2


def day_in_paris(instant: datetime) -> date:
    return instant.astimezone(PARIS).date()


def day_at(instant: datetime, clock: ZoneInfo) -> date:
    """The date that a clock on the wall shows."""
    return instant.astimezone(clock).date()


def is_working_day(day: date, *, holidays: Holidays) -> bool:
    return day.weekday() < _SATURDAY and day not in holidays(day.year)


def add_working_days(day: date, count: int, *, holidays: Holidays) -> date:
    """The `count`-th working day after `day`, which itself never counts. Raises ValueError below 1."""
    if count < 1:
        raise ValueError(f"{count} working days")
    while count > 0:
        day += timedelta(days=1)
        if is_working_day(day, holidays=holidays):
            count -= 1
    return day


def deadline(instant: datetime, count: int, *, holidays: Holidays) -> datetime:
    """The end of the `count`-th working day after the day of `instant` in Paris: a UTC instant, excluded."""
    return end_of(add_working_days(day_in_paris(instant), count, holidays=holidays))


def paper_valid_until(care_on: date) -> date:
    """The last day on which the insured person may send a paper sheet: two years, to the end of the quarter.

    Source: public pages on paper care sheets: two years, counted to the end of a quarter.
    """
    year, quarter = care_on.year + _PAPER_YEARS, (care_on.month - 1) // 3
    after = date(year, 3 * quarter + 4, 1) if quarter < 3 else date(year + 1, 1, 1)  # noqa: PLR2004
    return after - timedelta(days=1)


def end_of(day: date) -> datetime:
    """Midnight in Paris after `day`, as a UTC instant."""
    return datetime.combine(day + timedelta(days=1), time(), PARIS).astimezone(UTC)
