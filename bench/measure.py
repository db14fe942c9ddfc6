"""Arithmetic of a comparison: pairs taken next to each other, their median ratio, ranges, percentiles."""

import math
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self, TypeVar

T = TypeVar("T")
U = TypeVar("U")

_LEAST_REPETITIONS: Final = 2


class Spread(NamedTuple):
    """The middle of some repetitions, and how far they lie apart."""

    median: float
    low: float
    high: float
    repetitions: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Raises ValueError when there is nothing to take the middle of."""
        if not values:
            raise ValueError("no repetition")
        return cls(statistics.median(values), min(values), max(values), len(values))


@dataclass(frozen=True, slots=True)
class Goal:
    limit: float
    at_least: bool  # else at most

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"


def ratios(ours: Sequence[float], baseline: Sequence[float]) -> Spread:
    """Each repetition against its own neighbour: what slows the machine for a while slows both.

    Raises ValueError when the sides have different lengths, are too few, or the baseline has a zero.
    """
    if len(ours) < _LEAST_REPETITIONS:
        raise ValueError(f"{len(ours)} repetitions say nothing about how far they lie apart")
    if not all(baseline):
        raise ValueError("a baseline of zero")
    return Spread.of([mine / bare for mine, bare in zip(ours, baseline, strict=True)])


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed (nearest rank).

    Raises ValueError without values, or outside 0 to 100.
    """
    if not values or not 0 <= percent <= 100:  # noqa: PLR2004
        raise ValueError(f"percentile {percent} of {len(values)} values")
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


async def interleaved(
    ours: Callable[[], Awaitable[T]], baseline: Callable[[], Awaitable[U]], *, repetitions: int
) -> tuple[list[T], list[U]]:
    """A B A B, after one of each that is thrown away: it fills caches and opens connections."""
    await ours()
    await baseline()
    mine, bare = [], []
    for _ in range(repetitions):
        mine.append(await ours())
        bare.append(await baseline())
    return mine, bare
