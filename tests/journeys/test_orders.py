"""Every order and repetition of what happens ends in the same state."""

import pytest

from journeys.conftest import Stage
from journeys.proof import prove, wanted_orders

_AS_BOOKED = ["1", "2", "3", "4", "5", "11"]
_CHANGED = [
    "6",
    "7",
    "8a",
    "8b",
    "9",
    "10",
    "dearer",
    "dearer, accepted",
    "dearer than nothing",
    "moved",
    "corrected",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*_AS_BOOKED, *_CHANGED])
def test_any_order_ends_as_the_plain_one_does(stage: Stage, name: str) -> None:
    assert prove(stage, name) >= wanted_orders(name)
