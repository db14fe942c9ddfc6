"""A bare asyncpg loop that applies "nothing to hold" to an appointment with the very statements ours runs.

No sessions, no models, no outcomes: a record that fails ends the loop.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaConsumer

from common.clock import wall
from common.ids import uuid7
from local.broker import CONSUMER

_READ_MS: Final = 250
_CONFIRMED: Final = "booking.appointment-confirmed"

_CLAIM: Final = """
    INSERT INTO inbox (topic, key, applied) VALUES ($1, $2, int8multirange(int8range($3, $3, '[]')))
    ON CONFLICT (topic, key) DO UPDATE SET applied = inbox.applied + EXCLUDED.applied
    WHERE NOT inbox.applied @> CAST($3 AS bigint)
    RETURNING applied <> int8multirange(int8range(1, upper(applied))) AS hole, parked
"""
_CLAIM_ALL: Final = """
    INSERT INTO inbox (topic, key, applied)
    SELECT $1, key, range_agg(int8range(sequence, sequence, '[]'))
    FROM unnest($2::varchar[], $3::bigint[]) AS record (key, sequence)
    GROUP BY key ORDER BY key
    ON CONFLICT (topic, key) DO UPDATE SET applied = inbox.applied + EXCLUDED.applied
    WHERE NOT inbox.applied && EXCLUDED.applied
    RETURNING key, applied <> int8multirange(int8range(1, upper(applied))) AS hole, parked
"""
_LOCK: Final = "SELECT * FROM appointment WHERE id = ANY ($1) ORDER BY id FOR UPDATE"
_CONFIRM: Final = "UPDATE appointment SET status = $1, payment_sequence = $2, version = $3 WHERE id = $4"
_WRITE: Final = """
    WITH noted AS (
        INSERT INTO history (appointment_id, sequence, fact, cause, at)
        SELECT appointment_id, sequence, fact, cause, at
        FROM unnest($1::uuid[], $2::bigint[], $3::varchar[], $4::varchar[], $5::timestamptz[])
            WITH ORDINALITY AS fact (appointment_id, sequence, fact, cause, at, place)
        ORDER BY place
    )
    INSERT INTO outbox (topic, key, sequence, headers, body)
    SELECT topic, key, sequence, CAST(headers AS jsonb), body
    FROM unnest($6::varchar[], $7::varchar[], $8::bigint[], $9::varchar[], $10::bytea[])
        WITH ORDINALITY AS event (topic, key, sequence, headers, body, place)
    ORDER BY place
"""
_ABOUT: Final = ("id", "patient_id", "account_id", "practitioner_id", "schedule_no", "starts_at", "ends_at")


@dataclass(slots=True)
class ApplyLoop:
    pool: Any
    bootstrap_servers: str
    topic: str
    batch: int
    lanes: int
    applied: int = 0
    progressed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, stop: asyncio.Event) -> None:
        consumer = AIOKafkaConsumer(
            self.topic, bootstrap_servers=self.bootstrap_servers, group_id=self.topic, **CONSUMER
        )
        await consumer.start()
        try:
            lanes = [asyncio.Lock() for _ in range(self.lanes)]
            while not stop.is_set():
                read = await consumer.getmany(timeout_ms=_READ_MS)
                work = [self._partition(lanes[where.partition % self.lanes], read[where]) for where in read]
                await asyncio.gather(*work)
                if read:
                    await consumer.commit()
        finally:
            await consumer.stop()

    async def _partition(self, lane: asyncio.Lock, records: Sequence[Any]) -> None:
        for start in range(0, len(records), self.batch):
            some = records[start : start + self.batch]
            async with lane, self.pool.acquire() as connection, connection.transaction():
                await self._apply(connection, some)
            self.applied += len(some)
            self.progressed.set()

    async def _apply(self, connection: Any, records: Sequence[Any]) -> None:
        headers = [{name: value.decode() for name, value in record.headers} for record in records]
        keys = [each["ce_subject"] for each in headers]
        sequences = [int(each["ce_sequence"]) for each in headers]
        if self.batch == 1:
            claimed = await connection.fetch(_CLAIM, self.topic, keys[0], sequences[0])
        else:
            claimed = await connection.fetch(_CLAIM_ALL, self.topic, keys, sequences)
        if len(claimed) < len(records) or any(each["parked"] for each in claimed):
            raise ValueError("a duplicate, or a parked key")
        bodies = [json.loads(record.value) for record in records]
        rows = await connection.fetch(_LOCK, [UUID(body["appointment_id"]) for body in bodies])
        locked = {str(row["id"]): row for row in rows}
        confirmed = [
            _confirmed(locked[body["appointment_id"]], body, told, sequence, now=wall())
            for body, told, sequence in zip(bodies, headers, sequences, strict=True)
        ]
        if self.batch == 1:
            await connection.execute(_CONFIRM, *confirmed[0].update)
        else:
            await connection.executemany(_CONFIRM, [each.update for each in confirmed])
        facts = [fact for each in confirmed for fact in each.facts]
        events = [each.event for each in confirmed]
        await connection.execute(_WRITE, *zip(*facts, strict=True), *zip(*events, strict=True))


class _Confirmed(NamedTuple):
    update: tuple[object, ...]
    facts: tuple[tuple[object, ...], ...]
    event: tuple[object, ...]


def _confirmed(
    row: Any, body: dict[str, Any], told: dict[str, str], sequence: int, *, now: datetime
) -> _Confirmed:
    if row["status"] != "requested" or body["schedule_no"] != row["schedule_no"]:
        raise ValueError(f"{row['id']} is {row['status']}")
    version, cause = row["version"] + 1, told["ce_id"]
    headers = told | {
        "ce_id": str(uuid7(now)),
        "ce_source": "/booking",
        "ce_type": _CONFIRMED,
        "ce_time": now.isoformat(),
        "ce_sequence": f"{version:019d}",
        "ce_dataschema": f"urn:event:{_CONFIRMED}:v1",
        "ce_causationid": cause,
    }
    about = json.dumps({name: row[name] for name in _ABOUT}, default=str).encode()
    return _Confirmed(
        ("confirmed", sequence, version, row["id"]),
        (
            (row["id"], None, told["ce_type"], cause, datetime.fromisoformat(told["ce_time"])),
            (row["id"], version, _CONFIRMED, cause, now),
        ),
        ("booking.appointment", str(row["id"]), version, json.dumps(headers), about),
    )
