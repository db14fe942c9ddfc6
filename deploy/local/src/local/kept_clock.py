"""The clock of this machine's platform: its shift outlives a restart and never goes back."""

import os
from datetime import timedelta
from pathlib import Path

from common.clock import Clock


class KeptClock(Clock):
    """A clock whose shift is written down before it is used: time that events carry must not come twice."""

    __slots__ = ("_path",)

    def __init__(self, directory: Path) -> None:
        self._path = directory / "clock-shift-seconds"
        kept = int(self._path.read_text(encoding="ascii")) if self._path.exists() else 0
        super().__init__(shift=timedelta(seconds=kept))

    def advance(self, shift: timedelta) -> None:
        """Raises ValueError when `shift` is smaller than today's: the data know later times already."""
        if shift < self.shift:
            raise ValueError(f"the clock is {self.shift} ahead and does not go back to {shift}")
        draft = self._path.with_suffix(".draft")
        with draft.open("w", encoding="ascii") as file:
            file.write(str(int(shift.total_seconds())))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self.shift = timedelta(seconds=int(shift.total_seconds()))
