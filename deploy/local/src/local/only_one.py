"""One platform per data directory at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.errors import LocalError


@contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Raises LocalError while another platform runs on `directory`; the lock ends with the process."""
    with (directory / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LocalError(f"a platform already runs on {directory}") from error
        yield
