"""What the journeys have done so far, on disk: a killed run goes on where it was."""

import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any


class Diary:
    """One line per step.

    A step whose call was answered but not written down is called again: under the same idempotency key, so
    that it comes to the same thing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: dict[str, Any] = {}
        self._began = time.monotonic()
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:
                    continue  # the line that the kill cut in half
                self._done[entry["step"]] = entry["result"]

    def __contains__(self, step: str) -> bool:
        return step in self._done

    def __getitem__(self, step: str) -> Any:
        return self._done[step]

    async def once(self, step: str, do: Callable[[], Awaitable[Any]]) -> Any:
        """The result of `do`, from the first time it went well."""
        if step not in self._done:
            self.note(step, result=await do())
        return self._done[step]

    def note(self, step: str, *, result: Any) -> None:
        entry = {"step": step, "result": result, "after_s": round(time.monotonic() - self._began, 2)}
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(entry))  # a line of its own even after one that was cut in half
            file.flush()
            os.fsync(file.fileno())
        self._done[step] = result
