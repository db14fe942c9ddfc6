"""`python -m documents api|worker|migrate|keys|topics|dead-letters|replay|tasks`."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvloop
from alembic import command
from alembic.config import Config

from common import telemetry, vault
from common.clock import Clock
from common.db import engine_of, sessions_of
from common.messaging import cli
from common.messaging.runner import WorkerHealth
from common.telemetry import Metrics
from common.wake import NotifyWake
from common.web.app import ops_app
from common.web.server import serve
from documents import worker
from documents.api.app import create_app
from documents.consumers import routes
from documents.settings import Settings

_MIGRATIONS: Final = Path(__file__).parents[2] / "migrations"
_BATCH: Final = 500


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m documents")
    own = ("api", "worker", "migrate", "keys")
    parser.add_argument("command", choices=(*own, *cli.COMMANDS))
    chosen = parser.parse_args(arguments[:1]).command
    settings = Settings()  # from the environment
    clock = Clock(settings.clock_shift)
    development = settings.environment == "development"
    telemetry.configure_logging("documents", level=settings.telemetry.log_level, development=development)
    # What is wrong with a seal is our own answer to give; its library would log every refused file at length.
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    telemetry.configure_tracing("documents", endpoint=settings.telemetry.otlp_endpoint)
    match chosen:
        case "api":
            uvloop.run(_api(settings, clock))
        case "worker":
            uvloop.run(_worker(settings, clock))
        case "migrate":
            _migrate(settings)
        case "keys":
            asyncio.run(_rotate_keys(settings))
        case _:
            return cli.main(
                "documents",
                arguments,
                routes=routes,
                postgres=settings.postgres,
                kafka=settings.kafka,
                clock=clock,
            )
    return 0


async def _api(settings: Settings, clock: Clock) -> None:
    wake = NotifyWake(settings.postgres.dsn.get_secret_value(), listens=False)
    async with wake.running():
        await serve(create_app(settings, clock=clock, wake=wake), settings.http)


async def _worker(settings: Settings, clock: Clock) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    wake = NotifyWake(settings.postgres.dsn.get_secret_value())
    health, metrics = WorkerHealth(), Metrics("documents")
    ops = ops_app(
        service="documents",
        environment=settings.environment,
        clock=clock,
        metrics=metrics,
        ready=health.problems,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(ops, settings.ops, stop=stop))
        await worker.run(settings, clock=clock, wake=wake, stop=stop, health=health, metrics=metrics)
        stop.set()


def _migrate(settings: Settings) -> None:
    config = Config(cmd_opts=argparse.Namespace(x=[f"dsn={settings.postgres.dsn.get_secret_value()}"]))
    config.set_main_option("script_location", str(_MIGRATIONS))
    command.upgrade(config, "head")


async def _rotate_keys(settings: Settings) -> None:
    """Wraps every data key with the active master key, in batches."""
    engine = engine_of(settings.postgres, name="documents keys", pool=1)
    keyring = vault.keyring_of(settings.keys, service="documents")
    total = 0
    while True:
        async with sessions_of(engine, None).begin() as session:
            done = await vault.rotate(session, keyring, batch=_BATCH)
        total += done
        if done == 0:
            break
    await engine.dispose()
    sys.stdout.write(f"wrapped {total} keys anew\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
