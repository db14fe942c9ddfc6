from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from booking.domain.agenda import (
    AgendaRefused,
    ExceptionKind,
    Rule,
    Span,
    SpecialDay,
    are_open,
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
        ([], [SpecialDay(on=MONDAY, last_on=date(2026, 5, 31), kind=ExceptionKind.CLOSED)], "exceptions[0]"),
    ],
)
def test_an_impossible_agenda_is_refused_and_the_entry_named(rules, exceptions, where) -> None:
    with pytest.raises(AgendaRefused) as refused:
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


DAYS = st.dates(date(2026, 3, 27), date(2026, 4, 4))
EXCEPTIONS = st.lists(
    st.one_of(
        st.builds(SpecialDay, on=DAYS, last_on=st.none() | DAYS, kind=st.just(ExceptionKind.CLOSED)),
        st.builds(
            SpecialDay,
            on=DAYS,
            last_on=st.none() | DAYS,
            kind=st.sampled_from(ExceptionKind),
            from_time=MINUTES,
            to_time=MINUTES,
            slot_minutes=st.sampled_from([20, 60]),
        ),
    ).filter(lambda each: each.last_day >= each.on),
    max_size=3,
)


@given(RULES, EXCEPTIONS, st.sampled_from(ZONES), AROUND, st.integers(0, 7200), st.integers(0, 4320))
def test_the_moment_of_writing_changes_no_span(rules, exceptions, zone, starting, later, sooner) -> None:
    before = starting + timedelta(days=6)
    passed, shorter = starting + timedelta(minutes=later), before - timedelta(minutes=sooner)

    found = spans(rules, exceptions, zone=zone, starting=starting, before=before)
    again = spans(rules, exceptions, zone=zone, starting=passed, before=shorter)

    assert again == [each for each in found if passed <= each.starts_at < shorter]


@given(RULES, EXCEPTIONS, st.sampled_from(ZONES), AROUND, st.randoms())
def test_the_order_of_the_rules_changes_no_span(rules, exceptions, zone, starting, random) -> None:
    def found(rules: list[Rule]) -> list[Span]:
        return spans(rules, exceptions, zone=zone, starting=starting, before=starting + timedelta(days=5))

    mixed = random.sample(rules, len(rules))

    assert found(mixed) == found(rules)


@given(RULES, EXCEPTIONS, st.sampled_from(ZONES), AROUND)
def test_what_is_offered_is_open(rules, exceptions, zone, starting) -> None:
    found = spans(rules, exceptions, zone=zone, starting=starting, before=starting + timedelta(days=5))

    assert all(are_open(rules, exceptions, [each[:2] for each in found], zone=zone))


def test_overlapping_rules_offer_the_same_times_whenever_they_are_written() -> None:
    rules = [rule(MONDAY, "12:00", "16:00", 60), rule(MONDAY, "12:30", "16:30", 60)]
    noon = datetime(2026, 6, 1, 10, tzinfo=UTC)

    def written(at: datetime) -> list[str]:
        found = spans(rules, [], zone=PARIS, starting=at, before=noon + timedelta(days=60))
        return [each.starts_at.astimezone(PARIS).strftime("%H:%M") for each in found]

    assert written(noon) == ["12:00", "13:00", "14:00", "15:00"]
    assert written(noon + timedelta(minutes=10)) == ["13:00", "14:00", "15:00"]


def test_a_closure_takes_a_range_of_days() -> None:
    week = [rule(MONDAY + timedelta(days=each), "09:00", "10:00", 30) for each in range(5)]
    closed = SpecialDay(
        on=MONDAY + timedelta(days=1), last_on=MONDAY + timedelta(days=3), kind=ExceptionKind.CLOSED
    )
    mornings = SpecialDay(
        on=MONDAY,
        last_on=MONDAY + timedelta(days=30),
        kind=ExceptionKind.CLOSED,
        from_time=time(9),
        to_time=time(9, 30),
    )

    assert starts(*week, exceptions=(closed,)) == ["01 07:00", "01 07:30", "05 07:00", "05 07:30"]
    assert starts(*week, exceptions=(closed, mornings)) == ["01 07:30", "05 07:30"]


@pytest.mark.parametrize("day", [date.min, date.max])
@pytest.mark.parametrize("kind", ExceptionKind)
def test_no_day_is_too_far_away(day, kind) -> None:
    far = SpecialDay(on=day, kind=kind, from_time=time(9), to_time=time(8), slot_minutes=15)
    always = SpecialDay(on=date.min, last_on=date.max, kind=ExceptionKind.CLOSED)

    assert starts(rule(MONDAY, "09:00", "09:15"), exceptions=(far,)) == ["01 07:00"]
    assert starts(rule(MONDAY, "09:00", "09:15"), exceptions=(always,)) == []


@pytest.mark.parametrize(
    ("start", "end", "is_open"),
    [
        ("09:00", "09:30", True),
        ("09:45", "10:15", True),  # two windows that touch
        ("10:45", "11:15", False),
        ("08:45", "09:15", False),
        ("10:15", "10:35", False),  # into the closed hour
        ("10:00", "10:30", True),
    ],
)
def test_a_time_is_open_inside_the_windows_and_beside_the_closures(start, end, is_open) -> None:
    rules = [rule(MONDAY, "09:00", "10:00"), rule(MONDAY, "10:00", "11:00")]
    closed = SpecialDay(on=MONDAY, kind=ExceptionKind.CLOSED, from_time=time(10, 30), to_time=time(10, 40))
    at = [datetime.combine(MONDAY, time.fromisoformat(each), PARIS).astimezone(UTC) for each in (start, end)]

    assert are_open(rules, [closed], [(at[0], at[1])], zone=PARIS) == [is_open]


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
