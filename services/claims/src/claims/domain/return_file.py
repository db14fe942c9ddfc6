"""The text of a file of payers' answers and bank lines, version 1: read whole or refused whole.

The first line names the file, the last one counts it, so that a file that was cut is never half imported.
Lines between them may be in any order; each has a number of its own, and one that cannot be read leaves the
others alone. Blank lines, a byte order mark and blanks at the end of a line say nothing; a line may end as on
any system.

    returns-1;<file id>;<payer>
    <number>;<kind>;<batch>;<biller>;<invoice>;<attempt>;<accepted: yes or no>;<cents>;<reject code>
    end;<lines>;<sum of the cents>
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final
from uuid import UUID

from claims.domain.returns import PayerReturn, ReturnKind
from common.errors import DomainError, Refusal, at_field
from common.money import Cents

VERSION: Final = "returns-1"
MOST_BYTES: Final = 200_000
MOST_LINES: Final = 2000
_FIELDS: Final = (
    "line",
    "kind",
    "batch_id",
    "biller_id",
    "invoice_no",
    "attempt",
    "accepted",
    "cents",
    "code",
)
_HEADER: Final = 3
_MARK: Final = "\ufeff"  # that Windows programs write before the text
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_NO_ID: Final = UUID(int=0)
_MOST_CENTS: Final = 10**11
_MOST_ATTEMPTS: Final = 999
_MOST_DIGITS: Final = 4000  # that are added up: Python reads no longer number
_PAYER: Final = re.compile(r"(amo|amc):[0-9A-Za-z-]{1,40}")
_WORD: Final = re.compile(r"[ -~]{1,40}")


class ReturnFileRefused(DomainError):
    """Nothing of the file is imported: `field` is what is wrong with it, `rule` the condition it breaks."""

    code: ClassVar[str] = "returns-file-refused"
    refusal: ClassVar[Refusal] = Refusal.INVALID

    def __init__(self, field: str, rule: str) -> None:
        pointer = "/body/base64" if field == "base64" else "/body/text"
        wrong = at_field(pointer, rule, f"{field} breaks the rule {rule}")
        super().__init__(f"{field}: {rule}", extra=wrong)
        self.field = field
        self.rule = rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A line that says nothing that could be applied."""

    line: int
    field: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnFile:
    id: UUID
    payer: str
    lines: Sequence[PayerReturn | Unreadable]


class _Wrong(Exception):
    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


def read(text: str) -> ReturnFile:
    """Raises ReturnFileRefused: too large, cut, of another version, or counted wrong."""
    if len(text.encode()) > MOST_BYTES:
        raise ReturnFileRefused("file", f"at-most-{MOST_BYTES}-bytes")
    # A last line without its end is whole all the same: a number that was cut is another sum.
    header, *lines = [
        each.rstrip() for each in _LINE_END.split(text.removeprefix(_MARK)) if each.strip()
    ] or [""]
    identifier, payer = _header(header)
    if not lines or not lines[-1].startswith("end;"):
        raise ReturnFileRefused("end", "the-last-line-counts-the-file")
    *lines, end = lines
    if len(lines) > MOST_LINES:
        raise ReturnFileRefused("file", f"at-most-{MOST_LINES}-lines")
    read_lines = [_line(identifier, payer, place, each) for place, each in enumerate(lines, start=1)]
    numbers = [each.line for each in read_lines]
    if len(set(numbers)) < len(numbers):
        raise ReturnFileRefused("line", "a-number-stands-once")
    _check_end(end, lines)
    return ReturnFile(id=identifier, payer=payer, lines=read_lines)


def write(identifier: UUID, payer: str, items: Sequence[PayerReturn]) -> str:
    """The file of these lines: what `read` reads."""
    lines = [_written(item) for item in items]
    total = sum(item.amount_cents or 0 for item in items)
    return "\n".join([f"{VERSION};{identifier};{payer}", *lines, f"end;{len(lines)};{total}", ""])


def _written(item: PayerReturn) -> str:
    accepted = {True: "yes", False: "no", None: ""}[item.accepted]
    values = (
        item.line,
        item.kind.value,
        item.batch_id,
        "" if item.biller_id == _NO_ID else item.biller_id,
        item.invoice_no or "",
        item.attempt or "",
        accepted,
        "" if item.amount_cents is None else item.amount_cents,
        item.code or "",
    )
    return ";".join(str(each) for each in values)


def _header(line: str) -> tuple[UUID, str]:
    parts = line.split(";")
    if parts[0] != VERSION:
        raise ReturnFileRefused("version", f"is-{VERSION}")
    if len(parts) != _HEADER:
        raise ReturnFileRefused("header", "has-three-fields")
    payer = parts[2]
    if not _PAYER.fullmatch(payer):
        raise ReturnFileRefused("payer", "is-amo-or-amc-and-its-number")
    try:
        return UUID(parts[1]), payer
    except ValueError:
        raise ReturnFileRefused("file_id", "is-a-uuid") from None


def _check_end(end: str, lines: Sequence[str]) -> None:
    parts = end.split(";")
    if len(parts) != _HEADER or parts[1] != str(len(lines)):
        raise ReturnFileRefused("end", "counts-the-lines")
    split = [each.split(";") for each in lines]
    amounts = [each[_FIELDS.index("cents")] for each in split if len(each) == len(_FIELDS)]
    total = sum(int(each) for each in amounts if _is_number(each) and len(each) <= _MOST_DIGITS)
    if parts[2] != str(total):
        raise ReturnFileRefused("end", "adds-the-amounts-up")


def _line(file_id: UUID, payer: str, place: int, text: str) -> PayerReturn | Unreadable:
    values = text.split(";")
    number = _number_of(values)
    if number is None:  # told by its place, beyond every number
        return Unreadable(line=-place, field="line", rule="is-numbered-from-1")
    if len(values) != len(_FIELDS):
        return Unreadable(line=number, field="line", rule=f"has-{len(_FIELDS)}-fields")
    try:
        return _return(file_id, payer, number, MappingProxyType(dict(zip(_FIELDS, values, strict=True))))
    except _Wrong as wrong:
        return Unreadable(line=number, field=wrong.field, rule=wrong.rule)


def _number_of(values: Sequence[str]) -> int | None:
    return _number(values[0], most=2**31 - 1)


def _return(file_id: UUID, payer: str, number: int, named: Mapping[str, str]) -> PayerReturn:
    try:
        kind = ReturnKind(named["kind"])
    except ValueError:
        raise _Wrong("kind", "is-a-known-word") from None
    needs_invoice = kind not in {ReturnKind.ACKNOWLEDGEMENT, ReturnKind.TRANSFER}
    invoice_no = named["invoice_no"] or None
    if needs_invoice and invoice_no is None:
        raise _Wrong("invoice_no", f"is-there-for-{kind.value}")
    amount = _cents(named["cents"], kind)
    if amount is None and kind in {ReturnKind.PAYMENT, ReturnKind.REVERSAL, ReturnKind.TRANSFER}:
        raise _Wrong("cents", f"is-there-for-{kind.value}")
    accepted = {"yes": True, "no": False, "": None}.get(named["accepted"], "?")
    if accepted == "?" or (kind is ReturnKind.ACKNOWLEDGEMENT and accepted is None):
        raise _Wrong("accepted", "is-yes-or-no")
    return PayerReturn(
        payer=payer,
        return_id=file_id,
        line=number,
        kind=kind,
        batch_id=_uuid(named, "batch_id"),
        biller_id=_uuid(named, "biller_id") if invoice_no is not None else _NO_ID,
        invoice_no=_word(invoice_no, "invoice_no"),
        attempt=_attempt(named["attempt"]),
        accepted=accepted if isinstance(accepted, bool) else None,
        amount_cents=amount,
        code=_word(named["code"] or None, "code"),
    )


def _uuid(named: Mapping[str, str], field: str) -> UUID:
    try:
        return UUID(named[field])
    except ValueError:
        raise _Wrong(field, "is-a-uuid") from None


def _word(text: str | None, field: str) -> str | None:
    if text is not None and not _WORD.fullmatch(text):
        raise _Wrong(field, "is-short-and-printable")
    return text


def _cents(text: str, kind: ReturnKind) -> Cents | None:
    if not text:
        return None
    if kind is ReturnKind.PAYMENT and _is_number(text) and not text.strip("0"):
        return Cents(0)  # the payer pays nothing for it
    cents = _number(text, most=_MOST_CENTS - 1)
    if cents is None:
        raise _Wrong("cents", "is-whole-cents-above-0")
    return Cents(cents)


def _attempt(text: str) -> int | None:
    if not text:
        return None
    attempt = _number(text, most=_MOST_ATTEMPTS)
    if attempt is None:
        raise _Wrong("attempt", "is-a-number-from-1")
    return attempt


def _number(text: str, *, most: int) -> int | None:
    """From 1 to `most`, in digits, however many zeros stand before it up to as many places."""
    fits = _is_number(text) and len(text) <= len(str(most))
    return int(text) if fits and 0 < int(text) <= most else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
