"""What the calculator may answer instead of a price, and the doubts it states beside one."""

from enum import StrEnum
from typing import ClassVar

from common.errors import DomainError, Refusal, at_field


class RefusalCode(StrEnum):
    INVALID_INPUT = "invalid-input"
    NO_TARIFF = "no-tariff"
    NO_RATE = "no-rate"
    NO_OUT_OF_PATHWAY_RATE = "no-out-of-pathway-rate"
    OVERRUN_FORBIDDEN = "overrun-forbidden"
    ACT_NOT_ALLOWED = "act-not-allowed"


class WarningCode(StrEnum):
    INSURANCE_UNKNOWN = "insurance-unknown"
    NIR_FAILED = "nir-failed"
    EXEMPTION_UNPROVEN = "exemption-unproven"
    PATHWAY_UNCONFIRMED = "pathway-unconfirmed"
    TERRITORY_UNCONFIRMED = "territory-unconfirmed"
    ALTERNATION = "alternation"
    UNCONFIRMED_TARIFF = "unconfirmed-tariff"
    PF_UNCONFIRMED = "pf-unconfirmed"
    SURCHARGE_UNCONFIRMED = "surcharge-unconfirmed"
    CSS_NOT_REIMBURSABLE = "css-not-reimbursable"
    # Sources contradict each other and a policy decided.
    OUT_OF_PATHWAY_ASSUMED = "out-of-pathway-assumed"
    AMC_NEEDS_NIR = "amc-needs-nir"
    NIR_PROVISIONAL = "nir-provisional"
    THIRD_PARTY_PAYMENT_IMPOSED = "third-party-payment-imposed"
    DIRECT_ACCESS_ASSUMED = "direct-access-assumed"
    OVERRUN_BESIDE_THIRD_PARTY_ASSUMED = "overrun-beside-third-party-assumed"
    PARTNER_PSYCHOLOGIST_ASSUMED = "partner-psychologist-assumed"
    # Another row than a tariff's or a surcharge's decided, and no source confirms it.
    UNCONFIRMED_RULE = "unconfirmed-rule"
    # A payer's rights service is down: the price rests on what the patient declared.
    RIGHTS_UNVERIFIED = "rights-unverified"


class PricingRefused(DomainError):
    """There is no price for this question: `field` is the input at fault, `rule` the condition it breaks."""

    code: str  # type: ignore[misc]  # six codes of one refusal: an instance says which
    refusal: ClassVar[Refusal] = Refusal.INVALID

    def __init__(self, code: RefusalCode, field: str, rule: str) -> None:
        super().__init__(f"{code.value}: {field}: {rule}")
        self.code = code.value
        self.field = field
        self.rule = rule
        self.at(f"/body/{field}")

    def at(self, pointer: str) -> "PricingRefused":
        """The same refusal, for a caller who gave the input at fault in another place."""
        self.extra = at_field(pointer, self.rule, f"breaks the rule {self.rule}")
        return self
