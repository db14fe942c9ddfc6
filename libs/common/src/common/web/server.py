"""Runs an HTTP app as a process: says that it stops, lets the others notice, then drains."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI

from common.settings import HttpSettings

_NOTICE_SECONDS: Final = 2.0  # readiness is false this long before the port closes
_DRAIN_SECONDS: Final = 20


class Server(uvicorn.Server):
    """Without uvicorn's own signal handlers: the first thing to happen is that readiness turns false."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(app: FastAPI, http: HttpSettings, *, stop: asyncio.Event | None = None) -> None:
    """Serves until SIGTERM or SIGINT, or until `stop` is set by whoever else runs in this process."""
    told = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    if stop is None:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, told.set)
    config = uvicorn.Config(
        app,
        host=http.host,
        port=http.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    server = Server(config)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve())
        waiting = group.create_task(told.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        app.state.stopping.set()
        if not serving.done():
            await asyncio.sleep(_NOTICE_SECONDS)
        server.should_exit = True
