"""The platform as in production: API and worker of each service are processes of their own, on a real Kafka.

They share nothing but the database server, where each has a database and a role of its own.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from local import kafka, postgres
from local.configuration import SERVICES, Addresses, Broker, Secrets, as_environment, settings_of
from local.errors import LocalError
from local.front import Front
from local.kept_clock import KeptClock
from local.platform import Platform, check_connections, claim_port, free_ports, serving
from local.processes import Child, start_child
from local.reference_pages import at, reference_pages
from local.republish import topics_with_partitions
from local.simulators import mount_simulators

_READY_SECONDS: Final = 60
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "TMPDIR")


@asynccontextmanager
async def in_processes(directory: Path, *, port: int) -> AsyncIterator[Platform]:
    """Raises LocalError where no Kafka can run, or a process does not become ready."""
    reason = kafka.unavailable()
    if reason is not None:
        raise LocalError(f"PROCESSES=1 needs a real Kafka, and here {reason}")
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(claim_port(port))
        kept = Secrets.kept_in(directory)
        clock = KeptClock(directory)
        database = await asyncio.to_thread(postgres.start, directory / "postgres")
        stack.callback(database.stop)
        await check_connections(database)
        broker = await stack.enter_async_context(
            kafka.running(directory / "kafka", topics=topics_with_partitions())
        )
        numbers = iter(free_ports(3 * len(SERVICES)))
        apis, internal, operations = (dict(zip(SERVICES, numbers, strict=False)) for _ in range(3))
        addresses = Addresses.apart(port, apis, internal)

        documents = {name: f"{address}/{name}/openapi.json" for name, address in addresses.internal.items()}
        front = Front(documents | {"docs": "/docs"})
        front.mount("/docs", reference_pages({name: at(address) for name, address in documents.items()}))
        simulators = database.dsn("simulators")
        await mount_simulators(stack, front, dsn=simulators, clock=clock, kept=kept, addresses=addresses)
        await stack.enter_async_context(serving(front, listener))

        environments = {
            service: as_environment(
                service,
                settings_of(
                    service,
                    dsn=database.dsn(service),
                    broker=Broker(broker.bootstrap_servers, "kafka"),
                    addresses=addresses,
                    kept=kept,
                    directory=directory,
                    shift=clock.shift,
                ),
            )
            for service in SERVICES
        }
        logs = directory / "logs"
        logs.mkdir(exist_ok=True)
        for service in SERVICES:
            await _migrated(service, environments[service], logs)
        for service in SERVICES:
            ports = {"HTTP": apis[service], "INTERNAL": internal[service], "OPS": operations[service]}
            told = {f"{service.upper()}_{name}__PORT": str(each) for name, each in ports.items()}
            for role in ("api", "worker"):
                child = await _started(service, role, {**environments[service], **told}, logs)
                stack.push_async_callback(child.stop)
        reached = [f"{each}/{name}" for name, each in addresses.internal.items()]
        reached += [f"http://127.0.0.1:{each}/{name}" for name, each in operations.items()]
        await _ready(reached)
        yield Platform(addresses, clock, database, directory, 0, tuple(reached))


async def _migrated(service: str, told: Mapping[str, str], logs: Path) -> None:
    child = await _started(service, "migrate", told, logs)
    if await child.wait() != 0:
        raise LocalError(f"{child.name} failed: {child.last_lines()}")


async def _started(service: str, role: str, told: Mapping[str, str], logs: Path) -> Child:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}  # noqa: TID251
    return await start_child(
        f"{service} {role}",
        [sys.executable, "-m", service, role],
        env={**environment, **told},
        log=logs / f"{service}-{role}.log",
    )


async def _ready(addresses: list[str]) -> None:
    deadline = asyncio.get_running_loop().time() + _READY_SECONDS
    async with httpx.AsyncClient(timeout=2) as client:
        for address in addresses:
            while not await _is_ready(client, address):
                if asyncio.get_running_loop().time() > deadline:
                    raise LocalError(f"{address} is not ready after {_READY_SECONDS} s: look into the logs")
                await asyncio.sleep(0.1)


async def _is_ready(client: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"{address}/health/ready")).is_success
    except httpx.TransportError:
        return False
