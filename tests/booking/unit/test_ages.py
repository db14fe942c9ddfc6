from datetime import UTC, date, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.ages import Ages, ages
from common.events.base import AgeGroup

PARIS = ZoneInfo("Europe/Paris")
CARE = datetime(2026, 6, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("born_on", "expected"),
    [
        (
            date(2010, 6, 1),
            Ages(under_16=False, minor_on_1_january=True, group="16-to-25"),
        ),  # 16 on the day of care
        (date(2010, 6, 2), Ages(under_16=True, minor_on_1_january=True, group="6-to-15")),
        (
            date(2008, 1, 1),
            Ages(under_16=False, minor_on_1_january=False, group="16-to-25"),
        ),  # 18 on 1 January
        (
            date(2008, 1, 2),
            Ages(under_16=False, minor_on_1_january=True, group="16-to-25"),
        ),  # 18 on 2 January: all year
        (date(1960, 1, 1), Ages(under_16=False, minor_on_1_january=False, group="26-to-79")),
    ],
)
def test_the_ages_that_the_rules_of_care_ask_about(born_on, expected) -> None:
    assert ages(born_on, starts_at=CARE, clock=PARIS) == expected


@pytest.mark.parametrize(
    ("first", "before", "since"),
    [
        (3, "under-3", "3-to-5"),
        (6, "3-to-5", "6-to-15"),
        (16, "6-to-15", "16-to-25"),
        (26, "16-to-25", "26-to-79"),
        (80, "26-to-79", "80-or-more"),
    ],
)
def test_a_group_begins_on_a_birthday(first, before, since) -> None:
    born_on = date(CARE.year - first, 6, 1)

    assert ages(born_on, starts_at=CARE - timedelta(days=1), clock=PARIS).group == before
    assert ages(born_on, starts_at=CARE, clock=PARIS).group == since


def test_the_groups_are_those_of_the_events() -> None:
    born = [date(CARE.year - age, 6, 1) for age in range(120)]

    assert {ages(each, starts_at=CARE, clock=PARIS).group for each in born} == set(get_args(AgeGroup))


@pytest.mark.parametrize(
    ("zone", "begins"),
    [
        ("Europe/Paris", datetime(2025, 12, 31, 23, tzinfo=UTC)),
        ("America/Martinique", datetime(2026, 1, 1, 4, tzinfo=UTC)),
        ("Indian/Reunion", datetime(2025, 12, 31, 20, tzinfo=UTC)),
    ],
)
def test_the_day_of_care_is_that_of_the_place_where_the_practitioner_works(zone, begins) -> None:
    clock = ZoneInfo(zone)

    assert not ages(date(2008, 1, 1), starts_at=begins, clock=clock).minor_on_1_january
    before = ages(date(2008, 1, 1), starts_at=begins - timedelta(seconds=1), clock=clock)
    assert before.minor_on_1_january


def test_the_new_year_of_a_visit_in_paris() -> None:
    new_year_in_paris = datetime(2025, 12, 31, 23, 30, tzinfo=UTC)

    assert not ages(date(2008, 1, 1), starts_at=new_year_in_paris, clock=PARIS).minor_on_1_january
    assert ages(
        date(2008, 1, 1), starts_at=new_year_in_paris - timedelta(hours=1), clock=PARIS
    ).minor_on_1_january


def test_who_was_born_on_a_leap_day_is_sixteen_on_the_first_of_march() -> None:
    assert ages(date(2012, 2, 29), starts_at=datetime(2028, 2, 28, 12, tzinfo=UTC), clock=PARIS).under_16
    assert not ages(date(2012, 2, 29), starts_at=datetime(2028, 2, 29, 12, tzinfo=UTC), clock=PARIS).under_16
    assert ages(date(2011, 3, 1), starts_at=datetime(2027, 2, 28, 12, tzinfo=UTC), clock=PARIS).under_16


@given(st.dates(date(1920, 1, 1), date(2026, 1, 1)))
def test_nobody_under_16_is_of_age_on_the_first_of_january(born_on) -> None:
    found = ages(born_on, starts_at=CARE, clock=PARIS)

    assert found.minor_on_1_january or not found.under_16
