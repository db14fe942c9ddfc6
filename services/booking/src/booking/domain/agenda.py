"""Agenda rules and exceptions in local time, made into half-open spans of instants.

A rule speaks of the clock on the practitioner's wall. Its window is turned into two instants first and cut
into slots then, so that a night of 23 or 25 hours has fewer or more slots, each of its full length.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import ClassVar, Final, NamedTuple
from zoneinfo import ZoneInfo

from common.errors import DomainError, Refusal

SHORTEST_SLOT: Final = 5  # minutes
LONGEST_SLOT: Final = 240
HORIZON: Final = timedelta(days=60)
EXTEND_EVERY: Final = timedelta(days=1)

_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)


class AgendaInvalid(DomainError):
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
    """One day that differs: closed in a window or all day, or open beside the rules."""

    on: date
    kind: ExceptionKind
    from_time: time | None = None  # None with CLOSED: the whole day
    to_time: time | None = None
    slot_minutes: int | None = None
    mode: Mode = Mode.VIDEO


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
    """Raises AgendaInvalid and names the entry."""
    for position, rule in enumerate(rules):
        where = f"rules[{position}]"
        _check_slot(rule.slot_minutes, where)
        if rule.valid_from and rule.valid_to and rule.valid_to < rule.valid_from:
            raise AgendaInvalid(f"{where}: valid_to is before valid_from")
    for position, each in enumerate(exceptions):
        where = f"exceptions[{position}]"
        if (each.from_time is None) != (each.to_time is None):
            raise AgendaInvalid(f"{where}: from_time and to_time come together")
        if each.kind is ExceptionKind.OPEN:
            if each.from_time is None or each.slot_minutes is None:
                raise AgendaInvalid(f"{where}: an opening needs from_time, to_time and slot_minutes")
            _check_slot(each.slot_minutes, where)


def _check_slot(minutes: int, where: str) -> None:
    if not SHORTEST_SLOT <= minutes <= LONGEST_SLOT:
        raise AgendaInvalid(f"{where}: a slot has {SHORTEST_SLOT} to {LONGEST_SLOT} minutes")


def spans(
    rules: Sequence[Rule],
    exceptions: Sequence[SpecialDay],
    *,
    zone: ZoneInfo,
    starting: datetime,
    before: datetime,
) -> list[Span]:
    """The times offered that start in [`starting`, `before`), ordered, none over another.

    Where rules overlap the slot that starts first stands. The same arguments give the same spans, and a later
    window gives the same spans where both see them.
    """
    # A window of the day before may reach over midnight.
    first_on = starting.astimezone(zone).date() - _DAY
    last_on = before.astimezone(zone).date()
    closed = [_closure(each, zone) for each in exceptions if each.kind is ExceptionKind.CLOSED]
    found: list[Span] = []
    for window in sorted(_windows(rules, exceptions, zone, first_on, last_on)):
        for span in _cut(window):
            free = not any(start < span.ends_at and span.starts_at < end for start, end in closed)
            if free and starting <= span.starts_at < before:
                found.append(span)
    return _apart(found)


def _windows(
    rules: Sequence[Rule],
    exceptions: Sequence[SpecialDay],
    zone: ZoneInfo,
    first_on: date,
    last_on: date,
) -> Iterator[_Window]:
    for offset in range((last_on - first_on).days + 1):
        day = first_on + timedelta(days=offset)
        for rule in rules:
            valid = (rule.valid_from or day) <= day <= (rule.valid_to or day)
            if valid and day.weekday() == rule.weekday:
                start, end = _bounds(day, rule.from_time, rule.to_time, zone)
                yield _Window(start, end, timedelta(minutes=rule.slot_minutes), rule.mode)
        for each in exceptions:
            if each.on == day and each.kind is ExceptionKind.OPEN and each.from_time and each.slot_minutes:
                start, end = _bounds(day, each.from_time, each.to_time or time(), zone)
                yield _Window(start, end, timedelta(minutes=each.slot_minutes), each.mode)


def _closure(each: SpecialDay, zone: ZoneInfo) -> tuple[datetime, datetime]:
    if each.from_time is None or each.to_time is None:
        return instant(datetime.combine(each.on, time()), zone), instant(
            datetime.combine(each.on + _DAY, time()), zone
        )
    return _bounds(each.on, each.from_time, each.to_time, zone)


def _bounds(day: date, from_time: time, to_time: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    last = day if to_time > from_time else day + _DAY
    return instant(datetime.combine(day, from_time), zone), instant(datetime.combine(last, to_time), zone)


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
