"""The age groups of booking answer whatever a table asks of an age; a birth date stands in for each."""

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.resources import files
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.domain.ages import AGE_GROUPS, MAJORITY, PATHWAY_AGE, contradicted, stand_in_birth
from claims.domain.situation import age_on
from common.events.base import AgeGroup

FIRST_AGES = {first for first, _ in AGE_GROUPS.values()}
# What each column of an age asks: whether one has reached it, or whether one is past it.
REACHED = {("acts", "min_age"), ("direct_access", "age_from"), ("partner_psychology", "min_age")}
PAST = {("acts", "max_age"), ("direct_access", "age_to")}
DAYS = [date(2030, 1, 1), date(2030, 6, 3), date(2032, 2, 29), date(2030, 12, 31)]


def cells() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Every cell of the tables whose column speaks of an age: table, column, row."""
    for path in sorted(files("claims").joinpath("data").iterdir(), key=lambda each: each.name):
        if path.name.endswith(".csv"):
            for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
                for column in row:
                    if "age" in column.split("_"):
                        yield path.name.removesuffix(".csv"), column, row


def test_the_groups_are_those_of_the_events_and_leave_no_age_out() -> None:
    bounds = list(AGE_GROUPS.values())

    assert tuple(AGE_GROUPS) == get_args(AgeGroup)
    assert (bounds[0][0], bounds[-1][1]) == (0, None)
    assert all(last == first - 1 for (_, last), (first, _) in pairwise(bounds))


def test_every_age_in_the_tables_is_an_edge_of_a_group() -> None:
    """A row with another bound would be guessed at for whoever has no birth date: it needs another group."""
    asked = [
        (table, column, int(row[column]) + ((table, column) in PAST))
        for table, column, row in cells()
        if row[column] and (table, column) in REACHED | PAST
    ]

    assert {(table, column) for table, column, _ in asked} == REACHED | PAST
    assert [each for each in asked if each[2] not in FIRST_AGES] == []


def test_every_other_age_is_one_that_a_flag_of_the_booking_answers() -> None:
    others = {
        (table, row["key"] if table == "ages" else column): row[column]
        for table, column, row in cells()
        if (table, column) not in REACHED | PAST
    }

    assert others == {("ages", "pathway"): str(PATHWAY_AGE), ("ages", "contribution"): str(MAJORITY)}
    assert PATHWAY_AGE in FIRST_AGES


def flags(born_on: date, on: date) -> tuple[str, bool, bool]:
    """Group and flags as booking counts them."""
    age = age_on(born_on, on)
    [group] = [
        name for name, (first, last) in AGE_GROUPS.items() if first <= age and (last is None or age <= last)
    ]
    return group, age < PATHWAY_AGE, age_on(born_on, date(on.year, 1, 1)) < MAJORITY


@given(st.dates(date(2020, 1, 1), date(2040, 12, 31)), st.integers(0, 110 * 366))
def test_a_stand_in_is_of_the_group_and_gives_both_answers(on: date, lived: int) -> None:
    group, under_16, minor = flags(on - timedelta(days=lived), on)

    stand_in = stand_in_birth(age_group=group, under_16=under_16, minor_on_1_january=minor, care_on=on)

    assert flags(stand_in, on) == (group, under_16, minor)
    assert contradicted(group, under_16=under_16, minor_on_1_january=minor) is None


@pytest.mark.parametrize("on", DAYS)
@pytest.mark.parametrize(
    ("under_16", "minor", "years"),
    [(True, True, 10), (True, False, 10), (False, True, 17), (False, False, 40)],
)
def test_without_a_group_the_flags_give_the_birth_date_they_always_gave(on, under_16, minor, years) -> None:
    stand_in = stand_in_birth(age_group=None, under_16=under_16, minor_on_1_january=minor, care_on=on)

    assert stand_in == date(on.year - years, 1, 1)


@pytest.mark.parametrize("group", AGE_GROUPS)
def test_a_day_before_anybody_was_born_has_a_stand_in_too(group) -> None:
    on = date(1, 4, 2)

    assert stand_in_birth(age_group=group, under_16=False, minor_on_1_january=False, care_on=on) <= on


@pytest.mark.parametrize(
    ("group", "told", "flag"),
    [
        ("under-3", {"under_16": False}, "under_16"),
        ("3-to-5", {"minor_on_1_january": False}, "minor_on_1_january"),
        ("6-to-15", {"under_16": True, "minor_on_1_january": False}, "minor_on_1_january"),
        ("6-to-15", {"under_16": True, "minor_on_1_january": True}, None),
        ("16-to-25", {"under_16": True}, "under_16"),
        ("16-to-25", {"under_16": False, "minor_on_1_january": True}, None),
        ("16-to-25", {"under_16": False, "minor_on_1_january": False}, None),
        ("26-to-79", {"minor_on_1_january": True}, "minor_on_1_january"),
        ("80-or-more", {"under_16": True, "minor_on_1_january": True}, "under_16"),
        ("80-or-more", {}, None),
    ],
)
def test_a_flag_that_nobody_of_the_group_has_is_found(group, told, flag) -> None:
    said = {"under_16": None, "minor_on_1_january": None} | told

    assert contradicted(group, **said) == flag
