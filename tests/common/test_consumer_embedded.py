"""The consumer on the embedded broker; two members of one group are beyond it."""

import pytest

from support.broker_cluster import BrokerCluster
from support.consumer_contract import ConsumerContract


class TestOnTheEmbeddedBroker(ConsumerContract):
    @pytest.fixture
    def cluster(self, embedded_broker) -> BrokerCluster:
        return BrokerCluster(embedded_broker)
