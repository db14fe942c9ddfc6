"""What each kind of document says: frozen values, whole before anything is drawn.

All amounts are integer cents of euros; instants are aware, days are plain dates of the place of care.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final, TypeAlias

from common.money import Cents

NOTHING: Final = Cents(0)


class Kind(StrEnum):
    PRESCRIPTION = "prescription"
    CARE_SHEET = "care-sheet"
    RECEIPT = "receipt"
    INVOICE = "invoice"
    CLAIM_STATEMENT = "claim-statement"
    CONSULTATION_REPORT = "consultation-report"


class Folder(StrEnum):
    """The four folders of prescriptions in the patient's space."""

    DRUGS = "drugs"
    BIOLOGY = "biology"
    IMAGING = "imaging"
    OTHER = "other"


class SheetMode(StrEnum):
    """How a consultation is billed, as the quote says it."""

    TP = "TP"
    TP_RECEIPT = "TP+RECEIPT"
    FSE = "FSE"
    PAPER = "PAPER"
    INVOICE = "INVOICE"


class Sex(StrEnum):
    FEMALE = "female"
    MALE = "male"


class Substitution(StrEnum):
    """The only accepted reasons for refusing that a pharmacist substitutes a drug."""

    MTE = "MTE"  # narrow therapeutic margin
    EFG = "EFG"  # no suitable form for a child under six
    CIF = "CIF"  # formal and demonstrable contraindication of an excipient


class Payer(StrEnum):
    AMO = "amo"
    AMC = "amc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    street: str
    postal_code: str
    city: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Practitioner:
    """Who wrote the document; the title ("Docteur") is empty for professions that have none."""

    title: str
    first_name: str
    last_name: str
    profession: str
    specialty: str
    rpps: str
    address: Address
    phone: str
    billing_number: str | None = None
    email: str | None = None
    siret: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    first_names: str
    birth_name: str
    sex: Sex
    born_on: date
    used_name: str | None = None
    weight_grams: int | None = None
    height_cm: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Insured:
    """The insured person a sheet is claimed on: the number is 15 characters, key included."""

    nir: str
    holder_name: str | None = None  # when the patient is claimed on somebody else's number
    provisional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """When, where and under which public number a document is issued."""

    number: str
    verification_code: str
    verification_url: str
    issued_at: datetime
    zone: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrugLine:
    label: str
    dosage: str
    inn: str | None = None
    cip13: str | None = None
    duration_days: int | None = None
    packs: int | None = None
    renewals: int = 0
    not_substitutable: Substitution | None = None
    refundable: bool = True
    related_to_ald: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLine:
    """A device or service of the list of refundable products (LPP)."""

    label: str
    quantity: int
    conditions: str
    lpp: str | None = None
    duration_days: int | None = None
    renewals: int = 0
    related_to_ald: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeLine:
    """An examination, a care act or any other prescription in the practitioner's own words."""

    text: str
    indication: str | None = None
    urgent: bool = False
    renewals: int = 0
    related_to_ald: bool = False


Line: TypeAlias = DrugLine | DeviceLine | FreeLine


def in_printed_order(lines: Sequence[Line]) -> tuple[Line, ...]:
    """On paper, lines for the long-term illness stand first; within a zone the prescriber's order holds."""
    return tuple(sorted(lines, key=lambda line: not line.related_to_ald))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prescription:
    issue: Issue
    practitioner: Practitioner
    patient: Patient
    consulted_on: date
    folder: Folder
    lines: tuple[Line, ...]

    @property
    def two_zones(self) -> bool:
        """Whether the lines must be split: one of them treats a long-term condition paid at 100 %."""
        return any(line.related_to_ald for line in self.lines)

    @property
    def printed_lines(self) -> tuple[Line, ...]:
        """The lines in the order of their printed numbers, which count from 1."""
        return in_printed_order(self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    code: str
    label: str
    performed_on: date
    amount_cents: Cents
    coefficient: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Who paid what for the acts, in cents.

    `flat_contribution_cents` is what the fund keeps back later: it is in none of the other amounts.
    Raises ValueError when an amount is negative or the shares do not add up to the fee.
    """

    fee_cents: Cents
    base_cents: Cents
    paid_cents: Cents
    amo_cents: Cents = NOTHING
    amc_cents: Cents = NOTHING
    sponsor_cents: Cents = NOTHING
    outstanding_cents: Cents = NOTHING  # due from the patient, and not paid when the document is written
    flat_contribution_cents: Cents = NOTHING

    def __post_init__(self) -> None:
        shares = (
            self.paid_cents,
            self.outstanding_cents,
            self.amo_cents,
            self.amc_cents,
            self.sponsor_cents,
        )
        if min(*shares, self.fee_cents, self.base_cents, self.flat_contribution_cents) < 0:
            raise ValueError("an amount of a settlement is negative")
        if sum(shares) != self.fee_cents:
            raise ValueError(f"the shares {shares} do not add up to the fee {self.fee_cents}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CareSheet:
    """What the patient sends to the fund (PAPER), or keeps for information (any other mode)."""

    issue: Issue
    practitioner: Practitioner
    patient: Patient
    insured: Insured | None
    mode: SheetMode
    acts: tuple[Act, ...]
    settlement: Settlement
    exemption: str | None = None
    accident_on: date | None = None
    regular_doctor: bool = False

    @property
    def for_information(self) -> bool:
        return self.mode is not SheetMode.PAPER


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the patient shows to a complementary insurer that the platform did not bill."""

    issue: Issue
    practitioner: Practitioner
    patient: Patient
    insured: Insured
    acts: tuple[Act, ...]
    settlement: Settlement
    amc_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimStatement:
    """What was billed to the payers in the patient's place (releve de tiers payant)."""

    issue: Issue
    practitioner: Practitioner
    patient: Patient
    insured: Insured
    acts: tuple[Act, ...]
    settlement: Settlement
    amc_name: str | None = None
    exemption: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    issue: Issue
    practitioner: Practitioner
    patient: Patient
    acts: tuple[Act, ...]
    settlement: Settlement


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSection:
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsultationReport:
    issue: Issue
    practitioner: Practitioner
    patient: Patient
    consulted_at: datetime
    reason: str
    sections: tuple[ReportSection, ...]
    regular_doctor_name: str | None = None


AnyDocument: TypeAlias = Prescription | CareSheet | Receipt | ClaimStatement | Invoice | ConsultationReport

KINDS: dict[type[AnyDocument], Kind] = {
    Prescription: Kind.PRESCRIPTION,
    CareSheet: Kind.CARE_SHEET,
    Receipt: Kind.RECEIPT,
    ClaimStatement: Kind.CLAIM_STATEMENT,
    Invoice: Kind.INVOICE,
    ConsultationReport: Kind.CONSULTATION_REPORT,
}


def kind_of(document: AnyDocument) -> Kind:
    return KINDS[type(document)]
