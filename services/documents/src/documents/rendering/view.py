"""From a document's values to the French texts its template places: every wording is here."""

import io
from collections.abc import Sequence
from datetime import UTC, date
from functools import singledispatch
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import segno

from common.money import Cents
from documents.domain.content import (
    Act,
    AnyDocument,
    CareSheet,
    ClaimStatement,
    ConsultationReport,
    DeviceLine,
    DrugLine,
    Folder,
    FreeLine,
    Insured,
    Invoice,
    Line,
    Patient,
    Practitioner,
    Prescription,
    Receipt,
    Settlement,
    Sex,
    Substitution,
)
from documents.domain.numbers import grouped_code
from documents.rendering import french
from documents.rendering.french import NO_BREAK

View: TypeAlias = dict[str, Any]

FOLDERS: Final = {
    Folder.DRUGS: "Médicaments",
    Folder.BIOLOGY: "Examens de biologie médicale",
    Folder.IMAGING: "Examens d'imagerie médicale",
    Folder.OTHER: "Dispositifs médicaux, soins et autres prescriptions",
}
SUBSTITUTIONS: Final = {
    Substitution.MTE: "MTE : marge thérapeutique étroite",
    Substitution.EFG: "EFG : enfant de moins de six ans, forme galénique inadaptée",
    Substitution.CIF: "CIF : contre-indication formelle et démontrable à un excipient",
}
NO_LINE: Final = ". " * 28


def view(document: AnyDocument) -> View:
    """Everything a template needs, as JSON-ready texts; the same document always gives the same view."""
    return _shared(document) | _own(document)


def _shared(document: AnyDocument) -> View:
    issue, practitioner = document.issue, document.practitioner
    local = issue.issued_at.astimezone(ZoneInfo(issue.zone))
    created = issue.issued_at.astimezone(UTC)
    name = practitioner_name(practitioner)
    patient = _patient_name(document.patient)
    return {
        "created": [created.year, created.month, created.day, created.hour, created.minute, created.second],
        "number": issue.number,
        "code": grouped_code(issue.verification_code),
        "verification_page": issue.verification_url.partition("?")[0],
        "qr_svg": _qr_svg(issue.verification_url),
        "qr_alt": f"Code QR de vérification du document numéro {issue.number}",
        "place_and_date": f"{issue.place}, le {french.long_day(local.date())}",
        "signed_at": f"{french.moment(issue.issued_at, issue.zone)} ({issue.zone})",
        "practitioner": {
            "name": name,
            "specialty": practitioner.specialty,
            "identifiers": _identifiers(practitioner),
            "signature_identifier": f"{practitioner.specialty}, RPPS {practitioner.rpps}",
            "address": [
                practitioner.address.street,
                f"{practitioner.address.postal_code} {practitioner.address.city}",
            ],
            "phone": french.phone(practitioner.phone),
            "email": practitioner.email,
        },
        # An insurer has no business with a weight: it is printed only where doses depend on it.
        "patient": _patient(
            document.patient,
            on=local.date(),
            clinical=isinstance(document, Prescription | ConsultationReport),
        ),
        "footer": f"{issue.number} · {patient} · {name} · RPPS {practitioner.rpps}",
    }


def _qr_svg(text: str) -> str:
    drawn = io.BytesIO()
    # A fixed mask: choosing the prettiest of eight costs most of the time, and readers take any of them.
    segno.make(text, error="m", micro=False, mask=3).save(
        drawn, kind="svg", border=4, xmldecl=False, light="#ffffff", svgclass=None, lineclass=None
    )
    return drawn.getvalue().decode()


def practitioner_name(practitioner: Practitioner) -> str:
    return " ".join(
        part for part in (practitioner.title, practitioner.first_name, practitioner.last_name.upper()) if part
    )


def _identifiers(practitioner: Practitioner) -> list[str]:
    found = [f"RPPS : {practitioner.rpps}"]
    if practitioner.billing_number is not None:
        found.append(f"N° d'identification AM : {practitioner.billing_number}")
    if practitioner.siret is not None:
        found.append(f"SIRET : {practitioner.siret}")
    return found


def _patient_name(patient: Patient) -> str:
    return f"{(patient.used_name or patient.birth_name).upper()} {patient.first_names}"


def _patient(patient: Patient, *, on: date, clinical: bool) -> View:
    female = patient.sex is Sex.FEMALE
    measures = []
    if clinical and patient.weight_grams is not None:
        measures.append(f"Poids : {french.kilograms(patient.weight_grams)}")
    if clinical and patient.height_cm is not None:
        measures.append(f"Taille : {patient.height_cm}{NO_BREAK}cm")
    other_name = patient.used_name is not None and patient.used_name.upper() != patient.birth_name.upper()
    born, age = french.day(patient.born_on), french.age(patient.born_on, on)
    return {
        "name": _patient_name(patient),
        "birth_name": f"Nom de naissance : {patient.birth_name.upper()}" if other_name else None,
        "born": f"{'Née' if female else 'Né'} le {born} ({age})",
        "sex": f"Sexe : {'féminin' if female else 'masculin'}",
        "measures": " · ".join(measures) or None,
    }


@singledispatch
def _own(document: AnyDocument) -> View:
    raise TypeError(f"no view of {type(document).__name__}")


def _titles(title: str, document: AnyDocument, *, subtitle: str | None = None) -> View:
    return {
        "title": title.upper(),
        "subtitle": subtitle,
        "document_title": f"{title} {document.issue.number}",
    }


@_own.register
def _(document: Prescription) -> View:
    related = [line for line in document.printed_lines if line.related_to_ald]
    unrelated = [line for line in document.printed_lines if not line.related_to_ald]
    lines = len(document.lines)
    word = "ligne prescrite" if lines == 1 else "lignes prescrites"
    return _titles(
        "Ordonnance bizone" if document.two_zones else "Ordonnance",
        document,
        subtitle=FOLDERS[document.folder],
    ) | {
        "two_zones": document.two_zones,
        "related": [line_view(line) for line in related],
        "unrelated": [line_view(line) for line in unrelated],
        "count": f"{lines} ({french.in_letters(lines)}) {word}, rien au-delà de ce trait",
        "notes": [
            (
                f"Prescription établie après examen du patient en téléconsultation (vidéotransmission) "
                f"le {french.day(document.consulted_on)}."
            ),
            *_prescription_notes(document),
        ],
    }


def _prescription_notes(document: Prescription) -> list[str]:
    drugs = [line for line in document.lines if isinstance(line, DrugLine)]
    if not drugs:
        return []
    notes = ["À présenter au pharmacien dans les trois mois suivant sa date pour une première délivrance."]
    if any(not line.refundable for line in drugs):
        notes.append("NR : médicament non remboursable, à la charge du patient.")
    return notes


def _renewals(count: int) -> str:
    return "À ne pas renouveler" if count == 0 else f"À renouveler {french.counted(count, 'fois', 'fois')}"


def line_view(line: Line) -> View:
    """The texts of one prescribed line."""
    match line:
        case DrugLine():
            return _drug(line)
        case DeviceLine():
            return _device(line)
        case FreeLine():
            return _free(line)


def _days(count: int) -> str:
    return french.counted(count, "jour", "jours")


def _drug(line: DrugLine) -> View:
    extent = []
    if line.packs is not None:
        if line.duration_days is not None:
            extent.append(f"Durée : {_days(line.duration_days)}")
        extent.append(f"Quantité : {french.counted(line.packs, 'boîte', 'boîtes')}")
    elif line.duration_days is not None:
        extent.append(f"Durée : {_days(line.duration_days)} (QSP {_days(line.duration_days)})")
    extent.append(_renewals(line.renewals))
    emphasis = []
    if line.not_substitutable is not None:
        emphasis.append(f"NON SUBSTITUABLE ({SUBSTITUTIONS[line.not_substitutable]})")
    if not line.refundable:
        emphasis.append("NR")
    details = [f"Posologie : {line.dosage}", " · ".join(extent)]
    if line.cip13 is not None:
        details.append(f"CIP : {line.cip13}")
    named = line.inn is not None and line.inn.casefold() not in line.label.casefold()
    return {
        "label": line.label,
        "substance": f"(DCI : {line.inn})" if named else None,
        "details": details,
        "emphasis": emphasis,
    }


def _device(line: DeviceLine) -> View:
    extent = [f"Quantité : {line.quantity}"]
    if line.duration_days is not None:
        extent.append(f"Durée : {_days(line.duration_days)}")
    extent.append(_renewals(line.renewals))
    details = [f"Conditions d'utilisation : {line.conditions}", " · ".join(extent)]
    if line.lpp is not None:
        details.append(f"Code LPP : {line.lpp}")
    return {"label": line.label, "substance": None, "details": details, "emphasis": []}


def _free(line: FreeLine) -> View:
    details = []
    if line.indication is not None:
        details.append(f"Indication : {line.indication}")
    if line.renewals:
        details.append(_renewals(line.renewals))
    return {
        "label": line.text,
        "substance": None,
        "details": details,
        "emphasis": ["URGENT"] if line.urgent else [],
    }


def _acts(acts: Sequence[Act]) -> list[View]:
    return [
        {
            "date": french.day(act.performed_on),
            "code": act.code if act.coefficient is None else f"{act.code} {act.coefficient}",
            "label": act.label,
            "amount": french.amount(act.amount_cents),
        }
        for act in acts
    ]


def _amount(label: str, cents: Cents, *, strong: bool = False) -> View:
    return {"label": label, "amount": french.amount(cents), "strong": strong}


def _patient_part(settlement: Settlement) -> list[View]:
    """What the patient paid, and, where the card gave less than was due, what is left to pay."""
    rows = [_amount("Montant payé par le patient", settlement.paid_cents, strong=True)]
    if settlement.outstanding_cents:
        rows.append(_amount("Reste à régler par le patient", settlement.outstanding_cents))
    return rows


def _flat_contribution(settlement: Settlement) -> list[str]:
    if settlement.flat_contribution_cents == 0:
        return []
    kept = french.amount(settlement.flat_contribution_cents)
    return [
        (
            f"Participation forfaitaire : {kept} seront retenus plus tard par la caisse d'assurance maladie "
            "sur les remboursements. Ce montant n'est ni réglé ni facturé à ce jour."
        )
    ]


def _insured(insured: Insured, patient: Patient) -> list[list[str]]:
    return [
        ["Nom et prénom :", insured.holder_name or _patient_name(patient)],
        [
            "N° d'immatriculation provisoire :" if insured.provisional else "N° de sécurité sociale :",
            french.nir(insured.nir),
        ],
    ]


def _insured_to_complete(patient: Patient) -> list[list[str]]:
    return [
        ["Nom et prénom :", _patient_name(patient)],
        ["N° de sécurité sociale (à compléter par l'assuré(e)) :", NO_LINE],
    ]


@_own.register
def _(document: CareSheet) -> View:
    settlement = document.settlement
    banner = None
    if document.for_information:
        banner = (
            "Copie pour information : à ne pas adresser à la caisse. "
            "La feuille de soins est transmise par voie électronique."
        )
    amounts = _patient_part(settlement)
    notes = [
        "Acte de téléconsultation réalisé par vidéotransmission.",
        *_flat_contribution(settlement),
    ]
    if not document.for_information:
        notes.insert(
            0,
            "À compléter, signer et adresser à votre caisse d'assurance maladie pour être remboursé. "
            "Le praticien certifie avoir réalisé les actes et perçu le montant indiqué.",
        )
    accident = "non" if document.accident_on is None else f"oui, le {french.day(document.accident_on)}"
    subtitle = "Copie pour information" if document.for_information else "Actes réglés par le patient"
    return _titles("Feuille de soins", document, subtitle=subtitle) | {
        "banner": banner,
        "insured": _insured_to_complete(document.patient)
        if document.insured is None
        else _insured(document.insured, document.patient),
        "conditions": [
            ["Accident causé par un tiers :", accident],
            ["Médecin traitant :", "oui" if document.regular_doctor else "non"],
            ["Exonération du ticket modérateur :", document.exemption or "aucune"],
        ],
        "acts": _acts(document.acts),
        "fee": french.amount(settlement.fee_cents),
        "amounts": amounts,
        "notes": notes,
        "patient_signs": not document.for_information,
    }


@_own.register
def _(document: Receipt) -> View:
    settlement = document.settlement
    insurer = document.amc_name or "votre organisme complémentaire"
    amounts = [
        _amount("Base de remboursement", settlement.base_cents),
        _amount("Part facturée à l'assurance maladie obligatoire (tiers payant)", settlement.amo_cents),
    ]
    if settlement.sponsor_cents:
        amounts.append(_amount("Part prise en charge par un tiers financeur", settlement.sponsor_cents))
    amounts += _patient_part(settlement)
    return _titles(
        "Quittance pour l'organisme complémentaire", document, subtitle="Tiers payant sur la part obligatoire"
    ) | {
        "insured": [*_insured(document.insured, document.patient), ["Organisme complémentaire :", insurer]],
        "acts": _acts(document.acts),
        "fee": french.amount(settlement.fee_cents),
        "amounts": amounts,
        "notes": [
            (
                f"Le patient a réglé {french.amount(settlement.paid_cents)}, part non facturée à l'assurance "
                "maladie obligatoire. Document à adresser à l'organisme complémentaire pour remboursement."
            ),
            "Acte de téléconsultation réalisé par vidéotransmission.",
            *_flat_contribution(settlement),
        ],
    }


@_own.register
def _(document: ClaimStatement) -> View:
    settlement = document.settlement
    amounts = [_amount("Assurance maladie obligatoire (caisse d'affiliation)", settlement.amo_cents)]
    if settlement.amc_cents:
        amounts.append(_amount(f"Complémentaire : {document.amc_name or 'organisme'}", settlement.amc_cents))
    if settlement.sponsor_cents:
        amounts.append(_amount("Tiers financeur", settlement.sponsor_cents))
    amounts += _patient_part(settlement)
    paid = "Le patient n'a rien à payer : les organismes ci-dessus sont facturés directement."
    if settlement.paid_cents:
        paid = "Le patient a réglé le dépassement d'honoraires, qui n'est facturé à aucun organisme."
    insured = _insured(document.insured, document.patient)
    if document.exemption is not None:
        insured.append(["Exonération du ticket modérateur :", document.exemption])
    return _titles("Relevé de tiers payant", document, subtitle="Document d'information, à conserver") | {
        "insured": insured,
        "acts": _acts(document.acts),
        "fee": french.amount(settlement.fee_cents),
        "amounts": amounts,
        "notes": [
            paid,
            "Ce relevé n'est pas une feuille de soins et n'ouvre droit à aucun remboursement supplémentaire.",
            "Acte de téléconsultation réalisé par vidéotransmission.",
            *_flat_contribution(settlement),
        ],
    }


@_own.register
def _(document: Invoice) -> View:
    settlement = document.settlement
    amounts = []
    if settlement.sponsor_cents:
        amounts.append(_amount("Part prise en charge par un tiers financeur", settlement.sponsor_cents))
    amounts += _patient_part(settlement)
    return _titles("Facture", document, subtitle=f"Facture n° {document.issue.number}") | {
        "acts": _acts(document.acts),
        "fee": french.amount(settlement.fee_cents),
        "amounts": amounts,
        "notes": [
            (
                f"{'Facture non soldée' if settlement.outstanding_cents else 'Facture acquittée'}. "
                "Acte réalisé à distance par vidéotransmission."
            ),
            (
                "Acte non pris en charge par l'assurance maladie obligatoire : cette facture n'est pas une "
                "feuille de soins. Certains organismes complémentaires le remboursent."
            ),
            "TVA non applicable : soins exonérés (article 261, 4, 1° du code général des impôts).",
        ],
    }


@_own.register
def _(document: ConsultationReport) -> View:
    at = french.moment(document.consulted_at, document.issue.zone)
    circumstances = [
        ["Téléconsultation du :", at],
        ["Modalité :", "vidéotransmission, patient identifié par la plateforme"],
        ["Motif :", document.reason],
    ]
    if document.regular_doctor_name is not None:
        circumstances.append(["Médecin traitant destinataire :", document.regular_doctor_name])
    return _titles("Compte rendu de téléconsultation", document) | {
        "circumstances": circumstances,
        "sections": [
            {
                "title": section.title,
                "paragraphs": [part for part in section.text.split("\n") if part.strip()],
            }
            for section in document.sections
        ],
        "notes": [
            (
                "Document couvert par le secret médical, destiné au patient et aux professionnels qui le "
                "prennent en charge. En cas d'aggravation : appeler le 15 ou le 112."
            )
        ],
    }
