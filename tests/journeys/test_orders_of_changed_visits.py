"""Every order and repetition of what happens ends in the same state: visits that something changes."""

import pytest

from journeys.conftest import Stage
from journeys.proof import prove, wanted_orders


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["6", "7", "8a", "8b", "9", "10", "dearer", "dearer, accepted", "moved", "corrected"]
)
def test_any_order_ends_as_the_plain_one_does(stage: Stage, name: str) -> None:
    assert prove(stage, name) >= wanted_orders(name)
