"""What may be prescribed, by whom, into which folder."""

from dataclasses import replace
from datetime import date

import pytest

from documents.domain.content import DeviceLine, DrugLine, Folder, FreeLine, Kind, SheetMode
from documents.domain.prescribing import CannotPrescribe, LineRefused, SecurePrescriptionRequired, check
from documents.domain.sheets import document_of
from documents.domain.validity import Category, NoValidityRow, rows, validity_of

DRUG = DrugLine(label="AMOXICILLINE 1 g", dosage="1 comprimé matin et soir", duration_days=6)
DEVICE = DeviceLine(label="Bas de compression", quantity=2, conditions="la journée")
EXAM = FreeLine(text="Numération formule sanguine")


@pytest.mark.parametrize("profession", ["psychologist", "osteopath", "dietician", "unheard-of"])
@pytest.mark.parametrize("folder", list(Folder))
def test_a_profession_without_the_right_prescribes_nothing(profession, folder) -> None:
    with pytest.raises(CannotPrescribe):
        check([EXAM], folder=folder, profession=profession)


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        (DRUG, Folder.DRUGS),
        (DEVICE, Folder.OTHER),
        (EXAM, Folder.BIOLOGY),
        (EXAM, Folder.IMAGING),
        (EXAM, Folder.OTHER),
    ],
)
def test_a_physician_prescribes_into_every_folder(line, folder) -> None:
    check([line], folder=folder, profession="physician")


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        (DRUG, Folder.BIOLOGY),
        (DEVICE, Folder.DRUGS),
        (EXAM, Folder.DRUGS),
        (replace(DRUG, dosage=" "), Folder.DRUGS),
        (replace(DRUG, duration_days=None), Folder.DRUGS),
        (replace(DRUG, duration_days=0), Folder.DRUGS),
        (replace(DRUG, renewals=13), Folder.DRUGS),
        (replace(DRUG, cip13="3400930000015"), Folder.DRUGS),
        (replace(DRUG, cip13="4006381333931"), Folder.DRUGS),
        (replace(DEVICE, quantity=0), Folder.OTHER),
        (replace(DEVICE, conditions=""), Folder.OTHER),
        (replace(EXAM, text=""), Folder.BIOLOGY),
        (replace(EXAM, text="x" * 2001), Folder.BIOLOGY),
    ],
)
def test_an_incomplete_or_misplaced_line_is_refused_and_named(line, folder) -> None:
    good = {Folder.DRUGS: DRUG, Folder.OTHER: DEVICE}.get(folder, EXAM)

    with pytest.raises(LineRefused, match="line 2"):
        check([good, line], folder=folder, profession="physician")


@pytest.mark.parametrize("cip13", ["3400930000014", "3400937268912"])
def test_a_right_cip_passes(cip13) -> None:
    check([replace(DRUG, cip13=cip13)], folder=Folder.DRUGS, profession="physician")


def test_no_lines_are_no_prescription() -> None:
    with pytest.raises(LineRefused):
        check([], folder=Folder.DRUGS, profession="physician")


@pytest.mark.parametrize(
    "line",
    [
        replace(DRUG, dosage="morphine 10 mg, 1 comprimé"),
        replace(DRUG, inn="MORPHINE (sulfate)"),
        replace(DRUG, label="Mor\u00adphine"),
        replace(DRUG, label="mor\u200bphine 10 mg"),
        replace(DRUG, label="M.O.R.P.H.I.N.E"),
        replace(DRUG, label="\uff4d\uff4f\uff52\uff50\uff48\uff49\uff4e\uff45"),  # full width
        replace(DRUG, label="m\u03bfrphine"),  # a Greek omicron
        replace(DRUG, label="\u043c\u043erphine oxyc\u043edone"),  # Cyrillic letters
        replace(DRUG, label="Trama-dol 50 mg"),
        replace(DRUG, label="TRAMÁDOL"),
    ],
)
def test_a_secure_drug_is_found_in_every_text_and_spelling_of_a_line(line) -> None:
    with pytest.raises(SecurePrescriptionRequired, match="line 1"):
        check([line], folder=Folder.DRUGS, profession="physician")


@pytest.mark.parametrize("text", ["tramadol 50 mg", "Skenan LP 10"])
def test_a_secure_drug_is_found_in_the_texts_of_devices_and_free_lines(text) -> None:
    for line in (replace(DEVICE, conditions=text), replace(EXAM, indication=text), replace(EXAM, text=text)):
        with pytest.raises(SecurePrescriptionRequired):
            check([line], folder=Folder.OTHER, profession="physician")


@pytest.mark.parametrize(
    "named",
    [
        "Tramadol 50 mg",
        "TOPALGIC LP 100",
        "Codéine 20 mg",
        "DICODIN 60",
        "Dafalgan Codéine",
        "morphine sulfate",
        "OxyContin",
    ],
)
@pytest.mark.parametrize("field", ["label", "inn"])
def test_a_secure_class_is_refused_without_the_digital_prescription(named, field) -> None:
    line = replace(DRUG, **{field: named})

    with pytest.raises(SecurePrescriptionRequired):
        check([DRUG, line], folder=Folder.DRUGS, profession="physician")
    check([line], folder=Folder.DRUGS, profession="physician", e_prescription_linked=True)


def test_a_secure_class_hidden_in_free_text_is_refused() -> None:
    with pytest.raises(SecurePrescriptionRequired):
        check(
            [replace(EXAM, text="Méthadone 40 mg, sept jours")], folder=Folder.OTHER, profession="physician"
        )


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (SheetMode.TP, Kind.CLAIM_STATEMENT),
        (SheetMode.TP_RECEIPT, Kind.RECEIPT),
        (SheetMode.FSE, Kind.CARE_SHEET),
        (SheetMode.PAPER, Kind.CARE_SHEET),
        (SheetMode.INVOICE, Kind.INVOICE),
    ],
)
def test_each_way_of_billing_gives_its_document(mode, kind) -> None:
    assert document_of(mode) is kind


def test_every_validity_row_has_a_source() -> None:
    assert {row.category for row in rows()} == set(Category)
    assert all(row.source and row.confidence in {"confirmed", "derived", "unconfirmed"} for row in rows())


def test_validity_follows_the_day_of_writing() -> None:
    narcotics = validity_of(Category.NARCOTICS, written_on=date(2026, 11, 22))

    assert narcotics.first_use_until(date(2026, 11, 22)) == date(2026, 11, 25)
    assert (
        validity_of(Category.IMAGING, written_on=date(2026, 1, 1)).first_use_until(date(2026, 1, 1)) is None
    )
    with pytest.raises(NoValidityRow):
        validity_of(Category.TRAMADOL_CODEINE, written_on=date(2025, 2, 28))
