"""(i) From nothing to a platform that answers, and the memory it then takes."""

from pathlib import Path
from time import perf_counter
from typing import Final

import psutil

from bench.ground import Ground, Scale
from bench.platforms import Started, one_process
from bench.report import Part

_MEGABYTE: Final = 1024 * 1024
_MOST: Final = 3  # of the repetitions: each is a start from an empty directory


async def measure(ground: Ground, scale: Scale) -> Part:
    part = Part("i", "cold start")
    cold, kept, memory = [], [], []
    for number in range(min(scale.repetitions, _MOST)):
        directory = ground.directory / f"cold-{number}"
        seconds, _ = await _start(directory)
        cold.append(seconds)
        seconds, megabytes = await _start(directory)
        kept.append(seconds)
        memory.append(megabytes)
    part.state("to ready from an empty directory", "s", cold)
    part.state("to ready with data kept", "s", kept)
    for name in memory[0]:
        part.state(f"memory when ready (PSS), {name}", "MB", [each[name] for each in memory])
    part.notes.append("one process with four services and simulators; database server and broker beside it")
    return part


async def _start(directory: Path) -> tuple[float, dict[str, float]]:
    began = perf_counter()
    async with one_process(directory) as platform:
        return perf_counter() - began, _memory(platform)


def _memory(platform: Started) -> dict[str, float]:
    """Proportional set sizes in megabytes: a page that several processes share counts once."""
    [child] = platform.processes
    services = psutil.Process(child.pid)
    sizes = {"services": _size(services), "PostgreSQL": 0.0, "broker": 0.0}
    for each in services.children(recursive=True):
        sizes["PostgreSQL" if "postgres" in each.name() else "broker"] += _size(each)
    return sizes


def _size(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / _MEGABYTE
