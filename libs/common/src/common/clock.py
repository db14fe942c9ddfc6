"""The one clock of a process. Development and tests shift it or read another; production refuses to."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


def wall() -> datetime:
    """The time of the machine: for tokens and certificates, which no shift may keep alive."""
    return datetime.now(UTC)  # noqa: TID251


@dataclass(slots=True)
class Clock:
    """Business time. `shift` may be set while running, in development only."""

    shift: timedelta = timedelta()
    read: Callable[[], datetime] = wall

    def now(self) -> datetime:
        return self.read() + self.shift

    def advance(self, shift: timedelta) -> None:
        """Sets the shift; a clock that keeps it over a restart may refuse to go back with ValueError."""
        self.shift = shift
