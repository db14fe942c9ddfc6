import sys
from pathlib import Path

import pytest

from local.errors import LocalError
from local.processes import start_child
from support.eventually import eventually

IGNORES_TERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


async def test_a_child_that_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    child = await start_child("stubborn", [sys.executable, "-c", IGNORES_TERM], env={}, log=tmp_path / "log")
    await eventually(lambda: "ready" in child.last_lines(), within=10)

    assert await child.stop(within=0.2) == -9


async def test_a_child_sees_the_environment_it_was_given_and_no_other(tmp_path: Path) -> None:
    code = "import os; print(sorted(name for name in os.environ if name not in {'LC_CTYPE'}))"

    child = await start_child("curious", [sys.executable, "-c", code], env={"ONE": "1"}, log=tmp_path / "log")

    assert await child.wait() == 0
    assert child.last_lines() == "['ONE']"


async def test_a_program_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"^ghost does not start: no such file or directory$"):
        await start_child("ghost", ["/no/such/program"], env={}, log=tmp_path / "log")
