import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from local import kafka
from local.kafka import Kafka
from support.broker import consumer_settings, producer_settings

pytestmark = pytest.mark.kafka


@pytest.fixture
async def topic(kafka_broker: Kafka) -> str:
    name = f"test.{uuid4().hex}"
    await kafka_broker.create_topics({name: 3})
    return name


@pytest.fixture
async def producer(kafka_broker: Kafka) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(**producer_settings(kafka_broker)) as producer:
        yield producer


async def test_what_is_produced_is_consumed_with_key_and_headers(
    kafka_broker: Kafka, producer: AIOKafkaProducer, topic: str
) -> None:
    await producer.send_and_wait(topic, b"body", key=b"key", headers=[("ce_id", b"1")])

    async with AIOKafkaConsumer(topic, group_id=topic, **consumer_settings(kafka_broker)) as consumer:
        record = await asyncio.wait_for(consumer.getone(), 20)

    assert (record.key, record.value, record.headers) == (b"key", b"body", (("ce_id", b"1"),))


async def test_topics_have_the_partitions_they_were_given(producer: AIOKafkaProducer, topic: str) -> None:
    assert await producer.partitions_for(topic) == {0, 1, 2}


async def test_creating_topics_again_changes_nothing(
    kafka_broker: Kafka, producer: AIOKafkaProducer, topic: str
) -> None:
    await producer.send_and_wait(topic, b"body", partition=0)

    await kafka_broker.create_topics({topic: 3})

    assert (await producer.send_and_wait(topic, b"body", partition=0)).offset == 1


@pytest.mark.slow
async def test_a_broker_that_is_killed_starts_again_on_its_data(own_kafka_broker: Kafka) -> None:
    running = own_kafka_broker
    await running.create_topics({"some.topic": 1})
    async with AIOKafkaProducer(**producer_settings(running)) as producer:
        await producer.send_and_wait("some.topic", b"before")
        killed = running.pid

        await running.kill()
        await running.start()

        assert running.pid != killed
        assert (await asyncio.wait_for(producer.send_and_wait("some.topic", b"after"), 60)).offset == 1


@pytest.mark.slow
async def test_a_second_run_finds_the_topics_of_the_first(kafka_broker: Kafka, tmp_path: Path) -> None:
    assert kafka_broker.cluster_id  # Kafka can run here
    async with kafka.running(tmp_path, topics={"some.topic": 2}) as first:
        pid = first.pid
        async with AIOKafkaProducer(**producer_settings(first)) as producer:
            await producer.send_and_wait("some.topic", b"kept", partition=1)
    assert pid is not None
    assert not psutil.pid_exists(pid)

    async with kafka.running(tmp_path) as second:
        assert second.cluster_id == first.cluster_id
        async with AIOKafkaConsumer("some.topic", **consumer_settings(second)) as consumer:
            assert (await asyncio.wait_for(consumer.getone(), 20)).value == b"kept"
