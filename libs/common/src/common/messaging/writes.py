"""Outbox and history rows of a batch of records, written in one statement just before the commit.

No code reads these rows in the transaction that writes them, so they need not be flushed after each record.
"""

import json
from typing import Final

from sqlalchemy import ARRAY, BigInteger, DateTime, LargeBinary, String, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from common.messaging.tables import HistoryRow, OutboxRow
from common.transaction import notes_of

# Identities are given in the order of the arrays: the order of the calls.
_WRITE: Final = text("""
    WITH noted AS (
        INSERT INTO history (appointment_id, sequence, fact, cause, about_id, at)
        SELECT appointment_id, sequence, fact, cause, about_id, at
        FROM unnest(:about, :numbers, :facts, :causes, :things, :times)
            WITH ORDINALITY AS fact (appointment_id, sequence, fact, cause, about_id, at, place)
        ORDER BY place
    )
    INSERT INTO outbox (topic, key, sequence, headers, body)
    SELECT topic, key, sequence, CAST(headers AS jsonb), body
    FROM unnest(:topics, :keys, :sequences, :headers, :bodies)
        WITH ORDINALITY AS event (topic, key, sequence, headers, body, place)
    ORDER BY place
""").bindparams(
    bindparam("about", type_=ARRAY(Uuid)),
    bindparam("numbers", type_=ARRAY(BigInteger)),
    bindparam("facts", type_=ARRAY(String)),
    bindparam("causes", type_=ARRAY(String)),
    bindparam("things", type_=ARRAY(Uuid)),
    bindparam("times", type_=ARRAY(DateTime(timezone=True))),
    bindparam("topics", type_=ARRAY(String)),
    bindparam("keys", type_=ARRAY(String)),
    bindparam("sequences", type_=ARRAY(BigInteger)),
    bindparam("headers", type_=ARRAY(String)),
    bindparam("bodies", type_=ARRAY(LargeBinary)),
)


def collect(session: AsyncSession) -> None:
    """From now on `write` only collects rows. Call `flush` before the commit."""
    notes_of(session).collected_rows = []


def write(session: AsyncSession, row: OutboxRow | HistoryRow) -> None:
    """Adds a row to the transaction: to the collected ones, or to the session."""
    collected = notes_of(session).collected_rows
    # The session takes back what a savepoint wrote; collected rows could not be taken back.
    if collected is None or session.in_nested_transaction():
        session.add(row)
    else:
        collected.append(row)


async def flush(session: AsyncSession) -> None:
    """Writes the collected rows in one statement, after everything the session itself has to write."""
    notes = notes_of(session)
    rows, notes.collected_rows = notes.collected_rows, None
    if not rows:
        return
    facts = [row for row in rows if isinstance(row, HistoryRow)]
    events = [row for row in rows if isinstance(row, OutboxRow)]
    await session.execute(
        _WRITE,
        {
            "about": [row.appointment_id for row in facts],
            "numbers": [row.sequence for row in facts],
            "facts": [row.fact for row in facts],
            "causes": [row.cause for row in facts],
            "things": [row.about_id for row in facts],
            "times": [row.at for row in facts],
            "topics": [row.topic for row in events],
            "keys": [row.key for row in events],
            "sequences": [row.sequence for row in events],
            "headers": [json.dumps(row.headers) for row in events],
            "bodies": [row.body for row in events],
        },
    )
