"""One plausible document of each kind, with invented people: for checks of what the templates draw."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final

from common.money import Cents
from documents.domain.content import (
    Act,
    Address,
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
    Issue,
    Kind,
    Patient,
    Practitioner,
    Prescription,
    Receipt,
    ReportSection,
    Settlement,
    Sex,
    SheetMode,
    Substitution,
)
from documents.domain.numbers import draw_code, draw_number, verification_url

BASE_URL: Final = "https://teleconsultation.example"
ISSUED_AT: Final = datetime(2026, 11, 22, 13, 32, 5, tzinfo=UTC)
VISITED_ON: Final = date(2026, 11, 22)

PHYSICIAN: Final = Practitioner(
    title="Docteur",
    first_name="Hélène",
    last_name="Lefèvre",
    profession="physician",
    specialty="Médecine générale",
    rpps="10001234565",
    billing_number="296991102",
    address=Address(street="12 rue de la République", postal_code="69002", city="Lyon"),
    phone="0472000000",
    email="cabinet.lefevre@example.fr",
)
PSYCHOLOGIST: Final = Practitioner(
    title="",
    first_name="Aurélien",
    last_name="Noël",
    profession="psychologist",
    specialty="Psychologue clinicien",
    rpps="10009876548",
    address=Address(street="3 place du Forum", postal_code="51100", city="Reims"),
    phone="0326000000",
    siret="73282932000074",
)
PATIENT: Final = Patient(
    first_names="Françoise Zoé",
    birth_name="Gaëtan",
    used_name="Bérenger",
    sex=Sex.FEMALE,
    born_on=date(1955, 8, 14),
    weight_grams=61_500,
    height_cm=164,
)
CHILD: Final = Patient(
    first_names="Noé", birth_name="Bérenger", sex=Sex.MALE, born_on=date(2025, 7, 3), weight_grams=10_200
)
INSURED: Final = Insured(nir="255081416802538")
CONSULTATION: Final = Act(
    code="TCG",
    label="Téléconsultation du médecin généraliste",
    performed_on=VISITED_ON,
    amount_cents=Cents(2500),
)


def issue(kind: Kind, *, serial: int, base_url: str = BASE_URL, place: str = "Lyon") -> Issue:
    """Numbers and codes that are the same in every run."""
    number = draw_number(kind, year=2026, entropy=serial * 7_919_191_919 % 2**45)
    code = draw_code(entropy=serial * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)
    return Issue(
        number=number,
        verification_code=code,
        verification_url=verification_url(base_url, number=number, code=code),
        issued_at=ISSUED_AT,
        zone="Europe/Paris",
        place=place,
    )


def _prescription(folder: Folder, serial: int, *lines: DrugLine | DeviceLine | FreeLine) -> Prescription:
    return Prescription(
        issue=issue(Kind.PRESCRIPTION, serial=serial),
        practitioner=PHYSICIAN,
        patient=PATIENT,
        consulted_on=VISITED_ON,
        folder=folder,
        lines=lines,
    )


AMOXICILLIN: Final = DrugLine(
    label="AMOXICILLINE 1 g, comprimé dispersible",
    inn="amoxicilline",
    dosage="1 comprimé matin, midi et soir, au cours des repas",
    duration_days=6,
    packs=2,
    cip13="3400937268912",
)
PARACETAMOL: Final = DrugLine(
    label="DOLIPRANE 1000 mg, comprimé",
    inn="paracétamol",
    dosage="1 comprimé en cas de douleur ou de fièvre, 6 heures entre deux prises, 3 par jour au plus",
    duration_days=5,
    packs=1,
)
LEVOTHYROXINE: Final = DrugLine(
    label="LEVOTHYROX 75 microgrammes, comprimé sécable",
    inn="lévothyroxine sodique",
    dosage="1 comprimé le matin à jeun, une demi-heure avant le petit-déjeuner",
    duration_days=30,
    renewals=5,
    not_substitutable=Substitution.MTE,
    related_to_ald=True,
)
METFORMIN: Final = DrugLine(
    label="METFORMINE 850 mg, comprimé pelliculé",
    inn="metformine",
    dosage="1 comprimé matin et soir, à la fin des repas",
    duration_days=30,
    renewals=5,
    related_to_ald=True,
)
LOZENGES: Final = DrugLine(
    label="Pastilles à la lidocaïne",
    dosage="1 pastille à sucer 3 fois par jour, à distance des repas",
    duration_days=5,
    refundable=False,
)


def samples() -> Mapping[str, AnyDocument]:
    """Name -> document: every kind, every folder and the cases that look different."""
    reimbursed = Settlement(fee_cents=Cents(2500), base_cents=Cents(2500), paid_cents=Cents(2500))
    child = replace(
        _prescription(
            Folder.DRUGS,
            6,
            DrugLine(
                label="AMOXICILLINE 250 mg/5 ml, poudre pour suspension buvable",
                inn="amoxicilline",
                dosage="1 dose-poids de 10 kg matin, midi et soir",
                duration_days=6,
                packs=1,
            ),
        ),
        patient=CHILD,
    )
    return {
        "prescription-drugs": _prescription(Folder.DRUGS, 1, AMOXICILLIN, PARACETAMOL, LOZENGES),
        "prescription-two-zones": _prescription(Folder.DRUGS, 2, LEVOTHYROXINE, METFORMIN, PARACETAMOL),
        "prescription-biology": _prescription(
            Folder.BIOLOGY,
            3,
            FreeLine(
                text="Numération formule sanguine, plaquettes", indication="asthénie depuis trois semaines"
            ),
            FreeLine(text="CRP", urgent=True),
            FreeLine(text="TSH ultrasensible", renewals=1),
        ),
        "prescription-imaging": _prescription(
            Folder.IMAGING,
            4,
            FreeLine(
                text="Radiographie du thorax, face et profil",
                indication="toux fébrile depuis dix jours, recherche d'un foyer",
            ),
        ),
        "prescription-other": _prescription(
            Folder.OTHER,
            5,
            DeviceLine(
                label="Bas de compression, classe II, la paire",
                quantity=2,
                conditions="à porter la journée, à mettre au lever",
                lpp="2161904",
                duration_days=180,
            ),
            FreeLine(text="Dix séances de kinésithérapie du rachis lombaire", indication="lombalgie commune"),
        ),
        "prescription-child": child,
        "care-sheet": CareSheet(
            issue=issue(Kind.CARE_SHEET, serial=7),
            practitioner=PHYSICIAN,
            patient=PATIENT,
            insured=None,
            mode=SheetMode.PAPER,
            acts=(CONSULTATION,),
            settlement=replace(reimbursed, flat_contribution_cents=Cents(200)),
            regular_doctor=True,
        ),
        "care-sheet-copy": CareSheet(
            issue=issue(Kind.CARE_SHEET, serial=8),
            practitioner=PHYSICIAN,
            patient=PATIENT,
            insured=INSURED,
            mode=SheetMode.FSE,
            acts=(CONSULTATION,),
            settlement=replace(reimbursed, flat_contribution_cents=Cents(200)),
            regular_doctor=True,
        ),
        "receipt": Receipt(
            issue=issue(Kind.RECEIPT, serial=9),
            practitioner=PHYSICIAN,
            patient=PATIENT,
            insured=INSURED,
            acts=(CONSULTATION,),
            settlement=Settlement(
                fee_cents=Cents(2500),
                base_cents=Cents(2500),
                amo_cents=Cents(1750),
                paid_cents=Cents(750),
                flat_contribution_cents=Cents(200),
            ),
            amc_name="Mutuelle des Deux Rives",
        ),
        "claim-statement": ClaimStatement(
            issue=issue(Kind.CLAIM_STATEMENT, serial=10),
            practitioner=PHYSICIAN,
            patient=PATIENT,
            insured=INSURED,
            acts=(CONSULTATION,),
            settlement=Settlement(
                fee_cents=Cents(2500),
                base_cents=Cents(2500),
                amo_cents=Cents(1750),
                amc_cents=Cents(750),
                paid_cents=Cents(0),
                flat_contribution_cents=Cents(200),
            ),
            amc_name="Mutuelle de la Vallée",
        ),
        "invoice": Invoice(
            issue=issue(Kind.INVOICE, serial=11, place="Reims"),
            practitioner=PSYCHOLOGIST,
            patient=PATIENT,
            acts=(
                Act(
                    code="-",
                    label="Consultation de psychologue à distance",
                    performed_on=VISITED_ON,
                    amount_cents=Cents(6000),
                ),
            ),
            settlement=Settlement(fee_cents=Cents(6000), base_cents=Cents(0), paid_cents=Cents(6000)),
        ),
        "consultation-report": ConsultationReport(
            issue=issue(Kind.CONSULTATION_REPORT, serial=12),
            practitioner=PHYSICIAN,
            patient=PATIENT,
            consulted_at=datetime(2026, 11, 22, 13, 5, tzinfo=UTC),
            reason="Toux et fièvre",
            sections=(
                ReportSection(
                    title="Anamnèse",
                    text="Toux productive depuis dix jours, fièvre à 38,6 °C depuis la veille.\n"
                    "Pas de dyspnée, pas de douleur thoracique. Hypothyroïdie substituée.",
                ),
                ReportSection(
                    title="Examen à distance",
                    text="Patiente consciente, parle sans gêne, fréquence respiratoire 18 par minute.",
                ),
                ReportSection(
                    title="Conclusion",
                    text="Bronchite aiguë, surinfection possible. Radiographie du thorax demandée.",
                ),
                ReportSection(
                    title="Conduite à tenir",
                    text="Traitement symptomatique, antibiotique six jours. Réévaluation à 48 heures par "
                    "le médecin traitant si la fièvre persiste.",
                ),
            ),
            regular_doctor_name="Docteur Paul ÉLOI",
        ),
    }
