"""A service's processes as a platform starts them, on a database and a broker of the test's own."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
from sqlalchemy import URL

from local.configuration import Addresses, Broker, Secrets, as_environment, settings_of
from local.platform import free_ports
from local.processes import Child, start_child
from support.tokens import Issuer

ISSUER = Issuer()  # whose tokens the processes trust: see the fixture `trusted`

_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR")
NOWHERE = "127.0.0.1:1"


def dsn_of(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=5) as client:
        return await client.get(url)


async def answers(url: str, status: int) -> bool:
    """Whether it answers so, for `eventually`; nobody there is no answer."""
    try:
        answer = await get(url)
    except httpx.TransportError:
        return False
    assert answer.status_code == status, answer.text
    return True


@dataclass
class Installed:
    """Where a service runs and what it is told."""

    service: str
    database: URL
    directory: Path
    bootstrap_servers: str = NOWHERE
    told: dict[str, str] = field(default_factory=dict)
    port: int = 0
    ops_port: int = 0
    internal_port: int = 0

    def __post_init__(self) -> None:
        self.port, self.ops_port, self.internal_port = free_ports(3)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.service}"

    @property
    def internal(self) -> str:
        return f"http://127.0.0.1:{self.internal_port}/{self.service}"

    @property
    def ops(self) -> str:
        return f"http://127.0.0.1:{self.ops_port}/{self.service}"

    def environment(self) -> dict[str, str]:
        settings = settings_of(
            self.service,
            dsn=dsn_of(self.database),
            broker=Broker(self.bootstrap_servers, "embedded"),
            addresses=Addresses.behind_one_port(1),
            kept=Secrets.kept_in(self.directory),
            directory=self.directory,
            shift=timedelta(),
        )
        prefix = self.service.upper()
        numbers = {"HTTP": self.port, "INTERNAL": self.internal_port, "OPS": self.ops_port}
        ports = {f"{prefix}_{name}__PORT": str(number) for name, number in numbers.items()}
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}  # noqa: TID251
        return passed_on | as_environment(self.service, settings) | ports | self.told

    @asynccontextmanager
    async def process(self, *arguments: str) -> AsyncIterator[Child]:
        """`python -m SERVICE ...`; killed at the end if it has not ended by itself."""
        child = await start_child(
            " ".join((self.service, *arguments)),
            [sys.executable, "-m", self.service, *arguments],
            env=self.environment(),
            log=self.directory / f"{self.service}-{arguments[0]}.log",
        )
        try:
            yield child
        finally:
            await child.kill()

    async def run(self, *arguments: str) -> tuple[int, str]:
        """The exit status of a command, and what it said."""
        async with self.process(*arguments) as child:
            status = await child.wait()
            return status, child.last_lines(20)
