"""What `python -m <service>` does: the HTTP process, the worker, migrations, keys, messaging's commands."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import uvloop
from alembic import command
from alembic.config import Config
from fastapi import FastAPI

from common import outages, presence, telemetry, vault
from common.clock import Clock
from common.db import NoRoom, check_room, engine_of, sessions_of
from common.messaging import cli
from common.messaging.failures import is_infrastructure
from common.messaging.housekeeping import House
from common.messaging.routes import Routes
from common.messaging.runner import WorkerHealth
from common.settings import PostgresSettings, ServiceSettings
from common.settings_loading import SettingsRefused, load
from common.telemetry import Metrics
from common.wake import NotifyWake
from common.web.app import ops_app
from common.web.server import serve
from common.web.tables import ProcessRow

_SETTINGS_REFUSED: Final = 2  # the exit status
_BATCH: Final = 500  # data keys wrapped in one transaction

_PIPE_CLOSED: Final = 141  # what a shell says of a command that SIGPIPE ended

_log: Final = logging.getLogger(__name__)

S = TypeVar("S", bound=ServiceSettings)


@dataclass(frozen=True, slots=True)
class Service(Generic[S]):
    """The parts of a service that its processes are made of."""

    name: str
    settings: type[S]
    create_app: Callable[..., FastAPI]  # (settings, *, clock, wake)
    run_worker: Callable[..., Awaitable[None]]  # (settings, *, clock, wake, stop, health, metrics)
    routes: Callable[[S], Routes]
    house: Callable[[S], House]
    migrations: Path


def parser(service: str) -> argparse.ArgumentParser:
    commands = argparse.ArgumentParser(prog=f"python -m {service}")
    chosen = commands.add_subparsers(dest="command", required=True)
    chosen.add_parser("api", help="the HTTP process")
    chosen.add_parser("worker", help="consumer, relay and tasks; health and metrics on a port of its own")
    chosen.add_parser("migrate", help="bring the database to what this release needs")
    keys = chosen.add_parser("keys", help="the keys that wrap the patients' keys")
    keys.add_subparsers(dest="action", required=True).add_parser(
        "rotate", help="wrap all with the active one"
    )
    cli.add_commands(service, chosen)
    return commands


def main(service: Service[S], arguments: Sequence[str]) -> int:
    """Runs one command; returns the exit status. Settings come from the environment, and only here."""
    options = parser(service.name).parse_args(arguments)
    try:
        settings = load(service.settings)
    except SettingsRefused as refused:
        sys.stderr.write("".join(f"{service.name}: {line}\n" for line in refused.lines))
        return _SETTINGS_REFUSED
    clock = Clock(settings.clock_shift)
    development = settings.environment == "development"
    telemetry.configure_logging(service.name, level=settings.telemetry.log_level, development=development)
    telemetry.configure_tracing(service.name, endpoint=settings.telemetry.otlp_endpoint)
    try:
        match options.command:
            case "api":
                uvloop.run(_serve(service, settings, clock))
            case "worker":
                uvloop.run(_work(service, settings, clock))
            case "migrate":
                _migrate(service, settings.postgres)
            case "keys":
                return _to_the_end(_rotate_keys(service.name, settings, clock))
            case _:
                return _to_the_end(_run_command(service, settings, options, clock))
    except NoRoom as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _to_the_end(command: Coroutine[Any, Any, int]) -> int:
    """The status of a command that prints. It ends quietly when its pipe was closed (`| head`)."""
    try:
        return asyncio.run(command)
    except cli.OutputClosed:
        # Python flushes once more at its end, and would report that it cannot
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED


async def _serve(service: Service[S], settings: S, clock: Clock) -> None:
    await _check_room(service.name, settings.postgres, settings.postgres.api_connections)
    wake = NotifyWake(settings.postgres.url, hears="changed")
    app = service.create_app(settings, clock=clock, wake=wake)
    keyring = vault.keyring_of(settings.keys, service=service.name)
    announced = presence.announced("api", keyring, lambda: app.state.sessions, now=clock.read)
    async with wake.running(), announced:
        await serve(app, settings.http, internal=settings.internal, edge=settings.edge)


async def _work(service: Service[S], settings: S, clock: Clock) -> None:
    await _check_room(service.name, settings.postgres, settings.postgres.worker_connections)
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    wake = NotifyWake(settings.postgres.url, hears="wake")
    health, metrics = WorkerHealth(), Metrics(service.name)
    ops = ops_app(
        service=service.name,
        environment=settings.environment,
        clock=clock,
        metrics=metrics,
        ready=health.problems,
    )
    keyring = vault.keyring_of(settings.keys, service=service.name)
    announced = presence.announced("worker", keyring, lambda: health.sessions, now=clock.read)
    async with announced, asyncio.TaskGroup() as group:
        group.create_task(serve(ops, settings.ops, stop=stop))
        await service.run_worker(settings, clock=clock, wake=wake, stop=stop, health=health, metrics=metrics)
        stop.set()


async def _check_room(name: str, postgres: PostgresSettings, wanted: int) -> None:
    """Raises NoRoom. What all processes together need, only whoever starts them all can know."""
    engine = engine_of(postgres, name=f"{name} start", pool=1)
    try:
        await check_room(engine, wanted=wanted)
    except Exception as error:
        if isinstance(error, NoRoom) or not is_infrastructure(error):
            raise
        # a database that is away is no reason to end: the process waits for it, not ready
        outages.report(_log, "database", error, "the room for connections is not checked")
    finally:
        await engine.dispose()


def _migrate(service: Service[Any], postgres: PostgresSettings) -> None:
    config = Config(cmd_opts=argparse.Namespace(x=[f"dsn={postgres.url}"]))
    config.set_main_option("script_location", str(service.migrations))
    command.upgrade(config, "head")


async def _rotate_keys(name: str, settings: ServiceSettings, clock: Clock) -> int:
    """Wraps every data key with the active master key, in batches, while every process knows that key."""
    engine = engine_of(settings.postgres, name=f"{name} keys", pool=1)
    keyring = vault.keyring_of(settings.keys, service=name)
    sessions = sessions_of(engine, None)
    total = 0
    try:
        while True:
            async with sessions.begin() as session:
                behind = await presence.list_without_active_key(session, keyring, now=clock.read())
                if behind:
                    return _refuse_rotation(behind, keyring.active, total, now=clock.read())
                done = await vault.rotate(session, keyring, batch=_BATCH)
            total += done
            if done == 0:
                return cli.say(f"wrapped {total} keys anew")
    finally:
        await engine.dispose()


def _refuse_rotation(behind: Sequence[ProcessRow], active: str, total: int, *, now: datetime) -> int:
    """Says which processes have to be restarted with the new settings first."""
    for each in behind:
        names = ", ".join(known.partition(":")[0] for known in each.master_keys)
        seconds = max(int((now - each.seen_at).total_seconds()), 0)
        sys.stderr.write(f"{each.role} {each.id}, seen {seconds} s ago, knows: {names}\n")
    sys.stderr.write(
        f"wrapped {total} keys anew and stopped: {len(behind)} running processes do not have the master key"
        f" {active} of these settings. Restart them with it; one that was killed counts for a minute.\n"
    )
    return 1


async def _run_command(service: Service[S], settings: S, options: argparse.Namespace, clock: Clock) -> int:
    return await cli.run(
        service.name,
        options,
        routes=service.routes(settings),
        postgres=settings.postgres,
        kafka=settings.kafka,
        clock=clock,
        house=service.house(settings),
    )
