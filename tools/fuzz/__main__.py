"""`make fuzz`: schemathesis on every service of a platform of its own, as every role and as strangers."""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from local.configuration import SERVICES
from local.examples import operations
from tools.fuzz.people import NOT_REACHED, people
from tools.fuzz.roles import ROLES, WITHOUT_ROLE
from tools.fuzz.runs import Failure, Outcome, Pair, RunFailed, pairs, run
from tools.running import platform

_FIGURES: Final = Path("build/figures/fuzz.json")
_AT_A_TIME: Final = 2
# What was made ready for payment ends with a change of the coverage, and most things end in booking.
_WAVES: Final = (("payment", "documents"), ("claims",), ("booking",))


@dataclass(slots=True)
class Tally:
    """What came of one service. `failures` are told once, with the roles that met them."""

    operations: frozenset[str] = frozenset()
    cases: int = 0
    seconds: float = 0.0  # of its runs, two of which go on at a time
    accepted: Counter[str] = field(default_factory=Counter)
    failures: defaultdict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    blocks: dict[str, str] = field(default_factory=dict)

    def add(self, role: str, outcome: Outcome) -> None:
        self.cases += outcome.cases
        self.seconds += outcome.seconds
        self.accepted.update(outcome.accepted)
        for failure in outcome.failures:
            self.fail(role, failure)

    def fail(self, role: str, failure: Failure) -> None:
        self.failures[failure.operation, failure.title].append(role)
        self.blocks.setdefault(failure.operation, f"(as {role})\n{failure.block}")

    def expect_successes(self) -> None:
        """An operation that never accepted anything was not tried at all, whatever it refused."""
        for name in sorted(self.operations - NOT_REACHED):
            if not self.accepted[name]:
                self.failures[name, "never accepted valid data"].append("every role")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--deep", action="store_true", help="every boundary with every role, more random cases"
    )
    parser.add_argument("--service", action="append", choices=SERVICES, help="only this one")
    parser.add_argument("--role", action="append", choices=(*ROLES, *WITHOUT_ROLE), help="only this one")
    parser.add_argument("--front", help="a platform that runs already, with --data", metavar="URL")
    parser.add_argument("--data", type=Path, help="where that platform keeps its data", metavar="DIRECTORY")
    parser.add_argument("--keep", type=Path, help="what schemathesis was told and said", metavar="DIRECTORY")
    told = parser.parse_args()
    if (told.front is None) is not (told.data is None):
        parser.error("--front and --data go together")
    began = time.monotonic()
    print(f"seed {told.seed}")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        kept = told.keep or Path(scratch)
        kept.mkdir(parents=True, exist_ok=True)
        try:
            if told.front:
                tallies = _fuzz(told.front, told.data, kept, told)
            else:
                with platform(Path(scratch) / "data") as front:
                    print(f"the platform runs after {time.monotonic() - began:.0f} s", flush=True)
                    tallies = _fuzz(front, Path(scratch) / "data", kept, told)
        except RunFailed as error:
            sys.exit(f"fuzz: {error}")
    failed = _show(tallies, told.seed, time.monotonic() - began)
    print(f"{time.monotonic() - began:.0f} s; again with SEED={told.seed}")
    return 1 if failed else 0


def _fuzz(front: str, data: Path, scratch: Path, told: argparse.Namespace) -> dict[str, Tally]:
    whom = people(front, data)
    print("what the requests need is there", flush=True)
    tallies: dict[str, Tally] = {}
    planned: list[Pair] = []
    for service in told.service or SERVICES:
        document = httpx.get(f"{front}/{service}/openapi.json").raise_for_status().json()
        tallies[service] = Tally(frozenset(each["operationId"] for _, _, each in operations(document)))
        planned += pairs(service, document, deep=told.deep)
    planned = [each for each in planned if told.role is None or each.role in told.role]
    tried = partial(run, front, whom=whom, scratch=scratch, seed=told.seed, deep=told.deep)
    for services in _WAVES:
        wave = [each for each in planned if each.service in services]
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            for pair, outcome in zip(wave, pool.map(tried, wave), strict=True):
                tallies[pair.service].add(pair.role, outcome)
                _tell(pair, outcome)
    if told.role is None:
        for tally in tallies.values():
            tally.expect_successes()
    return tallies


def _tell(pair: Pair, outcome: Outcome) -> None:
    accepted = sum(outcome.accepted.values())
    print(
        f"  {pair.service:10} {pair.role:14} {outcome.cases:6} cases, {accepted:5} valid ones accepted, "
        f"{len(outcome.failures)} failures, {outcome.seconds:.0f} s",
        flush=True,
    )


def _show(tallies: Mapping[str, Tally], seed: int, seconds: float) -> int:
    """The failures and the table; the figures as JSON. Answers how many failures there were."""
    for service, tally in tallies.items():
        for line in _said(service, tally, seed):
            print(line)
    head = ("service", "operations", "cases", "accepted", "failures", "seconds")
    print("\n" + _row(head))
    rows = {service: _figures([tally]) for service, tally in tallies.items()}
    whole = _figures(list(tallies.values())) | {"seconds": round(seconds)}
    for name, row in {**rows, "all": whole}.items():
        print(_row((name, *row.values())))
    _FIGURES.parent.mkdir(parents=True, exist_ok=True)
    figures = json.dumps(whole | {"services": rows}, indent=2)
    _FIGURES.write_text(figures + "\n", encoding="utf-8")
    return whole["failures"]


def _said(service: str, tally: Tally, seed: int) -> Iterator[str]:
    for operation, block in tally.blocks.items():
        yield f"\n{service}: {operation} {block}"
    for (operation, title), roles in tally.failures.items():
        yield f"\n{service}: {operation}: {title}: {', '.join(roles)}"
        only = "" if roles == ["every role"] else f" --role {roles[0]}"
        yield f'  make fuzz SEED={seed} ARGS="--service {service}{only}"'


def _row(cells: Sequence[object]) -> str:
    first, *rest = cells
    return f"{first:10}" + "".join(f"{cell:>11}" for cell in rest)


def _figures(tallies: Sequence[Tally]) -> dict[str, int]:
    return {
        "operations": sum(len(each.operations) for each in tallies),
        "cases": sum(each.cases for each in tallies),
        "accepted": sum(each.accepted.total() for each in tallies),
        "failures": sum(len(each.failures) for each in tallies),
        "seconds": round(sum(each.seconds for each in tallies)),
    }


if __name__ == "__main__":
    sys.exit(main())
