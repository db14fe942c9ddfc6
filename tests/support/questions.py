"""Questions to the calculator, generated: any practitioner, patient, cover and day, likely ones first."""

from datetime import date
from typing import Any

from hypothesis import strategies as st

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
    Sector,
    Sponsor,
    SponsorKind,
    Territory,
    ThirdPartyPayment,
)
from common.money import Cents

USUAL: dict[str, Any] = {
    "care_on": date(2025, 3, 10),
    "born_on": date(1985, 6, 15),
    "specialty": "gp",
    "sector": Sector.S1,
    "fee_cents": Cents(2500),
    "insured": Insured.YES,
    "nir": Nir.DEFINITIVE,
    "amc": Amc.CONTRACTED,
    "third_party_payment": ThirdPartyPayment.FULL,
    "pathway": Pathway.REFERRED,
    "territory": Territory.NEAR,
}

PRACTITIONERS = [
    ("gp", Sector.S1),
    ("gp", Sector.OPTAM),
    ("gp", Sector.S2),
    ("dermatologist", Sector.S1),
    ("gynaecologist", Sector.S1),
    ("psychiatrist", Sector.OPTAM),
    ("psychologist", Sector.NONE),
    ("osteopath", Sector.NONE),
]
CARE_DAYS = [
    date(2019, 6, 1),
    date(2020, 3, 8),
    date(2021, 6, 15),
    date(2022, 9, 30),
    date(2022, 10, 1),
    date(2024, 5, 14),
    date(2024, 5, 15),
    date(2025, 3, 10),
    date(2026, 11, 25),
]
WINDOW = MaternityWindow(date(2022, 9, 1), date(2025, 4, 1))
CODES = ["TCG", "TC", "TCS", "MHP", "MOP", "MCG", "MPC", "MCS", "MEG", "F", "G"]


def question(**changes: Any) -> Inputs:
    """The usual question: a general practitioner of sector 1, everything known, everything paid by others."""
    return Inputs(**{**USUAL, **changes})


def sponsors() -> st.SearchStrategy[Sponsor]:
    cents = st.integers(0, 9000).map(Cents)
    cap = st.none() | cents
    return st.one_of(
        st.builds(Sponsor, kind=st.sampled_from([SponsorKind.COPAYMENT, SponsorKind.FULL]), max_cents=cap),
        st.builds(Sponsor, kind=st.just(SponsorKind.FIXED), cents=cents, max_cents=cap),
        st.builds(Sponsor, kind=st.just(SponsorKind.PERCENT), percent=st.integers(0, 100), max_cents=cap),
    )


def act_lines() -> st.SearchStrategy[tuple[ActLine, ...]]:
    given = st.integers(1, 9000).map(lambda cents: ActLine("=", Cents(cents)))
    coded = st.sampled_from(CODES).map(ActLine)
    return st.one_of(
        st.just(()),
        st.lists(given, min_size=1, max_size=4).map(tuple),
        st.lists(given | coded, max_size=3).map(tuple),
    )


@st.composite
def questions(draw: st.DrawFn) -> Inputs:
    specialty, sector = draw(st.sampled_from(PRACTITIONERS))
    care_on = draw(st.sampled_from(CARE_DAYS) | st.dates(date(2018, 9, 15), date(2027, 12, 31)))
    said = draw(
        st.builds(
            Exemptions,
            ald=st.booleans(),
            ald_unrelated=st.booleans(),
            maternity=st.none() | st.just(WINDOW),
            maternity_list=st.booleans(),
            css=st.booleans(),
            ame=st.booleans(),
        )
        | st.just(Exemptions())
    )
    nir = draw(st.sampled_from([each for each in Nir if said.ame or each is not Nir.AME]))
    return Inputs(
        care_on=care_on,
        born_on=draw(st.dates(date(1930, 1, 1), min(care_on, date(2024, 1, 1)))),
        specialty=specialty,
        sector=sector,
        fee_cents=Cents(draw(st.sampled_from([2500, 3000, 5020]) | st.integers(1, 20_000))),
        insured=draw(st.sampled_from(Insured)),
        nir=nir,
        amc=draw(st.sampled_from(Amc)),
        third_party_payment=draw(st.sampled_from(ThirdPartyPayment)),
        acts=draw(act_lines()),
        pathway=draw(st.sampled_from(Pathway)),
        territory=draw(st.sampled_from(Territory)),
        company=draw(st.sampled_from([False, False, True])),
        overrun_qualifier=draw(st.sampled_from(OverrunQualifier)),
        known_patient=draw(st.sampled_from([True, True, False])),
        alternation_ok=draw(st.booleans()),
        exemptions=said,
        scheme=draw(st.sampled_from(["general", "general", "alsace-moselle", "crpcen", "sncf"])),
        pf_taken_this_year_cents=Cents(draw(st.sampled_from([0, 4850, 5000]))),
        pf_taken_today_cents=Cents(draw(st.sampled_from([0, 350, 800]))),
        pf_exempt=draw(st.sampled_from([False, False, True])),
        psychologist_session=draw(st.sampled_from([1, 12, 13])),
        sponsor=draw(st.none() | sponsors()),
        booked_on=draw(st.none() | st.dates(date(2018, 9, 1), care_on)),
    )


def policies() -> st.SearchStrategy[Policy]:
    return st.builds(
        Policy,
        out_of_pathway=st.sampled_from(OutOfPathway),
        amc_needs_nir=st.booleans(),
        provisional_nir_usable=st.booleans(),
        compulsory_tp=st.booleans(),
        partner_psychologist=st.booleans(),
        direct_access_age_limits=st.booleans(),
        tp_with_overrun=st.booleans(),
    )
