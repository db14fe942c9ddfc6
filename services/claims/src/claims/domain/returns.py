"""A line of a payer's return, as the gateway hands it over."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from common.money import Cents


class ReturnKind(StrEnum):
    ACKNOWLEDGEMENT = "acknowledgement"  # of a whole file
    PAYMENT = "payment"
    REJECT = "reject"
    REVERSAL = "reversal"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayerReturn:
    """`payer`, `return_id` and `line` name it for good: it counts once, however often it comes."""

    payer: str
    return_id: UUID
    line: int
    kind: ReturnKind
    batch_id: UUID
    biller_id: UUID
    invoice_no: str | None
    attempt: int | None
    accepted: bool | None
    amount_cents: Cents | None
    code: str | None
