"""What use cases work with besides their transaction: tables, policy, keys, the terms of claiming."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from claims.domain.pricing import DEFAULT_POLICY, Policy
from claims.domain.tables import Tables, load_tables
from claims.domain.terms import Terms
from common import vault
from common.crypto import Keyring
from common.settings import KeySettings

__all__ = ["ClaimsConfig", "InsuredPerson", "SeenInsured", "Terms", "config_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsConfig:
    keyring: Keyring
    tables: Tables
    policy: Policy = DEFAULT_POLICY
    terms: Terms = field(default=Terms())

    def holidays(self, year: int) -> frozenset[date]:
        return self.tables.public_holidays(year)


@dataclass(frozen=True, slots=True, kw_only=True)
class InsuredPerson:
    """Whom a claim and a care sheet are for. In clear: it is encrypted before it is stored."""

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
    rights_references: tuple[str, ...] = ()  # of the answers that the claim rests on

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
            "rights_references": list(self.rights_references),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "InsuredPerson":
        born_on = date.fromisoformat(stored["born_on"]) if stored["born_on"] else None
        references = tuple(stored.get("rights_references", ()))
        return cls(**{**stored, "born_on": born_on, "rights_references": references})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenInsured:
    """The insured person of an appointment, for the service that prints a document."""

    appointment_id: UUID
    patient_id: UUID
    person: InsuredPerson


def config_of(keys: KeySettings, terms: Terms, policy: Policy = DEFAULT_POLICY) -> ClaimsConfig:
    """For a process: the tables are read once, at its start. Raises TablesInvalid."""
    keyring = vault.keyring_of(keys, service="claims")
    return ClaimsConfig(keyring=keyring, tables=load_tables(), policy=policy, terms=terms)
