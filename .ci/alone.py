"""One service in an environment of its own: it migrates a fresh database, gets ready, ends when told to."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from local import postgres
from local.configuration import SERVICES, Addresses, Broker, Secrets, as_environment, settings_of

_READY_SECONDS: Final = 60
_END_SECONDS: Final = 30
_HTTP_OK: Final = 200
_STRANGERS: Final = ("pytest", "mypy", "local", "simulators")


def main(service: str, python: str) -> int:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        with postgres.running(directory / "postgres", databases=[service], durable=False) as server:
            return _check(service, python, dsn=server.dsn(service), directory=directory)


def _check(service: str, python: str, *, dsn: str, directory: Path) -> int:
    for stranger in (*_STRANGERS, *(other for other in SERVICES if other != service)):
        if (
            subprocess.run([python, "-c", f"import {stranger}"], capture_output=True, check=False).returncode
            == 0
        ):
            return _failed(service, f"{stranger} can be imported, so this is not the service alone")
    port = _free_port()
    environment = _environment(service, dsn=dsn, directory=directory, port=port)
    environment |= {"PATH": "/usr/bin:/bin", "HOME": str(directory), "PYTHONUNBUFFERED": "1"}
    began = time.monotonic()
    for argv in (["--help"], ["migrate"], ["migrate"]):  # the second finds nothing to do
        done = _run([python, "-m", service, *argv], environment, directory)
        if done.returncode != 0:
            return _failed(service, f"{' '.join(argv)} ended with {done.returncode}", done.stdout)
    log = directory / "api.log"
    with log.open("wb") as output:
        api = subprocess.Popen(
            [python, "-m", service, "api"],
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        answer = _ready(api, f"http://127.0.0.1:{port}/{service}/health/ready")
        if answer != "ready":
            return _failed(service, answer, log.read_text())
        api.send_signal(signal.SIGTERM)
        code = api.wait(_END_SECONDS)
    finally:
        api.kill()
        api.wait()
    if code not in {0, -signal.SIGTERM}:
        return _failed(service, f"api ended with {code} when it was told to", log.read_text())
    print(f"{service}: alone, migrated and ready after {time.monotonic() - began:.1f} s")  # noqa: T201
    return 0


def _environment(service: str, *, dsn: str, directory: Path, port: int) -> dict[str, str]:
    """Nobody else is there: no broker, no issuer, no provider. The API is ready all the same."""
    nowhere = Addresses.behind_one_port(9)
    told = settings_of(
        service,
        dsn=dsn,
        broker=Broker("127.0.0.1:9", "kafka"),
        addresses=nowhere,
        kept=Secrets.kept_in(directory),
        directory=directory,
        shift=timedelta(),
    )
    return as_environment(service, told | {"http": {"port": port}})


def _run(argv: Sequence[str], environment: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _ready(api: subprocess.Popen[bytes], url: str) -> str:
    deadline = time.monotonic() + _READY_SECONDS
    last = "no answer"
    while time.monotonic() < deadline:
        if api.poll() is not None:
            return f"api ended with {api.returncode} before it was ready"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
                if answer.status == _HTTP_OK:
                    return "ready"
                last = f"status {answer.status}"
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            last = str(error)
        time.sleep(0.1)
    return f"not ready within {_READY_SECONDS} s: {last}"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _failed(service: str, why: str, said: str = "") -> int:
    print(f"{service}: {why}", *said.splitlines()[-20:], sep="\n  ", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
