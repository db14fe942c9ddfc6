"""Every test vector of every number, and what people type around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.domain import identifiers
from claims.domain.identifiers import Answer, Check, Verdict
from support.worked_cases import rows

CHECKS = {
    "nir": identifiers.check_nir,
    "nia": identifiers.check_nia,
    "rpps": identifiers.check_rpps,
    "billing_number": identifiers.check_billing_number,
    "finess": identifiers.check_finess,
    "siren": identifiers.check_siren,
    "siret": identifiers.check_siret,
    "amc_number": identifiers.check_amc_number,
    "cip13": identifiers.check_cip13,
}


@pytest.mark.parametrize("row", rows("identifiers.csv"), ids=lambda row: f"{row['kind']} {row['value']}")
def test_a_vector_gets_its_verdict_and_the_failing_check(row: dict[str, str]) -> None:
    answer = CHECKS[row["kind"]](row["value"])

    assert answer.verdict == row["verdict"]
    assert (answer.failed or "") == row["failed"]
    assert answer.accepted is (row["verdict"] != "invalid")


def test_every_kind_of_number_has_good_and_bad_vectors() -> None:
    seen = {(row["kind"], row["verdict"] == "invalid") for row in rows("identifiers.csv")}

    assert seen == {(kind, bad) for kind in CHECKS for bad in (True, False)}


def test_spaces_dots_and_case_do_not_count() -> None:
    answer = identifiers.check_nir(" 1.85 05 2a 004\u00a0123 56 ")

    assert answer == Answer(Verdict.VALID, "185052A00412356", None)


def test_a_wrong_month_warns_when_the_key_is_right() -> None:
    body = "1851578006084"
    key = 97 - int(body) % 97

    answer = identifiers.check_nir(f"{body}{key:02d}")

    assert (answer.verdict, answer.failed) == (Verdict.SUSPECT_STRUCTURE, Check.STRUCTURE)


@given(st.integers(10**12, 10**13 - 1))
def test_one_changed_digit_never_keeps_the_key_of_a_nir(body: int) -> None:
    number = f"{body}{97 - body % 97:02d}"
    other = str((int(number[7]) + 1) % 10)

    assert identifiers.check_nir(number).failed is not Check.KEY
    assert identifiers.check_nir(number[:7] + other + number[8:]).failed is Check.KEY


@given(st.sampled_from(sorted(CHECKS)), st.text(max_size=20))
def test_any_text_gets_an_answer(kind: str, text: str) -> None:
    answer = CHECKS[kind](text)

    assert (answer.failed is None) == (answer.verdict in {Verdict.VALID, Verdict.VALID_PROVISIONAL})


@pytest.mark.parametrize(
    ("value", "provisional"),
    [
        ("790079935101282", True),
        ("790009935101282", True),
        ("185057800608491", False),
        ("255081416802538", False),
    ],
)
def test_a_provisional_number_is_known_by_its_first_digit(value, provisional) -> None:
    """However odd the month is: it is priced as what it is."""
    assert identifiers.is_provisional(value) is provisional
