"""How often a pharmacy may hand something out."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from documents.domain.content import DrugLine, Folder, in_printed_order
from documents.domain.dispensing import (
    LineLeft,
    NotDispensable,
    NothingLeftToDispense,
    PrescriptionExpired,
    dispense,
)

WRITTEN = date(2026, 11, 22)
ONCE = DrugLine(label="A", dosage="1", duration_days=6)
TWICE = DrugLine(label="B", dosage="1", duration_days=30, renewals=1)


def _dispense(*positions: int, earlier: tuple[int, ...] = (), days: int = 0) -> list[LineLeft]:
    return list(
        dispense(
            [ONCE, TWICE],
            folder=Folder.DRUGS,
            written_on=WRITTEN,
            on=WRITTEN + timedelta(days=days),
            earlier=earlier,
            positions=positions,
        )
    )


def test_each_line_once_and_once_more_for_each_renewal() -> None:
    assert _dispense(1, 2) == [LineLeft(1, 1, 1), LineLeft(2, 1, 2)]
    assert _dispense(2, earlier=(1, 2)) == [LineLeft(1, 1, 1), LineLeft(2, 2, 2)]
    with pytest.raises(NothingLeftToDispense):
        _dispense(1, earlier=(1,))
    with pytest.raises(NothingLeftToDispense):
        _dispense(2, earlier=(2, 2))


@pytest.mark.parametrize("positions", [(), (0,), (3,), (1, 1)])
def test_only_lines_that_are_there_and_each_once(positions) -> None:
    with pytest.raises(NotDispensable):
        _dispense(*positions)


@pytest.mark.parametrize(
    ("days", "earlier", "right"),
    [(90, (), True), (91, (), False), (91, (2,), True), (365, (2,), True), (366, (2,), False)],
)
def test_first_within_three_months_and_all_within_a_year(days, earlier, right) -> None:
    if right:
        assert _dispense(2, earlier=earlier, days=days)
    else:
        with pytest.raises(PrescriptionExpired):
            _dispense(2, earlier=earlier, days=days)


def test_lines_are_numbered_as_the_paper_prints_them() -> None:
    lines = [replace(ONCE, label=str(place), related_to_ald=place in (2, 4)) for place in range(1, 6)]

    assert [line.label for line in in_printed_order(lines)] == ["2", "4", "1", "3", "5"]
    assert in_printed_order(in_printed_order(lines)) == in_printed_order(lines)
