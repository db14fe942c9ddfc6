"""The whole platform on this machine: database server, broker, simulators, four services, one port."""

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
from alembic import command
from alembic.config import Config
from pydantic import SecretStr
from sqlalchemy import make_url

from common.db import NoRoom, check_room, engine_of
from common.settings import EdgeSettings, PostgresSettings
from common.telemetry import Metrics
from common.wake import LocalWake
from common.web.server import server_of
from local import broker as embedded
from local import postgres
from local.configuration import (
    SERVICES,
    Addresses,
    Broker,
    Secrets,
    most_connections,
    settings_of,
)
from local.errors import LocalError
from local.front import App, Front, start_lifespan
from local.kept_clock import KeptClock
from local.paths import REPOSITORY
from local.recording import Recording
from local.reference_pages import of_app, reference_pages
from local.republish import republish, topics_with_partitions
from local.simulators import mount_simulators


@dataclass(frozen=True, slots=True)
class Platform:
    addresses: Addresses
    clock: KeptClock
    database: postgres.Postgres
    directory: Path
    republished: int  # events that a new broker was given again
    shifted: tuple[str, ...] = ()  # processes that keep a clock of their own
    metrics: tuple[Metrics, ...] = ()  # of each service, API and worker together, where all is one process

    async def advance(self, shift: timedelta) -> None:
        """Set the clock of every process `shift` ahead of the real time; never back."""
        self.clock.advance(shift)
        async with httpx.AsyncClient(timeout=5) as client:
            for address in self.shifted:
                body = {"shift_seconds": int(shift.total_seconds())}
                (await client.put(f"{address}/development/clock", json=body)).raise_for_status()


def claim_port(port: int) -> socket.socket:
    """Listen before anything else starts: a port in use is said at once.

    Raises LocalError when somebody else has the port.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise LocalError(
            f"port {port} is in use: choose another one, for instance PORT={port + 1}"
        ) from error
    return listener


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    listeners = [socket.socket() for _ in range(count)]
    try:
        for each in listeners:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in listeners]
    finally:
        for each in listeners:
            each.close()


def migrate(dsns: Mapping[str, str]) -> None:
    """Every service's migrations, one after the other: alembic's context is one per process."""
    for service in SERVICES:
        url = make_url(dsns[service]).set(drivername="postgresql+asyncpg")
        options = argparse.Namespace(x=[f"dsn={url.render_as_string(hide_password=False)}"])
        config = Config(REPOSITORY / "services" / service / "alembic.ini", cmd_opts=options)
        command.upgrade(config, "head")


async def check_connections(database: postgres.Postgres) -> None:
    """Raises LocalError when the server takes fewer than all pools together may open."""
    told = PostgresSettings(dsn=SecretStr(database.dsn(SERVICES[0])))
    engine = engine_of(told, name="platform start", pool=1)
    try:
        await check_room(engine, wanted=most_connections())
    except NoRoom as error:
        raise LocalError(f"{error}: give it more with max_connections") from error
    finally:
        await engine.dispose()


@asynccontextmanager
async def in_one_process(
    directory: Path, *, port: int, record: Path | None = None
) -> AsyncIterator[Platform]:
    """Everything in this process but the database server and the broker; both end with it.

    What is asked and answered goes into the file `record`.
    """
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(claim_port(port))
        kept = Secrets.kept_in(directory)
        clock = KeptClock(directory)
        database = await asyncio.to_thread(postgres.start, directory / "postgres")
        stack.callback(database.stop)
        await check_connections(database)
        dsns = {name: database.dsn(name) for name in (*SERVICES, "simulators")}
        broker = await stack.enter_async_context(embedded.running(topics_with_partitions()))
        await asyncio.to_thread(migrate, dsns)
        addresses = Addresses.behind_one_port(port)
        reached = Broker(broker.bootstrap_servers, "embedded")

        front = Front({name: f"/{name}/openapi.json" for name in SERVICES} | {"docs": "/docs"})
        await mount_simulators(
            stack, front, dsn=dsns["simulators"], clock=clock, kept=kept, addresses=addresses
        )
        stop = asyncio.Event()
        workers: list[Callable[[], Coroutine[Any, Any, None]]] = []
        documents = {}
        measured: list[Metrics] = []
        for service in SERVICES:
            told = settings_of(
                service,
                dsn=dsns[service],
                broker=reached,
                addresses=addresses,
                kept=kept,
                directory=directory,
                shift=clock.shift,
            )
            settings = import_module(f"{service}.settings").Settings(**told)
            wake = LocalWake()
            app = import_module(f"{service}.api.app").create_app(settings, clock=clock, wake=wake)
            await start_lifespan(stack, app)
            front.mount(f"/{service}", app)
            documents[service] = of_app(app)
            run = import_module(f"{service}.worker").run
            measured.append(app.state.metrics)
            workers.append(
                partial(run, settings, clock=clock, wake=wake, stop=stop, metrics=app.state.metrics)
            )
        front.mount("/docs", reference_pages(documents))
        app = Recording(front, record) if record else front
        async with serving(app, listener), _working(workers, stop):
            # with the workers at work: they make room for the next portion
            republished = await republish(dsns, broker.bootstrap_servers)
            yield Platform(addresses, clock, database, directory, republished, metrics=tuple(measured))


@asynccontextmanager
async def serving(front: App, listener: socket.socket) -> AsyncIterator[None]:
    server = server_of(front, EdgeSettings())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:  # noqa: ASYNC110 - uvicorn has a flag and no event
                await asyncio.sleep(0.005)
            yield
        finally:
            server.should_exit = True
            await asyncio.wait([task])


@asynccontextmanager
async def _working(
    workers: list[Callable[[], Coroutine[Any, Any, None]]], stop: asyncio.Event
) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        for run in workers:
            group.create_task(run())
        try:
            yield
        finally:
            stop.set()
