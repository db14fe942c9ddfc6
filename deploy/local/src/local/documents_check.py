"""Whether documents are what a pharmacist, a fund and an archive accept: `python -m local.documents_check`.

Without arguments it starts a platform of its own, plays the journeys and checks every document they left,
asking the platform's public verification. `--samples` checks one sample of every kind, without a platform;
`--report` or a directory with a manifest.json checks files that are there already. It needs pdftotext,
pdftoppm, zbarimg, java and mvn, and installs none of them.
"""

import argparse
import asyncio
import hashlib
import json
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography.x509 import Certificate
from rich.console import Console

from common.clock import Clock
from documents import signing
from documents.domain.content import Folder, Kind, Prescription, kind_of
from documents.domain.numbers import normal_code, normal_number, same_code
from documents.rendering import mentions
from documents.rendering.render import render
from documents.rendering.renderer import render_and_sign
from documents.rendering.samples import samples
from local.characters_check import issue_all
from local.errors import LocalError
from local.journeys.api import JourneyFailed
from local.journeys.player import play
from local.paths import REPOSITORY, data_directory
from local.platform import free_ports, in_one_process

POM: Final = REPOSITORY / "tests" / "support" / "verapdf" / "pom.xml"
JARS: Final = REPOSITORY / "build" / "verapdf"
FILES: Final = REPOSITORY / "build" / "documents"
PROFILES: Final = ("2a", "ua1")
TOOLS: Final = {
    "pdftotext": "poppler-utils",
    "pdftoppm": "poppler-utils",
    "zbarimg": "zbar-tools",
    "java": "a Java runtime, 11 or newer",
    "mvn": "maven",
}
AUTHENTIC: Final = "authentic"
INVALID: Final = "invalid"
_MAIN: Final = "org.verapdf.apps.GreenfieldCliWrapper"
_TOOL_SECONDS: Final = 60
_CHARACTERS: Final = 200  # prescriptions
_VERAPDF_SECONDS: Final = 600
_HTTP_SECONDS: Final = 10

# number, code and the file -> "authentic", "invalid", "unknown" or "withdrawn"
Verify: TypeAlias = Callable[[str, str, bytes], str]


@dataclass(frozen=True, slots=True)
class Checked:
    """A sealed file and what it is said to be."""

    name: str
    kind: Kind
    folder: Folder | None
    pdf: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the result: what was looked at, what was found, and whether that is right."""

    text: str
    right: bool


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    findings: Sequence[Finding]

    @property
    def right(self) -> bool:
        return all(finding.right for finding in self.findings)


def missing_tools() -> Sequence[str]:
    """One line for each program that is not on this machine."""
    return [
        f"{tool} is missing: install {package}" for tool, package in TOOLS.items() if not shutil.which(tool)
    ]


def _run(*command: str | Path, stdin: bytes = b"", seconds: int = _TOOL_SECONDS) -> bytes:
    """What the program wrote; its exit status is no matter here, an empty answer is judged by the caller."""
    try:
        done = subprocess.run(
            [str(part) for part in command], input=stdin, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise LocalError(f"{command[0]} did not end within {seconds} s") from None
    return done.stdout


def check(
    documents: Sequence[Checked], *, verify: Verify, trust: Sequence[Certificate], now: datetime
) -> Sequence[Result]:
    """Looks at every document in every way; raises LocalError when a program is missing or cannot be had."""
    missing = missing_tools()
    if missing:
        raise LocalError("\n".join(missing))
    with tempfile.TemporaryDirectory(prefix="documents-check-") as folder:
        before, after = Path(folder) / "before", Path(folder) / "after"
        before.mkdir()
        after.mkdir()
        for place, document in enumerate(documents):
            (before / f"{place}.pdf").write_bytes(unsealed(document.pdf))
            (after / f"{place}.pdf").write_bytes(document.pdf)
        passed = _verapdf([*sorted(before.iterdir()), *sorted(after.iterdir())])
        return [
            Result(
                document.name,
                [
                    _mentions(document, after / f"{place}.pdf"),
                    _conformity("before", before / f"{place}.pdf", passed),
                    _conformity("after", after / f"{place}.pdf", passed),
                    _signature(document, trust=trust, now=now),
                    *_code(document, after / f"{place}.pdf", verify=verify, trust=trust, now=now),
                ],
            )
            for place, document in enumerate(documents)
        ]


def unsealed(pdf: bytes) -> bytes:
    """The first revision of the file: what the seal was put on."""
    end = pdf.find(b"%%EOF")
    return pdf if end < 0 else pdf[: end + len(b"%%EOF")]


def _mentions(document: Checked, path: Path) -> Finding:
    text = _run("pdftotext", "-layout", path, "-").decode(errors="replace")
    required = mentions.required(text, kind=document.kind, folder=document.folder)
    lacking = mentions.missing(text, kind=document.kind, folder=document.folder)
    found = f"mandatory mentions found {len(required) - len(lacking)}/{len(required)}"
    if lacking:
        found += f" (missing: {', '.join(row.name for row in lacking)})"
    return Finding(found, not lacking)


def _verapdf(paths: Sequence[Path]) -> frozenset[tuple[str, str]]:
    """The (file, profile) pairs that conform: one call for each profile, for all files."""
    if not paths:
        return frozenset()
    if not any(JARS.glob("*.jar")):
        _run(
            *("mvn", "-q", "-B", "-f", POM, "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"),
            seconds=_VERAPDF_SECONDS,
        )
    jars = ":".join(str(jar) for jar in sorted(JARS.glob("*.jar")))
    if not jars:
        raise LocalError(f"veraPDF cannot be had: mvn -f {POM} dependency:copy-dependencies brings no jars")
    passed = set()
    for profile in PROFILES:
        said = _run(
            *("java", "-cp", jars, _MAIN, "-f", profile, "--format", "text", *paths), seconds=_VERAPDF_SECONDS
        )
        for line in said.decode(errors="replace").splitlines():
            verdict, _, rest = line.partition(" ")
            if verdict == "PASS":
                passed.add((rest.rpartition(" ")[0], profile))
    return frozenset(passed)


def _conformity(when: str, path: Path, passed: frozenset[tuple[str, str]]) -> Finding:
    verdicts = {profile: (str(path), profile) in passed for profile in PROFILES}
    said = ", ".join(f"{profile} {'passes' if holds else 'FAILS'}" for profile, holds in verdicts.items())
    return Finding(f"veraPDF {when} signing: {said}", all(verdicts.values()))


def _signature(document: Checked, *, trust: Sequence[Certificate], now: datetime) -> Finding:
    verdict = signing.verify(document.pdf, trust=trust, now=now)
    if verdict.valid:
        return Finding(f"signature valid ({verdict.signer}, {verdict.signed_at})", right=True)
    return Finding(f"signature INVALID (intact {verdict.intact}, trusted {verdict.trusted})", right=False)


def _code(
    document: Checked, path: Path, *, verify: Verify, trust: Sequence[Certificate], now: datetime
) -> Sequence[Finding]:
    """QR code -> number and code -> authentic; one byte flipped -> invalid, for seal and verification."""
    image = path.with_suffix("")
    _run("pdftoppm", "-r", "150", "-png", path, image)
    pages = sorted(image.parent.glob(f"{image.name}-*.png"))
    if not pages:
        return [Finding("pdftoppm draws NOTHING", right=False)]
    said = _run("zbarimg", "--quiet", "--raw", pages[-1]).decode(errors="replace").strip()
    address = urlsplit(said)
    number = normal_number(address.path.rpartition("/")[2])
    [code] = parse_qs(address.query).get("code", [""])
    text = _run("pdftotext", "-layout", path, "-").decode(errors="replace")
    if number is None or not code or "/documents/v1/verifications/" not in address.path:
        return [Finding("QR code cannot be read", right=False)]
    printed = number in text and normal_code(code) in normal_code(text)
    status = verify(number, code, document.pdf)
    flipped = bytearray(document.pdf)
    flipped[len(unsealed(document.pdf)) // 2] ^= 1
    tampered = bytes(flipped)
    refused = not signing.verify(tampered, trust=trust, now=now).valid
    answer = verify(number, code, tampered)
    return [
        Finding(
            f"QR code -> {number}, {'printed beside' if printed else 'NOT printed beside'}", right=printed
        ),
        Finding(f"QR code -> verification {status}", right=status == AUTHENTIC),
        Finding(
            f"one byte flipped -> signature {'invalid' if refused else 'VALID'}, verification {answer}",
            right=refused and answer == INVALID,
        ),
    ]


def verify_over_http(base_url: str) -> Verify:
    """The public verification of a running platform: number and code first, then the hash of the file."""

    def ask(number: str, code: str, pdf: bytes) -> str:
        url = f"{base_url.rstrip('/')}/documents/v1/verifications/{number}"
        try:
            known = httpx.get(url, params={"code": code}, timeout=_HTTP_SECONDS)
            if not known.is_success or known.json()["status"] != AUTHENTIC:
                return str(known.json().get("status", f"problem {known.status_code}"))
            same = httpx.post(
                url, json={"code": code, "sha256": hashlib.sha256(pdf).hexdigest()}, timeout=_HTTP_SECONDS
            )
            return str(same.json().get("status", f"problem {same.status_code}"))
        except (httpx.HTTPError, ValueError) as problem:
            raise LocalError(
                f"the platform at {base_url} does not answer: {type(problem).__name__}"
            ) from None

    return ask


def verify_by_seal(codes: Mapping[str, str], *, trust: Sequence[Certificate], now: datetime) -> Verify:
    """Without a platform: the numbers and codes that were given out, and the seal of the file."""

    def ask(number: str, code: str, pdf: bytes) -> str:
        given = codes.get(number)
        if given is None or not same_code(given, code):
            return "unknown"
        return AUTHENTIC if signing.verify(pdf, trust=trust, now=now).valid else INVALID

    return ask


def _drawn(directory: Path, *, now: datetime) -> tuple[Sequence[Checked], Verify, Sequence[Certificate]]:
    """One sealed sample of every kind, also written into the directory for people to look at."""
    seal = signing.development_seal(directory / "seal", now=now)
    drawn, codes = [], {}
    for name, document in samples().items():
        pdf = render_and_sign(document, seal=seal, now=document.issue.issued_at)
        if unsealed(pdf) != render(document):
            raise LocalError(f"{name}: the seal changed what it was put on")
        (directory / f"{name}.pdf").write_bytes(pdf)
        codes[document.issue.number] = document.issue.verification_code
        folder = document.folder if isinstance(document, Prescription) else None
        drawn.append(Checked(f"{name}.pdf", kind_of(document), folder, pdf))
    return drawn, verify_by_seal(codes, trust=seal.trust, now=now), seal.trust


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise LocalError(f"{path} cannot be read") from None


def _listed(rows: Sequence[Mapping[str, Any]], *, beside: Path) -> Sequence[Checked]:
    found = []
    for row in rows:
        path = beside / row["file"]  # an absolute path stays what it is
        try:
            pdf = path.read_bytes()
        except OSError:
            raise LocalError(f"{path} cannot be read") from None
        folder = Folder(row["folder"]) if row["kind"] == Kind.PRESCRIPTION else None
        found.append(Checked(path.name, Kind(row["kind"]), folder, pdf))
    return found


def documents_of_report(path: Path) -> Sequence[Checked]:
    """The files of a journeys' report: its journeys with their documents (kind, folder, file)."""
    report = _read(path)
    journeys = report["journeys"] if isinstance(report, dict) else report
    rows = [document for journey in journeys for document in journey.get("documents", ())]
    return _listed(rows, beside=path.parent)


def documents_of_directory(directory: Path) -> Sequence[Checked]:
    """The files named by the directory's manifest.json: {"documents": [{kind, folder, file}]}."""
    return _listed(_read(directory / "manifest.json")["documents"], beside=directory)


def _trusted(path: Path | None) -> Sequence[Certificate]:
    """The roots of the given PEM, else of the development seal this machine's platform made."""
    if path is None:
        path = next(iter(sorted(data_directory().rglob(signing.DEVELOPMENT_FILE))), None)
    if path is None:
        raise LocalError("no seal found: start the platform once, or give --trust FILE")
    try:
        content = path.read_bytes()
        return signing.load_pem(content).trust if b"PRIVATE KEY" in content else signing.load_trust(content)
    except (OSError, signing.SealRefused):
        raise LocalError(f"{path} holds no certificate to trust") from None


async def _played(directory: Path) -> Sequence[Result]:
    """The journeys on a platform of their own, whose public verification is asked while it runs."""
    [port] = free_ports(1)
    async with in_one_process(directory, port=port) as platform:
        outcomes = await play(platform, Console(highlight=False))
        files = [document for _, outcome in outcomes for document in outcome.documents]
        documents = _listed([asdict(document) for document in files], beside=directory)
        for document in files:
            shutil.copy(document.file, FILES)
        seal = signing.development_seal(directory / "seal", now=platform.clock.now())
        return await asyncio.to_thread(
            check,
            documents,
            verify=verify_over_http(platform.addresses.apis["documents"]),
            trust=seal.trust,
            now=platform.clock.now(),
        )


def _results(arguments: argparse.Namespace) -> Sequence[Result]:
    now = Clock().now()
    FILES.mkdir(parents=True, exist_ok=True)
    # The terminal shows the findings; what the services say is in a file.
    logging.basicConfig(filename=FILES / "platform.log", filemode="w", level=logging.INFO)
    if arguments.samples:
        documents, verify, trust = _drawn(FILES, now=now)
        return check(documents, verify=verify, trust=trust, now=now)
    if arguments.report is None and arguments.directory is None:
        missing = missing_tools()
        if missing:  # said before the platform starts, not after
            raise LocalError("\n".join(missing))
        with tempfile.TemporaryDirectory(prefix="documents-check-") as folder:
            return asyncio.run(_played(Path(folder)))
    trust = _trusted(arguments.trust)
    documents = (
        documents_of_directory(arguments.directory)
        if arguments.report is None
        else documents_of_report(arguments.report)
    )
    # Without a platform nobody knows the codes: only the seal can answer.
    verify = _by_seal_alone(trust, now=now)
    if arguments.base_url is not None:
        verify = verify_over_http(arguments.base_url)
    return check(documents, verify=verify, trust=trust, now=now)


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="documents-check", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, help="PDF files with a manifest.json")
    parser.add_argument("--samples", action="store_true", help="one sample of every kind, without a platform")
    parser.add_argument("--report", type=Path, help="report of the journeys (REPORT=file.json)")
    parser.add_argument("--trust", type=Path, help="PEM of the trusted root or of the development seal")
    parser.add_argument("--base-url", help="running platform that is asked for the verification")
    return parser.parse_args(given)


def main(given: Sequence[str]) -> int:
    arguments = _arguments(given)
    # A refused seal is a finding here, not an incident with a stack trace.
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    try:
        results = _results(arguments)
    except (LocalError, JourneyFailed) as problem:
        sys.stderr.write(f"documents-check: {problem}\n")
        return 2
    for result in results:
        sys.stdout.write(f"{result.name}\n")
        for finding in result.findings:
            sys.stdout.write(f"  {'ok ' if finding.right else 'BAD'} {finding.text}\n")
    right = sum(result.right for result in results)
    sys.stdout.write(f"documents {len(results)} | all right {right} | with faults {len(results) - right}\n")
    if arguments.report is not None or arguments.directory is not None:
        return 0 if results and right == len(results) else 1
    return 0 if _characters() and results and right == len(results) else 1


def _characters() -> bool:
    """200 prescriptions of every kind of character in this process; says how they ended."""
    now = Clock().now()
    with tempfile.TemporaryDirectory(prefix="documents-check-") as folder:
        seal = signing.development_seal(Path(folder), now=now)
        count = issue_all(_CHARACTERS, seal=seal, now=now, read=_read_by_poppler)
    for fault in count.faults:
        sys.stdout.write(f"  BAD {fault}\n")
    sys.stdout.write(
        f"prescriptions of every kind of character {_CHARACTERS} | issued with their text {count.issued}"
        f" | refused with their field {count.refused} | faults {len(count.faults)}\n"
    )
    return not count.faults


def _read_by_poppler(pdf: bytes) -> str:
    return "".join(_run("pdftotext", "-", "-", stdin=pdf).decode(errors="replace").split())


def _by_seal_alone(trust: Sequence[Certificate], *, now: datetime) -> Verify:
    def ask(_number: str, _code: str, pdf: bytes) -> str:
        return AUTHENTIC if signing.verify(pdf, trust=trust, now=now).valid else INVALID

    return ask


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
