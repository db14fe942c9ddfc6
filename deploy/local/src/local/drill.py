"""`make drill`: kill the platform with -9 at random points of the journeys, start it again, count losses."""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from local import postgres
from local.configuration import SERVICES
from local.platform import free_ports
from local.soundness import count

_PATIENCE_SECONDS: Final = 180
_POLL_SECONDS: Final = 0.005
_BEGAN: Final = psutil.Process().create_time()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make drill", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the data for a look at them")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="drill-"))
    try:
        return asyncio.run(_drill(directory, arguments.runs, random.Random(arguments.seed)))  # noqa: S311
    finally:
        if arguments.keep:
            print(f"data: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


async def _drill(directory: Path, runs: int, chance: random.Random) -> int:
    """Every run plays all journeys on the same data; the first one says how many steps there are."""
    platform = Drilled(directory)
    steps = await platform.whole_run()
    print(f"a run without a kill has {steps} steps")
    complete = 0
    for number in range(1, runs + 1):
        step = chance.randrange(1, steps)
        delay = chance.uniform(0, 0.2)  # somewhere between this step and one of the next
        done = await platform.killed_run(step, delay)
        status = await platform.resumed_run()
        complete += status == 0
        print(
            f"{number:3}  killed after step {done:3}  then {'complete' if status == 0 else f'exit {status}'}"
        )
    left = len(list(_left(directory)))
    database = await asyncio.to_thread(postgres.start, directory / "postgres")
    try:
        counts = await count({name: database.dsn(name) for name in (*SERVICES, "simulators")})
    finally:
        await asyncio.to_thread(database.stop)
    left += len(list(_left(directory)))
    print(
        f"kills {runs} | journeys complete {complete}/{runs} | double bookings {counts.double_bookings}"
        f" | captures without consultation {counts.captures_without_consultation}"
        f" | provider vs ledger difference {counts.ledger_difference_cents}"
        f" | live holds on ended appointments {counts.live_holds_on_ended_appointments}"
        f" | events unapplied {counts.events_unapplied} | processes left {left}"
    )
    return 0 if complete == runs and counts.is_sound and left == 0 else 1


class Drilled:
    """A platform in a process of its own, and how many steps its journeys wrote down."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._diary = directory / "journeys.jsonl"
        [self._port] = free_ports(1)
        self._log = directory / "drill.log"

    async def whole_run(self) -> int:
        """Raises SystemExit when the platform does not work even without a kill."""
        status = await self._wait(await self._start())
        if status != 0:
            print(self.said())
            raise SystemExit(f"drill: the platform fails without a kill, exit {status}")
        return self._steps()

    def said(self) -> str:
        """The end of what it printed."""
        return self._log.read_text(encoding="utf-8")[-4000:]

    async def killed_run(self, step: int, delay: float) -> int:
        """Plays anew and is killed `delay` seconds after `step`; answers how many steps were written down."""
        before = self._steps()
        process = await self._start("--again")
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while self._steps() - before < step and process.returncode is None:
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
        await asyncio.sleep(delay)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        return self._steps() - before

    async def resumed_run(self) -> int:
        return await self._wait(await self._start())

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "local", "--once", "--data", str(self._directory), "--port", str(self._port)),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def _wait(self, process: asyncio.subprocess.Process) -> int:
        try:
            return await asyncio.wait_for(process.wait(), _PATIENCE_SECONDS)
        except TimeoutError:
            process.kill()
            return await process.wait()

    def _steps(self) -> int:
        if not self._diary.exists():
            return 0
        lines = self._diary.read_text(encoding="utf-8").splitlines()
        return sum(bool(_whole(line)) for line in lines)


def _whole(line: str) -> bool:
    try:
        return bool(json.loads(line))
    except json.JSONDecodeError:
        return False


def _left(directory: Path) -> Iterator[psutil.Process]:
    """Processes that still work on the drill's data, and brokers that lost their platform."""
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            orphan = (
                process.ppid() == 1 and process.create_time() > _BEGAN and "local.mock_cluster" in command
            )
            if orphan or (process.pid != os.getpid() and str(directory) in command):
                yield process
        except psutil.Error:
            continue


if __name__ == "__main__":
    sys.exit(main())
