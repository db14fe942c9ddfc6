"""Runs an HTTP app as a process: says that it stops, lets the others notice, then drains."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from common.settings import EdgeSettings, HttpSettings
from common.web.edge import INTERNAL, PUBLIC, OnPort, security_headers
from common.web.http_protocol import Protocol

_NOTICE_SECONDS: Final = 2.0  # readiness is false this long before the port closes
_DRAIN_SECONDS: Final = 20


class Server(uvicorn.Server):
    """Without uvicorn's own signal handlers: the first thing to happen is that readiness turns false."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_of(app: ASGIApp, edge: EdgeSettings, **options: Any) -> Server:
    """A server for an app whose lifespan somebody else runs. `options` are uvicorn's: host, port and others.

    The client's address is that of the connection. When this is a trusted proxy, it is the last address in
    X-Forwarded-For that is not one of a trusted proxy.
    """
    protocol = type("EdgeProtocol", (Protocol,), {"extra_headers": _on_every_answer(edge)})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(edge.proxies),
        forwarded_allow_ips=[str(each) for each in edge.proxies],
        **options,
    )
    return Server(config)


def _on_every_answer(edge: EdgeSettings) -> tuple[tuple[bytes, bytes], ...]:
    return (*security_headers(edge), (b"cache-control", b"no-store"))


async def serve(
    app: FastAPI,
    http: HttpSettings,
    *,
    internal: HttpSettings | None = None,
    edge: EdgeSettings | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, or until `stop` is set by whoever else runs in this process.

    With `internal`, metrics, the OpenAPI document and internal routes are served on that port alone.
    """
    told = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    if stop is None:
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, told.set)
    served: list[tuple[ASGIApp, HttpSettings]] = [(app, http)]
    if internal is not None:
        served = [(OnPort(app, PUBLIC), http), (OnPort(app, INTERNAL), internal)]
    servers = [
        server_of(
            each,
            edge or EdgeSettings(),
            host=where.host,
            port=where.port,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        for each, where in served
    ]
    async with app.router.lifespan_context(app), asyncio.TaskGroup() as group:
        serving = [group.create_task(each.serve()) for each in servers]
        waiting = group.create_task(told.wait())
        await asyncio.wait({*serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        app.state.stopping.set()
        if not any(each.done() for each in serving):
            await asyncio.sleep(_NOTICE_SECONDS)
        for server in servers:
            server.should_exit = True
