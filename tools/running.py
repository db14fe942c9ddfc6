"""A platform of one's own, for tools that call it: started, the journeys played, ended with the tool."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from local.platform import free_ports

_START_SECONDS: Final = 180
_STOP_SECONDS: Final = 60


def report_of(data: Path) -> Path:
    return data.with_suffix(".report.json")


@contextmanager
def platform(data: Path, *, record: Path | None = None) -> Iterator[str]:
    """Its address; `data` keeps what it stores, its log and the report of its journeys lie beside.

    What is asked and answered goes into the file `record`.
    """
    port = free_ports(1)[0]
    print("starting a platform; it plays the journeys first ...", flush=True)
    log = data.with_suffix(".txt")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as output:
        command = [sys.executable, "-m", "local", "--data", str(data), "--port", str(port)]
        command += ["--report", str(report_of(data))]
        command += ["--record", str(record)] if record else []
        child = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while "serving until" not in log.read_text(encoding="utf-8"):
            if child.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the platform did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(_STOP_SECONDS)
