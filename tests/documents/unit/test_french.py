"""Amounts, ages and numbers as they are written in French."""

from datetime import UTC, date, datetime

import pytest

from common.money import Cents
from documents.domain.content import Settlement
from documents.rendering import french


@pytest.mark.parametrize(
    ("cents", "written"),
    [(0, "0,00 €"), (5, "0,05 €"), (750, "7,50 €"), (123_405, "1 234,05 €"), (100_000_000, "1 000 000,00 €")],
)
def test_an_amount(cents, written) -> None:
    assert french.amount(Cents(cents)).replace("\N{NO-BREAK SPACE}", " ") == written


@pytest.mark.parametrize(
    ("born_on", "on", "written"),
    [
        (date(1955, 11, 22), date(2026, 11, 22), "71 ans"),
        (date(1955, 11, 23), date(2026, 11, 22), "70 ans"),
        (date(2025, 7, 3), date(2026, 11, 22), "16 mois"),
        (date(2023, 11, 22), date(2026, 11, 22), "3 ans"),
        (date(2024, 2, 29), date(2026, 2, 28), "23 mois"),
    ],
)
def test_an_age(born_on, on, written) -> None:
    assert french.age(born_on, on).replace("\N{NO-BREAK SPACE}", " ") == written


def test_nobody_is_born_after_the_visit() -> None:
    with pytest.raises(ValueError, match="born after"):
        french.age(date(2026, 11, 23), date(2026, 11, 22))


def test_a_moment_is_local() -> None:
    assert french.moment(datetime(2026, 7, 14, 22, 30, tzinfo=UTC), "Europe/Paris") == "15/07/2026 à 00:30"


def test_numbers_in_groups() -> None:
    assert french.nir("185052A00412356").split("\N{NO-BREAK SPACE}") == [
        "1",
        "85",
        "05",
        "2A",
        "004",
        "123",
        "56",
    ]
    assert french.phone("+33472000000").replace("\N{NO-BREAK SPACE}", " ") == "04 72 00 00 00"
    assert french.phone("00 41 22 000") == "00 41 22 000"


@pytest.mark.parametrize(
    ("count", "written"), [(1, "une"), (16, "seize"), (21, "vingt et une"), (35, "trente-cinq")]
)
def test_counts_in_letters(count, written) -> None:
    assert french.in_letters(count) == written


def test_shares_that_do_not_add_up_are_no_settlement() -> None:
    with pytest.raises(ValueError, match="add up"):
        Settlement(
            fee_cents=Cents(2500), base_cents=Cents(2500), paid_cents=Cents(750), amo_cents=Cents(1700)
        )
    with pytest.raises(ValueError, match="negative"):
        Settlement(
            fee_cents=Cents(2500), base_cents=Cents(2500), paid_cents=Cents(2600), amo_cents=Cents(-100)
        )
