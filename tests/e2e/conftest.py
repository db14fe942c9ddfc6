"""The platform as a newcomer starts it: one command, an empty directory, the public HTTP API."""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.platform import free_ports


@dataclass(frozen=True, slots=True)
class Run:
    directory: Path
    status: int
    output: str
    report: list[dict[str, Any]]

    def journey(self, number: str) -> dict[str, Any]:
        return next(each for each in self.report if each["number"] == number)


async def run_once(directory: Path, *arguments: str) -> Run:
    """`make run ONCE=1 REPORT=...` on `directory`; fails with what it printed."""
    report = directory / "report.json"
    [port] = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "local", "--once", "--data", str(directory), "--port", str(port), "--report", str(report)),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), timeout=240)
    output = printed.decode()
    assert process.returncode == 0, output
    return Run(directory, process.returncode, output, json.loads(report.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
async def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return await run_once(tmp_path_factory.mktemp("platform"))
