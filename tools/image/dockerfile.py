"""Reads a Dockerfile, as far as ours goes, and .dockerignore; refuses what it does not know."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_IGNORED: Final = frozenset({"FROM"})  # the base image: the Python that runs this takes its place


class NotUnderstood(Exception):
    """The Dockerfile says something that this reader does not know."""


@dataclass(frozen=True, slots=True)
class Copy:
    sources: tuple[str, ...]  # relative to the context
    target: str  # as it is written: relative to the working directory, or absolute
    line: str


@dataclass(frozen=True, slots=True)
class Run:
    command: str


@dataclass(slots=True)
class Dockerfile:
    """The steps of the build in their order, and how the image runs."""

    steps: list[Copy | Run] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    user: str = "0"
    volumes: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, text: str, arguments: Mapping[str, str]) -> Self:
        """`arguments` are the build arguments. Raises NotUnderstood."""
        image = cls()
        known = dict(arguments)
        for line in _instructions(text):
            word, _, rest = line.partition(" ")
            word, rest = word.upper(), rest.strip()
            if (
                word in _IGNORED
                or image._builds(word, rest, line, known)
                or image._describes(word, rest, line)
            ):
                continue
            raise NotUnderstood(line)
        return image

    def _builds(self, word: str, rest: str, line: str, known: dict[str, str]) -> bool:
        """Takes an instruction that the build carries out; false for another one."""
        match word:
            case "ARG":
                name, _, default = rest.partition("=")
                known.setdefault(name, default)
            case "ENV":
                for each in shlex.split(_expanded(rest, known)):
                    name, equals, value = each.partition("=")
                    if not equals:
                        raise NotUnderstood(line)
                    self.environment[name] = known[name] = value
            case "WORKDIR":
                self.directory = _absolute(line, rest)
            case "COPY":
                words = shlex.split(_expanded(rest, known))
                if len(words) < 2 or any(each.startswith("--") for each in words):  # noqa: PLR2004
                    raise NotUnderstood(line)
                self.steps.append(Copy(tuple(words[:-1]), words[-1], line))
            case "RUN":
                if rest.startswith(("[", "--")):
                    raise NotUnderstood(line)
                self.steps.append(Run(rest))
            case _:
                return False
        return True

    def _describes(self, word: str, rest: str, line: str) -> bool:
        """Takes an instruction about how the image runs; false for another one."""
        match word:
            case "VOLUME":
                self.volumes += [_absolute(line, each) for each in _words(line, rest)]
            case "USER":
                self.user = rest
            case "ENTRYPOINT":
                self.entrypoint = _words(line, rest)
            case "CMD":
                self.command = _words(line, rest)
            case _:
                return False
        return True


def _instructions(text: str) -> Iterator[str]:
    """Each instruction on one line; comments may stand between the lines of one."""
    kept = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    whole = ""
    for line in kept:
        if line.rstrip().endswith("\\"):
            whole += line.rstrip()[:-1]
        else:
            yield (whole + line).strip()
            whole = ""
    if whole:
        raise NotUnderstood(whole)


def _expanded(text: str, known: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: known.get(found[1] or found[2], ""), text)


def _absolute(line: str, path: str) -> str:
    if not path.startswith("/"):
        raise NotUnderstood(line)
    return path


def _words(line: str, rest: str) -> list[str]:
    """The form that is a JSON list: the other one goes through a shell of its own."""
    try:
        words = json.loads(rest)
    except ValueError:
        raise NotUnderstood(line) from None
    if not isinstance(words, list) or not all(isinstance(each, str) for each in words):
        raise NotUnderstood(line)
    return words


@dataclass(frozen=True, slots=True)
class Context:
    """The files below `root` that Docker sends: all but those of .dockerignore, where the last rule wins."""

    root: Path
    rules: tuple[tuple[re.Pattern[str], bool], ...]  # pattern, and whether it lets files in again

    @classmethod
    def of(cls, root: Path) -> Self:
        file = root / ".dockerignore"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        rules = []
        for line in (each.strip() for each in lines):
            if line and not line.startswith("#"):
                again = line.startswith("!")
                rules.append((_pattern(line.removeprefix("!").strip("/")), again))
        return cls(root, tuple(rules))

    def files(self, source: str) -> Iterator[Path]:
        """Relative to `root`: the file `source`, or all files below the folder `source`, that are sent."""
        start = self.root / source
        found = [start] if start.is_file() else sorted(start.rglob("*"))
        for each in found:
            relative = each.relative_to(self.root)
            if each.is_file() and self.sends(relative):
                yield relative

    def sends(self, relative: Path) -> bool:
        sent = True
        whole = [*reversed(relative.parents[:-1]), relative]  # a rule for a folder holds for what is in it
        for pattern, again in self.rules:
            if any(pattern.fullmatch(str(each)) for each in whole):
                sent = again
        return sent


def _pattern(rule: str) -> re.Pattern[str]:
    """Docker's patterns: `*` and `?` stay within a name, `**` is any number of folders."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", rule)
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile(
        "".join(words.get(each) or (each if each.startswith("[") else re.escape(each)) for each in parts)
    )
