"""Writes every generated file of the contracts, or says which are stale or break what was released."""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from common.events.base import Event
from common.events.catalogue import CATALOGUE
from common.events.topics import TOPICS
from local.configuration import SERVICES
from tools import (
    api_compatibility,
    api_documents,
    event_documents,
    metric_documents,
    operation_problems,
    rule_documents,
    settings_document,
)
from tools.compatibility import breaks

ROOT: Final = Path(__file__).parents[1]
SCHEMAS: Final = ROOT / "libs/common/schemas"
RELEASED: Final = SCHEMAS / "released"
API: Final = ROOT / "docs/openapi"
CHANGELOG: Final = ROOT / "CHANGELOG.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="contracts", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when stale or incompatible")
    parser.add_argument("--release", metavar="REASON", help="make today's contracts the baseline")
    arguments = parser.parse_args()
    if arguments.release is not None and not arguments.release.strip():
        parser.error("a release says why: make release REASON=...")
    problems_found = operation_problems.generated(ROOT)
    if not arguments.check:
        for path, content in problems_found.items():  # the services read them when their documents are made
            path.write_text(content, encoding="utf-8")
    try:
        files = (
            problems_found
            | event_documents.generated(ROOT)
            | api_documents.generated(ROOT)
            | rule_documents.generated(ROOT)
            | metric_documents.generated(ROOT)
            | settings_document.generated(ROOT)
        )
    except ValueError as error:
        print(f"contracts: {error}")
        return 1
    problems = _stale(files) if arguments.check else _write(files)
    problems += not_upgraded(CATALOGUE)
    broken = _incompatible(files)
    if arguments.release and not problems and (not broken or _before_1_0()):
        _release(" ".join(arguments.release.split()))
        broken = []
    problems += broken
    for each in problems:
        print(each)
    print(f"contracts: {len(CATALOGUE)} events, {len(files)} generated files, {len(problems)} problems")
    return 1 if problems else 0


def _write(files: dict[Path, str]) -> list[str]:
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    for path in _strays(files):
        path.unlink()
    return []


def _stale(files: dict[Path, str]) -> list[str]:
    found = [
        f"{path.relative_to(ROOT)} is stale: run `make docs`"
        for path, content in files.items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    ]
    return found + [f"{path.relative_to(ROOT)} belongs to nothing" for path in _strays(files)]


def _strays(files: dict[Path, str]) -> list[Path]:
    """Schemas and examples left behind by a model that is gone."""
    folders = (SCHEMAS / "examples", SCHEMAS / "topics")
    present = [*SCHEMAS.glob("*.json"), *API.glob("*.json")]
    present += [path for folder in folders for path in folder.rglob("*.json")]
    return [path for path in present if path not in files]


def _incompatible(files: dict[Path, str]) -> list[str]:
    """What the code says now, beside what was released; whether the files are current is another question."""
    found: list[str] = []
    for path in sorted(RELEASED.glob("*.json")):
        current = SCHEMAS / path.name
        if current not in files:
            found.append(f"{path.stem}: released, and gone; readers may still meet it")
            continue
        old, new = json.loads(path.read_text(encoding="utf-8")), json.loads(files[current])
        found += [f"{path.stem}: {problem}. {_who_breaks(path.stem)}" for problem in breaks(old, new)]
    for service in SERVICES:
        released = API / "released" / f"{service}.json"
        if released.exists():
            old = json.loads(released.read_text(encoding="utf-8"))
            new = json.loads(files[API / released.name])
            found += [f"{service} {each}" for each in api_compatibility.breaks(old, new, service=service)]
    return found


def not_upgraded(catalogue: Mapping[tuple[str, int], type[Event]]) -> list[str]:
    """Versions whose example their `upgrade()` does not turn into one of the next version."""
    found = []
    for (kind, version), event in catalogue.items():
        newer = catalogue.get((kind, version + 1))
        if newer is None:
            continue
        try:
            body = event.model_validate_json(json.dumps(event_documents.example(event))).upgrade()
            newer.model_validate_json(body.model_dump_json())
            ok = type(body) is newer
        except (NotImplementedError, ValueError):
            ok = False
        if not ok:
            found.append(f"{kind}.v{version}: upgrade() makes no v{newer.version} of its example")
    return found


def _who_breaks(name: str) -> str:
    event = next(each for (kind, version), each in CATALOGUE.items() if f"{kind}.v{version}" == name)
    topic = TOPICS[event.topic]
    readers = ", ".join(topic.readers)
    return f"Write a V{event.version + 1} beside it; readers first: {readers}; then {topic.owner}"


def _before_1_0() -> bool:
    """Until then the baseline may move although it breaks somebody."""
    return re.search(r"^## [1-9]", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE) is None


def _release(reason: str) -> None:
    """The one writer of the baseline; its reason goes into the change log."""
    before, heading, after = CHANGELOG.read_text(encoding="utf-8").partition("## Unreleased\n")
    if not heading:
        raise SystemExit("contracts: CHANGELOG.md has no section Unreleased for the reason")
    CHANGELOG.write_text(f"{before}{heading}\n- contracts: {reason}\n{after}", encoding="utf-8")
    examples = (SCHEMAS / "examples").glob("*/example.json")
    _replace(RELEASED, {path.name: path for path in SCHEMAS.glob("*.json")})
    _replace(RELEASED / "examples", {f"{path.parent.name}.json": path for path in examples})
    _replace(API / "released", {f"{service}.json": API / f"{service}.json" for service in SERVICES})


def _replace(baseline: Path, current: dict[str, Path]) -> None:
    baseline.mkdir(parents=True, exist_ok=True)
    for path in baseline.glob("*.json"):
        path.unlink()
    for name, path in current.items():
        (baseline / name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
