"""Outbox and history rows of a delivery, written in one statement just before its commit.

Nobody reads them in the transaction that writes them, so they are not flushed between the records of a batch.
"""

import json
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, DateTime, LargeBinary, String, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from common.messaging.tables import HistoryRow, OutboxRow

_HELD: Final = "messaging.held"

# Identities are given in the order of the arrays: the order of the calls.
_WRITE: Final = text("""
    WITH noted AS (
        INSERT INTO history (appointment_id, sequence, fact, cause, at)
        SELECT appointment_id, sequence, fact, cause, at
        FROM unnest(:about, :numbers, :facts, :causes, :times)
            WITH ORDINALITY AS fact (appointment_id, sequence, fact, cause, at, place)
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
    bindparam("times", type_=ARRAY(DateTime(timezone=True))),
    bindparam("topics", type_=ARRAY(String)),
    bindparam("keys", type_=ARRAY(String)),
    bindparam("sequences", type_=ARRAY(BigInteger)),
    bindparam("headers", type_=ARRAY(String)),
    bindparam("bodies", type_=ARRAY(LargeBinary)),
)


def hold(session: AsyncSession) -> None:
    """From now on `write` only collects; whoever commits calls `release` first."""
    session.info[_HELD] = []


def write(session: AsyncSession, row: OutboxRow | HistoryRow) -> None:
    held = session.info.get(_HELD)
    # What a savepoint may still take back is left to the session.
    if held is None or session.in_nested_transaction():
        session.add(row)
    else:
        held.append(row)


async def release(session: AsyncSession) -> None:
    """Writes what was held, after everything the session itself has to write."""
    held: list[Any] = session.info.pop(_HELD, [])
    if not held:
        return
    facts = [row for row in held if isinstance(row, HistoryRow)]
    events = [row for row in held if isinstance(row, OutboxRow)]
    await session.execute(
        _WRITE,
        {
            "about": [row.appointment_id for row in facts],
            "numbers": [row.sequence for row in facts],
            "facts": [row.fact for row in facts],
            "causes": [row.cause for row in facts],
            "times": [row.at for row in facts],
            "topics": [row.topic for row in events],
            "keys": [row.key for row in events],
            "sequences": [row.sequence for row in events],
            "headers": [json.dumps(row.headers) for row in events],
            "bodies": [row.body for row in events],
        },
    )
