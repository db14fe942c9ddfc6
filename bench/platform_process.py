"""The platform of `make run` as a process of its own, without the journeys: for starts, memory and load."""

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path

import uvloop

from local.platform import in_one_process

READY = "ready.json"


async def _run(directory: Path, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with in_one_process(directory, port=port) as platform:
        draft = directory / f"{READY}.draft"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"booking": platform.database.dsn("booking")}, file)
        draft.replace(directory / READY)
        await stop.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(Path(sys.argv[1]), int(sys.argv[2])))
