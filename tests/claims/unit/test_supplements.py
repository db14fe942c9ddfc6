"""The supplements that a price which nobody has coded counts: for the age, the day and the hour."""

from datetime import date
from typing import Any

import pytest

from claims.domain.pricing import ActLine, Amc, Pathway, Sector, price
from claims.domain.supplements import with_supplements
from claims.domain.tables import load_tables
from common.money import Cents
from support.questions import question

TABLES = load_tables()
OLD, CHILD = {"born_on": date(1940, 1, 1)}, {"born_on": date(2021, 1, 1)}
SUNDAY, HOLIDAY = {"care_on": date(2025, 3, 9)}, {"care_on": date(2025, 5, 1)}


def lines(hour: int | None = 10, *, ordinary_fee: bool = True, **changes: Any) -> tuple[str, int]:
    asked = with_supplements(question(**changes), TABLES, hour=hour, ordinary_fee=ordinary_fee)
    return "+".join(str(line) for line in asked.acts), asked.fee_cents


@pytest.mark.parametrize("changes", [OLD, SUNDAY, HOLIDAY])
def test_a_consultation_with_a_supplement_is_quoted_with_it(changes: dict[str, Any]) -> None:
    asked = with_supplements(question(amc=Amc.NONE, **changes), TABLES, hour=10, ordinary_fee=True)

    answer = price(asked, TABLES)

    assert (answer.base_cents, answer.advance_cents) == (3000, 900)


@pytest.mark.parametrize(
    ("hour", "changes", "expected"),
    [
        (10, {}, ("", 2500)),
        (None, {}, ("", 2500)),
        (10, OLD, ("TCG+MOP", 3000)),
        (10, OLD | {"pathway": Pathway.REGULAR_DOCTOR}, ("", 2500)),
        (10, OLD | {"sector": Sector.S2}, ("", 2500)),  # of sector 1 and OPTAM only
        (10, CHILD, ("TCG+MEG", 3000)),
        (10, SUNDAY, ("TCG+MHP", 3000)),
        (None, SUNDAY, ("TCG+MHP", 3000)),
        (10, HOLIDAY, ("TCG+MHP", 3000)),
        (19, {}, ("", 2500)),
        (20, {}, ("TCG+MHP", 3000)),
        (0, {}, ("TCG+MHP", 3000)),
        (7, {}, ("TCG+MHP", 3000)),
        (8, {}, ("", 2500)),
        (21, OLD | SUNDAY, ("TCG+MOP+MHP", 3500)),
        (10, {"care_on": date(2024, 3, 10)}, ("TCG+F", 4406)),  # a Sunday under the tariffs of before
        (21, {"care_on": date(2024, 3, 10)}, ("TCG+MN", 6000)),
        (3, {"care_on": date(2024, 3, 10)}, ("TCG+MM", 6500)),
        (21, {"specialty": "dermatologist"}, ("", 2500)),  # only general practitioners have it
        (10, OLD | {"specialty": "dermatologist"}, ("TCS+MOP", 3000)),
        (21, {"specialty": "psychologist", "sector": Sector.NONE}, ("", 2500)),
        (21, {"zone": "reunion"}, ("", 2500)),  # no row, no price
        (21, {"fee_cents": Cents(2000)}, ("TCG+MHP", 2500)),
        (21, {"fee_cents": Cents(3000)}, ("TCG+MHP", 3000)),  # holds the supplement already
        (21, {"sector": Sector.OPTAM, "fee_cents": Cents(4000)}, ("TCG+MHP", 4000)),
        (21, {"sector": Sector.S2, "fee_cents": Cents(4000)}, ("TC+MHP", 4000)),
        (10, {"acts": (ActLine("TCG"), ActLine("MHP"))}, ("TCG+MHP", 3000)),  # the practitioner's word
        (21, {"acts": (ActLine("TCG"),)}, ("TCG", 2500)),
        (21, {"acts": (ActLine("=", Cents(1905)),)}, ("=1905", 2500)),
    ],
)
def test_a_supplement_follows_from_age_day_and_hour(
    hour: int | None, changes: dict[str, Any], expected: tuple[str, int]
) -> None:
    assert lines(hour, **changes) == expected


@pytest.mark.parametrize(
    ("fee", "acts", "expected"),
    [(2500, "", ("", 2500)), (3000, "", ("TCG+MHP", 3000)), (2500, "TCG+MHP", ("TCG+MHP", 2500))],
)
def test_the_fee_that_was_charged_says_whether_it_holds_a_supplement(
    fee: int, acts: str, expected: tuple[str, int]
) -> None:
    coded = tuple(ActLine(code) for code in acts.split("+") if code)

    assert lines(21, ordinary_fee=False, fee_cents=Cents(fee), acts=coded) == expected
