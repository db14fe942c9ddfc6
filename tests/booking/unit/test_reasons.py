from datetime import date

import pytest

from booking.domain.reasons import REASONS, Emergency, ReasonNotFound

TODAY = date(2026, 6, 1)
RED_FLAGS = {
    "chest-pain",
    "breathing-difficulty",
    "very-intense-pain",
    "loss-of-consciousness",
    "stroke-signs",
}


def test_the_red_flags_are_those_of_the_terms_of_use() -> None:
    assert {row.code for row in REASONS.valid(TODAY) if row.red_flag} == RED_FLAGS


@pytest.mark.parametrize("code", sorted(RED_FLAGS))
def test_a_red_flag_answers_with_whom_to_call(code) -> None:
    with pytest.raises(Emergency) as refused:
        REASONS.accept(code, on=TODAY)

    numbers = {each["number"]: each["confidence"] for each in refused.value.extra["numbers"]}
    assert numbers == {"15": "seed", "112": "seed", "114": "unconfirmed"}


def test_every_reason_has_both_languages_and_its_source() -> None:
    for row in REASONS.rows:
        assert row.label_fr
        assert row.label_en
        assert row.source
        assert row.confidence


def test_a_reason_of_another_day_or_of_no_day_is_unknown() -> None:
    assert REASONS.accept("fever", on=TODAY).code == "fever"
    with pytest.raises(ReasonNotFound):
        REASONS.accept("fever", on=date(2018, 9, 14))
    with pytest.raises(ReasonNotFound):
        REASONS.accept("boredom", on=TODAY)
