"""Events the claims service publishes."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from common.events.base import (
    AppointmentFact,
    Currency,
    NonNegativeCents,
    PathwayIndicator,
    PayerKind,
    PositiveCents,
    Priced,
)

Refusal = Literal[
    "invalid-input",
    "no-tariff",
    "no-rate",
    "no-out-of-pathway-rate",
    "overrun-forbidden",
    "act-not-allowed",
]
RejectCode = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{3}$")]
RejectFamily = Literal["rights", "coding", "set-up", "dispute", "amc"]


class ClaimsFact(AppointmentFact):
    topic: ClassVar[str] = "claims.appointment"


class QuoteFact(ClaimsFact, Priced):
    patient_id: UUID
    account_id: UUID
    practitioner_id: UUID
    revision: int = Field(ge=1)
    coverage_version: int = Field(ge=0)  # 0: nothing is known of the patient's insurance


class QuoteIssuedV1(QuoteFact):
    """Who pays what as far as it is known; the highest revision holds."""

    type: ClassVar[str] = "claims.quote-issued"
    version: ClassVar[int] = 1

    schedule_no: int = Field(ge=1)
    decide_by: AwareDatetime
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    # of the preview that the patient accepted; none: there was no preview to go above
    accepted_advance_cents: NonNegativeCents | None


class QuoteVoidedV1(ClaimsFact):
    type: ClassVar[str] = "claims.quote-voided"
    version: ClassVar[int] = 1

    revision: int = Field(ge=1)
    reason: Literal["appointment-ended", "refused"]
    refusal: Refusal | None  # with `refused`: no price exists for what was asked


class CarePricedV1(QuoteFact):
    """The final price, with the coverage valid when the consultation was completed."""

    type: ClassVar[str] = "claims.care-priced"
    version: ClassVar[int] = 1

    care_act_id: UUID
    biller_id: UUID
    completed_at: AwareDatetime
    pathway_indicator: PathwayIndicator | None
    rights_pending: bool  # a claim waits for rights; the amounts are those of the declared coverage


class LegFact(ClaimsFact):
    leg_id: UUID
    care_act_id: UUID
    payer_kind: PayerKind
    paid_to: Literal["provider", "insured"] = "provider"  # insured: the refund of a direct payment
    currency: Currency
    amount_cents: PositiveCents


class LegOpenedV1(LegFact):
    type: ClassVar[str] = "claims.leg-opened"
    version: ClassVar[int] = 1


class LegSentV1(LegFact):
    type: ClassVar[str] = "claims.leg-sent"
    version: ClassVar[int] = 1

    attempt: int = Field(ge=1)
    batch_id: UUID


class LegAcknowledgedV1(LegFact):
    type: ClassVar[str] = "claims.leg-acknowledged"
    version: ClassVar[int] = 1

    attempt: int = Field(ge=1)
    accepted: bool  # of the file, not of the invoice


class LegPaidV1(LegFact):
    type: ClassVar[str] = "claims.leg-paid"
    version: ClassVar[int] = 1

    paid_cents: PositiveCents  # so far, all payments together


class LegRejectedV1(LegFact):
    type: ClassVar[str] = "claims.leg-rejected"
    version: ClassVar[int] = 1

    attempt: int = Field(ge=1)
    reject_code: RejectCode
    family: RejectFamily


class LegReversedV1(LegFact):
    type: ClassVar[str] = "claims.leg-reversed"
    version: ClassVar[int] = 1

    reversed_cents: PositiveCents


class BalanceFact(ClaimsFact):
    balance_id: UUID
    account_id: UUID
    currency: Currency
    amount_cents: PositiveCents


class BalanceOpenedV1(BalanceFact):
    """The patient owes this; it is charged under a mandate or not at all."""

    type: ClassVar[str] = "claims.balance-opened"
    version: ClassVar[int] = 1

    reason: Literal["leg-rejected", "captured-less-than-due", "rights-never-proven"]
    payer_kind: PayerKind | None  # whose part it was
    collect: bool  # false: shown, not charged


class BalanceSettledV1(BalanceFact):
    type: ClassVar[str] = "claims.balance-settled"
    version: ClassVar[int] = 1

    settled_by: Literal["charge", "payer", "write-off"]
