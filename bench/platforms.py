"""The whole platform under load: in one process, or API and worker of each service apart."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from bench import client
from bench.platform_process import READY
from local import broker as embedded
from local import postgres
from local.configuration import SERVICES, Addresses, Broker, Secrets, as_environment, settings_of
from local.front import Front
from local.kept_clock import KeptClock
from local.paths import REPOSITORY
from local.platform import claim_port, free_ports, migrate, serving
from local.processes import Child, start_child
from local.republish import topics_with_partitions
from local.simulators import mount_simulators

_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin"}
_READY_SECONDS: Final = 90.0


@dataclass(frozen=True, slots=True)
class Started:
    addresses: Addresses
    ports: Mapping[str, int]  # where each API answers
    booking_dsn: str
    kept: Secrets
    processes: tuple[Child, ...]


@asynccontextmanager
async def one_process(directory: Path) -> AsyncIterator[Started]:
    """Yields when every service says that it is ready."""
    _made(directory)
    [port] = free_ports(1)
    child = await _start("platform", "bench.platform_process", str(directory), str(port), log=directory)
    try:
        ports = dict.fromkeys(SERVICES, port)
        await _until_ready([child], ports)
        async with asyncio.timeout(_READY_SECONDS):
            while not (directory / READY).exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.005)
        told = json.loads((directory / READY).read_text(encoding="utf-8"))
        kept = Secrets.kept_in(directory)
        yield Started(Addresses.behind_one_port(port), ports, told["booking"], kept, (child,))
    finally:
        await child.stop()


@asynccontextmanager
async def apart(directory: Path) -> AsyncIterator[Started]:
    """Eight processes that share the database server and the embedded broker, one member per group."""
    _made(directory)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(postgres.running(directory / "postgres", dies_with_parent=True))
        broker = await stack.enter_async_context(embedded.running(topics_with_partitions()))
        dsns = {name: server.dsn(name) for name in postgres.SERVICES}
        await asyncio.to_thread(migrate, dsns)
        kept, clock = Secrets.kept_in(directory), KeptClock(directory)
        numbers = iter(free_ports(1 + 3 * len(SERVICES)))
        port = next(numbers)
        ports, internal, operations = (dict(zip(SERVICES, numbers, strict=False)) for _ in range(3))
        addresses = Addresses.apart(port, ports, internal)
        listener = stack.enter_context(claim_port(port))
        front = Front({})
        simulators = dsns["simulators"]
        await mount_simulators(stack, front, dsn=simulators, clock=clock, kept=kept, addresses=addresses)
        await stack.enter_async_context(serving(front, listener))
        children = []
        for service in SERVICES:
            told = settings_of(
                service,
                dsn=dsns[service],
                broker=Broker(broker.bootstrap_servers, "embedded"),
                addresses=addresses,
                kept=kept,
                directory=directory,
                shift=timedelta(),
            )
            told |= {"http": {"port": ports[service]}, "internal": {"port": internal[service]}}
            told |= {"ops": {"port": operations[service]}}
            for role in ("api", "worker"):
                environment = as_environment(service, told)
                child = await _start(f"{service}-{role}", service, role, log=directory, told=environment)
                stack.push_async_callback(child.kill)
                children.append(child)
        await _until_ready(children, ports)
        await _until_ready(children, operations)
        yield Started(addresses, ports, dsns["booking"], kept, tuple(children))


def _made(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    (directory / READY).unlink(missing_ok=True)


async def _start(
    name: str, module: str, *arguments: str, log: Path, told: Mapping[str, str] | None = None
) -> Child:
    return await start_child(
        name,
        [sys.executable, "-m", module, *arguments],
        env={**_ENVIRONMENT, **(told or {})},
        log=log / f"{name}.log",
        directory=REPOSITORY,
    )


async def _until_ready(children: Sequence[Child], ports: Mapping[str, int]) -> None:
    for service, port in ports.items():
        await client.until_ready(port, f"/{service}/health/ready", children)
