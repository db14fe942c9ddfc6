"""The commands of docs/calling.md, run word for word beside a platform, print what the page says."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from local.journeys.player import play
from local.platform import free_ports, in_one_process

PAGE = Path(__file__).parents[2] / "docs" / "calling.md"
NEEDED = ("bash", "curl", "python3", "awk")

# Values that differ from run to run: how the page writes them, and any value of theirs.
VARIES = (
    (r"id: \d+", r"id: \d+"),
    (r"r=\d+;t=\d+", r"r=\d+;t=\d+"),
    (r"the third free time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
)


def blocks() -> list[tuple[str, list[str]]]:
    """The commands of each block of the page, and the lines that the page says they print."""
    found = []
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        said = [line[2:] for line in block.splitlines() if line.startswith("# ")]
        found.append((block, said))
    return found


def expected(line: str) -> re.Pattern[str]:
    for shown, any_value in VARIES:
        if re.search(shown, line):
            before, after = re.split(shown, line, maxsplit=1)
            return re.compile(re.escape(before) + any_value + re.escape(after), re.IGNORECASE)
    return re.compile(re.escape(line), re.IGNORECASE)


async def run(script: str, folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-u", "-c", script),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), timeout=120)
    return printed.decode()


@pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"one of {', '.join(NEEDED)} is missing")
async def test_the_commands_of_the_page_print_what_it_says(tmp_path) -> None:
    [port] = free_ports(1)
    commands = [f"BASE=http://127.0.0.1:{port}"]
    for number, (block, _) in enumerate(blocks()):
        commands += [f"echo '== {number}'", block]
    async with in_one_process(tmp_path, port=port) as platform:
        await play(platform, Console(quiet=True))
        printed = await run("\n".join(commands), tmp_path)

    parts = re.split(r"== \d+\n", printed)[1:]
    assert len(parts) == len(blocks())
    for (_, said), part in zip(blocks(), parts, strict=True):
        for line in said:
            assert expected(line).search(part), f"the page says {line!r}; printed was:\n{part}"
