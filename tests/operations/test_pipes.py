"""A command whose output nobody reads to its end, as before `| head`, ends without a traceback."""

import asyncio
import os
import sys

import pytest

from common.messaging import tasks
from support.records import NOW

TASKS = 3000  # more than a pipe holds


@pytest.mark.parametrize(
    "arguments",
    [
        ("tasks", "list", "--open", "--limit", str(TASKS)),
        ("dead-letters", "list"),
        ("keys", "rotate"),
        ("housekeeping",),
    ],
    ids=lambda each: each[0],
)
async def test_a_closed_pipe_ends_a_command_quietly(installed, sessions_on, arguments) -> None:
    booking = await installed("booking")
    async with sessions_on(booking.database).begin() as session:
        for number in range(TASKS):
            tasks.add(session, "call", f"key-{number:05}", due_at=NOW)
    read, write = os.pipe()
    os.close(read)
    try:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "booking", *arguments),
            env=booking.environment(),
            stdout=write,
            stderr=asyncio.subprocess.PIPE,
        )
    finally:
        os.close(write)

    _, said = await asyncio.wait_for(child.communicate(), timeout=60)

    assert b"Traceback" not in said
    assert b"BrokenPipe" not in said
    assert child.returncode == 141
