"""The consumer on a real Apache Kafka."""

from uuid import uuid4

import pytest

from support.broker_cluster import BrokerCluster
from support.consumer_contract import PARTITIONS, GroupContract, Reader, facts, running

pytestmark = pytest.mark.kafka


class TestOnKafka(GroupContract):
    within = 30

    @pytest.fixture
    def cluster(self, kafka_broker) -> BrokerCluster:
        return BrokerCluster(kafka_broker)


@pytest.mark.slow
async def test_a_broker_that_is_killed_and_comes_back_costs_nothing(own_kafka_broker, pool) -> None:
    contract = TestOnKafka()
    contract.within = 90
    cluster, topic = BrokerCluster(own_kafka_broker), f"test.{uuid4().hex}"
    await cluster.create(topic, PARTITIONS)
    reader, keys = Reader(pool, cluster, (topic,)), [uuid4() for _ in range(8)]

    async with running(reader.member()):
        await cluster.send(topic, [each for key in keys for each in facts(key, *range(1, 51))])
        await contract.until_applied(reader, {key: list(range(1, 51)) for key in keys})
        await own_kafka_broker.kill()
        await own_kafka_broker.start()
        await cluster.send(topic, [each for key in keys for each in facts(key, *range(51, 101))])
        await contract.until_applied(reader, {key: list(range(1, 101)) for key in keys})

    assert await reader.letters() == []
