"""Agenda rules and exceptions in local time, made into half-open spans of instants.

A rule speaks of the clock on the practitioner's wall. Its window is turned into two instants first and cut
into slots then, so that a night of 23 or 25 hours has fewer or more slots, each of its full length.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from operator import itemgetter
from typing import ClassVar, Final, NamedTuple
from zoneinfo import ZoneInfo

from common.errors import DomainError, Refusal

SHORTEST_SLOT: Final = 5  # minutes
LONGEST_SLOT: Final = 240
HORIZON: Final = timedelta(days=60)
EXTEND_EVERY: Final = timedelta(days=1)

_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)


class AgendaRefused(DomainError):
    code: ClassVar[str] = "agenda-invalid"
    refusal: ClassVar[Refusal] = Refusal.INVALID


class Mode(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"


class ExceptionKind(StrEnum):
    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    weekday: int  # 0 is Monday
    from_time: time
    to_time: time  # at or before from_time: of the next day; 00:00 is midnight
    slot_minutes: int
    valid_from: date | None = None
    valid_to: date | None = None  # the last day
    mode: Mode = Mode.VIDEO


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialDay:
    """A day, or each day of a range, that differs: closed in a window or all day, or open beside rules."""

    on: date
    last_on: date | None = None  # the last day of a range; None: `on` alone
    kind: ExceptionKind
    from_time: time | None = None  # None with CLOSED: the whole day
    to_time: time | None = None
    slot_minutes: int | None = None
    mode: Mode = Mode.VIDEO

    @property
    def last_day(self) -> date:
        return self.last_on or self.on


_Interval = tuple[datetime, datetime]  # half-open


class Span(NamedTuple):
    """Half-open: the end is somebody else's start."""

    starts_at: datetime
    ends_at: datetime
    mode: Mode


class _Window(NamedTuple):
    starts_at: datetime
    ends_at: datetime
    slot: timedelta
    mode: Mode


def check(rules: Iterable[Rule], exceptions: Iterable[SpecialDay]) -> None:
    """Raises AgendaRefused and names the entry."""
    for position, rule in enumerate(rules):
        where = f"rules[{position}]"
        _check_slot(rule.slot_minutes, where)
        if rule.valid_from and rule.valid_to and rule.valid_to < rule.valid_from:
            raise AgendaRefused(f"{where}: valid_to is before valid_from")
    for position, each in enumerate(exceptions):
        where = f"exceptions[{position}]"
        if each.last_day < each.on:
            raise AgendaRefused(f"{where}: last_on is before on")
        if (each.from_time is None) != (each.to_time is None):
            raise AgendaRefused(f"{where}: from_time and to_time come together")
        if each.kind is ExceptionKind.OPEN:
            if each.from_time is None or each.slot_minutes is None:
                raise AgendaRefused(f"{where}: an opening needs from_time, to_time and slot_minutes")
            _check_slot(each.slot_minutes, where)


def _check_slot(minutes: int, where: str) -> None:
    if not SHORTEST_SLOT <= minutes <= LONGEST_SLOT:
        raise AgendaRefused(f"{where}: a slot has {SHORTEST_SLOT} to {LONGEST_SLOT} minutes")


def spans(
    rules: Sequence[Rule],
    exceptions: Sequence[SpecialDay],
    *,
    zone: ZoneInfo,
    starting: datetime,
    before: datetime,
) -> list[Span]:
    """The times offered that start in [`starting`, `before`), ordered, none over another.

    They follow from rules and exceptions alone: any `starting` and `before` give the same spans where both
    see them. So each local day is worked out for itself. Of a day's slots that overlap, the one that starts
    first stands. A window of the day before that reaches over midnight goes before: its slots stand.
    """
    # A window of the day before may reach over midnight.
    first_on = starting.astimezone(zone).date() - _DAY
    last_on = before.astimezone(zone).date()
    closed = _joined(_closures(exceptions, zone, first_on - _DAY, last_on))
    found: list[Span] = []
    earlier = _slots(rules, exceptions, zone, first_on - _DAY, closed)
    for day in _days(first_on, last_on):
        slots = _slots(rules, exceptions, zone, day, closed)
        before_midnight = _joined((each.starts_at, each.ends_at) for each in earlier)
        found += _apart([each for each in slots if not _touches(before_midnight, each)])
        earlier = slots
    return [each for each in found if starting <= each.starts_at < before]


def are_open(
    rules: Sequence[Rule],
    exceptions: Sequence[SpecialDay],
    times: Sequence[tuple[datetime, datetime]],
    *,
    zone: ZoneInfo,
) -> list[bool]:
    """Of each time, from its start to its end: whether the agenda has it open, from its start to its end."""
    if not times:
        return []
    first_on = min(start for start, _ in times).astimezone(zone).date() - _DAY
    last_on = max(end for _, end in times).astimezone(zone).date()
    closed = _joined(_closures(exceptions, zone, first_on, last_on))
    windows = [
        (each.starts_at, each.ends_at)
        for day in _days(first_on, last_on)
        for each in _windows(rules, exceptions, zone, day)
    ]
    joined = _joined(windows)
    return [
        any(opened <= start and end <= shut for opened, shut in joined)
        and not any(shut < end and start < opened for shut, opened in closed)
        for start, end in times
    ]


def _days(first_on: date, last_on: date) -> Iterator[date]:
    for offset in range((last_on - first_on).days + 1):
        yield first_on + timedelta(days=offset)


def _windows(
    rules: Sequence[Rule], exceptions: Sequence[SpecialDay], zone: ZoneInfo, day: date
) -> Iterator[_Window]:
    """The windows that begin on this day."""
    for rule in rules:
        valid = (rule.valid_from or day) <= day <= (rule.valid_to or day)
        if valid and day.weekday() == rule.weekday:
            start, end = _bounds(day, rule.from_time, rule.to_time, zone)
            yield _Window(start, end, timedelta(minutes=rule.slot_minutes), rule.mode)
    for each in exceptions:
        opens = each.kind is ExceptionKind.OPEN and each.on <= day <= each.last_day
        if opens and each.from_time is not None and each.slot_minutes:
            start, end = _bounds(day, each.from_time, each.to_time or time(), zone)
            yield _Window(start, end, timedelta(minutes=each.slot_minutes), each.mode)


def _slots(
    rules: Sequence[Rule],
    exceptions: Sequence[SpecialDay],
    zone: ZoneInfo,
    day: date,
    closed: Sequence[_Interval],
) -> list[Span]:
    """The slots of the windows that begin on this day and that no closure touches; they may overlap."""
    slots = {slot for window in _windows(rules, exceptions, zone, day) for slot in _cut(window)}
    return [slot for slot in slots if not _touches(closed, slot)]


def _closures(
    exceptions: Sequence[SpecialDay], zone: ZoneInfo, first_on: date, last_on: date
) -> list[_Interval]:
    """What is closed of the days in question."""
    found: list[_Interval] = []
    for each in exceptions:
        if each.kind is not ExceptionKind.CLOSED:
            continue
        # A closed hour of the day before may reach over midnight, and a slot of the last day too.
        first, last = max(each.on, first_on - _DAY), min(each.last_day, last_on + _DAY)
        if first > last:
            continue
        if each.from_time is None or each.to_time is None:
            found.append((_midnight(first, zone), _midnight(last + _DAY, zone)))
        else:
            found += [_bounds(day, each.from_time, each.to_time, zone) for day in _days(first, last)]
    return found


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return instant(datetime.combine(day, time()), zone)


def _bounds(day: date, from_time: time, to_time: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    last = day if to_time > from_time else day + _DAY
    return instant(datetime.combine(day, from_time), zone), instant(datetime.combine(last, to_time), zone)


def _touches(joined: Sequence[_Interval], span: Span) -> bool:
    """Whether one of these intervals has an instant of the span. They are ordered and apart."""
    following = bisect_left(
        joined, span.ends_at, key=itemgetter(0)
    )  # the first that begins at its end or later
    return following > 0 and joined[following - 1][1] > span.starts_at


def _joined(intervals: Iterable[_Interval]) -> list[_Interval]:
    """The same time in ordered intervals that neither overlap nor touch."""
    joined: list[_Interval] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def _cut(window: _Window) -> Iterator[Span]:
    start = window.starts_at
    while start + window.slot <= window.ends_at:
        yield Span(start, start + window.slot, window.mode)
        start += window.slot


def _apart(found: list[Span]) -> list[Span]:
    kept: list[Span] = []
    for span in sorted(found):
        if not kept or span.starts_at >= kept[-1].ends_at:
            kept.append(span)
    return kept


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which a clock on the wall in `zone` shows `local` or has jumped over it.

    An hour that the clock passes twice means its first pass, at both ends of a window, so that windows that
    touch on the wall touch in time.
    """
    early = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if early.astimezone(zone).replace(tzinfo=None) == local:
        return early
    # In the gap: with the offset from after it the instant lies before the jump, and the other way round.
    low, high = local.replace(tzinfo=zone, fold=1).astimezone(UTC), early
    while high - low > _MINUTE:
        middle = low + (high - low) // 2
        middle -= timedelta(seconds=middle.second, microseconds=middle.microsecond)
        if middle == low:
            middle += _MINUTE
        if middle.astimezone(zone).replace(tzinfo=None) >= local:
            high = middle
        else:
            low = middle
    return high
