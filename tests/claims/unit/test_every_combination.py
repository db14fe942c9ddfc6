"""The grid of the discrete inputs: each combination ends as an amount or a coded refusal.

The whole grid has more points than anybody could walk. Three cuts through it are walked point by point, each
over the inputs that decide together; of the rest every three values of any three inputs meet at least once.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from itertools import combinations, product
from typing import Any

from claims.domain.pricing import (
    ActLine,
    Amc,
    Exemptions,
    Inputs,
    Insured,
    MaternityWindow,
    Nir,
    OutOfPathway,
    OverrunQualifier,
    Pathway,
    Policy,
    Priced,
    PricingRefused,
    RefusalCode,
    Sector,
    Sponsor,
    SponsorKind,
    Territory,
    ThirdPartyPayment,
    WarningCode,
    claimed,
    price,
)
from claims.domain.tables import load_tables
from common.money import Cents
from support.questions import question

TABLES = load_tables()
RANKS = [
    {"A5", "A6"},
    {"A4"},
    {"E4", "E1"},
    {"G1", "G2", "G3", "G4"},
    {"F1", "F2", "F3"},
    {"E2"},
    {"B1n", "B2n"},
    {"C1", "B4", "B2", "B1", "B3", "B5", "B6"},
    {"A1", "A2", "A3", "T0"},
    {"E3", "E5"},
    {"D1", "D2", "D3"},
    {"S1", "S2"},
    {"T1"},
]
ONE_ANSWER = [*RANKS[:3], {"G1", "G2"}, {"G3", "G4"}, *RANKS[5:6], *RANKS[7:], {"A5", "A4", "E4", "E1"}]
IN_WINDOW = MaternityWindow(date(2025, 1, 1), date(2025, 6, 1))
AFTER = MaternityWindow(date(2025, 4, 2), date(2025, 8, 20))
REDUCED = Policy(out_of_pathway=OutOfPathway.REDUCED_30)


def rank(rule: str) -> int:
    return next(index for index, rules in enumerate(RANKS) if rule in rules)


def check(inputs: Inputs, priced: Priced) -> None:
    rules = [entry.rule for entry in priced.trace]
    borne = priced.amo_cents + priced.amc_cents + priced.sponsor_cents + priced.patient_final_cents
    counter = sum(claimed(priced)) + priced.sponsor_cents + priced.advance_cents
    assert borne - priced.deferred_deductions_cents == priced.fee_cents == counter, inputs
    assert [rank(rule) for rule in rules] == sorted(rank(rule) for rule in rules), (rules, inputs)
    assert all(len(same & set(rules)) <= 1 for same in ONE_ANSWER), (rules, inputs)
    assert len(rules) == len(set(rules)) > 0, (rules, inputs)
    assert len(priced.warnings) == len(set(priced.warnings)), inputs
    assert all(entry.sentence_fr and entry.sentence_en for entry in priced.trace)
    check_sentences(inputs, priced)


AMOUNT_FR = re.compile(r"(\d{1,3}(?:\u202f\d{3})*),(\d{2})\u00a0€")
AMOUNT_EN = re.compile(r"€(\d{1,3}(?:,\d{3})*)\.(\d{2})")
# A straight apostrophe, a sign parted by another blank or by none, four digits in a row before the comma.
BAD_FRENCH = re.compile(r"'|[^\u00a0][:;!?%€»]|\d{4,},| $|  ")
BAD_ENGLISH = re.compile(r"[ \u00a0][%:;]|€ |\d ?€|\d{4,}\.\d\d|  ")
OUR_DOUBTS = re.compile(r"source|officiel")
ASKS = re.compile(r"régler|réglez|avancez")
NOT_CERTAIN = {WarningCode.PATHWAY_UNCONFIRMED, WarningCode.TERRITORY_UNCONFIRMED}


@cache
def amounts_of(sentence_fr: str, sentence_en: str) -> tuple[int, ...]:
    """The cents of a sentence, which is set as its language asks, and says the same in both."""
    assert not BAD_FRENCH.search(sentence_fr), sentence_fr
    assert not BAD_ENGLISH.search(sentence_en), sentence_en
    assert not OUR_DOUBTS.search(sentence_fr), sentence_fr
    found = tuple(cents_of(AMOUNT_FR, sentence_fr))
    assert sorted(found) == sorted(cents_of(AMOUNT_EN, sentence_en)), (sentence_fr, sentence_en)
    assert sentence_fr.count("€") == len(found)
    return found


def cents_of(written: re.Pattern[str], sentence: str) -> Iterator[int]:
    for euros, cents in written.findall(sentence):
        yield int(re.sub(r"\D", "", euros)) * 100 + int(cents)


def check_sentences(inputs: Inputs, priced: Priced) -> None:
    """Every amount is told once, the amounts told add up, and no sentence denies another."""
    said: Counter[str] = Counter()
    for each in priced.explanations:
        told = amounts_of(each.sentence_fr, each.sentence_en)
        said[each.code] += sum(told[-1:])
        if ASKS.search(each.sentence_fr):
            assert all(cents <= priced.advance_cents for cents in told[-1:]), (each, inputs)
    texts = [each.sentence_fr for each in priced.explanations]
    assert len(set(texts)) == len(texts), texts

    sponsor = said["S1"] + said["S2"]
    assert said["summary/advance"] == priced.advance_cents
    assert sponsor == priced.sponsor_cents
    paid = said["summary/amo-paid"] + said["summary/amc-paid"]
    assert said["summary/advance"] + paid + sponsor == priced.fee_cents, (texts, inputs)
    refunded = said["summary/amo-refund"] + said["summary/amc-refund"]
    expected = priced.amo_refund_expected_cents + priced.amc_refund_expected_cents
    assert refunded - said["D1"] == expected, (texts, inputs)
    assert said["D1"] + said["D2"] == priced.flat_contribution_cents
    assert said["E3"] + said["E5"] == priced.surcharge_cents
    later = said["D1"] + said["D2"] + said["E5"]
    assert said["summary/advance"] - refunded + later == said["summary/final"] == priced.patient_final_cents

    if not priced.reimbursable:
        assert refunded == 0
        assert not any("acte est remboursable" in text for text in texts), texts
    elif NOT_CERTAIN & set(priced.warnings):
        assert all(" si " in text for text in texts if "est remboursable" in text), (texts, inputs)
    if said["E3"]:
        assert not any("100\u00a0%" in text for text in texts), texts
    if sponsor:
        assert not any("en entier" in text or "à votre charge" in text for text in texts), texts


def walk(questions: Iterable[tuple[Inputs, Policy]]) -> Counter[str]:
    ends: Counter[str] = Counter()
    for inputs, policy in questions:
        try:
            priced = price(inputs, TABLES, policy)
        except PricingRefused as refused:
            ends[RefusalCode(refused.code).value if refused.field and refused.rule else "unexplained"] += 1
        else:
            check(inputs, priced)
            ends[priced.sheet_mode.value] += 1
    return ends


def test_every_cover_of_the_patient_has_an_answer() -> None:
    exemptions = [
        Exemptions(),
        Exemptions(ald=True),
        Exemptions(ald_unrelated=True),
        Exemptions(maternity=IN_WINDOW),
        Exemptions(maternity=AFTER),
        Exemptions(css=True),
        Exemptions(ame=True),
        Exemptions(css=True, ald=True, ame=True),
    ]
    sponsors = [None, Sponsor(kind=SponsorKind.FULL), Sponsor(kind=SponsorKind.PERCENT, percent=15)]
    pathways = [Pathway.REFERRED, Pathway.NONE]
    policies = [REDUCED, Policy(compulsory_tp=False, out_of_pathway=OutOfPathway.REDUCED_30)]
    grid = product(Insured, Nir, Amc, ThirdPartyPayment, exemptions, sponsors, pathways, policies)

    ends = walk(
        (
            question(
                insured=insured,
                nir=nir,
                amc=amc,
                third_party_payment=offered,
                exemptions=said,
                sponsor=sponsor,
                pathway=pathway,
                sector=Sector.OPTAM,
                fee_cents=Cents(2500 if said.css else 4000),
            ),
            policy,
        )
        for insured, nir, amc, offered, said, sponsor, pathway, policy in grid
    )

    assert set(ends) == {"TP", "TP+RECEIPT", "FSE", "PAPER", "INVOICE", "invalid-input"}
    assert sum(ends.values()) == 3 * 5 * 5 * 3 * 8 * 3 * 2 * 2


def test_every_act_of_every_practitioner_has_an_answer() -> None:
    practitioners = [
        ("gp", Sector.S1),
        ("gp", Sector.OPTAM),
        ("gp", Sector.S2),
        ("gp", Sector.NONE),
        ("dermatologist", Sector.S1),
        ("dermatologist", Sector.S2),
        ("psychiatrist", Sector.OPTAM),
        ("cardiologist", Sector.S1),
        ("psychologist", Sector.NONE),
        ("osteopath", Sector.NONE),
    ]
    acts = [
        "",
        "TCG",
        "TC",
        "TC+MPC+MCS",
        "TCS",
        "TCS+MCS",
        "TCG+MHP",
        "TCG+MOP",
        "TCG+F",
        "G",
        "=1905+=1905",
        "X",
    ]
    days = [
        date(2018, 9, 14),
        date(2019, 6, 1),
        date(2021, 6, 15),
        date(2023, 10, 31),
        date(2023, 11, 1),
        date(2024, 12, 22),
        date(2026, 11, 25),
    ]
    policy = Policy(partner_psychologist=True)
    grid = product(
        practitioners, acts, days, [1500, 2500, 6000], OverrunQualifier, [False, True], [False, True]
    )

    ends = walk(
        (
            question(
                specialty=specialty,
                sector=sector,
                acts=tuple(ActLine.parse(code) for code in coded.split("+") if code),
                care_on=day,
                born_on=date(1940, 1, 1),
                fee_cents=Cents(fee),
                overrun_qualifier=qualifier,
                company=company,
                exemptions=Exemptions(css=css),
            ),
            policy,
        )
        for (specialty, sector), coded, day, fee, qualifier, company, css in grid
    )

    assert {"TP", "INVOICE", "no-tariff", "overrun-forbidden"} <= set(ends)
    assert sum(ends.values()) == 10 * 12 * 7 * 3 * 3 * 2 * 2


def test_every_answer_about_the_pathway_has_an_answer() -> None:
    specialties = ["gp", "psychiatrist", "gynaecologist", "dermatologist"]
    births = [date(2015, 1, 1), date(2005, 1, 1), date(1985, 6, 15)]
    said = [Exemptions(), Exemptions(ald=True), Exemptions(css=True)]
    policies = [Policy(), REDUCED, Policy(direct_access_age_limits=True)]
    days = [date(2019, 6, 1), date(2025, 3, 10)]
    schemes = ["general", "alsace-moselle", "sncf"]
    grid = product(specialties, births, Pathway, Territory, [True, False], said, policies, days, schemes)

    ends = walk(
        (
            question(
                specialty=specialty,
                born_on=born,
                pathway=pathway,
                territory=territory,
                known_patient=known,
                exemptions=exemptions,
                care_on=day,
                scheme=scheme,
                fee_cents=Cents(2000),
            ),
            policy,
        )
        for specialty, born, pathway, territory, known, exemptions, policy, day, scheme in grid
    )

    assert set(ends) == {"TP", "INVOICE", "no-rate", "no-out-of-pathway-rate"}
    assert sum(ends.values()) == 4 * 3 * 11 * 5 * 2 * 3 * 3 * 2 * 3


EVERYTHING: dict[str, list[Any]] = {
    "care_on": [
        *(date(2018, 9, 14), date(2019, 6, 1), date(2021, 6, 15), date(2023, 11, 1), date(2024, 5, 14)),
        *(date(2025, 3, 10), date(2026, 11, 25)),
    ],
    "born_on": [date(1940, 1, 1), date(1985, 6, 15), date(2007, 1, 2), date(2018, 9, 1)],
    "practitioner": [
        *(("gp", Sector.S1), ("gp", Sector.OPTAM), ("gp", Sector.S2), ("dermatologist", Sector.S2)),
        *(("psychiatrist", Sector.S1), ("psychologist", Sector.NONE), ("osteopath", Sector.NONE)),
    ],
    "acts": ["", "TCG", "TC+MPC+MCS", "TCS", "TCG+MHP", "TCG+MOP", "=1905+=1905"],
    "fee_cents": [Cents(1500), Cents(2500), Cents(6000)],
    "insured": list(Insured),
    "nir": list(Nir),
    "amc": list(Amc),
    "third_party_payment": list(ThirdPartyPayment),
    "pathway": list(Pathway),
    "territory": list(Territory),
    "company": [False, True],
    "overrun_qualifier": list(OverrunQualifier),
    "zone": ["metropole", "reunion"],
    "known_patient": [True, False],
    "alternation_ok": [True, False],
    "exemptions": [
        *(Exemptions(), Exemptions(ald=True), Exemptions(ald_unrelated=True), Exemptions(css=True)),
        *(Exemptions(maternity=IN_WINDOW), Exemptions(maternity=AFTER), Exemptions(maternity_list=True)),
        *(Exemptions(ame=True), Exemptions(css=True, ald=True, ame=True)),
    ],
    "scheme": ["general", "alsace-moselle", "crpcen", "sncf"],
    "pf_taken_this_year_cents": [Cents(0), Cents(4850), Cents(5000)],
    "pf_taken_today_cents": [Cents(0), Cents(700), Cents(800)],
    "pf_exempt": [False, True],
    "psychologist_session": [1, 13],
    "sponsor": [
        *(None, Sponsor(kind=SponsorKind.COPAYMENT), Sponsor(kind=SponsorKind.FULL, max_cents=Cents(500))),
        *(Sponsor(kind=SponsorKind.FIXED, cents=Cents(500)), Sponsor(kind=SponsorKind.PERCENT, percent=15)),
    ],
    "booked_on": [None, date(2018, 9, 1)],
    "policy": [
        *(Policy(), REDUCED, Policy(amc_needs_nir=False), Policy(provisional_nir_usable=False)),
        *(Policy(compulsory_tp=False), Policy(partner_psychologist=True), Policy(tp_with_overrun=False)),
        Policy(direct_access_age_limits=True),
    ],
}
POINTS = 10_000


def test_any_three_answers_to_anything_together_have_an_answer() -> None:
    chance = random.Random(20250310)
    drawn = [{name: chance.randrange(len(each)) for name, each in EVERYTHING.items()} for _ in range(POINTS)]

    ends = walk(map(point, drawn))

    assert sum(ends.values()) == POINTS
    assert "unexplained" not in ends
    for names in combinations(EVERYTHING, 3):
        met = {tuple(each[name] for name in names) for each in drawn}
        wanted = 1
        for name in names:
            wanted *= len(EVERYTHING[name])
        assert len(met) == wanted, names


def point(drawn: dict[str, int]) -> tuple[Inputs, Policy]:
    told = {name: EVERYTHING[name][number] for name, number in drawn.items()}
    specialty, sector = told.pop("practitioner")
    policy = told.pop("policy")
    acts = tuple(ActLine.parse(code) for code in told.pop("acts").split("+") if code)
    return question(**told, specialty=specialty, sector=sector, acts=acts), policy
