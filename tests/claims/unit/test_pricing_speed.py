"""The measure that the bench uses; the floor is far below any machine and catches a slip of scale."""

from claims.domain.tables import load_tables
from support.pricing_speed import quotes_per_second


def test_pricing_is_a_matter_of_microseconds() -> None:
    assert quotes_per_second(load_tables(), rounds=5) > 1_000
