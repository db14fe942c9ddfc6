"""What is known becomes the question the calculator takes, and nothing is invented that counts."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any, get_args

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
from claims.domain.policy import DEFAULT_POLICY, Policy
from claims.domain.priced import Priced
from claims.domain.pricing import Amc, Insured, Nir, PricingRefused, price
from claims.domain.rights import PayerKind, RightsAnswer, RightsStatus, RightsVerdict, judged
from claims.domain.tables import load_tables
from claims.usecases.pricing import with_insurance_of
from common.events.base import AgeGroup
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


def priced_at(group: str, *, fee: int = 3000, policy: Policy = DEFAULT_POLICY, **changes: Any) -> Priced:
    """What a visit without a known birth date costs somebody of this group."""
    young = group in {"under-3", "3-to-5", "6-to-15"}
    told = {"age_group": group, "under_16": young, "minor_on_1_january": young, "fee_cents": Cents(fee)}
    visit = replace(VISIT, **told | changes)
    return price(inputs_of(visit, COVERED, care_on=ON, booked_on=None, tables=TABLES), TABLES, policy)


def refusal_at(group: str, **changes: Any) -> str | None:
    try:
        priced_at(group, **changes)
    except PricingRefused as refused:
        return refused.code
    return None


@pytest.mark.parametrize(
    ("act", "changes", "groups"),
    [
        ("MEG", {}, {"under-3", "3-to-5"}),
        ("MOP", {"pathway": "referred"}, {"80-or-more"}),
    ],
)
def test_a_supplement_for_an_age_goes_by_the_group(act, changes, groups) -> None:
    codes = {group: refusal_at(group, acts=("TCG", act), **changes) for group in get_args(AgeGroup)}

    assert {group for group, code in codes.items() if code is None} == groups
    assert set(codes.values()) == {None, "act-not-allowed"}


def test_a_partner_psychologist_sees_children_from_three_years() -> None:
    psychologist = {"profession": "psychologist", "specialty": "00", "sector": "none"}
    policy = Policy(partner_psychologist=True)

    paid = {
        group: priced_at(group, fee=5000, policy=policy, **psychologist).amo_cents
        for group in get_args(AgeGroup)
    }

    assert paid.pop("under-3") == 0
    assert set(paid.values()) == {3000}


def test_a_range_of_direct_access_goes_by_the_group() -> None:
    psychiatrist = {"specialty": "33", "pathway": "none"}
    policy = Policy(direct_access_age_limits=True)

    reimbursable = {
        group
        for group in get_args(AgeGroup)
        if priced_at(group, fee=5020, policy=policy, **psychiatrist).reimbursable
    }

    # under 16 nobody asks for a pathway
    assert reimbursable == {"under-3", "3-to-5", "6-to-15", "16-to-25"}


@pytest.mark.parametrize(
    ("on", "seen", "reimbursable", "alternation"),
    [
        (date(2019, 6, 3), True, True, False),
        (date(2019, 6, 3), None, True, False),
        (date(2019, 6, 3), False, False, False),  # rule E4: then the patient had to be known
        (ON, True, True, False),
        (ON, None, True, False),
        (ON, False, True, True),
    ],
)
def test_whether_the_patient_was_seen_in_person_decides_in_the_old_dates_and_warns_today(
    on, seen, reimbursable, alternation
) -> None:
    visit = replace(VISIT, seen_in_person=seen)

    priced = price(inputs_of(visit, COVERED, care_on=on, booked_on=None, tables=TABLES), TABLES)

    assert (priced.reimbursable, "alternation" in priced.warnings) == (reimbursable, alternation)
    assert priced.amo_cents == (1750 if reimbursable else 0)


def test_who_owes_no_flat_contribution_for_a_reason_of_its_own_pays_none() -> None:
    exempt = replace(COVERED, contribution_exempt=True)

    priced = price(inputs_of(VISIT, exempt, care_on=ON, booked_on=None, tables=TABLES), TABLES)

    assert (priced.flat_contribution_cents, priced.amo_cents) == (0, 1750)
    assert ("D3", "other") in [(step.rule, step.reason) for step in priced.trace]


def test_an_exemption_known_later_counts_when_care_is_priced_again() -> None:
    exempt = replace(COVERED, contribution_exempt=True)

    before, since = [
        inputs_of(VISIT, known, care_on=ON, booked_on=None, tables=TABLES) for known in (COVERED, exempt)
    ]

    assert with_insurance_of(before, since) == since != before


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


BEFORE_IT, IN_IT, AFTER_IT = ON + timedelta(days=30), ON, ON - timedelta(days=30)


@pytest.mark.parametrize(
    ("begins", "related", "ald", "expected"),
    [
        (BEFORE_IT, True, False, True),
        (AFTER_IT - timedelta(days=10), True, False, False),  # it has ended
        (IN_IT, True, False, False),  # everything is at 100 % by the window itself
        (BEFORE_IT, False, False, False),
        (BEFORE_IT, True, True, False),  # then the care is for the illness
        (None, True, False, False),  # nothing is known of a maternity
    ],
)
def test_related_care_before_the_window_of_a_maternity_is_on_the_list(begins, related, ald, expected) -> None:
    exemptions = []
    if begins is not None:
        last = begins + timedelta(days=10)
        exemptions.append(Exemption(kind=ExemptionKind.MATERNITY, first_on=begins, last_on=last))
    if ald:
        exemptions.append(Exemption(kind=ExemptionKind.ALD, first_on=date(2020, 1, 1), last_on=None))

    found = exemptions_at(Insurance(exemptions=tuple(exemptions)), care_on=ON, related=related)

    assert (found.maternity_list, found.ald) == (expected, ald and related)


def test_an_act_of_the_maternity_list_is_paid_in_full_and_said_to_be_unconfirmed() -> None:
    to_come = Exemption(kind=ExemptionKind.MATERNITY, first_on=BEFORE_IT, last_on=BEFORE_IT)
    known = replace(COVERED, exemptions=(to_come,))
    listed = replace(VISIT, exemption_related=True)

    priced, ordinary = [
        price(inputs_of(visit, known, care_on=ON, booked_on=None, tables=TABLES), TABLES)
        for visit in (listed, VISIT)
    ]

    assert (priced.amo_cents, priced.advance_cents, priced.flat_contribution_cents) == (2500, 0, 0)
    assert "B2" in [step.rule for step in priced.trace]
    assert "unconfirmed-rule" in priced.warnings
    assert (ordinary.amo_cents, "unconfirmed-rule" in ordinary.warnings) == (1750, False)


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
