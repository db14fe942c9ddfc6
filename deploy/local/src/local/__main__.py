"""`make run`: start the platform, play the journeys, print what came of them, go on serving."""

import argparse
import asyncio
import logging
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import uvloop
from rich.console import Console

from common.telemetry import JsonFormatter, install_handler
from local.apart import in_processes
from local.configuration import ISSUER, SERVICES
from local.errors import LocalError
from local.journeys import report
from local.journeys.api import JourneyFailed
from local.journeys.player import play
from local.only_one import only_one
from local.paths import data_directory, make_directory
from local.platform import Platform, in_one_process

T = TypeVar("T")

_PORT: Final = 8080
_MEGABYTES: Final = 700
_WIDTH: Final = 132  # of what is written to a file or a pipe


def main() -> int:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the journeys, with a true exit status")
    parser.add_argument("--processes", action="store_true", help="API and worker of each service apart")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the table as JSON too")
    parser.add_argument("--port", type=int, default=_PORT)
    parser.add_argument("--data", type=Path, metavar="DIRECTORY", help="where the platform keeps its data")
    parser.add_argument("--again", action="store_true", help="play the journeys anew, beside those of before")
    parser.add_argument("--record", type=Path, metavar="FILE", help="what is asked and answered, a line each")
    arguments = parser.parse_args()
    if arguments.record and arguments.processes:
        parser.error("--record needs everything in one process")
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    try:
        directory = make_directory((arguments.data or data_directory()).resolve(), megabytes=_MEGABYTES)
        with ExitStack() as stack:
            stack.enter_context(only_one(directory))
            _log_to(directory / "platform.log")
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_run(arguments, directory, console))
    except (LocalError, JourneyFailed, OSError, ExceptionGroup) as error:
        said = _said_by(error)
        if said is None:
            raise
        print(f"make run: {said}", file=sys.stderr)
        return 1


def _said_by(error: Exception) -> str | None:
    """The one line for a person; None when this is a bug, whose stack is wanted."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    match error:
        case LocalError() | JourneyFailed():
            return str(error)
        case OSError():
            return error.strerror or str(error)
        case _:
            return None


def _log_to(path: Path) -> None:
    """The terminal shows the journeys; what the services say is in a file."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(JsonFormatter("platform", with_messages=True))
    install_handler(handler, "platform", level="INFO")


async def _run(arguments: argparse.Namespace, directory: Path, console: Console) -> int:
    began = time.monotonic()
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    console.print("starting PostgreSQL, broker, simulators and four services ...")
    start = in_processes if arguments.processes else partial(in_one_process, record=arguments.record)
    async with start(directory, port=arguments.port) as platform:
        console.print(f"ready in {time.monotonic() - began:.1f} s: {platform.addresses.front}")
        if platform.republished:
            console.print(f"{platform.republished} events were published again to the new broker")
        outcomes = await _unless(interrupted, play(platform, console, again=arguments.again))
        if outcomes is None:
            return 130
        if arguments.report:
            report.write(arguments.report, outcomes)
        failed = report.unexpected(outcomes)
        if not arguments.once:
            _say_where(platform, console)
        report.show(console, outcomes)
        _say_the_time(platform, console)
        for each in failed:
            console.print(f"[red]{each}[/red]")
        if not arguments.once:
            console.print("serving until Ctrl-C; AGAIN=1 plays the journeys once more at the next start")
            await interrupted.wait()
        return 1 if failed else 0


async def _unless(interrupted: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`; None when somebody interrupted it."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(interrupted.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.wait({working, waiting})


def _say_where(platform: Platform, console: Console) -> None:
    """Addresses, and a command for a token that can be pasted from a terminal of 80 columns."""
    front = platform.addresses.front
    lines = [
        f"data, PDF files and logs are in {platform.directory}",
        f"API reference: {front}/docs",
        *(f"{each:10} {platform.addresses.internal[each]}/{each}/openapi.json" for each in SERVICES),
        "",
        "a token of a patient, for any account:",
        f"curl -s {front}{ISSUER}/token \\",
        "  -d grant_type=urn:dev:person -d role=patient \\",
        f"  -d subject={uuid4()}",
        "",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


def _say_the_time(platform: Platform, console: Console) -> None:
    """The visits of the journeys lie ahead: the platform's clock was set forward to each of them."""
    ahead = int(platform.clock.shift.total_seconds())
    if ahead:
        days, hours, minutes = ahead // 86_400, ahead // 3_600 % 24, ahead // 60 % 60
        console.print(
            f"the platform's clock runs {days} days {hours} h {minutes} min ahead of yours: the journeys\n"
            f"went to the time of each visit; there it is {platform.clock.now():%Y-%m-%d %H:%M} UTC",
            soft_wrap=True,
        )


if __name__ == "__main__":
    sys.exit(main())
