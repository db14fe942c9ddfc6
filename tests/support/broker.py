"""The brokers of a test run: the embedded one, and a real Apache Kafka where Java and Maven can bring it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from local import broker, kafka
from local.broker import Broker
from local.errors import LocalError
from local.kafka import Kafka

_IN_CI = os.environ.get("CI") == "true"  # noqa: TID251 - a skip is a failure there


@pytest.fixture(scope="session")
async def embedded_broker() -> AsyncIterator[Broker]:
    """Without topics: a test creates its own, under names of its own."""
    async with broker.running({}) as running:
        yield running


@pytest.fixture(scope="session")
async def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """Without topics: a test creates its own, under names of its own."""
    async with _kafka(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
async def own_kafka_broker(tmp_path: Path) -> AsyncIterator[Kafka]:
    """A real Kafka of the test's own, to kill."""
    async with _kafka(tmp_path) as running:
        yield running


@asynccontextmanager
async def _kafka(directory: Path) -> AsyncIterator[Kafka]:
    try:
        await kafka.fetch_jars()
    except LocalError as error:
        if _IN_CI:
            raise
        pytest.skip(str(error))
    async with kafka.running(directory) as running:
        yield running


def consumer_settings(running: Broker | Kafka) -> dict[str, Any]:
    """The arguments of an aiokafka consumer on this broker."""
    settings = kafka.CONSUMER if isinstance(running, Kafka) else broker.CONSUMER
    return {**settings, "bootstrap_servers": running.bootstrap_servers}


def producer_settings(running: Broker | Kafka) -> dict[str, Any]:
    """The arguments of an aiokafka producer on this broker."""
    settings = kafka.PRODUCER if isinstance(running, Kafka) else broker.PRODUCER
    return {**settings, "bootstrap_servers": running.bootstrap_servers}
