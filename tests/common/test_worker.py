"""A whole worker: an event of one service becomes a task, a call and an event of its own."""

import asyncio
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy import func, select

from common.clock import Clock
from common.db import Sessions
from common.events.envelope import Meta
from common.events.payment import HoldWaivedV1
from common.events.topics import TOPICS, topics_of, topics_read_by
from common.messaging import outbox, tasks
from common.messaging.records import APPLIED, Outcome
from common.messaging.routes import Routes
from common.messaging.runner import WorkerHealth, run_worker
from common.messaging.tables import OutboxArchiveRow, TaskRow
from common.messaging.tasks import DONE, Done, TaskContext, Tasks
from common.messaging.topics import TopicDiffers, create
from common.settings import KafkaSettings, PostgresSettings
from common.telemetry import Metrics
from support.broker import producer_settings
from support.eventually import eventually
from support.records import NOW, record


@pytest.fixture(scope="module")
async def kafka(embedded_broker) -> KafkaSettings:
    for topic in (*topics_read_by("booking"), *topics_of("booking")):
        await embedded_broker.create_topic(topic.name, 2)
    return KafkaSettings(bootstrap_servers=embedded_broker.bootstrap_servers, profile="embedded")


def routes_and_tasks() -> tuple[Routes, Tasks]:
    routes, work = Routes(), Tasks()

    @routes.on(HoldWaivedV1)
    async def on_hold_waived(session: Any, event: HoldWaivedV1, _: Meta, now: datetime) -> Outcome:
        tasks.add(session, "answer", str(event.appointment_id), due_at=now)
        return APPLIED

    @work.on("answer")
    async def answer(context: TaskContext) -> Done:
        assert context.resources == "clients"
        root = SimpleNamespace(id=UUID(context.key), version=0)
        async with context.finish() as session:
            event = HoldWaivedV1(appointment_id=root.id, revision=1, schedule_no=1)
            outbox.add(session, root, event, now=context.clock.now())
        return DONE

    return routes, work


async def test_a_worker_reads_works_publishes_measures_and_ends(
    kafka, embedded_broker, pool: Sessions, dsn, wake
) -> None:
    routes, work = routes_and_tasks()
    health, metrics, stop, ids = WorkerHealth(), Metrics("booking"), asyncio.Event(), [uuid4(), uuid4()]
    assert await health.problems() == ["starting"]
    sent = [record(HoldWaivedV1(appointment_id=each, revision=1, schedule_no=1)) for each in ids]

    async def published() -> bool:
        ours = select(OutboxArchiveRow).where(OutboxArchiveRow.key.in_([str(each) for each in ids]))
        async with pool() as session:
            rows = (await session.scalars(ours)).all()
        causes = {row.headers["ce_causationid"] for row in rows}
        return causes == {each.headers["ce_id"] for each in sent}

    async with (
        asyncio.TaskGroup() as group,
        AIOKafkaProducer(**producer_settings(embedded_broker)) as producer,
    ):
        group.create_task(
            run_worker(
                service="booking",
                routes=routes,
                tasks=work,
                sessions=pool,
                postgres=PostgresSettings(dsn=dsn),
                kafka=kafka,
                clock=Clock(read=lambda: NOW),
                wake=wake,
                resources="clients",
                stop=stop,
                metrics=metrics,
                health=health,
            )
        )
        for each in sent:
            headers = [(name, value.encode()) for name, value in each.headers.items()]
            await producer.send_and_wait(each.topic, each.body, key=each.key.encode(), headers=headers)
        await eventually(published, within=15)

        async def ready() -> bool:
            assert await health.problems() == []
            return True

        await eventually(ready, within=10)
        stop.set()
    assert await health.problems() == ["stopping"]
    exposed = metrics.exposition().decode()
    assert (
        'consumer_records_total{outcome="applied",service="booking",topic="payment.appointment"}' in exposed
    )
    assert 'tasks_finished_total{kind="answer",outcome="done",service="booking"}' in exposed
    assert 'relay_published_total{service="booking",topic="payment.appointment"}' in exposed
    async with pool() as session:
        assert await session.scalar(select(func.count()).where(TaskRow.outcome == "done")) == 2


async def test_a_worker_without_kafka_says_so_and_still_does_tasks(pool, dsn, wake) -> None:
    routes, work = routes_and_tasks()
    health, stop = WorkerHealth(), asyncio.Event()
    async with pool.begin() as session:
        tasks.add(session, "answer", str(uuid4()), due_at=NOW - timedelta(seconds=1))

    async def done() -> bool:
        async with pool() as session:
            return await session.scalar(select(TaskRow.outcome)) == "done"

    async with asyncio.TaskGroup() as group:
        group.create_task(
            run_worker(
                service="booking",
                routes=routes,
                tasks=work,
                sessions=pool,
                postgres=PostgresSettings(dsn=dsn),
                kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
                clock=Clock(read=lambda: NOW),
                wake=wake,
                resources="clients",
                stop=stop,
                health=health,
            )
        )
        await eventually(done, within=10)
        problems = await health.problems()
        stop.set()

    assert problems == ["kafka-unreachable"]


@pytest.mark.kafka
async def test_topics_are_created_as_declared_once_and_never_changed(kafka_broker) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka_broker.bootstrap_servers)
    declared = [TOPICS["booking.appointment"], TOPICS["booking.patient"]]

    first = await create(settings, declared)
    second = await create(settings, declared)

    assert (set(first), second) == ({"booking.appointment", "booking.patient"}, [])
    other = SimpleNamespace(name="booking.patient", partitions=3)
    with pytest.raises(TopicDiffers, match="has 12 partitions, declared are 3"):
        await create(settings, [other])


async def test_the_embedded_broker_brings_its_own_topics() -> None:
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1", profile="embedded")

    assert await create(nowhere, [TOPICS["booking.patient"]]) == []
