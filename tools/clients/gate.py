"""A validation proxy before the API: what does not fit the document is an error instead of an answer."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from local.platform import free_ports
from tools.clients.generating import BUILD, MODERN, NODE

_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 10
_NOTE_SECONDS: Final = 10
_QUIET_SECONDS: Final = 0.5  # its log comes a moment after its answers
_ERRORS: Final = "prism/errors#"


@dataclass(frozen=True, slots=True)
class Gate:
    url: str
    log: Path

    def violations(self, *, settled: bool = False) -> list[str]:
        """What it has said so far against a request or an answer; `settled`: once it writes no more."""
        size = -1
        while settled and size != (size := self.log.stat().st_size):
            time.sleep(_QUIET_SECONDS)
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [each for each in lines if _ERRORS in each]


@contextmanager
def gate(front: str, *, document: Path = MODERN, name: str = "gate") -> Iterator[Gate]:
    """Prism before the platform at `front`. Raises SystemExit with its words when it does not start."""
    [port] = free_ports(1)
    log = BUILD / f"{name}.log"
    command: list[str | Path] = [NODE / "node_modules/.bin/prism", "proxy", document, front, "--errors"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with log.open("w", encoding="utf-8") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if child.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"clients: the proxy did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.1)
        yield Gate(f"http://127.0.0.1:{port}", log)
    finally:
        child.terminate()
        child.wait(_STOP_SECONDS)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def prove_it_sees(front: str) -> list[str]:
    """A proxy that lets everything pass proves nothing: a bad request and a bad answer must be caught."""
    missed = []
    with gate(front, name="gate-bad-request") as real:
        answer = httpx.post(
            f"{real.url}/claims/v1/previews", json={"care_on": 5}, headers={"Authorization": "Bearer x"}
        )
        if not (_is_error_of_proxy(answer) and _is_noted(real)):
            missed.append(f"the proxy let a bad request pass: {answer.status_code} {answer.text[:200]}")
    wrong = BUILD / "wrong.json"
    wrong.write_text(json.dumps(_with_wrong_reasons()), encoding="utf-8")
    with gate(front, document=wrong, name="gate-bad-answer") as mistaken:
        answer = httpx.get(f"{mistaken.url}/booking/v1/reasons")
        if not (_is_error_of_proxy(answer) and _is_noted(mistaken)):
            missed.append(f"the proxy let a bad answer pass: {answer.status_code} {answer.text[:200]}")
    return missed


def _is_noted(before: Gate) -> bool:
    """Its log comes a moment after its answer."""
    deadline = time.monotonic() + _NOTE_SECONDS
    while not before.violations() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(before.violations())


def _is_error_of_proxy(answer: httpx.Response) -> bool:
    return answer.is_error and _ERRORS in answer.json().get("type", "")


def _with_wrong_reasons() -> Any:
    """The document, but with numbers where the API answers with the codes of reasons."""
    document = json.loads(MODERN.read_text(encoding="utf-8"))
    answer = document["paths"]["/booking/v1/reasons"]["get"]["responses"]["200"]
    wrong = {"type": "object", "required": ["items"], "properties": {"items": {"type": "integer"}}}
    answer["content"]["application/json"] = {"schema": wrong}
    return document
