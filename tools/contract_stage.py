"""`make contract-stage`: what users of the contracts use them with, one after the other, and its figures."""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_PARTS: Final = {"contracts-lint": "", "examples": "--check", "clients": "", "fuzz": ""}  # with their ARGS
_FIGURES: Final = Path("build/figures")
_PLATFORM: Final = Path("docs/openapi/platform.json")
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
_BEGIN: Final = "<!-- figures: begin -->"
_END: Final = "<!-- figures: end -->"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make contract-stage", description=__doc__)
    parser.add_argument("--document", type=Path, metavar="FILE", help="put the figures into this page too")
    told = parser.parse_args()
    seconds: dict[str, int] = {}
    failed: list[str] = []
    for part, arguments in _PARTS.items():
        print(f"-- {part}", flush=True)
        began = time.monotonic()
        command = ["make", "--no-print-directory", f"ARGS={arguments}", part]
        if subprocess.run(command, check=False).returncode:
            failed.append(part)
        seconds[part] = round(time.monotonic() - began)
    if failed:
        print(f"contract stage: failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    rows = _rows(seconds)
    width = max(map(len, rows))
    print("\n" + "\n".join(f"{name:{width}}  {value}" for name, value in rows.items()))
    if told.document:
        _write(told.document, rows)
    return 0


def _rows(seconds: Mapping[str, int]) -> dict[str, str]:
    """All parts were green: a finding of the linters, or a failure, would have ended them otherwise."""
    document = json.loads(_PLATFORM.read_text(encoding="utf-8"))
    operations = sum(len(_METHODS & item.keys()) for item in document["paths"].values())
    examples, clients, fuzz = (_figures(part) for part in ("examples", "clients", "fuzz"))
    return {
        "operations": str(operations),
        "schemas": str(len(document["components"]["schemas"])),
        "findings of spectral, redocly and the AsyncAPI parser": "0",
        "operations whose example a running platform confirms": str(examples["confirmed"]),
        "clients compiled": ", ".join(clients["compiled"]),
        "lines generated": f"{clients['lines']:,}",
        "amounts in them, all integers": str(clients["amounts"]),
        "generated lines with an empty class or an any": str(clients["empty_or_any"]),
        "journeys played by generated clients through the proxy": str(clients["journeys"]),
        "contract violations seen by the proxy": str(clients["violations"]),
        "schemathesis cases": f"{fuzz['cases']:,}",
        "schemathesis valid cases accepted": f"{fuzz['accepted']:,}",
        "schemathesis failures": str(fuzz["failures"]),
        **{f"seconds of make {part}": str(spent) for part, spent in seconds.items()},
        "seconds of the stage": str(sum(seconds.values())),
    }


def _figures(name: str) -> Any:
    return json.loads((_FIGURES / f"{name}.json").read_text(encoding="utf-8"))


def _write(page: Path, rows: Mapping[str, str]) -> None:
    """Between the page's two marks. Raises ValueError where they are missing."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for figures")
    table = ["| what | figure |", "|---|--:|", *(f"| {name} | {value} |" for name, value in rows.items())]
    text = "\n".join(table)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
