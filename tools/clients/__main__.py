"""`make clients`: clients in four languages, compiled; two play the journeys through a validating proxy."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from local.journeys import report
from local.journeys.report import Claim, Document, Outcome
from local.journeys.script import JOURNEYS
from tools.clients import gate, plan
from tools.clients.generating import (
    BUILD,
    ENVIRONMENT,
    LANGUAGES,
    PLAYERS,
    Generated,
    generate,
    node_packages,
)
from tools.running import platform, report_of

_FIGURES: Final = Path("build/figures/clients.json")
_NEEDED: Final = ("node", "npm", "java", "mvn")
_AT_A_TIME: Final = 2
_PLAYED: Final = ("typescript", "python")
_PLAY_SECONDS: Final = 300
_WIDTH: Final = 132

Row = Mapping[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make clients", description=__doc__)
    parser.add_argument("--language", action="append", choices=sorted(LANGUAGES), help="only this one")
    told = parser.parse_args()
    for needed in _NEEDED:
        if shutil.which(needed) is None:
            sys.exit(f"clients: needs {needed}; install it and try again")
    began = time.monotonic()
    node_packages()
    generated = _generate([each for each in LANGUAGES if each in (told.language or LANGUAGES)])
    findings = [finding for each in generated for finding in each.findings]
    players = [each for each in _PLAYED if each in {made.language for made in generated}]
    data = BUILD / "platform"
    shutil.rmtree(data, ignore_errors=True)
    with platform(data) as front:
        wanted = json.loads(report_of(data).read_text(encoding="utf-8"))
        findings += gate.prove_it_sees(front)
        with gate.gate(front) as before:
            for number, language in enumerate(players):
                findings += _play(language, front, before.url, run=2 + number, wanted=wanted)
            if "python" in players:
                findings += _call(front, before.url)
            violations = before.violations(settled=True)
    for each in [*findings, *violations]:
        print(each, file=sys.stderr)
    seconds = time.monotonic() - began
    print(f"{len(findings)} findings, {len(violations)} contract violations, {seconds:.0f} s")
    if told.language is None:  # a part says nothing of the whole
        _write_figures(generated, players, findings, violations, seconds)
    return 1 if findings or violations else 0


def _generate(languages: Sequence[str]) -> list[Generated]:
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        made = list(pool.map(generate, languages))
    for each in made:
        counted = f"{each.lines:6} lines, {each.amounts:3} amounts, {len(each.findings)} findings"
        print(f"{each.language:10} {counted}", flush=True)
    return made


def _play(language: str, front: str, through: str, *, run: int, wanted: list[Row]) -> list[str]:
    """Every journey with the client of this language: they end as those of the platform's own player did."""
    file = BUILD / f"plan-{language}.json"
    plan.write(file, run=run)
    done = _run_player(language, "journey", front, str(file), through)
    if done.returncode:
        return [f"{language}: the journeys ended with\n{done.stderr[-3000:]}"]
    rows = json.loads(done.stdout)
    ours, theirs = _table(rows), _table([_comparable(each) for each in wanted])
    print(f"\n{language}, through the proxy\n{ours}", flush=True)
    if ours == theirs:
        return []
    return [f"{language}: another table than the platform's own player prints:\n{theirs}"]


def _call(front: str, through: str) -> list[str]:
    done = _run_player("python", "calling", front, through)
    print(done.stdout, flush=True)
    return [f"ways of calling: {done.stderr[-3000:]}"] if done.returncode else []


def _run_player(language: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    commands: Mapping[str, list[str | Path]] = {
        "typescript": ["node", BUILD / f"typescript/built/{script}.js"],
        "python": [ENVIRONMENT / "python", PLAYERS / f"{script}.py"],
    }
    command = ["env", f"PYTHONPATH={BUILD / 'python'}", *commands[language], *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_PLAY_SECONDS, check=False)
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode(errors="replace")
        return subprocess.CompletedProcess(command, 1, "", f"{said}\nnot done after {_PLAY_SECONDS} s")


def _comparable(row: Row) -> Row:
    """Without what differs between two runs of a journey: the files, and what payers' services were asked."""
    documents = [{"kind": each["kind"], "folder": each["folder"]} for each in row["documents"]]
    return {name: value for name, value in row.items() if name != "rights"} | {"documents": documents}


def _table(rows: Sequence[Row]) -> str:
    """As `make run` prints it, by the same function."""
    journeys = {each.number: each for each in JOURNEYS}
    console = Console(file=StringIO(), width=_WIDTH, highlight=False)
    report.show(console, [(journeys[row["number"]], _outcome(row)) for row in rows])
    console.file.seek(0)
    return console.file.read()


def _outcome(row: Row) -> Outcome:
    return Outcome(
        **{
            **row,
            "claims": tuple(Claim(**each) for each in row["claims"]),
            "documents": tuple(Document(**each, file="") for each in row["documents"]),
            "rights": {},
            "explanations": tuple(row["explanations"]),
            "explanations_en": tuple(row["explanations_en"]),
        }
    )


def _write_figures(
    generated: Sequence[Generated],
    players: Sequence[str],
    findings: Sequence[str],
    violations: Sequence[str],
    seconds: float,
) -> None:
    _FIGURES.parent.mkdir(parents=True, exist_ok=True)
    figures = {
        "compiled": sorted(each.language for each in generated),
        "lines": sum(each.lines for each in generated),
        "amounts": sum(each.amounts for each in generated),
        "empty_or_any": sum(len(each.findings) for each in generated),
        "journeys": len(JOURNEYS) * len(players),
        "findings": len(findings),
        "violations": len(violations),
        "seconds": round(seconds),
    }
    _FIGURES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
