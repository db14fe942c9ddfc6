"""Rules beyond the worked cases: claims, codes, switches, boundaries, previews, sentences."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claims.domain.pricing import (
    ActLine,
    Amc,
    Benefit,
    Exemptions,
    Insured,
    MaternityWindow,
    Nir,
    OutOfPathway,
    OverrunQualifier,
    Pathway,
    Payer,
    Policy,
    Priced,
    PricingRefused,
    Sector,
    SheetMode,
    Sponsor,
    SponsorKind,
    Territory,
    ThirdPartyPayment,
    WarningCode,
    claimed,
    inputs_from_json,
    inputs_to_json,
    policy_from_json,
    policy_to_json,
    preview_acts,
    price,
)
from claims.domain.situation import age_on
from claims.domain.tables import load_tables
from common.errors import Refusal
from common.money import Cents
from support.questions import question

TABLES = load_tables()
REDUCED = Policy(out_of_pathway=OutOfPathway.REDUCED_30)
TC_LINES = ["TC", "MPC", "MCS"]


def priced(policy: Policy | None = None, **changes: Any) -> Priced:
    return price(question(**changes), TABLES, policy or Policy())


def rules(answer: Priced) -> list[str]:
    return [entry.rule for entry in answer.trace]


def claims(answer: Priced) -> list[tuple[Payer, int, list[tuple[Benefit, int]]]]:
    return [
        (part.payer, part.amount_cents, [(line.benefit, line.amount_cents) for line in part.lines])
        for part in answer.claim_parts
    ]


def test_two_payers_get_a_claim_each() -> None:
    answer = priced()

    assert claims(answer) == [
        (Payer.AMO, 1750, [(Benefit.BASE, 1750)]),
        (Payer.AMC, 750, [(Benefit.COPAYMENT, 750)]),
    ]
    assert [(line.code, line.base_cents) for line in answer.lines] == [("TCG", 2500)]


def test_css_is_one_claim_with_two_benefit_lines() -> None:
    answer = priced(exemptions=Exemptions(css=True), amc=Amc.NONE)

    assert claims(answer) == [(Payer.AMO, 2500, [(Benefit.BASE, 1750), (Benefit.COPAYMENT_CSS, 750)])]
    assert claimed(answer) == (1750, 750)


def test_the_local_scheme_is_a_benefit_line_of_its_own() -> None:
    answer = priced(scheme="alsace-moselle", acts=(ActLine("=", Cents(2158)),), fee_cents=Cents(2158))

    assert claims(answer) == [
        (Payer.AMO, 1943, [(Benefit.BASE, 1511), (Benefit.LOCAL_SUPPLEMENT, 432)]),
        (Payer.AMC, 215, [(Benefit.COPAYMENT, 215)]),
    ]


def test_state_medical_aid_is_its_own_benefit() -> None:
    answer = priced(exemptions=Exemptions(ame=True), nir=Nir.AME, amc=Amc.NONE)

    assert claims(answer) == [(Payer.AMO, 2500, [(Benefit.AME, 2500)])]


@pytest.mark.parametrize(
    "changes",
    [
        {"nir": Nir.NONE},
        {"insured": Insured.NO},
        {"insured": Insured.UNKNOWN},
        {"third_party_payment": ThirdPartyPayment.NONE},
        {"pathway": Pathway.NONE},
    ],
)
def test_without_third_party_payment_nothing_is_claimed(changes: dict[str, Any]) -> None:
    assert priced(**changes).claim_parts == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"exemptions": Exemptions(ald=True)}, "42"),
        ({"exemptions": Exemptions(ald_unrelated=True)}, "41"),
        ({"exemptions": Exemptions(maternity_list=True)}, "55"),
        ({"exemptions": Exemptions(css=True)}, None),
        ({"care_on": date(2021, 6, 15)}, "62"),
    ],
)
def test_the_exemption_code_of_the_claim(changes: dict[str, Any], code: str | None) -> None:
    assert priced(**changes).exemption_code == code


@pytest.mark.parametrize(
    ("changes", "letter"),
    [
        ({"pathway": Pathway.REGULAR_DOCTOR}, "T"),
        ({"pathway": Pathway.REFERRED}, "O"),
        ({"pathway": Pathway.LOCUM}, "R"),
        ({"pathway": Pathway.EMERGENCY}, "U"),
        ({"pathway": Pathway.AWAY}, "H"),
        ({"pathway": Pathway.ORGANISATION, "territory": Territory.PRIORITY_ZONE}, "B"),
        ({"pathway": Pathway.NONE, "specialty": "psychiatrist", "fee_cents": Cents(5020)}, "D"),
        ({"pathway": Pathway.UNANSWERED}, None),
        ({"insured": Insured.NO}, None),
    ],
)
def test_the_pathway_indicator_of_the_claim(changes: dict[str, Any], letter: str | None) -> None:
    assert priced(**changes).pathway_indicator == letter


def test_out_of_pathway_at_the_reduced_rate_says_s() -> None:
    answer = priced(REDUCED, pathway=Pathway.NONE)

    assert (answer.pathway_indicator, rules(answer)[-2:]) == ("S", ["E5", "D2"])
    assert (answer.amo_cents, answer.amc_cents, answer.deferred_deductions_cents) == (1750, 750, 1200)
    assert answer.advance_cents == 0


def test_the_surcharge_is_capped_once_over_all_lines() -> None:
    lines = tuple(ActLine("=", Cents(2000)) for _ in range(3))
    direct: dict[str, Any] = {"third_party_payment": ThirdPartyPayment.NONE, "pathway": Pathway.NONE}

    answer = priced(REDUCED, acts=lines, fee_cents=Cents(6000), **direct)

    assert [line.surcharge_cents for line in answer.lines] == [800, 400, 0]
    assert (answer.surcharge_cents, answer.amo_cents) == (1200, 3000)


def test_the_surcharge_on_a_full_rate_is_unconfirmed() -> None:
    answer = priced(REDUCED, pathway=Pathway.NONE, exemptions=Exemptions(maternity_list=True))

    assert answer.surcharge_cents == 1000
    assert WarningCode.SURCHARGE_UNCONFIRMED in answer.warnings


@pytest.mark.parametrize(
    ("born_on", "exempt"),
    [(date(2007, 1, 1), False), (date(2007, 1, 2), True), (date(2007, 12, 31), True)],
)
def test_the_flat_contribution_asks_for_the_age_on_1_january(born_on: date, *, exempt: bool) -> None:
    answer = priced(born_on=born_on, care_on=date(2025, 11, 18))

    assert (answer.flat_contribution_cents == 0) is exempt
    assert ("D3" in rules(answer)) is exempt


@pytest.mark.parametrize(("taken", "due"), [(4799, 200), (4850, 150), (4999, 1), (5000, 0), (9000, 0)])
def test_the_flat_contribution_stops_at_the_yearly_ceiling(taken: int, due: int) -> None:
    assert priced(pf_taken_this_year_cents=Cents(taken)).flat_contribution_cents == due


@pytest.mark.parametrize(
    ("born_on", "reimbursable"),
    [(date(2009, 3, 11), True), (date(2009, 3, 10), False)],
)
def test_the_pathway_is_required_from_the_16th_birthday(born_on: date, *, reimbursable: bool) -> None:
    assert priced(born_on=born_on, pathway=Pathway.NONE).reimbursable is reimbursable


def test_a_birthday_of_29_february_counts_on_1_march() -> None:
    born = date(2008, 2, 29)

    assert (age_on(born, date(2025, 2, 28)), age_on(born, date(2025, 3, 1))) == (16, 17)
    assert age_on(born, date(2028, 2, 29)) == 20


@pytest.mark.parametrize(
    ("care_on", "rule"),
    [
        (date(2020, 3, 17), "A1"),
        (date(2020, 3, 18), "C1"),
        (date(2022, 9, 30), "C1"),
        (date(2022, 10, 1), "A1"),
    ],
)
def test_the_covid_period_includes_both_its_days(care_on: date, rule: str) -> None:
    found = rules(priced(care_on=care_on))

    assert rule in found
    assert len({"A1", "C1"} & set(found)) == 1


def test_the_covid_period_is_not_for_visits_in_person() -> None:
    answer = priced(care_on=date(2021, 6, 15), acts=(ActLine("G"),), territory=Territory.FAR)

    assert "C1" not in rules(answer)
    assert answer.amo_cents == 1750


@pytest.mark.parametrize(
    ("day", "rule"),
    [
        (date(2025, 4, 1), "B2n"),
        (date(2025, 4, 2), "B2"),
        (date(2025, 8, 20), "B2"),
        (date(2025, 8, 21), "B2n"),
    ],
)
def test_maternity_cover_includes_both_its_days(day: date, rule: str) -> None:
    window = MaternityWindow(date(2025, 4, 2), date(2025, 8, 20))

    answer = priced(care_on=day, exemptions=Exemptions(maternity=window), amc=Amc.NONE)

    assert rule in rules(answer)
    assert answer.advance_cents == (0 if rule == "B2" else 750)


@pytest.mark.parametrize(
    ("changes", "coded"),
    [
        ({}, ["TCG"]),
        ({"sector": Sector.OPTAM, "fee_cents": Cents(4000)}, ["TCG"]),
        ({"sector": Sector.S2, "fee_cents": Cents(2500)}, ["TCG"]),
        ({"sector": Sector.S2, "fee_cents": Cents(2501)}, ["TC"]),
        ({"sector": Sector.S2, "fee_cents": Cents(5000), "company": True}, ["TCG"]),
        ({"specialty": "dermatologist", "care_on": date(2023, 10, 31)}, TC_LINES),
        (
            {"specialty": "dermatologist", "care_on": date(2023, 10, 31), "pathway": Pathway.AWAY},
            ["TC", "MPC"],
        ),
        (
            {
                "specialty": "dermatologist",
                "care_on": date(2023, 10, 31),
                "overrun_qualifier": OverrunQualifier.DP,
            },
            ["TC", "MPC"],
        ),
        ({"specialty": "dermatologist", "care_on": date(2023, 11, 1)}, ["TCS"]),
        ({"specialty": "psychologist", "sector": Sector.NONE}, ["MSP"]),
        ({"acts": (ActLine("TCG"), ActLine("MHP"))}, ["TCG", "MHP"]),
    ],
)
def test_a_consultation_nobody_coded_gets_the_expected_codes(
    changes: dict[str, Any], coded: list[str]
) -> None:
    asked = question(**changes)

    assert [str(line) for line in preview_acts(asked, TABLES)] == coded


def test_a_preview_is_priced_as_if_it_were_coded() -> None:
    asked = question(specialty="psychiatrist", care_on=date(2023, 6, 10), fee_cents=Cents(5020))

    preview = price(asked, TABLES)

    assert [line.code for line in preview.lines] == TC_LINES
    assert preview == price(replace(asked, acts=preview_acts(asked, TABLES)), TABLES)


def test_a_fee_below_the_tariff_leaves_the_first_lines_first() -> None:
    lines = (ActLine("TC"), ActLine("MPC"), ActLine("MCS"))

    answer = priced(specialty="dermatologist", care_on=date(2019, 6, 1), acts=lines, fee_cents=Cents(600))

    assert [line.base_cents for line in answer.lines] == [0, 100, 500]
    assert (answer.base_cents, answer.overrun_cents) == (600, 0)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"fee_cents": Cents(0)}, "invalid-input", "fee_cents"),
        ({"fee_cents": Cents(-1)}, "invalid-input", "fee_cents"),
        ({"born_on": date(2025, 3, 11)}, "invalid-input", "born_on"),
        ({"nir": Nir.AME}, "invalid-input", "nir"),
        ({"specialty": "astrologer"}, "invalid-input", "specialty"),
        ({"pf_taken_today_cents": Cents(-1)}, "invalid-input", "pf_taken_today_cents"),
        ({"psychologist_session": 0}, "invalid-input", "psychologist_session"),
        ({"acts": (ActLine("=", Cents(0)),)}, "invalid-input", "acts"),
        ({"acts": (ActLine("TCG", Cents(1)),)}, "invalid-input", "acts"),
        ({"acts": (ActLine(""),)}, "invalid-input", "acts"),
        ({"sponsor": Sponsor(kind=SponsorKind.FIXED)}, "invalid-input", "sponsor.cents"),
        ({"sponsor": Sponsor(kind=SponsorKind.PERCENT, percent=101)}, "invalid-input", "sponsor.percent"),
        (
            {"sponsor": Sponsor(kind=SponsorKind.FULL, max_cents=Cents(-1))},
            "invalid-input",
            "sponsor.max_cents",
        ),
        ({"acts": (ActLine("XYZ"),)}, "no-tariff", "acts"),
        ({"sector": Sector.NONE}, "no-tariff", "acts"),
        ({"care_on": date(1999, 1, 1)}, "no-tariff", "acts"),
        ({"care_on": date(1999, 1, 1), "pathway": Pathway.NONE}, "no-tariff", "care_on"),
        ({"acts": (ActLine("TCG"), ActLine("MEG"))}, "act-not-allowed", "acts"),
        (
            {
                "acts": (ActLine("TCG"), ActLine("MOP")),
                "born_on": date(1940, 1, 1),
                "pathway": Pathway.REGULAR_DOCTOR,
                "fee_cents": Cents(3000),
            },
            "act-not-allowed",
            "acts",
        ),
    ],
)
def test_a_question_without_a_price_names_the_field(changes: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(PricingRefused) as refused:
        priced(**changes)

    assert (refused.value.code, refused.value.field) == (code, field)
    assert refused.value.refusal is Refusal.INVALID


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("insured", "perhaps", "insured"),
        ("version", 2, "version"),
        ("fee_cents", 25.0, "fee_cents"),
        ("fee_cents", True, "fee_cents"),
        ("care_on", "10/03/2025", "care_on"),
        ("acts", ["=12,50"], "acts"),
        ("acts", "TCG", "acts"),
        ("company", "no", "company"),
        ("specialty", "", "specialty"),
        ("sponsor", {"kind": "ALL", "cents": None, "percent": None, "max_cents": None}, "sponsor.kind"),
        ("sponsor", [], "sponsor"),
        ("exemptions", {"ald": True, "maternity": None}, "exemptions.ald_unrelated"),
        ("colour", "blue", "colour"),
    ],
)
def test_a_stored_question_of_another_shape_is_refused_by_field(name: str, value: object, field: str) -> None:
    stored = {**inputs_to_json(question()), name: value}

    with pytest.raises(PricingRefused) as refused:
        inputs_from_json(stored)

    assert (refused.value.code, refused.value.field) == ("invalid-input", field)


def test_a_stored_policy_of_another_shape_is_refused_by_field() -> None:
    with pytest.raises(PricingRefused) as refused:
        policy_from_json({**policy_to_json(Policy()), "out_of_pathway": "HALF"})

    assert refused.value.field == "policy.out_of_pathway"


def test_the_flat_contribution_cannot_be_put_on_a_card() -> None:
    with pytest.raises(ValueError, match="never"):
        Policy(pf_on_card=True)


def test_a_contracted_insurer_may_be_claimed_without_a_number_by_policy() -> None:
    by_default = priced(nir=Nir.NONE)
    by_policy = priced(Policy(amc_needs_nir=False), nir=Nir.NONE)

    assert (by_default.advance_cents, by_policy.advance_cents) == (2500, 1750)
    assert WarningCode.AMC_NEEDS_NIR in by_default.warnings
    assert claims(by_policy) == [(Payer.AMC, 750, [(Benefit.COPAYMENT, 750)])]
    assert by_policy.sheet_mode is SheetMode.PAPER


def test_a_provisional_number_may_be_refused_by_policy() -> None:
    by_default = priced(nir=Nir.PROVISIONAL)
    by_policy = priced(Policy(provisional_nir_usable=False), nir=Nir.PROVISIONAL)

    assert (by_default.sheet_mode, by_policy.sheet_mode) == (SheetMode.TP, SheetMode.PAPER)
    assert WarningCode.NIR_PROVISIONAL in by_default.warnings


def test_the_practitioner_cannot_switch_off_what_the_law_imposes() -> None:
    said: dict[str, Any] = {"exemptions": Exemptions(ald=True), "third_party_payment": ThirdPartyPayment.NONE}

    by_default, by_policy = priced(**said), priced(Policy(compulsory_tp=False), **said)
    before_the_law = priced(
        **said, care_on=date(2016, 12, 31), acts=(ActLine("=", Cents(2300)),), fee_cents=Cents(2300)
    )

    assert (by_default.advance_cents, by_policy.advance_cents) == (0, 2500)
    assert WarningCode.THIRD_PARTY_PAYMENT_IMPOSED in by_default.warnings
    assert before_the_law.sheet_mode is SheetMode.FSE


def test_psychiatry_has_an_age_range_by_policy_only() -> None:
    said: dict[str, Any] = {"specialty": "psychiatrist", "fee_cents": Cents(5020), "pathway": Pathway.NONE}

    by_default, by_policy = priced(**said), priced(Policy(direct_access_age_limits=True), **said)
    young = priced(Policy(direct_access_age_limits=True), **said, born_on=date(2003, 1, 1))

    assert (by_default.reimbursable, by_policy.reimbursable, young.reimbursable) == (True, False, True)
    assert WarningCode.DIRECT_ACCESS_ASSUMED in by_default.warnings
    assert WarningCode.DIRECT_ACCESS_ASSUMED not in young.warnings


def test_an_overrun_is_advanced_and_ends_third_party_payment_by_policy_only() -> None:
    said: dict[str, Any] = {"sector": Sector.OPTAM, "fee_cents": Cents(4000)}

    by_default, by_policy = priced(**said), priced(Policy(tp_with_overrun=False), **said)

    assert (by_default.advance_cents, by_policy.advance_cents) == (1500, 4000)
    assert (by_default.sheet_mode, by_policy.sheet_mode) == (SheetMode.TP, SheetMode.FSE)


@pytest.mark.parametrize(
    ("session", "born_on", "care_on", "reimbursable"),
    [
        (12, date(1985, 6, 15), date(2025, 3, 10), True),
        (13, date(1985, 6, 15), date(2025, 3, 10), False),
        (1, date(2022, 3, 10), date(2025, 3, 10), True),
        (1, date(2022, 3, 11), date(2025, 3, 10), False),
    ],
)
def test_a_partner_psychologist_has_conditions(
    session: int, born_on: date, care_on: date, *, reimbursable: bool
) -> None:
    answer = priced(
        Policy(partner_psychologist=True),
        specialty="psychologist",
        sector=Sector.NONE,
        fee_cents=Cents(5000),
        psychologist_session=session,
        born_on=born_on,
        care_on=care_on,
    )

    assert answer.reimbursable is reimbursable
    assert rules(answer)[0] == ("A6" if reimbursable else "A5")


PSYCHOLOGIST: dict[str, Any] = {
    "specialty": "psychologist",
    "sector": Sector.NONE,
    "fee_cents": Cents(5000),
}
BEFORE = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)  # the tables of the quotes that were given until then


def test_a_session_before_the_first_price_of_the_scheme_is_refused() -> None:
    partner = Policy(partner_psychologist=True)
    asked = question(**PSYCHOLOGIST, care_on=date(2024, 6, 14))

    with pytest.raises(PricingRefused) as refused:
        price(asked, TABLES, partner)

    assert refused.value.code == "no-tariff"
    assert rules(price(asked, TABLES, partner, as_known_at=BEFORE)) == ["A5"]


def test_the_cover_of_low_incomes_pays_the_rest_of_a_session_and_moves_no_share() -> None:
    partner, css = Policy(partner_psychologist=True), Exemptions(css=True)
    asked = question(**PSYCHOLOGIST, exemptions=css, amc=Amc.NONE)

    answer = price(asked, TABLES, partner)
    before = price(asked, TABLES, partner, as_known_at=BEFORE)

    assert (answer.amo_cents, answer.amc_cents, answer.advance_cents) == (3000, 2000, 0)
    assert [(part.payer, part.amount_cents) for part in answer.claim_parts] == [(Payer.AMO, 5000)]
    assert (before.amo_cents, before.amc_cents) == (3500, 1500)


def test_a_partner_psychologist_is_paid_60_and_40() -> None:
    answer = priced(Policy(partner_psychologist=True), **PSYCHOLOGIST)

    assert claimed(answer) == (3000, 2000)
    assert (answer.flat_contribution_cents, rules(answer)) == (0, ["A6", "A1"])


@pytest.mark.parametrize(
    ("sponsor", "paid"),
    [
        (Sponsor(kind=SponsorKind.COPAYMENT), 750),
        (Sponsor(kind=SponsorKind.COPAYMENT, max_cents=Cents(300)), 300),
        (Sponsor(kind=SponsorKind.FULL), 2250),
        (Sponsor(kind=SponsorKind.FIXED, cents=Cents(9999)), 2250),
        (Sponsor(kind=SponsorKind.PERCENT, percent=50), 1125),
        (Sponsor(kind=SponsorKind.PERCENT, percent=0), 0),
    ],
)
def test_a_sponsor_pays_by_its_kind_and_its_cap(sponsor: Sponsor, paid: int) -> None:
    answer = priced(sponsor=sponsor, amc=Amc.NONE, sector=Sector.OPTAM, fee_cents=Cents(4000))

    assert answer.sponsor_cents == paid
    assert ("S1" in rules(answer)) is (paid > 0)


def test_a_receipt_stays_due_when_the_sponsor_pays_the_overrun_only() -> None:
    answer = priced(
        sponsor=Sponsor(kind=SponsorKind.FULL),
        amc=Amc.NOT_CONTRACTED,
        sector=Sector.OPTAM,
        fee_cents=Cents(4000),
    )

    assert (answer.sponsor_cents, answer.advance_cents) == (1500, 750)
    assert answer.sheet_mode is SheetMode.TP_RECEIPT


@pytest.mark.parametrize(
    ("booked_on", "care_on", "changed"),
    [
        (date(2024, 5, 10), date(2024, 5, 14), False),
        (date(2024, 5, 10), date(2024, 5, 15), True),
        (date(2022, 9, 20), date(2022, 10, 3), True),
        (date(2018, 9, 1), date(2018, 9, 20), True),
        (date(2025, 3, 10), date(2025, 3, 10), False),
    ],
)
def test_a_change_between_booking_and_visit_is_told(booked_on: date, care_on: date, *, changed: bool) -> None:
    answer = priced(booked_on=booked_on, care_on=care_on)

    assert ("T1" in rules(answer)) is changed
    assert replace(answer, trace=(), explanations=()) == replace(
        priced(care_on=care_on), trace=(), explanations=()
    )


def test_a_trace_entry_names_its_amount_its_row_and_two_sentences() -> None:
    answer = priced(amc=Amc.NOT_CONTRACTED)
    entry = next(entry for entry in answer.trace if entry.rule == "A2")

    assert (entry.reason, entry.amount_cents) == ("not-contracted", 750)
    assert entry.row is not None
    assert (entry.row.table, entry.row.key, entry.row.confidence) == ("schemes", "general", "C")
    assert entry.sentence_fr == (
        "Votre mutuelle n\N{RIGHT SINGLE QUOTATION MARK}est pas conventionnée avec la plateforme"
        "\N{NO-BREAK SPACE}: "
        "vous avancez le ticket modérateur de 7,50\N{NO-BREAK SPACE}€."
    )
    assert "you advance the copayment of €7.50." in entry.sentence_en


def test_explanations_start_with_the_card_and_end_with_what_stays_and_the_doubts() -> None:
    answer = priced(amc=Amc.NOT_CONTRACTED, alternation_ok=False)

    codes = [explanation.code for explanation in answer.explanations]
    shares = ["summary/amo-paid", "summary/amc-refund"]
    assert codes == ["summary/advance", "E1", "A2", *shares, "D2", "summary/final", "warning/alternation"]
    wanted = "Somme demandée sur votre carte\N{NO-BREAK SPACE}: 7,50\N{NO-BREAK SPACE}€."
    assert answer.explanations[0].sentence_fr == wanted
    assert answer.explanations[-2].sentence_en == (
        "€2.00 will be left to you once all refunds and deductions are done."
    )


def test_the_flat_contribution_compares_with_the_share_after_the_surcharge() -> None:
    line: dict[str, Any] = {"acts": (ActLine("=", Cents(500)),), "fee_cents": Cents(500)}

    within, outside = priced(REDUCED, **line), priced(REDUCED, **line, pathway=Pathway.NONE)

    assert (within.amo_cents, within.flat_contribution_cents) == (350, 200)
    assert (outside.amo_cents - outside.surcharge_cents, outside.flat_contribution_cents) == (150, 0)


def test_with_css_no_copayment_is_asked_from_anybody_else() -> None:
    assert rules(priced(exemptions=Exemptions(css=True))) == ["E1", "B3", "D3"]


def test_the_regular_doctor_may_be_far() -> None:
    far: dict[str, Any] = {"territory": Territory.FAR}

    assert priced(**far, pathway=Pathway.REGULAR_DOCTOR).reimbursable
    assert rules(priced(**far)) == ["E4"]


@pytest.mark.parametrize("fee", [1000, 2300])
def test_the_code_of_an_overrun_without_an_overrun_has_no_tariff(fee: int) -> None:
    with pytest.raises(PricingRefused, match="no-tariff"):
        priced(sector=Sector.S2, acts=(ActLine("TC"),), fee_cents=Cents(fee))

    assert priced(sector=Sector.S2, acts=(ActLine("TC"),), fee_cents=Cents(2301)).base_cents == 2300


def test_css_is_not_proven_while_the_insurance_is_unknown() -> None:
    answer = priced(insured=Insured.UNKNOWN, exemptions=Exemptions(css=True))

    assert "B3" not in rules(answer)
    assert {WarningCode.EXEMPTION_UNPROVEN, WarningCode.INSURANCE_UNKNOWN} <= set(answer.warnings)


def test_a_maternity_window_may_be_one_day() -> None:
    day = date(2025, 3, 10)

    assert "B2" in rules(priced(exemptions=Exemptions(maternity=MaternityWindow(day, day))))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, False),
        ({"exemptions": Exemptions(maternity_list=True)}, True),  # a row of the exemptions
        ({"acts": (ActLine("TCG"), ActLine("MOP")), "born_on": date(1940, 1, 1)}, True),  # the age of an act
        ({"acts": (ActLine("TCG"), ActLine("MEG")), "born_on": date(2022, 1, 1)}, False),  # only the tariff
        ({"pathway": Pathway.SAS}, True),  # the letter of the claim
        ({"pathway": Pathway.NONE, "born_on": date(2015, 1, 1)}, True),  # likewise
        ({"pathway": Pathway.EMERGENCY}, False),
    ],
)
def test_a_price_that_rests_on_an_unconfirmed_row_says_so(changes: dict[str, Any], told: bool) -> None:  # noqa: FBT001
    fee = Cents(3000 if "acts" in changes else 2500)

    answer = priced(**{"care_on": date(2025, 3, 10), "fee_cents": fee, "pathway": Pathway.REFERRED} | changes)

    assert (WarningCode.UNCONFIRMED_RULE in answer.warnings) is told


def told(answer: Priced, code: str) -> list[str]:
    """French, with plain blanks and apostrophes."""
    found = [each.sentence_fr for each in answer.explanations if each.code == code]
    return [" ".join(each.split()).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'") for each in found]


def test_a_price_that_rests_on_several_doubts_says_so_once_and_names_no_source() -> None:
    line = {"acts": (ActLine("TCG"), ActLine("MOP"), ActLine("MHP")), "born_on": date(1940, 1, 1)}

    answer = priced(care_on=date(2025, 3, 10), fee_cents=Cents(3500), pathway=Pathway.SAS, **line)

    doubts = {WarningCode.UNCONFIRMED_TARIFF, WarningCode.UNCONFIRMED_RULE}
    assert doubts <= set(answer.warnings)
    shown = [each.code for each in answer.explanations if each.code.startswith("warning/")]
    assert shown == ["warning/unconfirmed-tariff"]
    assert not any("source" in each.sentence_fr for each in answer.explanations)


GIVEN = {"third_party_payment": ThirdPartyPayment.NONE, "scheme": "crpcen", "pathway": Pathway.NONE}


@pytest.mark.parametrize(
    ("code", "changes", "sentence"),
    [
        (
            "G3",
            {"sector": Sector.S2, "fee_cents": Cents(5000)},
            (
                "Le médecin, de secteur 2, pratique un dépassement : "
                "la consultation est remboursée sur une base de 23,00 €."
            ),
        ),
        (
            "G4",
            {"sector": Sector.OPTAM},
            (
                "Le médecin est de secteur 2 : "
                "la consultation est remboursée sur le tarif du secteur 1, ici 25,00 €."
            ),
        ),
        (
            "B6",
            GIVEN,
            (
                "Dans le parcours de soins, "
                "votre régime spécial prendrait en charge 85 % du tarif, soit 21,25 €."
            ),
        ),
        (
            "E3",
            GIVEN,
            (
                "La consultation est hors du parcours de soins : "
                "la part de l'assurance maladie est réduite de 11,25 €."
            ),
        ),
        (
            "F1",
            {"acts": (ActLine("TCG"), ActLine("MOP")), "born_on": date(1940, 1, 1), "fee_cents": Cents(3000)},
            (
                "Cette consultation comprend plusieurs actes ou suppléments : "
                "son remboursement est calculé sur 30,00 € en tout."
            ),
        ),
        (
            "F3",
            {"acts": (ActLine("TCG"), ActLine("MOP")), "born_on": date(1940, 1, 1), "fee_cents": Cents(3000)},
            (
                "Un supplément de 5,00 € s'applique aux patients de plus de 80 ans "
                "qui consultent un autre médecin que leur médecin traitant."
            ),
        ),
        (
            "warning/css-not-reimbursable",
            {
                "exemptions": Exemptions(css=True),
                "territory": Territory.FAR,
                "sponsor": Sponsor(kind=SponsorKind.FULL),
            },
            "La complémentaire santé solidaire ne couvre pas cette consultation.",
        ),
        (
            "A6",
            PSYCHOLOGIST,
            (
                "Ce psychologue est partenaire de Mon soutien psy : "
                "sur les 50,00 € de la séance, l'assurance maladie prend en charge 30,00 €."
            ),
        ),
    ],
)
def test_a_sentence_says_what_somebody_of_the_trade_would_say(
    code: str, changes: dict[str, Any], sentence: str
) -> None:
    policy = Policy(out_of_pathway=OutOfPathway.REDUCED_30, partner_psychologist=True)

    assert told(priced(policy, **changes), code) == [sentence]


@pytest.mark.parametrize(
    ("pathway", "territory", "sentence"),
    [
        (Pathway.REFERRED, Territory.UNANSWERED, "Le parcours de soins ne s'oppose pas au remboursement"),
        (Pathway.UNANSWERED, Territory.NEAR, "L'acte est remboursable si vous suivez le parcours de soins ;"),
        (Pathway.UNANSWERED, Territory.UNANSWERED, "L'acte est remboursable si vous suivez le parcours de"),
        (Pathway.REGULAR_DOCTOR, Territory.UNANSWERED, "Le parcours de soins est respecté : l'acte est"),
    ],
)
def test_what_is_reimbursable_and_what_is_not_certain_stand_in_one_sentence(
    pathway: Pathway, territory: Territory, sentence: str
) -> None:
    answer = priced(pathway=pathway, territory=territory)

    [said] = told(answer, "E1")
    assert said.startswith(sentence)
    assert not any("unconfirmed" in each.code for each in answer.explanations)


def test_every_refund_stands_in_a_sentence_with_its_amount() -> None:
    answer = priced(
        sector=Sector.S2,
        fee_cents=Cents(4000),
        third_party_payment=ThirdPartyPayment.NONE,
        care_on=date(2025, 3, 10),
    )

    assert told(answer, "T0") == ["Le praticien n'applique pas le tiers payant : vous réglez 40,00 €."]
    assert told(answer, "summary/amo-refund") == ["Votre caisse vous remboursera 16,10 €."]
    assert told(answer, "summary/amc-refund") == ["Votre mutuelle vous remboursera 6,90 €."]
    assert told(answer, "D1")[0].startswith("La participation forfaitaire de 2,00 € sera retenue")


def test_the_shares_of_the_fund_and_of_the_local_scheme_are_told_apart() -> None:
    answer = priced(scheme="alsace-moselle")

    wanted = "L'assurance maladie prend en charge 17,50 € et le régime local d'Alsace-Moselle 5,00 €."
    assert told(answer, "B5") == [wanted]


@pytest.mark.parametrize(
    ("sponsor", "sentence"),
    [
        (Sponsor(kind=SponsorKind.COPAYMENT), "le ticket modérateur de 7,50 € est pris en charge pour vous."),
        (
            Sponsor(kind=SponsorKind.FIXED, cents=Cents(500)),
            "du ticket modérateur de 7,50 €, il vous reste 2,50 € à régler.",
        ),
    ],
)
def test_what_a_sponsor_pays_is_not_told_as_left_to_pay(sponsor: Sponsor, sentence: str) -> None:
    answer = priced(amc=Amc.NONE, sponsor=sponsor)

    [said] = told(answer, "A2")
    assert said.endswith(sentence)


def test_a_profession_that_the_platform_does_not_bill_is_not_told_as_never_reimbursed() -> None:
    midwife = priced(specialty="midwife", sector=Sector.NONE)
    osteopath = priced(specialty="osteopath", sector=Sector.NONE)

    assert told(midwife, "A5")[0].startswith("La plateforme ne facture pas à l'assurance maladie")
    assert told(osteopath, "A5")[0].endswith("l'assurance maladie ne rembourse pas les 25,00 €.")


def test_an_act_stands_once() -> None:
    with pytest.raises(PricingRefused) as refused:
        priced(acts=(ActLine("TCG"), ActLine("TCG")), fee_cents=Cents(5000))

    assert (refused.value.code, refused.value.field, refused.value.rule) == (
        "invalid-input",
        "acts",
        "an-act-stands-once",
    )


@pytest.mark.parametrize(
    ("changes", "warning", "told"),
    [
        (
            {"sector": Sector.OPTAM, "fee_cents": Cents(4000)},
            WarningCode.OVERRUN_BESIDE_THIRD_PARTY_ASSUMED,
            True,
        ),
        ({"sector": Sector.OPTAM}, WarningCode.OVERRUN_BESIDE_THIRD_PARTY_ASSUMED, False),
        (
            {"specialty": "psychologist", "sector": Sector.NONE},
            WarningCode.PARTNER_PSYCHOLOGIST_ASSUMED,
            True,
        ),
        ({"specialty": "osteopath", "sector": Sector.NONE}, WarningCode.PARTNER_PSYCHOLOGIST_ASSUMED, False),
    ],
)
def test_a_default_that_decides_a_contradiction_is_told(
    changes: dict[str, Any],
    warning: WarningCode,
    told: bool,  # noqa: FBT001
) -> None:
    answer = priced(care_on=date(2025, 3, 10), **changes)

    assert (warning in answer.warnings) is told


COORDINATED = (ActLine("TC"), ActLine("MPC"), ActLine("MCS"))
DERMATOLOGIST = {"specialty": "dermatologist", "care_on": date(2023, 6, 10), "fee_cents": Cents(3000)}
GYNAECOLOGIST = DERMATOLOGIST | {"specialty": "gynaecologist"}
CHILD = {"born_on": date(2010, 1, 1)}
WITH_MCG = {"acts": (ActLine("TCG"), ActLine("MCG")), "pathway": Pathway.REFERRED}


def test_a_doctor_with_controlled_fees_claims_the_coordination_beside_an_overrun() -> None:
    asked = question(**WITH_MCG, sector=Sector.OPTAM, fee_cents=Cents(4000))

    answer = price(asked, TABLES)

    assert (answer.base_cents, answer.amo_cents, answer.advance_cents) == (3000, 2100, 1000)
    with pytest.raises(PricingRefused, match="not-with-an-authorised-overrun"):
        price(asked, TABLES, as_known_at=BEFORE)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"pathway": Pathway.REGULAR_DOCTOR}, "MCS-of-a-referred-patient"),
        ({"pathway": Pathway.UNANSWERED}, "MCS-of-a-referred-patient"),
        ({"pathway": Pathway.EMERGENCY}, "MCS-of-a-referred-patient"),
        (CHILD | {"pathway": Pathway.REGULAR_DOCTOR}, "MCS-of-a-referred-patient"),
        (CHILD | {"pathway": Pathway.LOCUM}, "MCS-of-a-referred-patient"),
        ({"specialty": "gynaecologist", "pathway": Pathway.REGULAR_DOCTOR}, "MCS-of-a-referred-patient"),
        (
            {"overrun_qualifier": OverrunQualifier.DP, "fee_cents": Cents(3500)},
            "MCS-not-with-an-authorised-overrun",
        ),
    ],
)
def test_a_coordination_line_has_conditions(changes: dict[str, Any], rule: str) -> None:
    asked = DERMATOLOGIST | {"acts": COORDINATED, "pathway": Pathway.REFERRED} | changes

    with pytest.raises(PricingRefused) as refused:
        priced(**asked)

    assert (refused.value.code, refused.value.field, refused.value.rule) == ("act-not-allowed", "acts", rule)


def test_sector_2_without_the_option_claims_the_coordination_at_the_tariffs_only() -> None:
    sector_2 = WITH_MCG | {"sector": Sector.S2}

    assert priced(**sector_2, fee_cents=Cents(3000)).base_cents == 3000
    with pytest.raises(PricingRefused, match="no-tariff"):
        priced(**sector_2, fee_cents=Cents(4000))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sector": Sector.OPTAM},
        {"sector": Sector.OPTAM, "fee_cents": Cents(3500)},
        {"sector": Sector.S2},
        {"overrun_qualifier": OverrunQualifier.DE, "fee_cents": Cents(3500)},
        {"overrun_qualifier": OverrunQualifier.DP},  # at the tariffs
        {"pathway": Pathway.INSTITUTION},
        GYNAECOLOGIST | {"pathway": Pathway.NONE},  # in direct access
        CHILD | {"pathway": Pathway.NONE},  # without a regular doctor
        CHILD | {"pathway": Pathway.ORGANISATION},
    ],
)
def test_a_coordination_line_that_is_due_is_priced(changes: dict[str, Any]) -> None:
    answer = priced(**DERMATOLOGIST | {"acts": COORDINATED, "pathway": Pathway.REFERRED} | changes)

    assert answer.base_cents == 3000


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"sector": Sector.OPTAM, "fee_cents": Cents(3500)}, ["TC", "MPC", "MCS"]),
        ({"sector": Sector.S2, "fee_cents": Cents(3500)}, ["TC", "MPC"]),
        ({"overrun_qualifier": OverrunQualifier.DP}, ["TC", "MPC"]),
    ],
)
def test_a_preview_has_the_coordination_line_that_the_fee_allows(
    changes: dict[str, Any], codes: list[str]
) -> None:
    asked = question(**DERMATOLOGIST | {"pathway": Pathway.REFERRED} | changes)

    assert [str(line) for line in preview_acts(asked, TABLES)] == codes


def test_the_reduced_rate_of_the_notaries_clerks_has_a_source() -> None:
    asked = question(scheme="crpcen", pathway=Pathway.NONE, third_party_payment=ThirdPartyPayment.NONE)

    assert WarningCode.SURCHARGE_UNCONFIRMED not in price(asked, TABLES, REDUCED).warnings
    before = price(asked, TABLES, REDUCED, as_known_at=BEFORE)
    assert WarningCode.SURCHARGE_UNCONFIRMED in before.warnings


@given(st.dates(), st.sampled_from(["gp", "dermatologist", "psychiatrist", "psychologist", "osteopath"]))
@settings(max_examples=300, deadline=None)
def test_any_day_has_a_price_or_a_refusal_that_names_it(day: date, specialty: str) -> None:
    sector = Sector.S1 if specialty in {"gp", "dermatologist", "psychiatrist"} else Sector.NONE
    born_on = min(date(1985, 6, 15), day)

    try:
        answer = (priced(care_on=day, born_on=born_on, specialty=specialty, sector=sector).fee_cents, "")
    except PricingRefused as refused:
        answer = (refused.code, refused.field)

    wanted = {(2500, "")}
    if day < date(2018, 9, 15):
        wanted |= {("no-tariff", "care_on"), ("no-tariff", "acts")}
    assert answer in wanted


@pytest.mark.parametrize("day", [date.min, date(1899, 12, 31)])
def test_a_day_before_all_tables_is_refused_by_its_name(day: date) -> None:
    with pytest.raises(PricingRefused) as refused:
        priced(care_on=day, born_on=day)

    assert (refused.value.code, refused.value.field, refused.value.rule) == (
        "no-tariff",
        "care_on",
        "the-tables-reach-the-care-date",
    )
