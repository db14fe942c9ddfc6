"""A real S3 server: versitygw, which Go builds from its source, on a folder."""

import re
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from local.errors import LocalError
from local.platform import free_ports
from local.processes import Child, start_child
from support.eventually import eventually
from support.production.fetched import environment, fetched, run

_MODULE: Final = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
_OLDEST_GO: Final = (1, 21)  # from then on Go brings the newer Go that a module asks for
_MEGABYTES: Final = 1000
_BUILD_SECONDS: Final = 540


def unavailable() -> str | None:
    """Why no S3 server can be built here, or None."""
    if shutil.which("go") is None:
        return "go is missing"
    said = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False)  # noqa: S607
    version = re.match(r"go(\d+)\.(\d+)", said.stdout)
    if version is None or (int(version[1]), int(version[2])) < _OLDEST_GO:
        return (
            f"{said.stdout.strip() or 'go'} is too old: the S3 server needs {'.'.join(map(str, _OLDEST_GO))}"
        )
    return None


async def program() -> Path:
    """Built once. Raises LocalError where it cannot be."""
    if (reason := unavailable()) is not None:
        raise LocalError(f"no S3 server here: {reason}")

    async def make(fresh: Path) -> None:
        told = {"GOBIN": str(fresh), "GOFLAGS": "-mod=mod"}
        await run("go", ["go", "install", _MODULE], directory=fresh, told=told, within=_BUILD_SECONDS)

    return (await fetched("versitygw", _MODULE, make, megabytes=_MEGABYTES)) / "versitygw"


@dataclass(frozen=True, slots=True)
class Bucket:
    """`folder` is where the server keeps its objects as files."""

    name: str
    folder: Path
    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """What a process must be told beside `s3://...`, by the names that every S3 client reads."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }


@asynccontextmanager
async def running(directory: Path, name: str) -> AsyncIterator[Bucket]:
    """The bucket `name`, empty. Raises LocalError where no server can run."""
    binary = await program()
    buckets = directory / "buckets"
    (buckets / name).mkdir(parents=True)
    (directory / "attributes-of-objects").mkdir()
    [port] = free_ports(1)
    bucket = Bucket(name, buckets / name, f"http://127.0.0.1:{port}", "production", secrets.token_urlsafe(24))
    told = {"ROOT_ACCESS_KEY": bucket.access_key, "ROOT_SECRET_KEY": bucket.secret_key}
    argv = [str(binary), "--port", f"127.0.0.1:{port}", "--health", "/health", "--quiet", "posix"]
    argv += ["--sidecar", str(directory / "attributes-of-objects"), str(buckets)]
    child = await start_child("s3", argv, env=environment() | told, log=directory / "s3.log")
    try:
        await eventually(lambda: _answers(child, f"{bucket.endpoint}/health"), within=30)
        yield bucket
    finally:
        await child.stop()


async def _answers(child: Child, url: str) -> bool:
    if child.returncode is not None:
        raise LocalError(f"the S3 server ended: {child.last_lines(3)}")
    async with httpx.AsyncClient(timeout=5) as client:
        try:
            return (await client.get(url)).is_success
        except httpx.TransportError:
            return False
