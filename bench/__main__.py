"""`make bench`: every part in turn, a table, and a report when one is asked for."""

import argparse
import asyncio
import logging
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Final

import psutil
import uvloop
from rich.console import Console

from bench import report
from bench.ground import Ground, Scale, prepared
from bench.report import CountsDiffer, Part
from local.errors import LocalError
from local.paths import make_directory

_MEGABYTES: Final = 4000
_WIDTH: Final = 150
_FULL: Final = Scale(repetitions=5, share=1.0)
_QUICK: Final = Scale(repetitions=2, share=0.2)

# imported when its turn comes: a part that cannot be loaded leaves the others alone
_PARTS: Final[Mapping[str, str]] = {
    "a": "booking_request",
    "b": "confirmation",
    "c": "relay_drain",
    "d": "consumer_apply",
    "e": "quotes",
    "f": "offer_search",
    "g": "race",
    "h": "prescriptions",
    "i": "cold_start",
    "j": "claims",
}
_Measure = Callable[[Ground, Scale], Awaitable[Part]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the figures as JSON too")
    parser.add_argument("--document", type=Path, metavar="FILE", help="put them into this page, at its marks")
    parser.add_argument(
        "--only", type=_letters, default=tuple(_PARTS), metavar="a,c", help="these parts alone"
    )
    parser.add_argument("--logs", type=Path, metavar="DIRECTORY", help="keep what the processes wrote there")
    parser.add_argument("--quick", action="store_true", help="a fifth of the work, two repetitions")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    scale = _QUICK if arguments.quick else _FULL
    logging.basicConfig(level=logging.ERROR)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            make_directory(Path(directory), megabytes=_MEGABYTES)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                parts = runner.run(_run(console, Path(directory), arguments.only, scale))
            if arguments.logs:
                _keep_logs(Path(directory), arguments.logs)
    except LocalError as error:
        print(f"make bench: {error}", file=sys.stderr)
        return 1
    report.show(console, parts)
    if arguments.report:
        report.write(arguments.report, parts)
    if arguments.document:
        left_out = [each for each in _PARTS if each not in arguments.only]
        report.document(arguments.document, parts, machine=_machine(scale), left_out=left_out)
    return 1 if any(part.failure for part in parts) else 0


def _keep_logs(directory: Path, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    for log in directory.rglob("*.log"):
        shutil.copy(log, kept / f"{log.parent.name}-{log.name}")


def _why(error: BaseException) -> str:
    """The innermost reason: what runs side by side fails in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) if isinstance(error, LocalError | CountsDiffer) else f"{type(error).__name__}: {error}"


def _machine(scale: Scale) -> str:
    gigabytes = psutil.virtual_memory().total / 2**30
    load, *_ = os.getloadavg()
    return (
        f"{os.cpu_count()} cores, {gigabytes:.0f} GiB, Python {platform.python_version()}; "
        f"{scale.repetitions} repetitions; load average at the end {load:.1f}"
    )


def _letters(text: str) -> tuple[str, ...]:
    letters = tuple(each.strip() for each in text.split(","))
    unknown = [each for each in letters if each not in _PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {', '.join(unknown)}: there are {', '.join(_PARTS)}")
    return letters


async def _run(console: Console, directory: Path, letters: Sequence[str], scale: Scale) -> list[Part]:
    parts = []
    with console.status("filling a database") as status:
        async with prepared(directory) as ground:
            for letter in letters:
                status.update(f"({letter}) {_PARTS[letter].replace('_', ' ')}")
                measure: _Measure = import_module(f"bench.{_PARTS[letter]}").measure
                began = monotonic()
                try:
                    part = await measure(ground, scale)
                except Exception as error:  # noqa: BLE001 - the other parts are still worth knowing
                    part = Part(letter, _PARTS[letter].replace("_", " "), failure=_why(error))
                part.seconds = monotonic() - began
                parts.append(part)
    return parts


if __name__ == "__main__":
    sys.exit(main())
