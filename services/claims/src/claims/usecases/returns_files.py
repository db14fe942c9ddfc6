"""A file of payers' answers, line by line: each commits on its own, and one that is refused says why."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from claims import store
from claims.domain.return_file import ReturnFileRefused, Unreadable, read
from claims.domain.returns import PayerReturn
from claims.models import LineState
from claims.usecases import returns
from claims.usecases.means import Means
from common.db import Sessions

# Which field of a line each reason is about.
_FIELDS: Final = {
    "unknown-batch": "batch_id",
    "unknown-invoice": "invoice_no",
    "unknown-attempt": "attempt",
    "neither-accepted-nor-refused": "accepted",
    "no-reject-code": "code",
    "amount-missing": "cents",
    "amount-above-claim": "cents",
    "amount-is-not-what-the-batch-is-owed": "cents",
    "payment": "cents",
    "reversal": "cents",
    "nothing-is-due": "batch_id",
    "nothing-waits-for-it": "batch_id",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LineReport:
    line: int
    outcome: LineState
    repeated: bool
    field: str | None
    rule: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    file_id: UUID
    payer: str
    lines: Sequence[LineReport]


def text_of(text: str | None, encoded: str | None) -> str:
    """The file's text. Raises ReturnFileRefused: neither or both were given, or it is no text."""
    if (text is None) == (encoded is None):
        raise ReturnFileRefused("file", "is-text-or-base64")
    if text is not None:
        return text
    try:
        return base64.b64decode(encoded or "", validate=True).decode()
    except ValueError:  # other characters than those of ASCII, no base64, no UTF-8
        raise ReturnFileRefused("base64", "is-utf-8-in-base64") from None


async def import_file(sessions: Sessions, means: Means, text: str, *, now: datetime) -> FileReport:
    """Imports what is new of the file and reports every line. Raises ReturnFileRefused."""
    file = read(text)
    reports = [await _import_line(sessions, means, each, now=now) for each in file.lines]
    return FileReport(file_id=file.id, payer=file.payer, lines=reports)


async def _import_line(
    sessions: Sessions, means: Means, line: PayerReturn | Unreadable, *, now: datetime
) -> LineReport:
    if isinstance(line, Unreadable):
        return LineReport(
            line=line.line, outcome=LineState.REFUSED, repeated=False, field=line.field, rule=line.rule
        )
    async with sessions.begin() as session:
        state = await returns.import_return(session, means, line, now=now)
    async with sessions() as session:
        row = await store.find_return_line(session, line.payer, line.return_id, line.line)
        assert row is not None  # noqa: S101  it was imported now or before
        reason = row.reason
        return LineReport(
            line=line.line,
            outcome=row.state,
            repeated=state is None,
            field=None if reason is None else _FIELDS.get(reason, "invoice_no"),
            rule=reason,
        )
