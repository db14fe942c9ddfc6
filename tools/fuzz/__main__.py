"""`make fuzz`: schemathesis against every service of a platform of its own, with a token of every role."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from local.configuration import AUDIENCE, ISSUER, SERVICES
from tools.running import platform

_HERE: Final = Path(__file__).parent
_ENVIRONMENT: Final = Path("build/fuzz")
_RUN_SECONDS: Final = 240
_GP_RPPS: Final = "10001234565"
_REAL: Final = 0.75  # how often an id is one that exists
_CONFIGURATION: Final = (
    'hooks = "tools.fuzz.rules"',
    "max-stream-events = 1",
    "cache.enabled = false",
    "generation.allow-x00 = false",  # no text in PostgreSQL holds NUL; a 422 says so
    "[checks.missing_required_header]",
    'expected-statuses = ["400", "401", "403", "404", "409", "415", "422", "428"]',  # 428: If-Match, RFC 6585
    "[[operations]]",  # OpenAPI 3.1 can say of a stream only that it is text
    'include-operation-id = "stream_appointment"',
    "checks.response_schema_conformance.enabled = false",
)

# Those that end something come last, so that the others still find it. Who has nothing to do in a service
# makes only a few calls there: every answer must be a refusal that is documented.
_ORDER: Final = ("documents", "claims", "payment", "booking")
_AT_HOME: Final[Mapping[str, frozenset[str]]] = {
    "pharmacist": frozenset({"documents"}),
    "service": frozenset({"booking", "claims"}),
    "support": frozenset({"booking", "payment", "claims"}),
    "practitioner": frozenset({"booking", "claims", "documents"}),
    "patient": frozenset(SERVICES),
    "administrator": frozenset({"booking", "payment", "claims"}),
}


@dataclass(frozen=True, slots=True)
class People:
    """What the journeys left behind: who there is, and which ids are real."""

    tokens: Mapping[str, str]
    values: Mapping[str, Sequence[Any]]


@dataclass(slots=True)
class Tally:
    cases: int = 0
    operations: int = 0
    accepted: int = 0
    failures: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # how schemathesis tells of them, with a curl line each


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=12, help="random cases of each kind per operation")
    parser.add_argument("--service", action="append", choices=SERVICES, help="only this one")
    parser.add_argument("--role", action="append", choices=sorted(_AT_HOME), help="only this one")
    parser.add_argument("--front", help="a platform that runs already, with --data", metavar="URL")
    parser.add_argument("--data", type=Path, help="where that platform keeps its data", metavar="DIRECTORY")
    told = parser.parse_args()
    began = time.monotonic()
    print(f"seed {told.seed}")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        if told.front:
            tallies = _fuzz(told.front, told.data, Path(scratch), told)
        else:
            with platform(Path(scratch) / "data") as front:
                tallies = _fuzz(front, Path(scratch) / "data", Path(scratch), told)
    failed = _show(tallies)
    print(f"{time.monotonic() - began:.0f} s; again with SEED={told.seed}")
    return 1 if failed else 0


def _fuzz(front: str, data: Path, scratch: Path, told: argparse.Namespace) -> dict[str, Tally]:
    people = _people(front, data)
    tallies = {service: Tally() for service in SERVICES}
    for role, home in _AT_HOME.items():
        for service in _ORDER:
            if (told.service and service not in told.service) or (told.role and role not in told.role):
                continue
            at_home = service in home
            report = _run(front, service, role, people, scratch, told=told, at_home=at_home)
            _count(tallies[service], report, service=service, role=role)
    return tallies


def _people(front: str, data: Path) -> People:
    steps = {}
    for line in (data / "journeys.jsonl").read_text(encoding="utf-8").splitlines():
        if line.strip():
            noted = json.loads(line)
            steps[noted["step"]] = noted["result"]
    gp = steps["practitioner.gp"]
    secrets = json.loads((data / "secrets.json").read_text(encoding="utf-8"))
    with httpx.Client(base_url=front, timeout=20) as http:

        def token(**form: str) -> str:
            answer = http.post(f"{ISSUER}/token", data={"audience": AUDIENCE, **form}).raise_for_status()
            return str(answer.json()["access_token"])

        def person(role: str, subject: str, **more: str) -> str:
            return token(grant_type="urn:dev:person", role=role, subject=subject, **more)

        someone = steps["administrator"]
        tokens = {
            "patient": person("patient", steps["1.1.account"]),
            "practitioner": person("practitioner", gp["subject"], rpps=_GP_RPPS),
            "pharmacist": person("pharmacist", someone),
            "support": person("support", someone),
            "administrator": person("administrator", someone),
            "service": token(
                grant_type="client_credentials",
                client_id="documents",
                client_secret=secrets["documents.client"],
            ),
        }
        return People(tokens, _values(http, steps, tokens))


def _values(
    http: httpx.Client, steps: Mapping[str, Any], tokens: Mapping[str, str]
) -> Mapping[str, Sequence[Any]]:
    """Ids of journey 1, which the patient may see, and of the next ones, which are somebody else's."""

    def got(path: str, role: str = "patient", **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {tokens[role]}"}
        return http.get(path, headers=headers, params=query).raise_for_status().json()

    appointments = [steps[f"1.{number}.appointment"]["id"] for number in ("1", "2", "7")]
    patients = [steps[f"1.{number}.patient"] for number in ("1", "2")]
    documents = got(f"/documents/v1/patients/{patients[0]}/documents")["items"]
    offers = got(f"/booking/v1/practitioners/{steps['practitioner.gp']['id']}/offers", limit=20)["items"]
    care = got(f"/claims/v1/appointments/{appointments[0]}/care-act")
    cards = []
    for number in ("5555555555554444", "4000000000000002", "4000002760003184"):
        card = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        cards.append(http.post("/simulators/card/tokens", json=card).raise_for_status().json()["token"])
    return {
        "path.appointment_id": appointments,
        "path.patient_id": patients,
        "path.practitioner_id": [steps["practitioner.gp"]["id"], steps["practitioner.psychologist"]["id"]],
        "path.card_id": [steps["1.1.card"], steps["1.2.card"]],
        "path.preview_id": [steps["1.1.preview"], steps["1.2.preview"]],
        "path.leg_id": [each["id"] for each in care["legs"]],
        "path.revision": [1, 2],
        "path.document_id": [each["id"] for each in documents],
        "path.number": [each["number"] for each in documents if each.get("number")] or ["unknown"],
        "query.appointment_id": appointments,
        "query.patient_id": patients,
        "body.offer_id": [each["id"] for each in offers],
        "body.patient_id": patients,
        "body.practitioner_id": [steps["practitioner.gp"]["id"]],
        "body.preview_id": [steps["1.1.preview"]],
        "body.card_id": [steps["1.1.card"]],
        "body.provider_token": cards,
        "body.reason_code": ["fever", "chest-pain", "other"],
        "header.If-Match": ['"1"', '"2"', "*"],
    }


def _run(
    front: str,
    service: str,
    role: str,
    people: People,
    scratch: Path,
    *,
    told: argparse.Namespace,
    at_home: bool,
) -> Mapping[str, Any]:
    name = f"{service}-{role}"
    settings, report = scratch / f"{name}.toml", scratch / f"{name}.json"
    settings.write_text(_settings(people), encoding="utf-8")
    phases = "examples,coverage,fuzzing,stateful" if at_home else "fuzzing"
    # `valid_is_not_malformed` stands for positive_data_acceptance, which knows no rules of the domain
    command: list[str | Path] = [
        _ENVIRONMENT / "bin" / "st",
        *("--config-file", settings, "run", f"{front}/{service}/openapi.json"),
        *("--header", f"Authorization: Bearer {people.tokens[role]}"),
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
        *("--phases", phases, "--max-examples", str(told.examples if at_home else 2)),
        *("--seed", str(told.seed), "--generation-database", "none"),
        *("--continue-on-failure", "--max-failures", "500", "--request-timeout", "15"),
        *("--warnings", "off", "--no-color", "--report", "json", "--report-json-path", report),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
    if not report.exists():
        sys.exit(f"fuzz: schemathesis did not run on {name}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    _, _, failures = done.stdout.partition("= FAILURES =")
    told_of: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return told_of | {"said": failures.partition("= SUMMARY =")[0].strip("= \n")}


def _settings(people: People) -> str:
    """TOML is JSON here but for the equals signs."""
    lines = list(_CONFIGURATION)
    for number, values in enumerate(people.values.values()):
        lines += [f"[dictionaries.d{number}]", f"values = {json.dumps(list(values))}"]
    lines.append("[parameters]")
    lines += [
        f'"{where}" = {{ dictionary = "d{number}", probability = {_REAL} }}'
        for number, where in enumerate(people.values)
    ]
    return "\n".join(lines) + "\n"


def _count(tally: Tally, report: Mapping[str, Any], *, service: str, role: str) -> None:
    cases = report["test_cases"]["generated"]
    tally.cases += cases
    tally.operations = max(tally.operations, report["operations"]["tested"])
    accepted = sum(phase["accepted"] for each in report["valid_rates"].values() for phase in each.values())
    tally.accepted += accepted
    found = [*report["failures"], *report["errors"]]
    tally.failures += [f"{role}: {each['title']}: {', '.join(each.get('operations', ()))}" for each in found]
    if found:
        tally.said.append(f"{service} as {role}\n{report['said']}")
    print(
        f"  {service:10} {role:14} {cases:6} cases, {accepted:5} valid ones accepted, {len(found)} failures, "
        f"{report['running_time']:.0f} s",
        flush=True,
    )
    if not report["complete"]:
        tally.failures.append(f"{role}: stopped early: {report['stop_reason']}")


def _show(tallies: Mapping[str, Tally]) -> int:
    for service, tally in tallies.items():
        for each in tally.said:
            print(f"\n{each}")
        for failure in tally.failures:
            print(f"{service} {failure}")
    print(f"\n{'service':10} {'operations':>10} {'cases':>8} {'accepted':>9} {'failures':>9}")
    for service, tally in tallies.items():
        row = f"{service:10} {tally.operations:10} {tally.cases:8} {tally.accepted:9} {len(tally.failures):9}"
        print(row)
    failed = sum(len(each.failures) for each in tallies.values())
    print(f"{'all':10} {'':10} {sum(each.cases for each in tallies.values()):8} {'':9} {failed:9}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
