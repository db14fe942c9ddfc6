"""What is known becomes the question the calculator takes, and nothing is invented that counts."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from claims.domain.asking import (
    NOTHING_KNOWN,
    AmcDeclared,
    Consultation,
    Exemption,
    ExemptionKind,
    Insurance,
    amc_at,
    exemptions_at,
    inputs_of,
    specialty_word,
)
from claims.domain.pricing import Amc, Insured, Nir, PricingRefused, price
from claims.domain.rights import PayerKind, RightsAnswer, RightsStatus, RightsVerdict, judged
from claims.domain.tables import load_tables
from common.money import Cents

TABLES = load_tables()
ON = date(2030, 6, 3)
VISIT = Consultation(
    profession="physician",
    specialty="01",
    sector="s1",
    zone="metropole",
    agreed_company=False,
    third_party_payment="full",
    fee_cents=Cents(2500),
    pathway="regular-doctor",
    territory="near",
    exemption_related=False,
    under_16=False,
    minor_on_1_january=False,
)
COVERED = Insurance(insured=Insured.YES, nir=Nir.DEFINITIVE)


@pytest.mark.parametrize(
    ("flags", "contribution"),
    [
        ({"under_16": False, "minor_on_1_january": False}, 200),
        ({"under_16": False, "minor_on_1_january": True}, 0),
        ({"under_16": True, "minor_on_1_january": True}, 0),
    ],
)
@pytest.mark.parametrize("on", [date(2030, 1, 1), date(2030, 6, 3), date(2032, 2, 29), date(2030, 12, 31)])
def test_a_birth_date_nobody_gave_is_true_to_what_the_booking_says(on, flags, contribution) -> None:
    consultation = replace(VISIT, **flags)

    inputs = inputs_of(consultation, COVERED, care_on=on, booked_on=None, tables=TABLES)

    age = on.year - inputs.born_on.year - ((on.month, on.day) < (inputs.born_on.month, inputs.born_on.day))
    assert (age < 16) is flags["under_16"]
    assert price(inputs, TABLES).flat_contribution_cents == contribution


def test_a_known_birth_date_is_used() -> None:
    born = replace(COVERED, born_on=date(1985, 5, 14))

    assert inputs_of(VISIT, born, care_on=ON, booked_on=None, tables=TABLES).born_on == date(1985, 5, 14)


@pytest.mark.parametrize(
    ("insurance", "expected"),
    [
        (NOTHING_KNOWN, Amc.NONE),
        (Insurance(amc_declared=AmcDeclared.EXISTS_NOT_GIVEN), Amc.EXISTS_NOT_GIVEN),
        (Insurance(amc_number="99100001"), Amc.CONTRACTED),
        (Insurance(amc_number="99100004"), Amc.NOT_CONTRACTED),
        (Insurance(amc_number="12345678"), Amc.NOT_CONTRACTED),  # in no directory
        (Insurance(amc_number="99100001", amc_last_on=date(2030, 6, 2)), Amc.UNKNOWN),
        (Insurance(amc_number="99100001", amc_last_on=date(2030, 6, 3)), Amc.CONTRACTED),
        (Insurance(amc_number="99100001", amc_first_on=date(2030, 6, 4)), Amc.UNKNOWN),
    ],
)
def test_the_amc_is_judged_on_the_care_date(insurance, expected) -> None:
    assert amc_at(insurance, care_on=ON, tables=TABLES) is expected


def test_exemptions_hold_from_their_first_to_their_last_day() -> None:
    ald = Exemption(kind=ExemptionKind.ALD, first_on=date(2030, 6, 3), last_on=date(2030, 6, 3))
    insurance = replace(COVERED, exemptions=(ald,))

    days = [date(2030, 6, day) for day in (2, 3, 4)]
    holding = [exemptions_at(insurance, care_on=day, related=True).ald for day in days]

    assert holding == [False, True, False]
    unrelated = exemptions_at(insurance, care_on=ON, related=False)
    assert (unrelated.ald, unrelated.ald_unrelated) == (False, True)


@pytest.mark.parametrize(
    ("profession", "specialty", "word"),
    [("physician", "01", "1"), ("physician", "33", "33"), ("psychologist", "00", "psychologist")],
)
def test_a_specialty_is_a_code_for_physicians_and_the_profession_for_others(
    profession, specialty, word
) -> None:
    assert specialty_word(profession, specialty) == word
    assert TABLES.specialty(word, on=ON) is not None


@pytest.mark.parametrize(
    "profession",
    [
        "psychologist",
        "osteopath",
        "dietician",
        "dentist",
        "midwife",
        "physiotherapist",
        "speech-therapist",
        "nurse",
    ],
)
def test_every_profession_of_the_events_can_be_priced(profession) -> None:
    asked = replace(VISIT, profession=profession, specialty="00", sector="none", fee_cents=Cents(6000))

    priced = price(inputs_of(asked, COVERED, care_on=ON, booked_on=None, tables=TABLES), TABLES)

    assert (priced.advance_cents, priced.sheet_mode.value) == (6000, "INVOICE")


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([(date(2030, 7, 1), date(2030, 11, 1))], (date(2030, 7, 1), date(2030, 11, 1))),  # still to come
        ([(ON, ON)], (ON, ON)),
        ([(date(2030, 7, 1), date(2030, 11, 1)), (ON, ON)], (ON, ON)),
        ([(date(2020, 5, 1), ON - timedelta(days=1))], None),  # of another pregnancy
        ([(date(2030, 7, 1), None)], (date(2030, 7, 1), date(2030, 7, 2))),
    ],
)
def test_a_maternity_window_is_told_until_it_has_ended(windows, expected) -> None:
    exemptions = tuple(
        Exemption(kind=ExemptionKind.MATERNITY, first_on=first, last_on=last) for first, last in windows
    )

    found = exemptions_at(Insurance(exemptions=exemptions), care_on=ON, related=False).maternity

    assert (found and (found.first_on, found.last_on)) == expected


def test_what_is_done_in_person_is_no_act_of_a_video_consultation() -> None:
    with pytest.raises(PricingRefused) as refused:
        inputs_of(replace(VISIT, acts=("G",)), COVERED, care_on=ON, booked_on=None, tables=TABLES)

    assert (refused.value.code, refused.value.field) == ("act-not-allowed", "acts")


def _open_until(last: date, payer_kind: PayerKind = "amc") -> RightsAnswer:
    begins = date(2030, 1, 1)
    return RightsAnswer(payer_kind=payer_kind, status=RightsStatus.OPEN, valid_from=begins, valid_to=last)


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ([], RightsVerdict.UNASKED),
        ([_open_until(ON)], RightsVerdict.PROVEN),
        ([_open_until(ON - timedelta(days=1))], RightsVerdict.UNAVAILABLE),  # nothing is said of the day
        # the older one still holds
        ([_open_until(ON), _open_until(ON - timedelta(days=1))], RightsVerdict.PROVEN),
        ([_open_until(ON, "amo")], RightsVerdict.UNASKED),
    ],
)
def test_rights_that_end_before_the_care_are_not_proven(answers, verdict) -> None:
    assert judged(answers, "amc", care_on=ON)[0] is verdict
