"""Child processes that never outlive the process that started them."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.errors import LocalError

_PR_SET_PDEATHSIG: Final = 1
# Loaded before any fork: a forked child of a process with threads must not load libraries.
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int, *, by: signal.Signals = signal.SIGKILL) -> None:
    """Make the kernel send `by` to this process when the thread that started it ends.

    For the child, between fork and exec. `parent` is the pid it was forked from: where that one has died in
    between, no signal will come, so the child ends at once. Only Linux can do this.
    """
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def dying_with(parent: int, *, by: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """`die_with_parent` as a `preexec_fn`."""
    return lambda: die_with_parent(parent, by=by)


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    log: Path
    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.returncode

    async def wait(self) -> int:
        return await self.process.wait()

    async def kill(self) -> int:
        """End it without a chance to tidy up (-9), and answer its return code."""
        return await self._signal(signal.SIGKILL, within=None)

    async def stop(self, within: float = 25) -> int:
        """Ask it to end, kill it after `within` seconds, and answer its return code."""
        return await self._signal(signal.SIGTERM, within=within)

    async def _signal(self, by: signal.Signals, *, within: float | None) -> int:
        if self.process.returncode is None:
            self.process.send_signal(by)
        try:
            return await asyncio.wait_for(self.process.wait(), within)
        except TimeoutError:
            return await self.kill()

    def last_lines(self, count: int = 1) -> str:
        """What it wrote last, for the line that says why it ended."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return "\n".join(lines[-count:])


async def start_child(
    name: str,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    directory: Path | None = None,
    identity: Mapping[str, Any] | None = None,
) -> Child:
    """Start `argv` with exactly the environment `env`; what it prints is appended to `log`.

    `identity` are the arguments `user`, `group` and `extra_groups` of subprocess, where it is another one's.

    It has a session of its own: Ctrl-C reaches only us, and we end our children in order. Call it from the
    thread that lives as long as the child may: the kernel ends the child with that thread.
    """
    try:
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=dict(env),
                cwd=directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=dying_with(os.getpid()),
                **(identity or {}),
            )
    except OSError as error:
        raise LocalError(f"{name} does not start: {(error.strerror or str(error)).lower()}") from error
    return Child(name, log, process)
