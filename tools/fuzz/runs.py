"""One run of schemathesis: one service, called by one of the people; what came of it."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.examples import operations
from tools.fuzz.people import People
from tools.fuzz.roles import ROLES, WITHOUT_ROLE

ENVIRONMENT: Final = Path("build/fuzz")
_RUN_SECONDS: Final = 1200
_PHASES: Final = "examples,coverage,fuzzing,stateful"
_FEW_PHASES: Final = "examples,fuzzing"  # without a token nothing is made that could be followed
_EXAMPLES: Final = 6  # random cases of each operation and kind
_DEEP_EXAMPLES: Final = 12
_LINE: Final = 1000  # a body may be megabytes
_REAL: Final = 0.75  # how often an id is one that exists
# 413, 414: data that is too long may be so long that the body or the URL is
_REFUSALS: Final = [400, 401, 403, 404, 405, 409, 413, 414, 415, 422, 428, 429]
_CONFIGURATION: Final = (
    'hooks = "tools.fuzz.rules"',
    "max-stream-events = 1",
    "phases.stateful.generation.max-examples = 30",
    "cache.enabled = false",
    "checks.positive_data_acceptance.enabled = false",  # see tools/fuzz/rules.py
    f"checks.negative_data_rejection.expected-statuses = {_REFUSALS}",
    "checks.missing_required_header.expected-statuses = [400, 401, 403, 406, 415, 422, 428]",
    "generation.allow-x00 = false",  # no text in PostgreSQL holds NUL; a 422 says so
)
_NO_BOUNDARIES: Final = ("phases.coverage.enabled = false",)
_ONCE: Final = (*_NO_BOUNDARIES, "phases.examples.enabled = false", "generation.max-examples = 1")
# The schema of an event stream describes its text, and schemathesis reads single events; where all facts
# are known already none comes.
_STREAM: Final = ("checks.response_schema_conformance.enabled = false", "request-timeout = 3")


class RunFailed(Exception):
    """schemathesis itself did not work; what it said."""


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


@dataclass(frozen=True, slots=True)
class Failure:
    operation: str  # GET /booking/v1/...; empty where schemathesis names none
    title: str
    block: str  # how schemathesis tells of it, with a curl line


@dataclass(frozen=True, slots=True)
class Outcome:
    cases: int
    seconds: float
    accepted: Mapping[str, int]  # valid data answered 2xx, by operation
    failures: Sequence[Failure]


def pairs(service: str, document: Mapping[str, Any], *, deep: bool) -> Iterator[Pair]:
    """Every role on a service. Boundaries are tried by one role for each operation; by all if `deep`."""
    roles = _roles_of(document)
    for role in (*WITHOUT_ROLE, *ROLES):
        mine = [each for each, may in roles.items() if role in may]
        swept = mine if deep else [each for each in mine if roles[each][-1] == role]
        yield Pair(service, role, mine, swept, [each for each in roles if each not in mine])


def _roles_of(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Who may call each operation: the roles it names, else every role; anybody where no token is asked."""
    found = {}
    for _, _, operation in operations(document):
        named = re.search(r"^Roles: (.*)\.$", operation.get("description", ""), re.MULTILINE)
        roles = named[1].split(", ") if named else ROLES
        anybody = () if operation["security"] else WITHOUT_ROLE
        found[operation["operationId"]] = [*anybody, *(role for role in ROLES if role in roles)]
    return found


def run(front: str, pair: Pair, whom: People, scratch: Path, *, seed: int, deep: bool) -> Outcome:
    """What schemathesis is told and says stays in `scratch`. Raises RunFailed when it comes to no end."""
    kinds = ("toml", "examples", "json", "notes", "out")
    settings, examples, report, notes, said = (scratch / f"{pair.name}.{kind}" for kind in kinds)
    settings.write_text(_settings(pair, whom), encoding="utf-8")
    ready = {name: each for name, each in whom.examples.items() if name in pair.mine}
    examples.write_text(json.dumps(ready), encoding="utf-8")
    token = whom.tokens.get(pair.role)
    command: list[str | Path] = [
        *("env", f"FUZZ_ROLE={pair.role}", f"FUZZ_NOTES={notes}", f"FUZZ_EXAMPLES={examples}"),
        *(ENVIRONMENT / "bin" / "st", "--config-file", settings),
        *("run", f"{front}/{pair.service}/openapi.json"),
        *(("--header", f"Authorization: Bearer {token}") if token else ()),
        *("--phases", _FEW_PHASES if pair.role in WITHOUT_ROLE else _PHASES),
        *("--max-examples", str(_DEEP_EXAMPLES if deep else _EXAMPLES)),
        *("--seed", str(seed), "--generation-database", "none"),
        *("--continue-on-failure", "--max-failures", "500", "--request-timeout", "15"),
        *("--warnings", "off", "--no-color", "--report", "json", "--report-json-path", report),
    ]
    with said.open("w", encoding="utf-8") as output:
        try:
            subprocess.run(command, stdout=output, stderr=output, timeout=_RUN_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise RunFailed(f"schemathesis still ran on {pair.name} after {_RUN_SECONDS} s") from error
    text = said.read_text(encoding="utf-8")
    if not report.exists():
        raise RunFailed(f"schemathesis did not run on {pair.name}:\n{text[-3000:]}")
    told = json.loads(report.read_text(encoding="utf-8"))
    if not told["complete"]:
        raise RunFailed(f"schemathesis stopped on {pair.name}: {told['stop_reason']}\n{text[-3000:]}")
    return Outcome(
        told["test_cases"]["generated"],
        told["running_time"],
        json.loads(notes.read_text(encoding="utf-8")),
        list(_failures(told, text)),
    )


def _failures(told: Mapping[str, Any], text: str) -> Iterator[Failure]:
    """Each failure of each operation, with the block of the output that tells of it."""
    for found in told["failures"]:
        for operation in found["operations"]:
            yield Failure(operation, found["title"], _block(text, operation))
    for found in told["errors"]:
        yield Failure("", found["title"], text.partition("= ERRORS =")[2].partition("= SUMMARY =")[0])


def _block(text: str, operation: str) -> str:
    block = re.search(rf"^_+ {re.escape(operation)} _+$(.*?)(?=^[_=]{{3,}} )", text, re.MULTILINE | re.DOTALL)
    return "\n".join(line[:_LINE] for line in block[1].strip().splitlines()) if block else ""


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
    lines += _operations([each for each in pair.mine if each not in pair.swept], _NO_BOUNDARIES)
    lines += _operations(pair.others, _ONCE)
    lines += _operations([each for each in pair.mine if each == "stream_appointment"], _STREAM)
    return "\n".join(lines) + "\n"


def _operations(names: Sequence[str], settings: Sequence[str]) -> list[str]:
    return ["[[operations]]", f"include-operation-id = {json.dumps(names)}", *settings] if names else []
