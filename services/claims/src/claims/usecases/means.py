"""What use cases work with besides their transaction: tables, policy, keys, the terms of claiming."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from claims.domain.pricing import DEFAULT_POLICY, Policy
from claims.domain.tables import Tables, load_tables
from common import vault
from common.crypto import Keyring
from common.settings import KeySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How claims leave and how their answers are fetched."""

    amc_after_amo: bool = True  # false: both parts leave together (single management)
    gather_for: timedelta = timedelta(seconds=5)  # claims of one biller and payer wait so long for company
    batch_size: int = 100
    attempts: int = 3  # of a file that is refused or never acknowledged; then a person decides
    poll_every: timedelta = timedelta(seconds=30)
    poll_idle_every: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    keyring: Keyring
    tables: Tables
    policy: Policy = DEFAULT_POLICY
    terms: Terms = field(default=Terms())

    def holidays(self, year: int) -> frozenset[date]:
        return self.tables.public_holidays(year)


@dataclass(frozen=True, slots=True, kw_only=True)
class InsuredPerson:
    """Whom a claim and a care sheet are for. In clear: it is sealed before it is stored."""

    coverage_version: int
    nir: str | None = None
    provisional: bool = False
    nia: str | None = None
    ame_number: str | None = None
    born_on: date | None = None
    holder_name: str | None = None
    scheme: str = "general"
    amc_number: str | None = None
    amc_name: str | None = None
    amc_contracted: bool = False
    amc_member_number: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "coverage_version": self.coverage_version,
            "nir": self.nir,
            "provisional": self.provisional,
            "nia": self.nia,
            "ame_number": self.ame_number,
            "born_on": self.born_on.isoformat() if self.born_on else None,
            "holder_name": self.holder_name,
            "scheme": self.scheme,
            "amc_number": self.amc_number,
            "amc_name": self.amc_name,
            "amc_contracted": self.amc_contracted,
            "amc_member_number": self.amc_member_number,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "InsuredPerson":
        born_on = date.fromisoformat(stored["born_on"]) if stored["born_on"] else None
        return cls(**{**stored, "born_on": born_on})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenInsured:
    """The insured person of an appointment, for the service that prints a document."""

    appointment_id: UUID
    patient_id: UUID
    person: InsuredPerson


def means_of(keys: KeySettings, terms: Terms) -> Means:
    """For a process: the tables are read once, at its start. Raises TablesInvalid."""
    return Means(keyring=vault.keyring_of(keys, service="claims"), tables=load_tables(), terms=terms)
