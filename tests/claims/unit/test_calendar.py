"""Working days around French holidays, and deadlines that end at midnight in Paris."""

from datetime import UTC, date, datetime

import pytest

from claims.domain import calendar
from claims.domain.tables import load_tables


@pytest.fixture(scope="module")
def holidays() -> calendar.Holidays:
    return load_tables().public_holidays


@pytest.mark.parametrize(
    ("day", "works"),
    [
        (date(2026, 11, 20), True),  # Friday
        (date(2026, 11, 21), False),  # Saturday
        (date(2026, 11, 22), False),
        (date(2026, 11, 11), False),  # Armistice
        (date(2026, 7, 14), False),
        (date(2026, 4, 6), False),  # Easter Monday
        (date(2026, 5, 14), False),  # Ascension
        (date(2026, 5, 25), False),  # Whit Monday
        (date(2026, 12, 25), False),
        (date(2026, 12, 26), False),  # a Saturday; a holiday only in Alsace-Moselle
        (date(2024, 12, 26), True),
        (date(2027, 1, 1), False),
    ],
)
def test_a_working_day_is_monday_to_friday_without_holidays(holidays, day, works) -> None:
    assert calendar.is_working_day(day, holidays=holidays) is works


@pytest.mark.parametrize(
    ("day", "count", "expected"),
    [
        (date(2026, 11, 20), 1, date(2026, 11, 23)),  # over a weekend
        (date(2026, 11, 21), 1, date(2026, 11, 23)),
        (date(2026, 12, 24), 2, date(2026, 12, 29)),  # over Christmas and a weekend
        (date(2026, 12, 31), 3, date(2027, 1, 6)),  # into the next year
        (date(2026, 5, 12), 8, date(2026, 5, 26)),  # Ascension and Whit Monday
        (date(2026, 11, 10), 2, date(2026, 11, 13)),  # over 11 November
    ],
)
def test_the_day_itself_never_counts(holidays, day, count, expected) -> None:
    assert calendar.add_working_days(day, count, holidays=holidays) == expected


def test_no_days_are_no_deadline(holidays) -> None:
    with pytest.raises(ValueError, match="0 working days"):
        calendar.add_working_days(date(2026, 11, 20), 0, holidays=holidays)


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        # winter: Paris is an hour ahead, so the day in Paris may be the next one
        (datetime(2026, 11, 23, 22, 30, tzinfo=UTC), datetime(2026, 11, 25, 23, tzinfo=UTC)),
        (datetime(2026, 11, 23, 23, 30, tzinfo=UTC), datetime(2026, 11, 26, 23, tzinfo=UTC)),
        # summer: two hours
        (datetime(2026, 6, 22, 21, 59, tzinfo=UTC), datetime(2026, 6, 24, 22, tzinfo=UTC)),
        (datetime(2026, 6, 22, 22, 0, tzinfo=UTC), datetime(2026, 6, 25, 22, tzinfo=UTC)),
        # the clocks change on Sunday 25 October 2026
        (datetime(2026, 10, 23, 10, 0, tzinfo=UTC), datetime(2026, 10, 27, 23, tzinfo=UTC)),
    ],
)
def test_a_deadline_ends_at_midnight_in_paris(holidays, instant, expected) -> None:
    assert calendar.deadline(instant, calendar.ACKNOWLEDGE, holidays=holidays) == expected


@pytest.mark.parametrize(
    ("care_on", "last"),
    [
        (date(2026, 1, 1), date(2028, 3, 31)),
        (date(2026, 3, 31), date(2028, 3, 31)),
        (date(2026, 4, 1), date(2028, 6, 30)),
        (date(2026, 9, 30), date(2028, 9, 30)),
        (date(2026, 10, 1), date(2028, 12, 31)),
        (date(2024, 2, 29), date(2026, 3, 31)),
    ],
)
def test_a_paper_sheet_is_good_for_two_years_to_the_end_of_the_quarter(care_on: date, last: date) -> None:
    assert calendar.paper_valid_until(care_on) == last
