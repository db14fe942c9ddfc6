"""One warning a minute for each outside system that fails, however often it is tried meanwhile.

`report` logs the failure; `OutageFilter` stands on the handler of the process and drops what repeats. The
next line that passes says in `suppressed` how many were dropped. aiokafka logs each failed connection by
itself, many times a second while a broker is away: its warnings are limited in the same way.
"""

import logging
import time
from collections.abc import Callable, Hashable
from typing import Final, Literal

System = Literal[
    "database",
    "kafka",
    "issuer",  # of tokens
    "booking",  # asked by the other services who may see a patient
    "claims",  # asked by documents for the lines of a price
    "card-provider",
    "claims-gateway",
    "rights-service",  # of the payers
    "storage",
    "another-system",  # an error that does not say who failed
]

EVERY_SECONDS: Final = 60.0
_KEYS: Final = 1000  # far above systems times errors; reached only if a library formats its own messages


def report(log: logging.Logger, system: System, error: BaseException | str, doing: str) -> None:
    """Warns that `system` fails: `doing` says what cannot be done now, `error` is an exception or a code.

    Of an exception only the type is logged: its message may quote what was sent.
    """
    code = error if isinstance(error, str) else type(error).__name__
    log.warning("%s: %s", doing, code, extra={"system": system, "error": code})


class OutageFilter(logging.Filter):
    """Passes one record a minute per service, outside system and error, and every record of anything else."""

    def __init__(
        self,
        service: Callable[[], str],
        *,
        every: float = EVERY_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`service` names whose record it is: one process may run several. `every` and `now`: seconds."""
        super().__init__()
        self._service = service
        self._every = every
        self._now = now
        self._passed: dict[Hashable, float] = {}
        self._dropped: dict[Hashable, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = self._key(record)
        if key is None:
            return True
        now = self._now()
        if now - self._passed.get(key, -self._every) < self._every:
            self._dropped[key] = self._dropped.get(key, 0) + 1
            return False
        if len(self._passed) >= _KEYS:
            self._passed.clear()
        self._passed[key] = now
        dropped = self._dropped.pop(key, 0)
        if dropped:
            record.suppressed = dropped
        return True

    def _key(self, record: logging.LogRecord) -> Hashable | None:
        system = getattr(record, "system", None)
        if system is not None:
            return self._service(), system, getattr(record, "error", None)
        if record.name.startswith("aiokafka"):
            record.system = "kafka"
            return self._service(), record.name, str(record.msg)
        return None
