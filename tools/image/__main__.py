"""`make image-check S=booking`: builds the layout of the image without Docker, and runs it."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx

from local import broker, postgres
from local.configuration import SERVICES, Addresses, Broker, Secrets, as_environment, settings_of
from local.errors import LocalError
from local.paths import REPOSITORY
from local.platform import free_ports
from local.processes import Child, start_child
from local.republish import topics_with_partitions
from tools.image.build import BuildFailed, Folder, build, needless
from tools.image.dockerfile import Context, Dockerfile
from tools.image.sandbox import Sandbox

_DOCKERFILE: Final = REPOSITORY / "deploy" / "Dockerfile"
_READY_SECONDS: Final = 90
_COMMAND_SECONDS: Final = 120
_END_SECONDS: Final = 30
_STRANGERS: Final = ("pytest", "mypy", "local", "simulators")
_REFUSED_WRITES: Final = ("Read-only file system", "Permission denied")


class CheckFailed(Exception):
    """The image is not what it should be; the message says how."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make image-check", description=__doc__)
    parser.add_argument("service", choices=SERVICES)
    service: str = parser.parse_args().service
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"image-{service}-") as place:
        try:
            context = Context.of(REPOSITORY)
            arguments = {"SERVICE": service}
            image = Dockerfile.read(_DOCKERFILE.read_text(encoding="utf-8"), arguments)
            base = Path(place) / "image"
            base.mkdir()
            Path(place).chmod(0o755)
            folder = build(base, image, context, arguments)
            _needs_each_copy(folder, context, Path(place) / "without")
            sandbox = Sandbox.of(base, folder.root, folder.volumes, image.user)
            asyncio.run(_check(service, folder, sandbox, Path(place)))
        except (BuildFailed, CheckFailed, LocalError) as failed:
            print(f"{service}: {failed}", file=sys.stderr)
            return 1
    for line in sandbox.limits:
        print(f"{service}: {line}")
    how = "" if sandbox.limits else f" as uid {image.user} on a read-only root,"
    print(f"{service}: alone,{how} migrated and ready after {time.monotonic() - began:.1f} s")
    return 0


def _needs_each_copy(folder: Folder, context: Context, place: Path) -> None:
    for line in needless(place, folder, context):
        raise CheckFailed(f"the image builds without `{line}`")


async def _check(service: str, folder: Folder, sandbox: Sandbox, place: Path) -> None:
    logs = place / "logs"
    logs.mkdir()
    async with AsyncExitStack() as stack:
        server = stack.enter_context(postgres.running(place / "postgres", databases=[service], durable=False))
        log = await stack.enter_async_context(broker.running(topics_with_partitions()))
        http, internal, ops = free_ports(3)
        told = _told(service, folder, dsn=server.dsn(service), bootstrap=log.bootstrap_servers, place=place)
        ports = {"HTTP": http, "INTERNAL": internal, "OPS": ops}
        told |= {f"{service.upper()}_{name}__PORT": str(port) for name, port in ports.items()}

        async def started(*arguments: str) -> Child:
            name = "-".join((service, *arguments))
            child = await start_child(
                f"{service} {' '.join(arguments)}",
                [*sandbox.prefix, *folder.argv(*arguments)],
                env=folder.environment() | told,
                log=logs / f"{name}.log",
                directory=folder.work,
            )
            stack.push_async_callback(child.kill)
            return child

        await _is_alone(service, folder, sandbox, logs)
        for arguments in (["--help"], ["migrate"], ["migrate"]):  # the second finds nothing to do
            child = await started(*arguments)
            await _ended_well(child, await asyncio.wait_for(child.wait(), _COMMAND_SECONDS))
        processes = {await started("api"): http, await started("worker"): ops}
        for child, port in processes.items():
            await _ready(child, f"http://127.0.0.1:{port}/{service}/health/ready")
        for child in processes:
            await _ended_well(child, await child.stop(within=_END_SECONDS))
    for each in sorted(logs.iterdir()):
        said = [line for line in each.read_text().splitlines() if any(w in line for w in _REFUSED_WRITES)]
        if said:
            raise CheckFailed(f"{each.stem} tried to write where it may not: {said[0]}")


def _told(service: str, folder: Folder, *, dsn: str, bootstrap: str, place: Path) -> dict[str, str]:
    """Nobody else is there, and a service gets ready all the same. Files go to the image's volumes."""
    settings = settings_of(
        service,
        dsn=dsn,
        broker=Broker(bootstrap, "embedded"),
        addresses=Addresses.behind_one_port(9),
        kept=Secrets.kept_in(place),
        directory=place,
        shift=timedelta(),
    )
    if service == "documents":
        settings |= {
            "storage_url": folder.inside("/var/lib/documents").as_uri(),
            "seal_directory": str(folder.inside("/var/lib/seal")),
        }
    return as_environment(service, settings)


async def _is_alone(service: str, folder: Folder, sandbox: Sandbox, logs: Path) -> None:
    for stranger in (*_STRANGERS, *(other for other in SERVICES if other != service)):
        child = await start_child(
            stranger,
            [*sandbox.prefix, str(folder.python), "-c", f"import {stranger}"],
            env=folder.environment(),
            log=logs / "strangers",
            directory=folder.work,
        )
        if await child.wait() == 0:
            raise CheckFailed(f"{stranger} can be imported, so this is not the service alone")
    said = (logs / "strangers").read_text()
    if said.count("ModuleNotFoundError") != len(_STRANGERS) + len(SERVICES) - 1:
        raise CheckFailed(f"Python does not run in the image: {said[-400:]}")


async def _ended_well(child: Child, status: int) -> None:
    if status not in {0, -signal.SIGTERM}:
        raise CheckFailed(f"{child.name} ended with {status}\n{child.last_lines(20)}")


async def _ready(child: Child, address: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    last = "no answer"
    async with httpx.AsyncClient(timeout=2) as client:
        while time.monotonic() < deadline:
            if child.returncode is not None:
                await _ended_well(child, child.returncode or 1)
            try:
                answer = await client.get(address)
                if answer.is_success:
                    return
                last = f"status {answer.status_code} {answer.text}"
            except httpx.TransportError as error:
                last = type(error).__name__
            await asyncio.sleep(0.1)
    raise CheckFailed(f"{child.name} is not ready after {_READY_SECONDS} s: {last}\n{child.last_lines(20)}")


if __name__ == "__main__":
    sys.exit(main())
