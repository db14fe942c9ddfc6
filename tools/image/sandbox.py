"""How a process of the image runs: as another user, on a file system that is read-only but for volumes."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_LEFT_ALONE: Final = ("/proc", "/sys", "/dev")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`limits` are the lines that tell what this machine does not allow."""

    prefix: tuple[str, ...]
    limits: tuple[str, ...]

    @classmethod
    def of(
        cls, base: Path, root: Path, volumes: Sequence[Path], user: str, *, needed: Sequence[Path] = ()
    ) -> Self:
        """`user` is `uid` or `uid:gid`; `base` is a folder that holds `root` and takes a script.

        The process reads what is in the folders of `needed`, and Python, wherever they are.
        """
        uid, _, gid = user.partition(":")
        if os.geteuid() != 0:
            return cls((), (f"not root: runs as uid {os.geteuid()}, on a file system that it may write",))
        change = ("setpriv", f"--reuid={uid}", f"--regid={gid or uid}", "--clear-groups", "--no-new-privs")
        if shutil.which("setpriv") is None:
            return cls((), ("setpriv is missing: runs as root, on a file system that it may write",))
        kept = [Path(sys.base_prefix).resolve(), *needed]
        closed = sorted({above for each in kept if (above := _closed_above(each)) is not None})
        apart = ("unshare", "--mount", "--propagation", "private")
        probe = [*apart, "mount", "-t", "tmpfs", "none", "/mnt"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            script = base / "sandbox.sh"
            script.write_text(_script(base, root, volumes, kept, closed, change))
            return cls((*apart, "sh", str(script)), ())
        no_mounts = "the kernel allows no mounts here: the root file system is not read-only"
        if closed:
            return cls((), (no_mounts, f"uid {uid} cannot pass {closed[0]}: runs as root"))
        return cls(change, (no_mounts,))


def _closed_above(path: Path) -> Path | None:
    """The outermost folder above `path` that others may not pass."""
    for each in reversed(path.parents):
        if not stat.S_IMODE(each.stat().st_mode) & stat.S_IXOTH:
            return each
    return None


def _script(
    base: Path,
    root: Path,
    volumes: Sequence[Path],
    kept: Sequence[Path],
    closed: Sequence[Path],
    change: Sequence[str],
) -> str:
    """What happens between the new mount namespace and the process: nothing of it is seen outside."""
    lines = ["set -eu"]
    # A closed folder is covered by an empty one that lets pass, and what is needed is put back at its place.
    hidden = {each: base / f"kept-{number}" for number, each in enumerate(kept) if _closed_above(each)}
    for each, aside in hidden.items():
        lines += [f"mkdir -p {_q(aside)}", f"mount --bind {_q(each)} {_q(aside)}"]
    lines += [f"mount -t tmpfs -o mode=755 none {_q(each)}" for each in closed]
    for each, aside in hidden.items():
        lines += [f"mkdir -p {_q(each)}", f"mount --bind {_q(aside)} {_q(each)}"]
    lines += [f"mount --bind {_q(each)} {_q(each)}" for each in volumes]
    keep = "|".join([*(f"{each}|{each}/*" for each in _LEFT_ALONE), *(_q(each) for each in volumes)])
    lines += [
        "awk '{print $5}' /proc/self/mountinfo | while read -r at; do",
        f'    case "$at" in {keep}) ;; *) mount -o remount,bind,ro "$at" ;; esac',
        "done",
        f"if touch {_q(root / 'written')} 2>/dev/null; then echo 'the root can be written' >&2; exit 70; fi",
    ]
    return "\n".join([*lines, f'exec {shlex.join(change)} -- "$@"', ""])


def _q(path: Path) -> str:
    return shlex.quote(str(path))
