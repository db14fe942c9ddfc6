"""The relay: everything that was committed reaches the broker, each key in order, and then the archive."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from sqlalchemy import func, select

from common.clock import Clock
from common.db import Sessions
from common.events.payment import HoldWaivedV1
from common.messaging import archive, connections, outbox
from common.messaging.kafka import producer_options
from common.messaging.publishing import Publisher, partition_of
from common.messaging.relay import Relay
from common.messaging.replay import replay
from common.messaging.tables import OutboxArchiveRow, OutboxRow
from common.settings import KafkaSettings
from common.transaction import notes_of
from common.wake import LocalWake
from support.broker import consumer_settings
from support.eventually import eventually
from support.records import NOW

KEYS = [uuid4() for _ in range(20)]


def waived(key: UUID, topic: str) -> HoldWaivedV1:
    class Waived(HoldWaivedV1):
        pass

    Waived.topic = topic
    return Waived(appointment_id=key, revision=1, schedule_no=1)


async def write(sessions: Sessions, topic: str, *numbers: int) -> None:
    """One event of each key per number, in one transaction."""
    async with sessions.begin() as session:
        for number in numbers:
            session.add_all(outbox.row(waived(key, topic), sequence=number, now=NOW) for key in KEYS)
        notes_of(session).wakes.add("outbox")


@pytest.fixture
async def topic(embedded_broker) -> str:
    name = f"test.{uuid4().hex}"
    await embedded_broker.create_topic(name, 3)
    return name


@pytest.fixture
def kafka(embedded_broker) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=embedded_broker.bootstrap_servers, profile="embedded")


@pytest.fixture
def new_relay(dsn, kafka, wake) -> Callable[..., Relay]:
    def new_relay(**about: Any) -> Relay:
        clock = about.pop("clock", Clock(read=lambda: NOW))
        return Relay("payment", dsn, about.pop("kafka", kafka), about.pop("wake", wake), clock, **about)

    return new_relay


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(relay.run(stop))
        try:
            yield
        finally:
            stop.set()


async def left(sessions: Sessions) -> int:
    async with sessions() as session:
        return await session.scalar(select(func.count()).select_from(OutboxRow)) or 0


async def archived(sessions: Sessions) -> int:
    async with sessions() as session:
        return await session.scalar(select(func.count()).select_from(OutboxArchiveRow)) or 0


async def until_archived(sessions: Sessions, count: int, *, within: float = 15) -> None:
    async def moved() -> bool:
        assert (await left(sessions), await archived(sessions)) == (0, count)
        return True

    await eventually(moved, within=within)


@pytest.fixture
def published(embedded_broker, topic) -> Callable[[int], Awaitable[list[Any]]]:
    async def published(at_least: int) -> list[Any]:
        """What stands in the topic, each partition in its order."""
        consumer = AIOKafkaConsumer(topic, **{**consumer_settings(embedded_broker), "group_id": None})
        await consumer.start()
        try:
            records: list[Any] = []
            async with asyncio.timeout(10):
                while len(records) < at_least:
                    for each in (await consumer.getmany(timeout_ms=100)).values():
                        records += each
            for each in (await consumer.getmany(timeout_ms=50)).values():
                records += each
            return records
        finally:
            await consumer.stop()

    return published


def by_key(records: list[Any]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for each in records:
        found.setdefault(each.key.decode(), []).append(int(dict(each.headers)["ce_sequence"]))
    return found


async def test_every_event_goes_out_once_in_the_order_of_its_key_and_into_the_archive(
    new_relay, pool, topic, published
) -> None:
    await write(pool, topic, *range(1, 31))

    async with running(new_relay(batch=70)):
        await until_archived(pool, 600)
        await write(pool, topic, 31, 32)
        await until_archived(pool, 640)

    assert by_key(await published(640)) == {str(key): list(range(1, 33)) for key in KEYS}


async def test_a_record_is_exactly_what_was_written_and_stands_where_others_look_for_it(
    new_relay, pool, topic, published
) -> None:
    event = waived(KEYS[0], topic)
    written = outbox.row(event, sequence=1, now=NOW)
    body, headers = written.body, dict(written.headers)
    async with pool.begin() as session:
        session.add(written)

    async with running(new_relay()):
        await until_archived(pool, 1)

    [record] = await published(1)
    assert record.value == body
    assert {name: value.decode() for name, value in record.headers} == headers
    assert (record.key.decode(), record.partition) == (str(KEYS[0]), partition_of(str(KEYS[0]), 3))
    assert abs(datetime.fromtimestamp(record.timestamp / 1000, UTC) - datetime.now(UTC)) < timedelta(  # noqa: TID251
        minutes=1
    )


@pytest.mark.parametrize(
    ("key", "hashed"),
    [  # of the Java client's own tests
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ],
)
def test_a_key_goes_to_the_partition_every_kafka_client_expects(key: str, hashed: int) -> None:
    assert partition_of(key, 12) == (hashed & 0x7FFFFFFF) % 12


async def test_what_a_transaction_commits_late_is_not_passed_by(new_relay, pool, topic, published) -> None:
    async with running(new_relay()), pool() as slow:
        slow.add(outbox.row(waived(KEYS[0], topic), sequence=1, now=NOW))
        await slow.flush()  # has its identity, and is not committed
        async with pool.begin() as session:
            session.add(outbox.row(waived(KEYS[1], topic), sequence=1, now=NOW))
        await until_archived(pool, 1)
        await slow.commit()
        await until_archived(pool, 2)

    assert by_key(await published(2)) == {str(KEYS[0]): [1], str(KEYS[1]): [1]}


async def test_only_one_of_two_relays_works_and_the_other_takes_over(
    new_relay, pool, topic, dsn, published
) -> None:
    async with running(new_relay(wake=LocalWake())), running(new_relay(wake=LocalWake())):
        await write(pool, topic, 1)
        await until_archived(pool, 20)
        leaders = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 7352002 AND granted"
        connection = await connections.connect(dsn, name="test")
        [leader] = await connection.fetch(leaders)

        await connection.fetchval("SELECT pg_terminate_backend($1)", leader["pid"])
        await write(pool, topic, 2, 3)
        await until_archived(pool, 60)

        [follower] = await connection.fetch(leaders)
        await connection.close()

    assert leader["pid"] != follower["pid"]
    numbers = by_key(await published(60))
    assert {key: sorted(set(each)) for key, each in numbers.items()} == {str(key): [1, 2, 3] for key in KEYS}


async def test_an_error_of_the_broker_costs_no_order_and_no_event(
    new_relay, pool, topic, embedded_broker, published
) -> None:
    message_too_large, not_enough_replicas = 10, 19
    await write(pool, topic, *range(1, 11))
    await embedded_broker.fail("produce", message_too_large, not_enough_replicas, message_too_large)

    async with running(new_relay(batch=50)):
        await until_archived(pool, 200)

    numbers = by_key(await published(200))
    assert {key: list(dict.fromkeys(each)) for key, each in numbers.items()} == {
        str(key): list(range(1, 11)) for key in KEYS
    }


async def test_nothing_of_a_key_leaves_after_a_row_of_it_failed(
    dsn, kafka, pool, topic, embedded_broker, published
) -> None:
    """Two batches of one partition: the first is refused, so the second is not even sent."""
    key = KEYS[0]
    big = {"x": "y" * 200_000}
    async with pool.begin() as session:
        for number in range(1, 8):
            row = outbox.row(waived(key, topic), sequence=number, now=NOW)
            row.body = str(big).encode()
            session.add(row)
    connection = await connections.connect(dsn, name="test")
    rows = await connection.fetch("SELECT id, topic, key, headers, body FROM outbox ORDER BY id")
    publisher = Publisher({**producer_options(kafka), "max_batch_size": 512 * 1024})
    await publisher.start()
    await embedded_broker.fail("produce", 10)

    result = await publisher.publish(rows)
    await publisher.close()
    await connection.close()

    assert result.acknowledged == []
    assert type(result.error).__name__ == "MessageSizeTooLargeError"
    again = Publisher(producer_options(kafka))
    await again.start()
    retried = await again.publish(rows)
    await again.close()
    assert retried.error is None
    assert by_key(await published(7)) == {str(key): [1, 2, 3, 4, 5, 6, 7]}


async def test_partitions_without_a_leader_do_not_make_the_producer_spin(
    dsn, kafka, pool, topic, embedded_broker, caplog, monkeypatch
) -> None:
    """A broker that shut down has told first that its partitions have no leader any more."""
    await write(pool, topic, 1)
    connection = await connections.connect(dsn, name="test")
    rows = await connection.fetch("SELECT id, topic, key, headers, body FROM outbox ORDER BY id")
    await connection.close()
    publisher = Publisher(producer_options(kafka), patience=2)
    await publisher.start()
    client = publisher._producer.client  # noqa: SLF001
    await client._wait_on_metadata(topic)  # noqa: SLF001
    caplog.set_level(logging.WARNING)
    await embedded_broker.down()
    try:
        monkeypatch.setattr(client.cluster, "leader_for_partition", lambda _: -1)
        began = asyncio.get_running_loop().time()
        result = await publisher.publish(rows)
        took = asyncio.get_running_loop().time() - began
        await publisher.close()
    finally:
        await embedded_broker.up()

    assert result.acknowledged == []
    assert type(result.error).__name__ == "KafkaTimeoutError"
    assert took < 10
    assert len(caplog.records) < 60, f"{len(caplog.records)} lines in {took} s"


async def test_a_broker_that_is_away_keeps_the_events_in_the_outbox_and_a_stop_short(
    new_relay, pool, topic, embedded_broker, published
) -> None:
    await write(pool, topic, 1)
    async with running(new_relay()):
        await until_archived(pool, 20)
        await embedded_broker.down()
        try:
            await write(pool, topic, 2)
            await asyncio.sleep(0)
            assert await left(pool) == 20
        finally:
            await embedded_broker.up()
        await until_archived(pool, 40)

    numbers = by_key(await published(40))
    assert {key: sorted(set(each)) for key, each in numbers.items()} == {str(key): [1, 2] for key in KEYS}


async def test_a_stop_sends_what_is_left(new_relay, pool, topic) -> None:
    stop = asyncio.Event()
    stop.set()
    await write(pool, topic, 1, 2)

    await new_relay(batch=30).run(stop)

    assert (await left(pool), await archived(pool)) == (0, 40)


async def test_the_archive_has_a_partition_a_day_and_drops_the_old_ones(new_relay, pool, topic, dsn) -> None:
    clock = Clock(read=lambda: NOW)
    relay = new_relay(clock=clock, keep_archive=timedelta(days=2))
    async with running(relay):
        for day in range(5):
            clock.shift = timedelta(days=day)
            await write(pool, topic, day + 1)
            await eventually(lambda: _none_left(pool), within=10)

    connection = await connections.connect(dsn, name="test")
    tables = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE tablename LIKE 'outbox_archive_%' ORDER BY 1"
    )
    await connection.close()
    assert [row["tablename"] for row in tables] == [
        "outbox_archive_20300603",
        "outbox_archive_20300604",
        "outbox_archive_20300605",
        "outbox_archive_20300606",
    ]


async def _none_left(sessions: Sessions) -> bool:
    return await left(sessions) == 0


async def test_a_reader_of_the_archive_does_not_stop_the_relay(new_relay, pool, topic, dsn) -> None:
    async with running(new_relay()):
        await write(pool, topic, 1)
        await until_archived(pool, 20)
    reader = await connections.connect(dsn, name="test")
    async with reader.transaction():
        await reader.fetch("SELECT * FROM outbox_archive")
        connection = await connections.connect(dsn, name="test", lock_timeout="50")
        store = archive.Archive(connection, keep=timedelta(days=1))

        with pytest.raises(asyncpg.LockNotAvailableError):
            await store.move([], now=NOW + timedelta(days=7))
        await store.move([], now=NOW)  # today's partition is there; tomorrow's is made another time

        await connection.close()
    await reader.close()


@pytest.mark.parametrize(
    ("chosen", "count"),
    [("key", 3), ("topic", 60), ("everything", 60)],
)
async def test_a_replay_sends_the_same_bytes_again(
    new_relay, pool, topic, dsn, kafka, published, chosen, count
) -> None:
    await write(pool, topic, 1, 2, 3)
    async with running(new_relay()):
        await until_archived(pool, 60)
    choice = {"key": str(KEYS[3]), "topic": topic, "everything": True}[chosen]

    assert await replay(dsn, kafka, **{chosen: choice}) == count

    records = await published(60 + count)
    sent = {
        (each.key, dict(each.headers)["ce_sequence"], each.value, tuple(each.headers)) for each in records
    }
    assert len(sent) == 60
    assert by_key(records)[str(KEYS[3])] == [1, 2, 3, 1, 2, 3]
    assert await archived(pool) == 60


async def test_a_replay_of_nothing_in_particular_is_refused(dsn, kafka) -> None:
    with pytest.raises(ValueError, match="choose a key"):
        await replay(dsn, kafka)
