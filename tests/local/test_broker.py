import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from uuid import uuid4

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from local import broker
from local.broker import Broker
from local.errors import LocalError
from support.broker import consumer_settings, producer_settings
from support.eventually import eventually

# Starts a broker and dies without a chance to end it.
KILLED = """
import asyncio, os, signal
from local import broker
async def main():
    async with broker.running({"some.topic": 1}) as running:
        print(running.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
REQUEST_TIMED_OUT = 7


@pytest.fixture
async def topic(embedded_broker: Broker) -> str:
    name = f"test.{uuid4().hex}"
    await embedded_broker.create_topic(name, 3)
    return name


@pytest.fixture
async def producer(embedded_broker: Broker) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(**producer_settings(embedded_broker)) as producer:
        yield producer


async def test_what_is_produced_is_consumed_with_key_and_headers(
    embedded_broker: Broker, producer: AIOKafkaProducer, topic: str
) -> None:
    await producer.send_and_wait(topic, b"body", key=b"key", headers=[("ce_id", b"1")])

    async with AIOKafkaConsumer(topic, group_id=topic, **consumer_settings(embedded_broker)) as consumer:
        record = await asyncio.wait_for(consumer.getone(), 10)

    assert (record.key, record.value, record.headers) == (b"key", b"body", (("ce_id", b"1"),))


async def test_a_group_goes_on_where_it_committed(
    embedded_broker: Broker, producer: AIOKafkaProducer, topic: str
) -> None:
    settings = consumer_settings(embedded_broker)
    await producer.send_and_wait(topic, b"first", partition=0)
    async with AIOKafkaConsumer(topic, group_id=topic, **settings) as consumer:
        await asyncio.wait_for(consumer.getone(), 10)
        await consumer.commit()
    await producer.send_and_wait(topic, b"second", partition=0)

    async with AIOKafkaConsumer(topic, group_id=topic, **settings) as consumer:
        record = await asyncio.wait_for(consumer.getone(), 10)

    assert record.value == b"second"


async def test_topics_have_the_partitions_they_were_given(producer: AIOKafkaProducer, topic: str) -> None:
    assert await producer.partitions_for(topic) == {0, 1, 2}


async def test_a_topic_cannot_be_made_twice(embedded_broker: Broker, topic: str) -> None:
    with pytest.raises(LocalError, match=f"topic {topic} exists already"):
        await embedded_broker.create_topic(topic, 1)


async def test_a_send_is_repeated_when_the_broker_answers_with_an_error(
    embedded_broker: Broker, producer: AIOKafkaProducer, topic: str
) -> None:
    await embedded_broker.fail("produce", REQUEST_TIMED_OUT, REQUEST_TIMED_OUT)

    sent = await asyncio.wait_for(producer.send_and_wait(topic, b"body", partition=0), 10)

    assert sent.offset == 0


async def test_a_send_outlives_an_outage_of_the_broker() -> None:
    async with (
        broker.running({"some.topic": 1}) as running,
        AIOKafkaProducer(**producer_settings(running)) as producer,
    ):
        await producer.send_and_wait("some.topic", b"before")
        await running.down()
        sending = await producer.send("some.topic", b"during")
        assert not sending.done()

        await running.up()

        assert (await asyncio.wait_for(sending, 10)).offset == 1


async def test_two_brokers_are_two_clusters(embedded_broker: Broker) -> None:
    async with broker.running({}) as other:
        assert other.cluster_id != embedded_broker.cluster_id
        assert other.bootstrap_servers != embedded_broker.bootstrap_servers


async def test_a_stopped_broker_leaves_no_process() -> None:
    async with broker.running({}) as running:
        assert psutil.pid_exists(running.pid)

    assert not psutil.pid_exists(running.pid)


async def test_the_broker_dies_with_a_parent_that_is_killed() -> None:
    argv = [sys.executable, "-c", KILLED]
    killed = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    pid = int(killed.stdout)

    def gone() -> bool:
        return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    await eventually(gone)


async def test_a_broker_that_died_says_so() -> None:
    running = await Broker.start({})
    psutil.Process(running.pid).kill()

    with pytest.raises(LocalError, match="the embedded broker ended"):
        await running.create_topic("some.topic", 1)
    await running.stop()
