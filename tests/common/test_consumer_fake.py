"""The consumer on the log in memory."""

import pytest

from support.consumer_contract import GroupContract
from support.fake_log import FakeCluster


class TestOnTheFakeLog(GroupContract):
    @pytest.fixture
    def cluster(self) -> FakeCluster:
        return FakeCluster()
