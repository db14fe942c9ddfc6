"""Where the platform keeps what it writes on this machine."""

import os
import shutil
from pathlib import Path
from typing import Final

from local.errors import LocalError

REPOSITORY: Final = Path(__file__).resolve().parents[4]
MEGABYTE: Final = 1024 * 1024


def data_directory() -> Path:
    """`PLATFORM_DATA`, else `var` in the repository."""
    named = os.environ.get("PLATFORM_DATA")  # noqa: TID251 - where the data is, not a setting of a service
    return Path(named).expanduser().resolve() if named else REPOSITORY / "var"


def make_directory(directory: Path, *, megabytes: int = 0) -> Path:
    """Create `directory`, for its owner only, and see that `megabytes` are free there.

    Raises LocalError when it cannot be made or written to, or the disk is full.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(directory).free // MEGABYTE
    except OSError as error:
        raise LocalError(f"cannot use {directory}: {(error.strerror or str(error)).lower()}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise LocalError(f"cannot use {directory}: permission denied")
    if free < megabytes:
        raise LocalError(f"the disk is full: {free} MB free in {directory}, {megabytes} MB are needed")
    return directory
