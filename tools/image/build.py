"""Builds what a Dockerfile describes in a folder that was empty, without Docker.

Three things differ. An absolute path of the Dockerfile becomes that path below the folder. A virtual
environment stands in for the Python of the image, so `--system` is left out. Only root gives files away, so
`chown` does nothing for anybody else.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.image.dockerfile import Context, Copy, Dockerfile, Run

_PYTHON: Final = "/opt/python"  # inside the folder
_NOT_PASSED_ON: Final = ("PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS")
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_ABSOLUTE: Final = re.compile(r"(?<![\w.$}/:-])/(?=\w)")  # not the slash inside a relative path or an address


class BuildFailed(Exception):
    """A step of the build ended badly; the message says which and what it said last."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The root of the image. `base` holds files of ours that are not part of it."""

    base: Path
    image: Dockerfile
    arguments: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.base / "root"

    @property
    def work(self) -> Path:
        return self.inside(self.image.directory)

    @property
    def python(self) -> Path:
        return self.inside(_PYTHON) / "bin" / "python"

    @property
    def volumes(self) -> list[Path]:
        return [self.inside(each) for each in self.image.volumes]

    def inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def moved(self, text: str) -> str:
        """`text` with its absolute paths moved into the folder."""
        return _ABSOLUTE.sub(lambda _: f"{self.root}/", text)

    def environment(self) -> dict[str, str]:
        """What a process of the image sees, besides what it is told when it is started."""
        own = {name: self.moved(value) for name, value in self.image.environment.items()}
        first = (
            [str(self.python.parent)]
            if os.geteuid() == 0
            else [str(self.base / "shims"), str(self.python.parent)]
        )
        return self.arguments | {"PATH": ":".join((*first, _PATH)), "LC_ALL": "C.UTF-8"} | own

    def argv(self, *arguments: str) -> list[str]:
        """What a container that is given these arguments runs."""
        return [*self.image.entrypoint, *(arguments or self.image.command)]


def build(base: Path, image: Dockerfile, context: Context, arguments: dict[str, str]) -> Folder:
    """Raises BuildFailed."""
    folder = Folder(base, image, arguments)
    base.chmod(0o755)  # another user enters it
    folder.work.mkdir(parents=True)
    for each in folder.volumes:
        each.mkdir(parents=True, exist_ok=True)
    folder.inside("/tmp").mkdir(exist_ok=True)  # noqa: S108 - the image's own, which every base image has
    folder.inside("/tmp").chmod(0o1777)  # noqa: S108
    shims = base / "shims"
    shims.mkdir()
    (shims / "chown").write_text("#!/bin/sh\n")
    (shims / "chown").chmod(0o755)
    home = folder.python.parent.parent
    subprocess.run([sys.executable, "-m", "venv", "--symlinks", str(home)], check=True)
    for step in image.steps:
        if isinstance(step, Copy):
            copy(folder, step, context)
        else:
            run(folder, step)
    return folder


def copy(folder: Folder, step: Copy, context: Context) -> None:
    """Raises BuildFailed when there is nothing to copy."""
    target = folder.inside(step.target) if step.target.startswith("/") else folder.work / step.target
    for source in step.sources:
        files = list(context.files(source))
        if not files:
            raise BuildFailed(f"{step.line}: {source} is not in what the build is sent")
        for each in files:
            whole = Path(source) == each
            to_folder = step.target.endswith(("/", ".")) or len(step.sources) > 1
            if whole:
                there = target / each.name if to_folder else target
            else:
                there = target / each.relative_to(source)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(context.root / each, there)


def run(folder: Folder, step: Run) -> None:
    """Raises BuildFailed with the last lines that the command wrote."""
    command = folder.moved(re.sub(r"\s--system\b", "", step.command))
    # how this machine reaches packages (proxies, certificates), but none of its Python
    outside = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}  # noqa: TID251
    environment = outside | folder.environment() | {"VIRTUAL_ENV": str(folder.python.parent.parent)}
    done = subprocess.run(
        ["sh", "-c", command],  # noqa: S607
        cwd=folder.work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildFailed("\n".join([f"RUN {step.command}", *done.stdout.splitlines()[-8:]]))


def needless(base: Path, folder: Folder, context: Context) -> list[str]:
    """The COPY lines without which the commands of `folder` run all the same.

    Each is left out once, in a fresh folder that takes the finished environment of `folder` along.
    """
    found = []
    for number, left_out in enumerate(each for each in folder.image.steps if isinstance(each, Copy)):
        without = Folder(base / str(number), folder.image, folder.arguments)
        without.base.mkdir(parents=True)
        without.work.mkdir(parents=True)
        if (folder.base / "shims").exists():
            (without.base / "shims").symlink_to(folder.base / "shims")
        without.python.parent.parent.parent.mkdir(parents=True)
        shutil.copytree(folder.python.parent.parent, without.python.parent.parent, symlinks=True)
        try:
            for step in folder.image.steps:
                if isinstance(step, Run):
                    run(without, step)
                elif step is not left_out:
                    copy(without, step, context)
        except BuildFailed:
            continue
        found.append(left_out.line)
    return found
