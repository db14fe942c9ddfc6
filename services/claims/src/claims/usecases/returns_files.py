"""Payers' answers, some lines in one transaction; of a file, each line that is refused says why."""

import base64
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from claims import store
from claims.domain.return_file import ReturnFileRefused, Unreadable, read
from claims.domain.returns import PayerReturn
from claims.models import LineState, ReturnLine
from claims.usecases import returns
from claims.usecases.config import ClaimsConfig
from common.db import Sessions
from common.messaging.failures import is_infrastructure

_TOGETHER: Final = 50  # lines of one transaction: their appointments are locked until it ends

_log: Final = logging.getLogger(__name__)

# Which field of a line each reason is about.
_FIELDS: Final = {
    "unknown-batch": "batch_id",
    "invoice-is-not-of-this-batch": "batch_id",
    "unknown-invoice": "invoice_no",
    "unknown-attempt": "attempt",
    "neither-accepted-nor-refused": "accepted",
    "no-reject-code": "code",
    "amount-missing": "cents",
    "amount-is-not-what-the-batch-is-owed": "cents",
    "rest-of-the-batch": "cents",
    "payment": "cents",
    "reversal": "cents",  # why a payment waited in an earlier release
    "already-paid": "cents",
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
        # Encoders break their lines, at 76 characters as a rule.
        return base64.b64decode("".join((encoded or "").split()), validate=True).decode()
    except ValueError:  # other characters than those of ASCII, no base64, no UTF-8
        raise ReturnFileRefused("base64", "is-utf-8-in-base64") from None


async def import_file(sessions: Sessions, config: ClaimsConfig, text: str, *, now: datetime) -> FileReport:
    """Imports what is new of the file and reports every line. Raises ReturnFileRefused."""
    file = read(text)
    readable = [each for each in file.lines if isinstance(each, PayerReturn)]
    states = await import_lines(sessions, config, readable, now=now)
    ended = iter(states)
    async with sessions() as session:
        rows = {row.line: row for row in await store.list_return_lines(session, file.payer, file.id)}
    reports = [
        _unreadable(each)
        if isinstance(each, Unreadable)
        else _report(each, rows[each.line], repeated=next(ended) is None)
        for each in file.lines
    ]
    return FileReport(file_id=file.id, payer=file.payer, lines=reports)


async def find_differing(
    sessions: Sessions, items: Sequence[PayerReturn], states: Sequence[LineState | None]
) -> list[tuple[PayerReturn, str]]:
    """The lines that were imported before with other content, each with the field that is another now.

    `states` as `import_lines` returned them. Asks the database only if something was imported before.
    """
    repeated = [item for item, state in zip(items, states, strict=True) if state is None]
    if not repeated:
        return []
    async with sessions() as session:
        kept = await store.list_lines_named(session, repeated)
    rows = {(row.payer, row.return_id, row.line): row for row in kept}
    others = [(item, _differs(item, rows[item.payer, item.return_id, item.line])) for item in repeated]
    return [(item, field) for item, field in others if field is not None]


async def import_lines(
    sessions: Sessions, config: ClaimsConfig, items: Sequence[PayerReturn], *, now: datetime
) -> list[LineState | None]:
    """Some at once, each such part in a transaction. What one of them fails with leaves the others alone.

    None: imported before. Raises what a line fails with by itself, when all others are imported, and what
    the database is away with at once; a crash repeats harmlessly.
    """
    states: list[LineState | None] = []
    failed: Exception | None = None
    for start in range(0, len(items), _TOGETHER):
        some = items[start : start + _TOGETHER]
        try:
            states += await _import_together(sessions, config, some, now=now)
        except Exception as error:
            if is_infrastructure(error):
                raise
            _log.info("lines of a return go one by one: %s", type(error).__name__)
            for each in some:
                try:
                    states += await _import_together(sessions, config, [each], now=now)
                except Exception as its_own:
                    if is_infrastructure(its_own):
                        raise
                    failed = failed or its_own
    if failed is not None:
        raise failed
    return states


async def _import_together(
    sessions: Sessions, config: ClaimsConfig, items: Sequence[PayerReturn], *, now: datetime
) -> list[LineState | None]:
    async with sessions.begin() as session:
        return await returns.import_returns(session, config, items, now=now)


def _unreadable(line: Unreadable) -> LineReport:
    return LineReport(
        line=line.line, outcome=LineState.REFUSED, repeated=False, field=line.field, rule=line.rule
    )


def _report(item: PayerReturn, row: ReturnLine, *, repeated: bool) -> LineReport:
    other = _differs(item, row) if repeated else None
    if other is not None:
        return LineReport(
            line=row.line, outcome=LineState.REFUSED, repeated=True, field=other, rule="differs-from-first"
        )
    return LineReport(
        line=row.line,
        outcome=row.state,
        repeated=repeated,
        field=None if row.reason is None else _FIELDS.get(row.reason, "invoice_no"),
        rule=row.reason,
    )


def _differs(item: PayerReturn, row: ReturnLine) -> str | None:
    """The field by which a line is not the one that came under its number before, if there is one."""
    pairs: dict[str, tuple[object, object]] = {
        "kind": (item.kind.value, row.kind),
        "batch_id": (item.batch_id, row.batch_id),
        "invoice_no": (item.invoice_no, row.invoice_no),
        "attempt": (item.attempt, row.attempt),
        "cents": (item.amount_cents, row.amount_cents),
        "code": (item.code, row.code),
    }
    if row.biller_id is not None:  # lines of before were kept without these two
        pairs["biller_id"] = (item.biller_id, row.biller_id)
        pairs["accepted"] = (item.accepted, row.accepted)
    return next((name for name, (now, first) in pairs.items() if now != first), None)
