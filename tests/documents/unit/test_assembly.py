"""From what booking and claims say to what a document states."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from common.money import Cents
from documents.domain.assembly import (
    InsuredNotFound,
    SignerDiffers,
    acts_of,
    billed,
    issue_of,
    specialty,
    written,
)
from documents.domain.content import CareSheet, ClaimStatement, Invoice, Kind, Prescription, Receipt
from documents.domain.sources import (
    CareAct,
    Charged,
    Identity,
    KnownInsured,
    KnownInsurer,
    KnownPatient,
    KnownPractitioner,
    Place,
    Price,
    PricedLine,
    Reason,
)

AT = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)  # already next year in Paris
IDENTITY = Identity(
    starts_at=AT,
    started_at=AT,
    patient=KnownPatient(first_names="Zoé", birth_name="Gaëtan", birth_date=date(1955, 8, 14), sex="female"),
    practitioner=KnownPractitioner(
        rpps="10001234565",
        profession="physician",
        specialty="01",
        title="Docteur",
        first_name="Hélène",
        last_name="Lefèvre",
        address=Place(street="12 rue Neuve", postal_code="69002", city="Lyon"),
        phone="0472000000",
        time_zone="Europe/Paris",
    ),
    reason=Reason(label_fr="Fièvre"),
)
CHARGED = Charged(
    revision=1,
    sheet_mode="TP+RECEIPT",
    fee_cents=Cents(3000),
    base_cents=Cents(2500),
    sponsor_cents=Cents(100),
    advance_cents=Cents(1150),
    amo_claim_cents=Cents(1750),
    amc_claim_cents=Cents(0),
)
CARE_ACT = CareAct(
    care_on=date(2026, 12, 31),
    revision=1,
    price=Price(
        flat_contribution_cents=Cents(200),
        lines=(PricedLine("TCG", Cents(2500)), PricedLine("SNP", Cents(0))),
        pathway_indicator="T",
        exemption_code="4",
    ),
)
INSURED = KnownInsured(nir="255081416802538", amc=KnownInsurer(name="Mutuelle"))


def _billed(mode: str, *, known: KnownInsured = INSURED, paid: int = 1150) -> object:
    return billed(
        replace(CHARGED, sheet_mode=mode),
        issue=issue_of(Kind.RECEIPT, identity=IDENTITY, written_at=AT, public_url="https://example.org"),
        identity=IDENTITY,
        care_act=CARE_ACT,
        known_insured=known,
        paid_cents=Cents(paid),
    )


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("TP", ClaimStatement),
        ("TP+RECEIPT", Receipt),
        ("FSE", CareSheet),
        ("PAPER", CareSheet),
        ("INVOICE", Invoice),
    ],
)
def test_the_mode_decides_the_document(mode, kind) -> None:
    assert isinstance(_billed(mode), kind)


def test_what_the_card_did_not_give_is_outstanding_and_not_paid() -> None:
    receipt = _billed("TP+RECEIPT", paid=500)

    assert isinstance(receipt, Receipt)
    assert (receipt.settlement.paid_cents, receipt.settlement.outstanding_cents) == (500, 650)
    assert (receipt.settlement.sponsor_cents, receipt.settlement.flat_contribution_cents) == (100, 200)


def test_an_insurers_document_needs_a_number_and_a_care_sheet_does_not() -> None:
    nobody = KnownInsured(nir=None)

    with pytest.raises(InsuredNotFound):
        _billed("TP", known=nobody)
    sheet = _billed("PAPER", known=nobody)
    assert isinstance(sheet, CareSheet)
    assert (sheet.insured, sheet.regular_doctor, sheet.exemption) == (None, True, "oui (code 4)")


def test_what_exceeds_the_tariffs_belongs_to_the_first_act() -> None:
    acts = acts_of(CARE_ACT, fee_cents=Cents(3000))
    uncoded = acts_of(replace(CARE_ACT, price=replace(CARE_ACT.price, lines=())), fee_cents=Cents(6000))

    assert [(act.code, act.amount_cents) for act in acts] == [("TCG", 3000), ("SNP", 0)]
    assert [(act.label, act.amount_cents) for act in uncoded] == [("Téléconsultation", 6000)]


def test_a_number_carries_the_year_of_the_practitioners_place() -> None:
    issue = issue_of(Kind.PRESCRIPTION, identity=IDENTITY, written_at=AT, public_url="https://example.org")

    assert issue.number.startswith("ORD-2027-")
    assert (issue.place, issue.zone) == ("Lyon", "Europe/Paris")


def test_only_the_practitioner_of_the_visit_signs() -> None:
    content = {
        "folder": "biology",
        "lines": [
            {
                "type": "free",
                "text": "CRP",
                "indication": None,
                "urgent": True,
                "renewals": 0,
                "related_to_ald": True,
            }
        ],
    }
    issue = issue_of(Kind.PRESCRIPTION, identity=IDENTITY, written_at=AT, public_url="https://example.org")

    document = written(content, kind=Kind.PRESCRIPTION, issue=issue, identity=IDENTITY, by_rpps="10001234565")
    with pytest.raises(SignerDiffers):
        written(content, kind=Kind.PRESCRIPTION, issue=issue, identity=IDENTITY, by_rpps="10009876548")

    assert isinstance(document, Prescription)
    assert (document.two_zones, document.consulted_on) == (True, date(2027, 1, 1))


@pytest.mark.parametrize(
    ("profession", "code", "printed"),
    [
        ("physician", "01", "Médecine générale"),
        ("physician", "98", "Médecin"),
        ("psychologist", "00", "Psychologue"),
    ],
)
def test_a_specialty_is_printed_in_french(profession, code, printed) -> None:
    assert specialty(profession, code) == printed
