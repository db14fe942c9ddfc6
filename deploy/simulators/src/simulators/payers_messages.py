"""What the payers' gateway takes and answers, and what its controls are told."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["acknowledgement", "payment", "reject", "reversal"]
Behaviour = Literal[
    "accept",
    "reject",
    "negative-acknowledgement",
    "silence",
    "late",
    "late-acknowledgement",
    "partial",
    "duplicate",
    "reversal",
]
NonNegative = Annotated[int, Field(ge=0)]


class In(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LineIn(In):
    code: str
    benefit: str
    base_cents: NonNegative
    amount_cents: NonNegative


class InsuredIn(In):
    nir: str | None
    ame_number: str | None
    born_on: date | None


class AmcIn(In):
    number: str
    member_number: str | None


class ClaimIn(In):
    invoice_no: Annotated[str, Field(pattern=r"^[0-9]{9}$")]
    attempt: Annotated[int, Field(ge=1)]
    appointment_id: UUID
    care_on: date
    rpps: str | None
    insured: InsuredIn
    amc: AmcIn | None
    pathway_indicator: str | None
    exemption_code: str | None
    amount_cents: Annotated[int, Field(gt=0)]
    lines: list[LineIn]


class PayerIn(In):
    kind: Literal["amo", "amc"]
    number: Annotated[str, Field(min_length=1, max_length=40)]


class BatchIn(In):
    version: Literal[1, 2]
    batch_id: UUID
    payer: PayerIn
    paid_to: Literal["provider", "insured"] = "provider"  # since version 2
    biller_id: UUID
    made_at: datetime
    currency: Literal["EUR"]
    total_cents: NonNegative
    claims: Annotated[list[ClaimIn], Field(min_length=1, max_length=10_000)]


class Received(BaseModel):
    batch_id: UUID
    received_at: datetime


class ReturnItem(BaseModel):
    payer: str
    return_id: UUID
    line: int
    kind: Kind
    batch_id: UUID
    biller_id: UUID
    invoice_no: str | None
    attempt: int | None
    accepted: bool | None
    amount_cents: int | None
    code: str | None
    made_at: datetime


class ReturnPage(BaseModel):
    items: list[ReturnItem]
    next: str
    more: bool


class Script(In):
    """What to do with the next claims that match; the narrowest match wins, then the newest."""

    payer: str | None = None  # "amo:general", "amc:775670000"; none: every payer
    member: str | None = None  # the NIR for the AMO, the member number for an AMC
    behaviour: Behaviour
    code: Annotated[str | None, Field(pattern=r"^[0-9]{4}-[0-9]{3}$")] = None
    cents: Annotated[int | None, Field(gt=0)] = None  # of a part payment or a reversal
    delay_seconds: Annotated[int | None, Field(ge=0)] = None
    times: Annotated[int | None, Field(ge=1)] = None  # none: always


class TakeBack(In):
    payer: str
    invoice_no: str
    cents: Annotated[int | None, Field(gt=0)] = None
