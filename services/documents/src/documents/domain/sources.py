"""What other services say when a document is drawn: read when needed, kept only in the document."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from common.money import Cents


@dataclass(frozen=True, slots=True)
class Place:
    street: str
    postal_code: str
    city: str


@dataclass(frozen=True, slots=True)
class KnownPatient:
    first_names: str
    birth_name: str
    birth_date: date
    sex: Literal["female", "male"]
    used_name: str | None = None


@dataclass(frozen=True, slots=True)
class KnownPractitioner:
    rpps: str
    profession: str
    specialty: str
    title: str
    first_name: str
    last_name: str
    address: Place
    phone: str
    time_zone: str
    billing_number: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    label_fr: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The people of an appointment, as booking knows them."""

    starts_at: datetime
    started_at: datetime | None
    patient: KnownPatient
    practitioner: KnownPractitioner
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class KnownInsurer:
    name: str


@dataclass(frozen=True, slots=True)
class KnownInsured:
    """The insured person of an appointment, as claims knows them."""

    nir: str | None
    nia: str | None = None
    ame_number: str | None = None
    provisional: bool = False
    holder_name: str | None = None
    amc: KnownInsurer | None = None


@dataclass(frozen=True, slots=True)
class PricedLine:
    code: str
    base_cents: Cents


@dataclass(frozen=True, slots=True)
class Price:
    flat_contribution_cents: Cents
    lines: tuple[PricedLine, ...]
    pathway_indicator: str | None = None
    exemption_code: str | None = None


@dataclass(frozen=True, slots=True)
class CareAct:
    """The final price of an appointment, as claims computed it."""

    care_on: date
    revision: int
    price: Price


@dataclass(frozen=True, slots=True)
class Charged:
    """The amounts of a price that a billing document states, in cents, and how it is billed."""

    revision: int
    sheet_mode: str
    fee_cents: Cents
    base_cents: Cents
    sponsor_cents: Cents
    advance_cents: Cents
    amo_claim_cents: Cents
    amc_claim_cents: Cents
