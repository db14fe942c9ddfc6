"""Dated rows: found by key and day in two steps, a later known row painted over an earlier one."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

ONE_DAY = timedelta(days=1)

Key = tuple[str, ...]


class RowReference(NamedTuple):
    """Which row of which table decided an amount."""

    table: str
    key: str
    valid_from: date
    source: str
    confidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a table file: both days are included, no `valid_to` means open.

    `known_from` is when the line came into the tables. A line is never edited: a correction is a new line,
    known from a later instant, that wins over the earlier ones on the days it covers.
    """

    table: str
    place: str  # file and line, for messages
    valid_from: date
    valid_to: date | None
    known_from: datetime
    source: str
    confidence: str
    reference: RowReference


R = TypeVar("R", bound=Row)


class Conflict(Exception):
    """Two rows of one key that do not fit: `row` breaks `rule`."""

    def __init__(self, row: Row, rule: str) -> None:
        super().__init__(f"{row.place}: {rule}")
        self.row = row
        self.rule = rule


class _Line(NamedTuple, Generic[R]):
    starts: list[date]
    ends: list[date]
    rows: list[R]


class Dated(Generic[R]):
    """The rows of one table as known at one instant."""

    def __init__(self, rows: Iterable[tuple[Key, R]]) -> None:
        """Raises Conflict when two rows known from one instant overlap, or a key has a gap."""
        by_key: dict[Key, list[R]] = {}
        for key, row in rows:
            by_key.setdefault(key, []).append(row)
        self._lines = {key: _line(same) for key, same in by_key.items()}

    def find(self, key: Key, *, on: date) -> R | None:
        line = self._lines.get(key)
        if line is None:
            return None
        index = bisect_right(line.starts, on) - 1
        if index < 0 or on > line.ends[index]:
            return None
        return line.rows[index]

    def knows(self, key: Key) -> bool:
        """Whether there is a row on any day."""
        return key in self._lines

    def every(self) -> list[R]:
        """Every row, whenever it holds."""
        return [row for line in self._lines.values() for row in line.rows]

    def all(self, *, on: date) -> list[R]:
        """Every row that holds on that day, once, in the order of the file."""
        found = (self.find(key, on=on) for key in self._lines)
        return list({id(row): row for row in found if row is not None}.values())


def _line(rows: list[R]) -> _Line[R]:
    painted: list[tuple[date, date, R]] = []
    for row in sorted(rows, key=lambda each: (each.known_from, each.valid_from)):
        start, end = row.valid_from, row.valid_to or date.max
        kept: list[tuple[date, date, R]] = []
        for first, last, under in painted:
            if last < start or first > end:
                kept.append((first, last, under))
                continue
            if under.known_from == row.known_from:
                raise Conflict(row, f"overlaps {under.place}")
            if first < start:
                kept.append((first, start - ONE_DAY, under))
            if last > end:
                kept.append((end + ONE_DAY, last, under))
        painted = sorted([*kept, (start, end, row)], key=lambda segment: segment[0])
    for (_, last, _), (first, _, row) in pairwise(painted):
        if last + ONE_DAY != first:
            raise Conflict(row, f"leaves a gap after {last.isoformat()}")
    return _Line(
        [first for first, _, _ in painted], [last for _, last, _ in painted], [row for _, _, row in painted]
    )
