"""The contradictions of the sources, each decided by a setting with the default this platform takes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class OutOfPathway(StrEnum):
    NOT_REIMBURSABLE = "NOT_REIMBURSABLE"
    REDUCED_30 = "REDUCED_30"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    out_of_pathway: OutOfPathway = OutOfPathway.NOT_REIMBURSABLE
    amc_needs_nir: bool = True  # off: a contracted AMC is claimed even without a usable NIR
    provisional_nir_usable: bool = True
    compulsory_tp: bool = True  # the law binds the practitioner for CSS, AME, ALD, maternity
    partner_psychologist: bool = False  # rule A6
    direct_access_age_limits: bool = False  # on: the age range of visits in person holds here too
    tp_with_overrun: bool = True  # off: a fee above the tariff ends voluntary third-party payment
    pf_on_card: bool = False  # never: the fund keeps the contribution back

    def __post_init__(self) -> None:
        if self.pf_on_card:
            raise ValueError("the flat contribution is never taken from a card")


DEFAULT_POLICY: Final = Policy()
