"""A line of a payer's return, as the gateway hands it over."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from common.money import Cents


class ReturnKind(StrEnum):
    ACKNOWLEDGEMENT = "acknowledgement"  # of a whole file
    ACCEPTANCE = "acceptance"  # of an invoice: the money is on its way
    PAYMENT = "payment"  # of an invoice
    REJECT = "reject"
    REVERSAL = "reversal"
    TRANSFER = "transfer"  # a line of the bank: one sum for every invoice of a batch


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
