"""The arithmetic of the bench: a wrong one would be believed."""

import pytest

from bench.measure import Goal, Spread, interleaved, percentile, ratios
from bench.report import CountsDiffer, Part


def test_each_repetition_is_compared_with_its_own_neighbour() -> None:
    found = ratios([10, 90, 40], [20, 100, 100])

    assert found == Spread(median=0.5, low=0.4, high=0.9, repetitions=3)


def test_the_ratio_is_not_that_of_the_medians() -> None:
    ours, baseline = [1, 2, 30], [2, 20, 10]

    found = ratios(ours, baseline)

    assert found.median == 0.5
    assert Spread.of(ours).median / Spread.of(baseline).median == 0.2


def test_an_even_number_of_repetitions_has_its_median_between_the_two_in_the_middle() -> None:
    assert Spread.of([4, 1, 3, 2]).median == 2.5


@pytest.mark.parametrize(("ours", "baseline"), [([1, 2, 3], [1, 2]), ([1], [1]), ([], []), ([1, 2], [1, 0])])
def test_sides_that_cannot_be_compared_are_refused(ours, baseline) -> None:
    with pytest.raises(ValueError, match=r"argument|repetitions|zero"):
        ratios(ours, baseline)


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)]
)
def test_a_percentile_is_a_value_that_was_measured(percent, expected) -> None:
    shuffled = [each * 37 % 101 for each in range(1, 101)]

    assert percentile(shuffled, percent) == expected


def test_the_median_of_few_values_is_one_of_them() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile([7], 99) == 7


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1], 101), ([1], -1)])
def test_a_percentile_of_nothing_is_refused(values, percent) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)


async def test_sides_take_turns_and_the_first_of_each_is_thrown_away() -> None:
    order = []

    async def side(name: str) -> int:
        order.append(name)
        return len(order)

    ours, baseline = await interleaved(lambda: side("A"), lambda: side("B"), repetitions=2)

    assert order == ["A", "B", "A", "B", "A", "B"]
    assert (ours, baseline) == ([3, 5], [4, 6])


@pytest.mark.parametrize(
    ("goal", "met", "missed"),
    [(Goal(0.5, at_least=True), 0.5, 0.49), (Goal(2, at_least=False), 2, 2.01)],
)
def test_a_goal_is_met_at_its_limit(goal, met, missed) -> None:
    assert goal.is_met(met)
    assert not goal.is_met(missed)


def test_a_figure_is_judged_by_its_ratio_not_by_its_amount() -> None:
    part = Part("c", "relay")

    part.compare("events", "/s", [40, 40], [100, 100], goal=Goal(0.5, at_least=True))

    assert part.figures[0].met is False


def test_rows_that_differ_end_the_part() -> None:
    part = Part("a", "booking")

    part.same(appointments=3, outbox=3)
    with pytest.raises(CountsDiffer, match="answered 2, asked 3"):
        part.same(answered=2, asked=3)
