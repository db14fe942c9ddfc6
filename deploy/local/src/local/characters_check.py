"""Prescriptions with texts of every kind of character, issued one after the other in one process.

Each is refused with its field, or issued with a text equal to its data. The plain prescription after it has
the same bytes as before.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from common.printable import composed, unprintable
from documents.api.schemas import PrescriptionCreate
from documents.domain.assembly import line_of
from documents.domain.content import Prescription
from documents.rendering.render import RenderFailed
from documents.rendering.renderer import render_and_sign
from documents.rendering.samples import samples
from documents.signing import Seal

# Ranges of code points, by the kind of character that users paste into texts.
KINDS: Final = {
    "latin": ((0x41, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF)),
    "punctuation": ((0x20, 0x40), (0xA0, 0xBF), (0x2010, 0x2044)),
    "symbols": ((0x2070, 0x218B), (0x2190, 0x22FF), (0x3B1, 0x3C9)),
    "emoji": ((0x1F300, 0x1FAFF), (0x2600, 0x27BF)),
    "keycaps": ((0xFE0F, 0xFE0F), (0x20E3, 0x20E3), (0x30, 0x39)),
    "joiners and families": ((0x200B, 0x200F), (0x1F466, 0x1F469), (0x2060, 0x2064)),
    "combining": ((0x300, 0x36F), (0x41, 0x5A)),
    "bidirectional": ((0x202A, 0x202E), (0x2066, 0x2069), (0x5D0, 0x5EA), (0x621, 0x64A)),
    "cjk": ((0x4E00, 0x4FFF), (0x3041, 0x3096), (0xAC00, 0xADFF)),
    "control": ((0x00, 0x1F), (0x7F, 0x9F)),
    "private use": ((0xE000, 0xE0FF), (0xF0000, 0xF00FF)),
    "tags and variation": ((0xE0020, 0xE007F), (0xFE00, 0xFE0F)),
}
_DRUG: Final = {"type": "drug", "label": "PARACÉTAMOL 500 mg", "dosage": "1 comprimé", "duration_days": 3}
_FIELDS: Final = ("label", "dosage", "inn")

# pdf -> what another program than ours reads in it, without white space
Read = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Count:
    """How the prescriptions ended. `faults` names each that is neither refused with its field nor right."""

    issued: int
    refused: int
    faults: tuple[str, ...]


def issue_all(number: int, *, seal: Seal, now: datetime, read: Read, seed: int = 1) -> Count:
    """Issues `number` prescriptions. `read` reads a PDF with an independent program."""
    plain = next(each for each in samples().values() if isinstance(each, Prescription))
    untouched = render_and_sign(plain, seal=seal, now=now)
    issued, refused, faults = 0, 0, []
    for place, (kind, body) in enumerate(_bodies(number, seed)):
        try:
            wanted = PrescriptionCreate.model_validate(body)
        except ValidationError as error:
            refused += 1
            faults += [f"{place} {kind}: {problem}" for problem in _not_named(error, body)]
        else:
            issued += 1
            lines = tuple(line_of(row) for row in wanted.content()["lines"])
            try:
                pdf = render_and_sign(replace(plain, lines=lines), seal=seal, now=now)
            except RenderFailed as error:
                faults.append(f"{place} {kind}: taken, and {error.code}")
            else:
                faults += [f"{place} {kind}: {problem}" for problem in _differences(read(pdf), wanted)]
        if not _same_pages(render_and_sign(plain, seal=seal, now=now), untouched):
            faults.append(f"{place} {kind}: the prescription after it is another one")
    return Count(issued, refused, tuple(faults))


def _bodies(number: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    source = random.Random(seed)  # noqa: S311 - texts to try, no secrets
    kinds = list(KINDS)
    for place in range(number):
        kind = kinds[place % len(kinds)]
        field = _FIELDS[place % len(_FIELDS)]
        text = "".join(_character(source, kind) for _ in range(source.randint(1, 12)))
        # every other text keeps what may be printed, so that many of each kind are issued
        if place // len(kinds) % 2:
            text = "".join(each for each in composed(text) if unprintable(each) is None)
        yield kind, {"folder": "drugs", "lines": [_DRUG | {field: f"1 {text} 2"}]}


def _character(source: random.Random, kind: str) -> str:
    first, last = source.choice(KINDS[kind])
    return chr(source.randint(first, last))


def _not_named(error: ValidationError, body: dict[str, Any]) -> Iterator[str]:
    """A refusal names the field whose text cannot be printed, and no other."""
    [line] = body["lines"]
    wrong = {name for name in _FIELDS if unprintable(composed(line.get(name, ""))) is not None}
    named = {each["loc"][-1] for each in error.errors()}
    if named != wrong:
        yield f"refused for {sorted(map(str, named))}, wrong is {sorted(wrong)}"


def _differences(text: str, wanted: PrescriptionCreate) -> Iterator[str]:
    for line in wanted.content()["lines"]:
        for name in _FIELDS:
            if line[name] is not None and "".join(line[name].split()) not in text:
                yield f"the paper does not show the {name}"


def _same_pages(one: bytes, other: bytes) -> bool:
    """Signatures differ each time; the pages before them must not."""
    end = one.index(b"%%EOF")
    return one[:end] == other[:end]
