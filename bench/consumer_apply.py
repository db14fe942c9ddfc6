"""(d) How fast a reader applies events: "nothing to hold" confirms an appointment; one by one, in batches."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
from aiokafka import AIOKafkaProducer

from bench.baselines.apply_loop import ApplyLoop
from bench.ground import CONNECTIONS, Ground, Scale, postgres_settings
from bench.measure import Goal, interleaved
from bench.report import Part
from booking.consumers import routes
from common.clock import Clock, wall
from common.db import engine_of, sessions_of
from common.events.payment import HoldWaivedV1
from common.messaging import outbox
from common.messaging.consumer import Consumer, Limits
from common.messaging.kafka import producer_options
from common.metric_catalogue import MetricName
from common.telemetry import Metrics

_EVENTS: Final = 1000
_LANES: Final = 4
_BATCH: Final = 50
_PARTITIONS: Final = 12
_WITHIN: Final = 60.0
_GOAL: Final = Goal(0.5, at_least=True)

_ADD: Final = """
    INSERT INTO appointment (id, version, status, schedule_no, practitioner_id, practitioner_no, patient_id,
        account_id, starts_at, ends_at, decide_by, requested_at, consent_id, pathway, territory,
        exemption_related, under_16, minor_on_1_january, biller_id, profession, specialty, sector, zone,
        agreed_company, third_party_payment, currency, fee_cents, payment_sequence)
    SELECT id, 1, 'requested', 1, uuidv7(), $2 + number, uuidv7(), uuidv7(), '2040-01-02 09:00Z',
        '2040-01-02 09:15Z', '2040-01-02 08:00Z', '2026-01-01 00:00Z', uuidv7(), 'regular-doctor', 'near',
        false, false, false, uuidv7(), 'physician', '01', 's1', 'metropole', false, 'full', 'EUR', 2500, 0
    FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (id, number)
"""
_COUNT: Final = """
    SELECT (SELECT count(*) FROM appointment WHERE status = 'confirmed') AS confirmed,
        (SELECT count(*) FROM inbox) AS remembered, (SELECT count(*) FROM outbox) AS published,
        (SELECT count(*) / 2 FROM history) AS noted
"""
Applied = Callable[[int], Awaitable[None]]


async def measure(ground: Ground, scale: Scale) -> Part:
    part = Part("d", "consumer")
    producer = AIOKafkaProducer(**producer_options(ground.kafka))
    await producer.start()
    try:
        for what, batch in (("one by one", 1), ("in batches", _BATCH)):
            await _compare(part, ground, scale, producer, what=what, batch=batch)
    finally:
        await producer.stop()
    return part


async def _compare(part: Part, ground: Ground, scale: Scale, producer: Any, *, what: str, batch: int) -> None:
    names = [f"{side}.{batch}" for side in ("apply-ours", "apply-bare")]
    pools, sent = [], []
    for name in names:
        await ground.broker.create_topic(name, _PARTITIONS)
        dsn = await ground.clone(name)
        pools.append(await asyncpg.create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS))
        sent.append(0)

    async def run(side: int, applied: Applied) -> float:
        number = scale.of(_EVENTS)
        ids = [uuid4() for _ in range(number)]
        await pools[side].execute(_ADD, ids, sent[side])
        sent[side] += number
        began = perf_counter()
        await _send(producer, names[side], ids)
        async with asyncio.timeout(_WITHIN):
            await applied(sent[side])
        return number / (perf_counter() - began)

    dsn = ground.dsn(names[0])
    async with _ours(ground, dsn, names[0], batch) as ours, _bare(ground, pools[1], names[1], batch) as bare:
        rates = await interleaved(lambda: run(0, ours), lambda: run(1, bare), repetitions=scale.repetitions)
    part.compare(f"events applied {what}", "/s", *rates, goal=_GOAL)
    for side, pool in zip(("ours", "baseline"), pools, strict=True):
        [row] = await pool.fetch(_COUNT)
        part.same(**{f"{name}_{side}_{what.replace(' ', '_')}": number for name, number in row.items()})
        await pool.close()
    for name in names:
        await ground.drop(name)


@asynccontextmanager
async def _ours(ground: Ground, dsn: str, topic: str, batch: int) -> AsyncIterator[Applied]:
    settings = postgres_settings(dsn)
    engine = engine_of(settings, name="bench", pool=settings.worker_pool)
    counted = _Counted()
    consumer = Consumer(
        topic,
        routes,
        sessions_of(engine, None),
        ground.kafka,
        Clock(),
        limits=Limits(lanes=_LANES, batch=batch),
        metrics=counted,
        topics=[topic],
    )
    async with _running(consumer.run):
        yield lambda number: _until(lambda: counted.applied >= number, counted.progressed)
    await engine.dispose()


@asynccontextmanager
async def _bare(ground: Ground, pool: Any, topic: str, batch: int) -> AsyncIterator[Applied]:
    loop = ApplyLoop(pool, ground.broker.bootstrap_servers, topic, batch=batch, lanes=_LANES)
    async with _running(loop.run):
        yield lambda number: _until(lambda: loop.applied >= number, loop.progressed)


@asynccontextmanager
async def _running(run: Callable[[asyncio.Event], Awaitable[None]]) -> AsyncIterator[None]:
    stop = asyncio.Event()

    async def until_stopped() -> None:
        await run(stop)

    async with asyncio.TaskGroup() as group:
        group.create_task(until_stopped())
        try:
            yield
        finally:
            stop.set()


async def _until(done: Callable[[], bool], progressed: asyncio.Event) -> None:
    while not done():
        progressed.clear()
        await progressed.wait()


async def _send(producer: Any, topic: str, ids: Sequence[UUID]) -> None:
    now = wall()
    acknowledged = []
    for each in ids:
        row = outbox.row(HoldWaivedV1(appointment_id=each, revision=1, schedule_no=1), sequence=1, now=now)
        headers = [(name, value.encode()) for name, value in row.headers.items()]
        acknowledged.append(await producer.send(topic, row.body, key=row.key.encode(), headers=headers))
    await asyncio.gather(*acknowledged)


class _Counted(Metrics):
    """Metrics as a worker has them, and how many records they have counted as applied."""

    def __init__(self) -> None:
        super().__init__("bench")
        self.applied = 0
        self.progressed = asyncio.Event()

    def count(self, name: MetricName, by: float = 1, **labels: str) -> None:
        super().count(name, by, **labels)
        if labels.get("outcome") == "applied":
            self.applied += int(by)
            self.progressed.set()
