"""The sequences of each key that were applied, remembered in the transaction that applied them."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ARRAY, BigInteger, String, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

_CLAIM: Final = text("""
    INSERT INTO inbox (topic, key, applied)
    VALUES (:topic, :key, int8multirange(int8range(:sequence, :sequence, '[]')))
    ON CONFLICT (topic, key) DO UPDATE SET applied = inbox.applied + EXCLUDED.applied
    WHERE NOT inbox.applied @> CAST(:sequence AS bigint)
    RETURNING applied <> int8multirange(int8range(1, upper(applied))) AS hole, parked
""")

# Takes every key of a batch none of whose sequences is known. Sorted, so that two claims cannot deadlock.
_CLAIM_NEW: Final = text("""
    INSERT INTO inbox (topic, key, applied)
    SELECT :topic, key, range_agg(int8range(sequence, sequence, '[]'))
    FROM unnest(:keys, :sequences) AS record (key, sequence)
    GROUP BY key ORDER BY key
    ON CONFLICT (topic, key) DO UPDATE SET applied = inbox.applied + EXCLUDED.applied
    WHERE NOT inbox.applied && EXCLUDED.applied
    RETURNING key, applied <> int8multirange(int8range(1, upper(applied))) AS hole, parked
""").bindparams(bindparam("keys", type_=ARRAY(String)), bindparam("sequences", type_=ARRAY(BigInteger)))

# The other keys have a row, which is locked before it is read.
_CLAIM_REST: Final = text("""
    WITH known AS (
        SELECT key, applied FROM inbox WHERE topic = :topic AND key = ANY (:keys) ORDER BY key FOR UPDATE
    ), fresh AS (
        SELECT known.key, record.sequence
        FROM unnest(:keys, :sequences) AS record (key, sequence)
        JOIN known ON known.key = record.key AND NOT known.applied @> record.sequence
    ), marked AS (
        UPDATE inbox SET applied = inbox.applied + taken.sequences
        FROM (
            SELECT key, range_agg(int8range(sequence, sequence, '[]')) AS sequences FROM fresh GROUP BY key
        ) AS taken
        WHERE inbox.topic = :topic AND inbox.key = taken.key
        RETURNING inbox.key, applied <> int8multirange(int8range(1, upper(applied))) AS hole, parked
    )
    SELECT fresh.key, fresh.sequence, marked.hole, marked.parked
    FROM fresh JOIN marked ON marked.key = fresh.key
""").bindparams(bindparam("keys", type_=ARRAY(String)), bindparam("sequences", type_=ARRAY(BigInteger)))

_LOCK: Final = text("SELECT key FROM inbox WHERE topic = :topic AND key = :key FOR UPDATE")
_PARK: Final = text("UPDATE inbox SET parked = :parked WHERE topic = :topic AND key = :key")


class Claim(NamedTuple):
    new: bool  # False: a duplicate, whose effects are already committed
    hole: bool  # an earlier event of this key has not come
    parked: bool = False  # dead letters of this key wait: it queues behind them


_DUPLICATE: Final = Claim(new=False, hole=False)


async def claim(session: AsyncSession, *, topic: str, key: str, sequence: int) -> Claim:
    claimed = (await session.execute(_CLAIM, {"topic": topic, "key": key, "sequence": sequence})).first()
    return _DUPLICATE if claimed is None else Claim(True, *claimed)  # noqa: FBT003  new


async def claim_all(session: AsyncSession, *, topic: str, records: Sequence[tuple[str, int]]) -> list[Claim]:
    """Claims a batch of (key, sequence), in one statement if none of them is a duplicate, else in two.

    The answers stand in the order of `records`; of one sequence given twice the second is a duplicate.
    A hole is reported on the first record of its key.
    """
    taken = await _claim_new(session, topic, records)
    rest = [(key, sequence) for key, sequence in records if key not in taken]
    fresh = await _claim_rest(session, topic, rest) if rest else {}
    claims: list[Claim] = []
    seen: set[tuple[str, int]] = set()
    holes: set[str] = set()
    for record in records:
        key, _ = record
        found = taken[key] if key in taken else fresh.get(record)
        if record in seen or found is None:
            claims.append(_DUPLICATE)
            continue
        seen.add(record)
        claims.append(found._replace(hole=found.hole and key not in holes))
        holes.add(key)
    return claims


async def mark_parked(session: AsyncSession, *, topic: str, key: str, parked: bool) -> None:
    """Whoever claims this key from now on is told, in the statement that claims."""
    await session.execute(_PARK, {"topic": topic, "key": key, "parked": parked})


async def lock(session: AsyncSession, *, topic: str, key: str) -> None:
    """Keeps every claim of this key waiting until the transaction ends."""
    await session.execute(_LOCK, {"topic": topic, "key": key})


async def _claim_new(
    session: AsyncSession, topic: str, records: Sequence[tuple[str, int]]
) -> dict[str, Claim]:
    rows = await session.execute(_CLAIM_NEW, _parameters(topic, records))
    return {key: Claim(new=True, hole=hole, parked=parked) for key, hole, parked in rows}


async def _claim_rest(
    session: AsyncSession, topic: str, records: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], Claim]:
    rows = await session.execute(_CLAIM_REST, _parameters(topic, records))
    return {
        (key, sequence): Claim(new=True, hole=hole, parked=parked) for key, sequence, hole, parked in rows
    }


def _parameters(topic: str, records: Sequence[tuple[str, int]]) -> dict[str, Any]:
    distinct = dict.fromkeys(records)
    return {
        "topic": topic,
        "keys": [key for key, _ in distinct],
        "sequences": [sequence for _, sequence in distinct],
    }
