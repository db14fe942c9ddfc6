"""`make fuzz`: schemathesis against every service of a platform of its own, with a token of every role."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from local.configuration import SERVICES
from tools.fuzz.people import People, people
from tools.running import platform

_ENVIRONMENT: Final = Path("build/fuzz")
_FIGURES: Final = Path("build/figures/fuzz.json")
_RUN_SECONDS: Final = 1200
_ROLES: Final = ("pharmacist", "service", "administrator", "support", "practitioner", "patient")
_AT_A_TIME: Final = 2
_REAL: Final = 0.75  # how often an id is one that exists

# What no request of this run can bring about. Every other operation has to accept something.
_NOT_REACHED: Final = {
    "report_patient_absent": "the time of the appointment has to pass",
    "report_practitioner_absent": "the time of the appointment has to pass",
    "receive_provider_event": "the card provider signs it",
    "price_unpriced_care": "the tables have to change",
}


@dataclass(frozen=True, slots=True)
class Pair:
    service: str
    role: str
    mine: Sequence[str]  # the operations that this role may call
    swept: Sequence[str]  # those among them of which this run tries every boundary
    others: Sequence[str]  # must refuse this role

    @property
    def name(self) -> str:
        return f"{self.service}-{self.role}"


@dataclass(slots=True)
class Tally:
    operations: set[str] = field(default_factory=set)
    cases: int = 0
    accepted: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # how schemathesis tells of them, with a curl line each


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--deep", action="store_true", help="every boundary with every role, more random cases"
    )
    parser.add_argument("--service", action="append", choices=SERVICES, help="only this one")
    parser.add_argument("--role", action="append", choices=sorted(_ROLES), help="only this one")
    parser.add_argument("--front", help="a platform that runs already, with --data", metavar="URL")
    parser.add_argument("--data", type=Path, help="where that platform keeps its data", metavar="DIRECTORY")
    parser.add_argument("--keep", type=Path, help="what schemathesis was told and said", metavar="DIRECTORY")
    told = parser.parse_args()
    began = time.monotonic()
    print(f"seed {told.seed}")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        kept = told.keep or Path(scratch)
        kept.mkdir(parents=True, exist_ok=True)
        if told.front:
            tallies = _fuzz(told.front, told.data, kept, told)
        else:
            with platform(Path(scratch) / "data") as front:
                print(f"the platform runs after {time.monotonic() - began:.0f} s")
                tallies = _fuzz(front, Path(scratch) / "data", kept, told)
    if told.role is None:
        for tally in tallies.values():
            tally.failures += [
                f"nobody: {name} never accepted valid data"
                for name in sorted(tally.operations - _NOT_REACHED.keys())
                if not tally.accepted[name]
            ]
    failed = _show(tallies, time.monotonic() - began)
    print(f"{time.monotonic() - began:.0f} s; again with SEED={told.seed}")
    return 1 if failed else 0


def _fuzz(front: str, data: Path, scratch: Path, told: argparse.Namespace) -> dict[str, Tally]:
    whom = people(front, data)
    print("prepared", flush=True)
    tallies = {service: Tally() for service in SERVICES}
    pairs = list(_plan(front, told))
    # What was made ready for payment ends with a change of the coverage, and most things end in booking.
    for services in (("payment", "documents"), ("claims",), ("booking",)):
        wave = [each for each in pairs if each.service in services]
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            for pair, report in zip(
                wave, pool.map(lambda pair: _run(front, pair, whom, scratch, told), wave), strict=True
            ):
                _count(tallies[pair.service], pair, report)
    return tallies


def _plan(front: str, told: argparse.Namespace) -> Iterator[Pair]:
    for service in ("documents", "claims", "payment", "booking"):
        if told.service and service not in told.service:
            continue
        roles = _roles_of(httpx.get(f"{front}/{service}/openapi.json").raise_for_status().json())
        for role in _ROLES:
            if told.role and role not in told.role:
                continue
            mine = [each for each, may in roles.items() if role in may]
            swept = mine if told.deep else [each for each in mine if roles[each][-1] == role]
            yield Pair(service, role, mine, swept, [each for each in roles if each not in mine])


def _roles_of(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Who may call each operation, as the document says, in the order of _ROLES; else everybody."""
    found = {}
    for path in document["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict) and "operationId" in operation:
                named = re.search(r"^Roles: (.*)\.$", operation.get("description", ""), re.MULTILINE)
                roles = named[1].split(", ") if named else _ROLES
                found[operation["operationId"]] = [role for role in _ROLES if role in roles]
    return found


def _run(front: str, pair: Pair, whom: People, scratch: Path, told: argparse.Namespace) -> Mapping[str, Any]:
    kinds = ("toml", "examples", "json", "notes")
    settings, examples, report, notes = (scratch / f"{pair.name}.{kind}" for kind in kinds)
    settings.write_text(_settings(pair, whom), encoding="utf-8")
    ready = {name: each for name, each in whom.examples.items() if name in pair.mine}
    examples.write_text(json.dumps(ready), encoding="utf-8")
    command: list[str | Path] = [
        *("env", f"FUZZ_ROLE={pair.role}", f"FUZZ_NOTES={notes}", f"FUZZ_EXAMPLES={examples}"),
        _ENVIRONMENT / "bin" / "st",
        *("--config-file", settings, "run", f"{front}/{pair.service}/openapi.json"),
        *("--header", f"Authorization: Bearer {whom.tokens[pair.role]}"),
        *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "12" if told.deep else "6"),
        *("--seed", str(told.seed), "--generation-database", "none"),
        *("--continue-on-failure", "--max-failures", "500", "--request-timeout", "15"),
        *("--warnings", "off", "--no-color", "--report", "json", "--report-json-path", report),
    ]
    examples = scratch / f"{pair.name}.examples"
    examples.write_text(
        json.dumps({each: whom.examples[each] for each in pair.mine if each in whom.examples})
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
    if not report.exists():
        sys.exit(
            f"fuzz: schemathesis did not run on {pair.name}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
    (scratch / f"{pair.name}.out").write_text(done.stdout)
    _, _, failures = done.stdout.partition("= FAILURES =")
    told_of: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return told_of | {
        "said": failures.partition("= SUMMARY =")[0].strip("= \n"),
        "notes": json.loads(notes.read_text(encoding="utf-8")),
    }


_CONFIGURATION: Final = (
    'hooks = "tools.fuzz.rules"',
    "max-stream-events = 1",
    "phases.stateful.generation.max-examples = 30",
    "cache.enabled = false",
    "checks.positive_data_acceptance.enabled = false",  # see tools/fuzz/rules.py
    "checks.missing_required_header.expected-statuses = [400, 401, 403, 406, 415, 422, 428]",
    "generation.allow-x00 = false",  # no text in PostgreSQL holds NUL; a 422 says so
)


def _settings(pair: Pair, whom: People) -> str:
    """TOML is JSON here but for the equals signs."""
    lines = list(_CONFIGURATION)
    for number, values in enumerate(whom.values.values()):
        lines += [f"[dictionaries.d{number}]", f"values = {json.dumps(list(values))}"]
    lines.append("[parameters]")
    lines += [
        f'"{where}" = {{ dictionary = "d{number}", probability = {_REAL} }}'
        for number, where in enumerate(whom.values)
    ]
    lines += _operation(
        [each for each in pair.mine if each not in pair.swept], "phases.coverage.enabled = false"
    )
    lines += _operation(
        pair.others,
        "phases.coverage.enabled = false",
        "phases.examples.enabled = false",
        "generation.max-examples = 1",
    )
    if "stream_appointment" in pair.mine:
        lines += _operation(["stream_appointment"], "checks.response_schema_conformance.enabled = false")
    return "\n".join(lines) + "\n"


def _operation(names: Sequence[str], *settings: str) -> list[str]:
    return ["[[operations]]", f"include-operation-id = {json.dumps(list(names))}", *settings] if names else []


def _count(tally: Tally, pair: Pair, report: Mapping[str, Any]) -> None:
    cases = report["test_cases"]["generated"]
    tally.cases += cases
    for name, noted in report["notes"].items():
        tally.operations.add(name)
        tally.accepted[name] += noted["accepted"]
    found = [*report["failures"], *report["errors"]]
    tally.failures += [
        f"{pair.role}: {each['title']}: {', '.join(each.get('operations', ()))}" for each in found
    ]
    if found:
        tally.said.append(f"{pair.service} as {pair.role}\n{report['said']}")
    accepted = sum(each["accepted"] for each in report["notes"].values())
    print(
        f"  {pair.service:10} {pair.role:14} {cases:6} cases, {accepted:5} valid ones accepted, "
        f"{len(found)} failures, {report['running_time']:.0f} s",
        flush=True,
    )
    if not report["complete"]:
        tally.failures.append(f"{pair.role}: stopped early: {report['stop_reason']}")


def _show(tallies: Mapping[str, Tally], seconds: float) -> int:
    """The failures and the table; the figures as JSON. Answers how many failures there were."""
    for service, tally in tallies.items():
        for each in tally.said:
            print(f"\n{each}")
        for failure in tally.failures:
            print(f"{service} {failure}")
    head = ("service", "operations", "cases", "accepted", "failures")
    print(f"\n{head[0]:10} {head[1]:>10} {head[2]:>8} {head[3]:>9} {head[4]:>9}")
    rows = {service: _figures([tally]) for service, tally in tallies.items()}
    rows["all"] = _figures(list(tallies.values()))
    for name, row in rows.items():
        print(f"{name:10} {row['operations']:10} {row['cases']:8} {row['accepted']:9} {row['failures']:9}")
    _FIGURES.parent.mkdir(parents=True, exist_ok=True)
    figures = rows["all"] | {"seconds": round(seconds), "services": rows}
    _FIGURES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return rows["all"]["failures"]


def _figures(tallies: Sequence[Tally]) -> dict[str, int]:
    return {
        "operations": sum(len(each.operations) for each in tallies),
        "cases": sum(each.cases for each in tallies),
        "accepted": sum(each.accepted.total() for each in tallies),
        "failures": sum(len(each.failures) for each in tallies),
    }


if __name__ == "__main__":
    sys.exit(main())
