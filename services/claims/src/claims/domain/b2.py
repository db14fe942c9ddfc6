"""A B2-style fixed-width export, version 0: what a public schema confirms, and marked apart what nobody does.

The specification of the norm is not public. Each field says whether its position is confirmed, and by what:
"derived schema" is a public schema derived from the norm, "ours" is a place that we chose so that a whole
file can be tried out. Such a field, and the records that hold nothing else, are written only when asked for.
A fund would need its own, confirmed version beside this one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from claims.domain.calendar import day_in_paris
from claims.domain.claimfile import Batch, BatchUnrenderable, Claim, refuse_insured

VERSION: Final = 0
WIDTH: Final = 128
_NIR: Final = 13
_NUMBER: Final = 15  # with its key
_GENERAL: Final = "amo:general"


@dataclass(frozen=True, slots=True)
class Field:
    """A position counted from 1, its length, and who says so."""

    name: str
    first: int
    length: int
    confirmed: bool
    source: str


_DERIVED: Final = "derived schema"
_OURS: Final = "ours"
_KIND: Final = Field("record", 1, 3, confirmed=False, source="record types as usually listed")

# By kind of record, in the order of a file. Amounts are cents without separator, dates are DDMMYY.
RECORDS: Final[Mapping[str, tuple[Field, ...]]] = {
    "000": (_KIND, Field("made_on", 4, 6, confirmed=False, source=_OURS)),
    "1": (_KIND, Field("claims", 4, 6, confirmed=False, source=_OURS)),
    "2": (
        _KIND,
        Field("nir", 12, 13, confirmed=True, source=_DERIVED),
        Field("nir_key", 25, 2, confirmed=True, source=_DERIVED),
        Field("rank", 27, 3, confirmed=True, source=_DERIVED),
        Field("invoice_no", 30, 9, confirmed=True, source=_DERIVED),
        Field("entry_no", 40, 9, confirmed=True, source=_DERIVED),
        Field("care_on", 50, 6, confirmed=False, source=_OURS),
    ),
    "4": (
        _KIND,
        Field("invoice_no", 30, 9, confirmed=False, source=_OURS),
        Field("code", 40, 5, confirmed=False, source=_OURS),
        Field("base_cents", 50, 9, confirmed=False, source=_OURS),
        Field("amount_cents", 60, 9, confirmed=False, source=_OURS),
    ),
    "5": (
        _KIND,
        Field("invoice_no", 30, 9, confirmed=False, source=_OURS),
        Field("amount_cents", 60, 9, confirmed=False, source=_OURS),
    ),
    "6": (_KIND, Field("amount_cents", 60, 9, confirmed=False, source=_OURS)),
    "999": (_KIND, Field("records", 4, 6, confirmed=False, source=_OURS)),
}


def write(batch: Batch, *, unconfirmed: bool) -> str:
    """Records of 128 characters, one a line. Raises BatchUnrenderable."""
    if batch.payer != _GENERAL:
        raise BatchUnrenderable("rank", "is-only-known-for-the-general-scheme", whole=True)
    refuse_insured(batch)
    records = list(_records(batch))
    if not unconfirmed:
        records = [each for each in records if any(field.confirmed for field in RECORDS[each["record"]])]
    return "".join(_written(each, unconfirmed=unconfirmed) + "\r\n" for each in records)


def read(text: str, *, unconfirmed: bool) -> list[dict[str, str]]:
    """The named fields of each record that `write` wrote with the same switch."""
    found = []
    for line in text.splitlines():
        kind = line[:3].strip() if unconfirmed else "2"
        fields = [field for field in RECORDS[kind] if field.confirmed or unconfirmed]
        found.append(
            {field.name: line[field.first - 1 : field.first - 1 + field.length].strip() for field in fields}
        )
    return found


def _records(batch: Batch) -> Iterator[dict[str, str]]:
    count = 0
    yield {"record": "000", "made_on": _date(day_in_paris(batch.made_at))}
    yield {"record": "1", "claims": str(len(batch.claims)).zfill(6)}
    for claim in batch.claims:
        for record in _claim(claim):
            count += 1
            yield record
    yield {"record": "6", "amount_cents": _amount(sum(claim.amount_cents for claim in batch.claims))}
    yield {"record": "999", "records": str(count + 4).zfill(6)}


def _claim(claim: Claim) -> Iterator[dict[str, str]]:
    number = claim.nir or claim.ame_number
    if number is None or len(number) != _NUMBER:
        raise BatchUnrenderable("nir", "has-13-characters-and-a-key")
    yield {
        "record": "2",
        "nir": number[:_NIR],
        "nir_key": number[_NIR:],
        "rank": "000",
        "invoice_no": claim.invoice_no,
        "entry_no": "0" * 9,  # there is no stay
        "care_on": _date(claim.care_on),
    }
    for line in claim.lines:
        yield {
            "record": "4",
            "invoice_no": claim.invoice_no,
            "code": line.code,
            "base_cents": _amount(line.base_cents),
            "amount_cents": _amount(line.amount_cents),
        }
    yield {"record": "5", "invoice_no": claim.invoice_no, "amount_cents": _amount(claim.amount_cents)}


def _written(values: Mapping[str, str], *, unconfirmed: bool) -> str:
    line = [" "] * WIDTH
    for field in RECORDS[values["record"]]:
        if not (field.confirmed or unconfirmed):
            continue
        value = values[field.name]
        if len(value) > field.length or not value.isascii():
            raise BatchUnrenderable(field.name, f"has-at-most-{field.length}-characters")
        line[field.first - 1 : field.first - 1 + field.length] = value.ljust(field.length)
    return "".join(line)


def _date(day: date) -> str:
    return day.strftime("%d%m%y")


def _amount(cents: int) -> str:
    return str(cents).zfill(9)
