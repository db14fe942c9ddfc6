"""Every published example and every case of our own, by table and not by special case."""

import pytest

from claims.domain.pricing import (
    Inputs,
    PricingRefused,
    WarningCode,
    claimed,
    inputs_from_json,
    inputs_to_json,
    price,
    priced_to_json,
)
from claims.domain.tables import load_tables
from common.money import Cents
from support.worked_cases import Case, money_cases, refused_cases, rows

TABLES = load_tables()
DEFINED_WARNINGS = {
    WarningCode.INSURANCE_UNKNOWN,
    WarningCode.NIR_FAILED,
    WarningCode.EXEMPTION_UNPROVEN,
    WarningCode.PATHWAY_UNCONFIRMED,
    WarningCode.TERRITORY_UNCONFIRMED,
    WarningCode.ALTERNATION,
    WarningCode.UNCONFIRMED_TARIFF,
    WarningCode.PF_UNCONFIRMED,
    WarningCode.SURCHARGE_UNCONFIRMED,
    WarningCode.CSS_NOT_REIMBURSABLE,
}


def split(text: str) -> list[str]:
    return [] if text == "-" else [part.strip() for part in text.replace("+", ";").split(";")]


def in_order(wanted: list[str], found: list[str]) -> bool:
    rest = iter(found)
    return all(each in rest for each in wanted)


def test_all_worked_cases_are_there() -> None:
    assert (len(money_cases()), len(refused_cases())) == (81, 14)


@pytest.mark.parametrize("case", money_cases(), ids=lambda case: case.number)
def test_a_money_case_gives_every_column(case: Case) -> None:
    expected = case.expected

    priced = price(case.inputs, TABLES, case.policy)

    found = {
        "fee": priced.fee_cents,
        "base": priced.base_cents,
        "amo_share": priced.amo_cents,
        "amc_share": priced.amc_cents,
        "amc_refund": priced.amc_refund_expected_cents,
        "sponsored": priced.sponsor_cents,
        "deferred": priced.deferred_deductions_cents,
        "final": priced.patient_final_cents,
        "advance": priced.advance_cents,
    }
    assert found == {name: int(expected[name]) for name in found}
    assert priced.sheet_mode.value == expected["sheet"]
    assert in_order(split(expected["rules"]), [entry.rule for entry in priced.trace])
    assert {w.value for w in priced.warnings if w in DEFINED_WARNINGS} == set(split(expected["warnings"]))


@pytest.mark.parametrize("case", refused_cases(), ids=lambda case: case.number)
def test_a_refused_case_gives_its_code_and_names_a_field(case: Case) -> None:
    with pytest.raises(PricingRefused) as refused:
        price(case.inputs, TABLES, case.policy)

    assert refused.value.code == case.expected["refused_with"]
    assert refused.value.field
    assert refused.value.rule


@pytest.mark.parametrize("case", money_cases(), ids=lambda case: case.number)
def test_a_stored_question_is_priced_again_to_the_same_cents(case: Case) -> None:
    again = inputs_from_json(inputs_to_json(case.inputs))

    assert again == case.inputs
    assert priced_to_json(price(again, TABLES, case.policy)) == priced_to_json(
        price(case.inputs, TABLES, case.policy)
    )


@pytest.mark.parametrize("row", rows("rounding.csv"), ids=lambda row: row["bases"])
def test_a_rounding_pair_rounds_each_line_half_up(row: dict[str, str]) -> None:
    bases = row["bases"].split("+")
    question: Inputs = inputs_from_json(
        {
            **inputs_to_json(money_cases()[0].inputs),
            "acts": [f"={base}" for base in bases],
            "fee_cents": sum(map(int, bases)),
        }
    )

    priced = price(question, TABLES)

    assert (priced.amo_cents, priced.amc_cents) == (int(row["amo"]), int(row["amc"]))
    assert claimed(priced) == (Cents(int(row["amo"])), Cents(int(row["amc"])))
