"""The merged document as clients in four languages, compiled; what was generated is read for lost fields."""

import filecmp
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BUILD: Final = Path("build/clients")
ENVIRONMENT: Final = BUILD / "env/bin"
NODE: Final = Path("build/node")
PLAYERS: Final = Path("tests/clients")
LANGUAGES: Final = ("java", "kotlin", "typescript", "python")  # what takes longest begins first
_NODE_PACKAGES: Final = Path("tools/openapi_rules")
MODERN: Final = Path("docs/openapi/platform.json")
_OLD: Final = Path("docs/openapi/platform.3.0.json")  # for generators that call 3.1 a beta
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
    "typescript": re.compile(r"^ +\S+: Record<string, never>;$|(?:[:<|\[(,] *|\bas )any\b.*", re.MULTILINE),
    "python": re.compile(
        r"^    __properties: ClassVar\[List\[str\]\] = \[\]$|^    (?!additional_properties)\w+: .*\bAny\b.*",
        re.MULTILINE,
    ),
    "java": re.compile(r"private (?:List<|Set<|Map<String, )?Object\b>? (?!instance)\w+(?: = .*)?;"),
    "kotlin": re.compile(r"^(?:data )?class \w+ *\(\s*\)|val \w+: .*\bkotlin\.Any\b.*", re.MULTILINE),
}


@dataclass(frozen=True, slots=True)
class Generated:
    language: str
    lines: int
    amounts: int
    findings: list[str]


def generate(language: str) -> Generated:
    """Raises SystemExit with what the tools said when they cannot make or compile it."""
    target = BUILD / language
    shutil.rmtree(target, ignore_errors=True)
    if language == "typescript":
        _typescript(target)
    else:
        _generate(language, target)
    return Generated(language, *_read(language, target))


def node_packages() -> None:
    """What the lock of the contract tools names, installed once."""
    lock = _NODE_PACKAGES / "package-lock.json"
    if (NODE / ".ready").exists() and filecmp.cmp(lock, NODE / lock.name, shallow=False):
        return
    NODE.mkdir(parents=True, exist_ok=True)
    for each in (lock, _NODE_PACKAGES / "package.json"):
        shutil.copy(each, NODE)
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error")
    _run("npm", "ci", "--prefix", NODE, *quiet)
    (NODE / ".ready").touch()


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"clients: {command[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def _typescript(target: Path) -> None:
    target.mkdir(parents=True)
    (target / "node_modules").symlink_to((NODE / "node_modules").resolve())
    (target / "package.json").write_text('{"type": "module"}\n', encoding="utf-8")
    for name in ("journey.ts", "tsconfig.json"):
        shutil.copy(PLAYERS / name, target)
    tools = NODE / "node_modules/.bin"
    # what has a default may be left out of a request; answers have no defaults
    _run(tools / "openapi-typescript", MODERN, "--default-non-nullable=false", "-o", target / "platform.ts")
    _run(tools / "tsc", "--project", target)


def _generate(language: str, target: Path) -> None:
    options = "apiDocs=false,modelDocs=false,apiTests=false,modelTests=false"
    generator = (ENVIRONMENT / "openapi-generator-cli", "generate", "--generator-name", language)
    _run(*generator, "--input-spec", _OLD, "--output", target, "--global-property", options)
    if language == "python":
        _run(ENVIRONMENT / "python", "-m", "compileall", "-q", target / "openapi_client")
        return
    if language == "kotlin":  # the generator writes only a file for Gradle
        shutil.copy(Path("tools/clients/kotlin.pom.xml"), target / "pom.xml")
    _run("mvn", "--quiet", "--batch-mode", "--file", target / "pom.xml", "compile", "-Dmaven.test.skip=true")


def _sources(language: str, target: Path) -> Iterator[Path]:
    for path in sorted(target.rglob(f"*.{_ENDINGS[language]}")):
        if not {"node_modules", "built", "target"} & set(path.parts) and path.name != "journey.ts":
            yield path


def amounts_and_faults(language: str, text: str) -> tuple[int, list[str]]:
    """How many amounts a generated file declares, and its lines that lost what the document says."""
    kinds = _AMOUNT[language].findall(text)
    faults = [f"an amount is {kind}" for kind in kinds if not _INTEGER[language].fullmatch(kind)]
    return len(kinds), faults + [each.group(0).strip() for each in _EMPTY[language].finditer(text)]


def _read(language: str, target: Path) -> tuple[int, int, list[str]]:
    """Lines, amounts, and what is wrong: amounts that are no integers, models that lost their fields."""
    lines = amounts = 0
    findings = []
    for path in _sources(language, target):
        text = path.read_text(encoding="utf-8")
        lines += text.count("\n")
        found, faults = amounts_and_faults(language, text)
        amounts += found
        findings += [f"{path}: {each}" for each in faults]
    return lines, amounts, findings if amounts else [f"{language}: no amount was found"]
