"""(c) How fast a full outbox gets to the broker, and how late a single event is there."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from bench.baselines.raw_producer import RawProducer
from bench.ground import CONNECTIONS, Ground, Scale
from bench.measure import Goal, interleaved, percentile
from bench.report import Part
from common.clock import Clock, wall
from common.events.booking import AppointmentRequestedV1
from common.messaging import outbox
from common.messaging.kafka import producer_options
from common.messaging.relay import Relay
from common.messaging.tables import OutboxRow
from common.money import Cents
from common.wake import LocalWake

_EVENTS: Final = 10_000
_PER_SECOND: Final = 300
_SECONDS: Final = 4.0
_WRITERS: Final = 8
_GOAL: Final = Goal(0.5, at_least=True)
_RAW_TOPIC: Final = "bench.raw"
_COLUMNS: Final = ("topic", "key", "sequence", "headers", "body")
_ARCHIVED: Final = "SELECT key, archived_at FROM outbox_archive WHERE key = ANY ($1)"
_ONCE: Final = "SELECT count(DISTINCT (topic, key, sequence)) FROM outbox_archive"
_WRITE: Final = "INSERT INTO outbox (topic, key, sequence, headers, body) VALUES ($1, $2, $3, $4, $5)"


async def measure(ground: Ground, scale: Scale) -> Part:
    part = Part("c", "relay drain")
    dsn = await ground.clone("relay_drain")
    await ground.broker.create_topic(_RAW_TOPIC, 12)
    written = 0
    async with (
        _relaying(ground, dsn) as (pool, wake),
        RawProducer.started(producer_options(ground.kafka)) as raw,
    ):

        async def drain() -> float:
            nonlocal written
            rows = _rows(scale.of(_EVENTS))
            await pool.copy_records_to_table("outbox", records=list(map(_values, rows)), columns=_COLUMNS)
            began = perf_counter()
            wake.set("outbox")
            await _sent(pool)
            written += len(rows)
            return len(rows) / (perf_counter() - began)

        async def send() -> float:
            rows = _rows(scale.of(_EVENTS))
            messages = [(row.key.encode(), row.body, _headers(row)) for row in rows]
            began = perf_counter()
            await raw.send(_RAW_TOPIC, messages)
            return len(messages) / (perf_counter() - began)

        ours, baseline = await interleaved(drain, send, repetitions=scale.repetitions)
        part.compare("events drained", "/s", ours, baseline, goal=_GOAL)
        late = [await _lateness(pool, wake, _SECONDS * scale.share) for _ in range(scale.repetitions)]
        written += sum(len(each) for each in late)
        milliseconds = [[1000 * value for value in each] for each in late]
        paced = f"commit to acknowledgement at {_PER_SECOND}/s"
        part.state(f"{paced}, p50", "ms", [percentile(each, 50) for each in milliseconds])
        part.state(f"{paced}, p99", "ms", [percentile(each, 99) for each in milliseconds])
        part.same(
            events_written=written,
            archived_once=await pool.fetchval(_ONCE),
            archived=await pool.fetchval("SELECT count(*) FROM outbox_archive"),
        )
    await ground.drop("relay_drain")
    return part


@asynccontextmanager
async def _relaying(ground: Ground, dsn: str) -> AsyncIterator[tuple[Any, LocalWake]]:
    wake, stop = LocalWake(), asyncio.Event()
    relay = Relay("booking", dsn, ground.kafka, wake, Clock())
    connections = asyncpg.create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS)
    async with connections as pool, asyncio.TaskGroup() as group:
        group.create_task(relay.run(stop))
        try:
            yield pool, wake
        finally:
            stop.set()


async def _sent(pool: Any) -> None:
    while await pool.fetchval("SELECT EXISTS (SELECT FROM outbox)"):  # noqa: ASYNC110 - the relay tells nobody
        await asyncio.sleep(0.005)


async def _lateness(pool: Any, wake: LocalWake, seconds: float) -> list[float]:
    """Seconds from the return of the commit to the acknowledgement, which the archive's time says."""
    committed: dict[str, datetime] = {}
    began = perf_counter()

    async def write(writer: int) -> None:
        pause = _WRITERS / _PER_SECOND
        due = began + pause * writer / _WRITERS
        while due < began + seconds:
            await asyncio.sleep(max(due - perf_counter(), 0))
            [row] = _rows(1)
            await pool.execute(_WRITE, *_values(row))
            committed[row.key] = wall()
            wake.set("outbox")
            due += pause * random.uniform(0.5, 1.5)

    await asyncio.gather(*map(write, range(_WRITERS)))
    await _sent(pool)
    archived = await pool.fetch(_ARCHIVED, list(committed))
    return [(row["archived_at"] - committed[row["key"]]).total_seconds() for row in archived]


def _rows(number: int) -> list[OutboxRow]:
    """Requests of as many appointments, each with a key of its own."""
    now = wall()
    return [outbox.row(requested(uuid4(), at=now), sequence=1, now=now) for _ in range(number)]


def requested(appointment_id: UUID, *, at: datetime) -> AppointmentRequestedV1:
    starts_at = datetime(2040, 1, 2, 9, tzinfo=UTC)
    return AppointmentRequestedV1(
        appointment_id=appointment_id,
        patient_id=uuid4(),
        account_id=uuid4(),
        practitioner_id=uuid4(),
        schedule_no=1,
        starts_at=starts_at,
        ends_at=starts_at,
        decide_by=at,
        biller_id=uuid4(),
        preview_id=None,
        profession="physician",
        specialty="01",
        sector="s1",
        zone="metropole",
        agreed_company=False,
        third_party_payment="full",
        currency="EUR",
        fee_cents=Cents(2500),
        pathway="regular-doctor",
        territory="near",
        exemption_related=False,
        under_16=False,
        minor_on_1_january=False,
    )


def _values(row: OutboxRow) -> tuple[object, ...]:
    return (row.topic, row.key, row.sequence, json.dumps(row.headers), row.body)


def _headers(row: OutboxRow) -> Sequence[tuple[str, bytes]]:
    return [(name, value.encode()) for name, value in row.headers.items()]
