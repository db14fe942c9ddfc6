"""Every order and repetition of what happens ends in the same state: visits that go as they were booked."""

import pytest

from journeys.conftest import Stage
from journeys.proof import prove, wanted_orders


@pytest.mark.slow
@pytest.mark.parametrize("name", ["1", "2", "3", "4", "5"])
def test_any_order_ends_as_the_plain_one_does(stage: Stage, name: str) -> None:
    assert prove(stage, name) >= wanted_orders(name)
