"""What a person reads when the platform cannot start here: one clear line."""

import asyncio
import socket
import sys
from pathlib import Path


async def _start(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "local", "--once"),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), timeout=60)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        status, said = await _start("--data", str(tmp_path), "--port", str(port))

    assert status == 1
    assert said.startswith(f"make run: port {port} is in use")
    assert said.count("\n") == 1


async def test_a_directory_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")

    status, said = await _start("--data", str(in_the_way / "data"))

    assert status == 1
    assert said.startswith("make run: cannot use")
    assert said.count("\n") == 1
