"""`make clients`: the merged document as clients in four languages, compiled; two of them play journeys."""

import argparse
import filecmp
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tools.running import platform

_BUILD: Final = Path("build/clients")
_ENVIRONMENT: Final = _BUILD / "env/bin"
_NODE: Final = Path("build/node")
_NODE_PACKAGES: Final = Path("tools/openapi_rules")
_MODERN: Final = Path("docs/openapi/platform.json")
_OLD: Final = Path("docs/openapi/platform.3.0.json")  # for generators that call 3.1 a beta
_JOURNEYS: Final = Path("tests/clients")
_ENDINGS: Final = {"typescript": "ts", "python": "py", "java": "java", "kotlin": "kt"}

# How an amount is declared, and what an integer is called there. A class without fields lost what it held.
_AMOUNT: Final = {
    "typescript": re.compile(r"^ +\w*cents\??: (.+);$", re.MULTILINE),
    "python": re.compile(r"^    \w*cents: (.+?)(?: = .*)?$", re.MULTILINE),
    "java": re.compile(r"^  private (\S+) \w*[cC]ents(?: = .*)?;$", re.MULTILINE),
    "kotlin": re.compile(r"^    val \w*[cC]ents: (\S+?),?(?: = .*)?$", re.MULTILINE),
}
_INTEGER: Final = {
    "typescript": re.compile(r"number( \| null)?|\{$"),
    "python": re.compile(
        r"(Optional\[)?(Annotated\[|Dict\[StrictStr, )?(Strict)?[iI]nt\b.*|Annotated\[int, .*"
    ),
    "java": re.compile(r"Long"),
    "kotlin": re.compile(r"kotlin\.Long\??"),
}
_EMPTY: Final = {
    "typescript": re.compile(r"^        \w+: (?:Record<string, never>|any);$", re.MULTILINE),
    "python": re.compile(r"^    __properties: ClassVar\[List\[str\]\] = \[\]$", re.MULTILINE),
    "java": re.compile(r"private Object (?!instance)\w+;"),
    "kotlin": re.compile(r"^class \w+ *\(\s*\)|val \w+: kotlin\.Any\b", re.MULTILINE),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make clients", description=__doc__)
    parser.add_argument("--language", action="append", choices=sorted(_ENDINGS), help="only this one")
    parser.add_argument("--front", metavar="URL", help="play against this platform, not one of our own")
    told = parser.parse_args()
    languages = told.language or list(_ENDINGS)
    for needed in ("node", "npm", "java", "mvn"):
        if shutil.which(needed) is None:
            sys.exit(f"clients: needs {needed}; install it and try again")
    findings = []
    for language in languages:
        began = time.monotonic()
        target = _BUILD / language
        shutil.rmtree(target, ignore_errors=True)
        _typescript(target) if language == "typescript" else _generate(language, target)
        lines, amounts, found = _read(language, target)
        findings += found
        spent = time.monotonic() - began
        print(
            f"{language:10} {lines:6} lines, {amounts:3} amounts, {len(found)} findings, {spent:.0f} s",
            flush=True,
        )
    for each in findings:
        print(each, file=sys.stderr)
    if told.front:
        failed = _play(told.front, languages)
    else:
        shutil.rmtree(_BUILD / "platform", ignore_errors=True)
        with platform(_BUILD / "platform") as front:
            failed = _play(front, languages)
    return 1 if failed or findings else 0


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"clients: {command[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def _typescript(target: Path) -> None:
    lock = _NODE_PACKAGES / "package-lock.json"
    if not (_NODE / ".ready").exists() or not filecmp.cmp(lock, _NODE / lock.name, shallow=False):
        _NODE.mkdir(parents=True, exist_ok=True)
        for each in (lock, _NODE_PACKAGES / "package.json"):
            shutil.copy(each, _NODE)
        _run(
            "npm",
            "ci",
            "--prefix",
            _NODE,
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel",
            "error",
        )
        (_NODE / ".ready").touch()
    target.mkdir(parents=True)
    (target / "node_modules").symlink_to((_NODE / "node_modules").resolve())
    (target / "package.json").write_text('{"type": "module"}\n', encoding="utf-8")
    for name in ("journey.ts", "tsconfig.json"):
        shutil.copy(_JOURNEYS / name, target)
    tools = _NODE / "node_modules/.bin"
    # what has a default may be left out of a request; answers have no defaults
    _run(tools / "openapi-typescript", _MODERN, "--default-non-nullable=false", "-o", target / "platform.ts")
    _run(tools / "tsc", "--project", target)


def _generate(language: str, target: Path) -> None:
    options = "apiDocs=false,modelDocs=false,apiTests=false,modelTests=false"
    generator = (_ENVIRONMENT / "openapi-generator-cli", "generate", "--generator-name", language)
    _run(*generator, "--input-spec", _OLD, "--output", target, "--global-property", options)
    if language == "python":
        _run(_ENVIRONMENT / "python", "-m", "compileall", "-q", target / "openapi_client")
        return
    if language == "kotlin":  # the generator writes only a file for Gradle
        shutil.copy(Path("tools/clients/kotlin.pom.xml"), target / "pom.xml")
    _run("mvn", "--quiet", "--batch-mode", "--file", target / "pom.xml", "compile", "-Dmaven.test.skip=true")


def _sources(language: str, target: Path) -> Iterator[Path]:
    for path in sorted(target.rglob(f"*.{_ENDINGS[language]}")):
        if not {"node_modules", "built", "target"} & set(path.parts) and path.name != "journey.ts":
            yield path


def _read(language: str, target: Path) -> tuple[int, int, list[str]]:
    """Lines, amounts, and what is wrong: amounts that are no integers, models that lost their fields."""
    lines = amounts = 0
    findings = []
    for path in _sources(language, target):
        text = path.read_text(encoding="utf-8")
        lines += text.count("\n")
        for kind in _AMOUNT[language].findall(text):
            amounts += 1
            if not _INTEGER[language].fullmatch(kind):
                findings.append(f"{path}: an amount is {kind}")
        findings += [f"{path}: {each}" for each in _EMPTY[language].findall(text)]
    return lines, amounts, findings if amounts else [f"{language}: no amount was found"]


def _play(front: str, languages: list[str]) -> bool:
    played: dict[str, list[str | Path]] = {
        "typescript": ["node", _BUILD / "typescript/built/journey.js", front, _JOURNEYS / "journeys.json"],
        "python": [_ENVIRONMENT / "python", _JOURNEYS / "journey.py", front],
    }
    environment = {"PYTHONPATH": str(_BUILD / "python"), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    codes = [
        subprocess.run(command, env=environment, check=False).returncode
        for language, command in played.items()
        if language in languages
    ]
    return any(codes)


if __name__ == "__main__":
    sys.exit(main())
