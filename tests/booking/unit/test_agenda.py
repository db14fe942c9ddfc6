from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.agenda import (
    AgendaInvalid,
    ExceptionKind,
    Rule,
    SpecialDay,
    check,
    instant,
    spans,
)

PARIS = ZoneInfo("Europe/Paris")
ZONES = [PARIS, *map(ZoneInfo, ("Indian/Reunion", "America/Guadeloupe", "Pacific/Noumea"))]
MONDAY = date(2026, 6, 1)
SPRING = date(2026, 3, 29)  # 02:00 becomes 03:00 in Paris
AUTUMN = date(2026, 10, 25)  # 03:00 becomes 02:00


def rule(day: date, start: str, end: str, minutes: int = 15) -> Rule:
    return Rule(
        weekday=day.weekday(),
        from_time=time.fromisoformat(start),
        to_time=time.fromisoformat(end),
        slot_minutes=minutes,
        valid_from=day,
        valid_to=day,
    )


def starts(*rules: Rule, zone: ZoneInfo = PARIS, exceptions: tuple[SpecialDay, ...] = ()) -> list[str]:
    found = spans(
        rules,
        exceptions,
        zone=zone,
        starting=datetime(2026, 1, 1, tzinfo=UTC),
        before=datetime(2026, 12, 31, tzinfo=UTC),
    )
    return [each.starts_at.strftime("%d %H:%M") for each in found]


def test_a_window_becomes_slots_in_universal_time() -> None:
    assert starts(rule(MONDAY, "09:00", "10:00")) == ["01 07:00", "01 07:15", "01 07:30", "01 07:45"]


@pytest.mark.parametrize(
    ("zone", "first"),
    [("Indian/Reunion", "01 05:00"), ("America/Guadeloupe", "01 13:00"), ("Pacific/Noumea", "31 22:00")],
)
def test_nine_o_clock_is_that_of_the_practitioner(zone, first) -> None:
    assert starts(rule(MONDAY, "09:00", "09:15"), zone=ZoneInfo(zone)) == [first]


def test_a_rest_shorter_than_a_slot_is_not_offered() -> None:
    assert starts(rule(MONDAY, "09:00", "09:40")) == ["01 07:00", "01 07:15"]


def test_a_window_may_end_at_midnight_or_after_it() -> None:
    assert starts(rule(MONDAY, "23:30", "00:00")) == ["01 21:30", "01 21:45"]
    assert starts(rule(MONDAY, "23:45", "00:15")) == ["01 21:45", "01 22:00"]


def test_a_slot_may_cross_midnight() -> None:
    [found] = spans(
        [rule(MONDAY, "23:50", "00:10", 20)],
        [],
        zone=PARIS,
        starting=datetime(2026, 6, 1, tzinfo=UTC),
        before=datetime(2026, 6, 3, tzinfo=UTC),
    )

    assert found.starts_at.astimezone(PARIS).date() != found.ends_at.astimezone(PARIS).date()
    assert found.ends_at - found.starts_at == timedelta(minutes=20)


def test_the_spring_night_has_an_hour_less() -> None:
    assert starts(rule(SPRING, "01:00", "04:00", 30)) == ["29 00:00", "29 00:30", "29 01:00", "29 01:30"]


def test_a_window_inside_the_hour_that_spring_skips_offers_nothing() -> None:
    assert starts(rule(SPRING, "02:00", "03:00")) == []
    assert starts(rule(SPRING, "02:30", "03:30", 30)) == ["29 01:00"]


def test_the_autumn_night_has_an_hour_more() -> None:
    found = starts(rule(AUTUMN, "01:00", "04:00", 60))

    assert found == ["24 23:00", "25 00:00", "25 01:00", "25 02:00"]


def test_windows_that_touch_in_the_doubled_hour_do_not_overlap() -> None:
    found = starts(rule(AUTUMN, "01:30", "02:30", 30), rule(AUTUMN, "02:30", "03:30", 30))

    assert found == ["24 23:30", "25 00:00", "25 00:30", "25 01:00", "25 01:30", "25 02:00"]


def test_a_closed_day_and_a_closed_hour_take_slots_away() -> None:
    day = SpecialDay(on=MONDAY, kind=ExceptionKind.CLOSED)
    hour = SpecialDay(on=MONDAY, kind=ExceptionKind.CLOSED, from_time=time(9, 20), to_time=time(9, 40))

    assert starts(rule(MONDAY, "09:00", "10:00"), exceptions=(day,)) == []
    assert starts(rule(MONDAY, "09:00", "10:00"), exceptions=(hour,)) == ["01 07:00", "01 07:45"]


def test_an_opening_adds_slots() -> None:
    opening = SpecialDay(
        on=MONDAY, kind=ExceptionKind.OPEN, from_time=time(14), to_time=time(15), slot_minutes=30
    )

    assert starts(exceptions=(opening,)) == ["01 12:00", "01 12:30"]


@pytest.mark.parametrize(
    ("rules", "exceptions", "where"),
    [
        ([rule(MONDAY, "09:00", "10:00", 4)], [], "rules[0]"),
        ([rule(MONDAY, "09:00", "10:00", 241)], [], "rules[0]"),
        (
            [
                Rule(
                    weekday=0,
                    from_time=time(9),
                    to_time=time(10),
                    slot_minutes=15,
                    valid_from=date(2026, 2, 1),
                    valid_to=date(2026, 1, 1),
                )
            ],
            [],
            "rules[0]",
        ),
        ([], [SpecialDay(on=MONDAY, kind=ExceptionKind.CLOSED, from_time=time(9))], "exceptions[0]"),
        ([], [SpecialDay(on=MONDAY, kind=ExceptionKind.OPEN)], "exceptions[0]"),
    ],
)
def test_an_impossible_agenda_is_refused_and_the_entry_named(rules, exceptions, where) -> None:
    with pytest.raises(AgendaInvalid) as refused:
        check(rules, exceptions)

    assert str(refused.value).startswith(where)


MINUTES = st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60))
RULES = st.lists(
    st.builds(
        Rule,
        weekday=st.integers(0, 6),
        from_time=MINUTES,
        to_time=MINUTES,
        slot_minutes=st.sampled_from([5, 10, 15, 20, 45, 60, 90]),
    ),
    max_size=4,
)
AROUND = st.sampled_from([SPRING, AUTUMN, MONDAY, date(2026, 12, 31)]).map(
    lambda day: datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=2)
)


@given(RULES, st.sampled_from(ZONES), AROUND)
def test_spans_are_ordered_apart_full_and_inside_their_window(rules, zone, starting) -> None:
    before = starting + timedelta(days=5)

    found = spans(rules, [], zone=zone, starting=starting, before=before)

    assert all(starting <= each.starts_at < before for each in found)
    assert all(one.ends_at <= two.starts_at for one, two in pairwise(found))
    lengths = {timedelta(minutes=each.slot_minutes) for each in rules}
    assert {each.ends_at - each.starts_at for each in found} <= lengths


@given(RULES.filter(lambda rules: len(rules) < 2), st.sampled_from(ZONES), AROUND)
def test_a_later_window_gives_the_same_spans(rules, zone, starting) -> None:
    before, later = starting + timedelta(days=5), starting + timedelta(days=2)

    found = spans(rules, [], zone=zone, starting=starting, before=before)
    again = spans(rules, [], zone=zone, starting=later, before=before)

    assert again == [each for each in found if each.starts_at >= later]


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(  # noqa: DTZ001  a time on the wall
        lambda local: local.replace(second=0, microsecond=0)
    ),
    st.sampled_from(ZONES),
)
def test_an_instant_shows_its_wall_time_or_the_first_one_after_the_jump(local, zone) -> None:
    found = instant(local, zone)

    shown = found.astimezone(zone).replace(tzinfo=None)
    assert shown >= local
    assert (found - timedelta(minutes=1)).astimezone(zone).replace(tzinfo=None) < local
