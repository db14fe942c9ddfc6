"""When the journeys are played: in the daytime of a working day, whenever somebody starts them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from claims.domain.tables import load_tables
from local.journeys import bodies

PARIS = ZoneInfo("Europe/Paris")
HOLIDAYS = load_tables().public_holidays


@pytest.mark.parametrize(
    ("now", "first"),
    [
        ("2026-12-01T07:00", "2026-12-01T12:00"),
        ("2026-12-01T01:00", "2026-12-01T09:00"),
        ("2026-12-01T15:00", "2026-12-02T09:00"),
        ("2026-12-05T20:00", "2026-12-07T09:00"),  # over a Sunday
        ("2026-12-24T20:00", "2026-12-26T09:00"),  # over Christmas
    ],
)
def test_the_first_visit_is_in_the_daytime_of_a_working_day(now: str, first: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=PARIS)

    found = bodies.first_visit(at, holidays=HOLIDAYS)

    assert found == datetime.fromisoformat(first).replace(tzinfo=PARIS)


def test_no_hour_of_a_year_gives_a_visit_with_a_supplement() -> None:
    for hours in range(0, 366 * 24, 5):
        now = datetime(2026, 1, 1, tzinfo=PARIS) + timedelta(hours=hours)
        first = bodies.first_visit(now, holidays=HOLIDAYS).astimezone(PARIS)
        last = first + 14 * bodies.APART
        assert first >= now + bodies.AHEAD
        assert (first.hour >= 9, last.hour < 20, first.date() == last.date()) == (True, True, True)
        assert first.weekday() != 6
        assert first.date() not in HOLIDAYS(first.year)
