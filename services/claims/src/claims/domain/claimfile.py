"""The neutral, versioned JSON of a lot of claims, as the gateway takes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

from claims.domain.priced import PaidTo
from common.money import Cents

Version = Literal[1, 2]
INVOICE_DIGITS: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedLine:
    code: str
    benefit: str
    base_cents: Cents
    amount_cents: Cents


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One leg as it is sent: an invoice of a biller to a payer, the insured person's data in clear."""

    invoice_no: str
    attempt: int
    appointment_id: UUID
    care_on: date
    rpps: str | None
    nir: str | None
    ame_number: str | None
    born_on: date | None
    amc_number: str | None
    amc_member_number: str | None
    pathway_indicator: str | None
    exemption_code: str | None
    amount_cents: Cents
    lines: Sequence[ClaimedLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    id: UUID
    payer: str
    paid_to: str = PaidTo.PROVIDER.value
    biller_id: UUID
    made_at: datetime
    claims: Sequence[Claim]


class BatchUnrenderable(Exception):
    """This format has no place for something, or something it needs is not known: `field` names it.

    `whole`: for nothing in this batch, whichever of its claims were left out.
    """

    def __init__(self, field: str, rule: str, *, whole: bool = False) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule
        self.whole = whole


def refuse_insured(batch: Batch) -> None:
    """For formats that know third-party payment alone. Raises BatchUnrenderable."""
    if batch.paid_to != PaidTo.PROVIDER.value:
        raise BatchUnrenderable("paid_to", "has-no-place-for-a-direct-payment", whole=True)


def invoice_no(number: int) -> str:
    """Nine digits, never zero. Raises ValueError when the biller's numbers are used up."""
    if not 0 < number < 10**INVOICE_DIGITS:
        raise ValueError(f"invoice number {number}")
    return f"{number:0{INVOICE_DIGITS}d}"


def to_json(batch: Batch, version: Version) -> dict[str, Any]:
    """Version 2 says whom the payer is to pay; in version 1 it is the provider, and nobody else can be said.

    Raises BatchUnrenderable. A later version stands beside them, the old ones stay readable.
    """
    kind, _, number = batch.payer.partition(":")
    if version == 1:
        refuse_insured(batch)
    return {
        "version": version,
        "batch_id": str(batch.id),
        "payer": {"kind": kind, "number": number},
        **({} if version == 1 else {"paid_to": batch.paid_to}),
        "biller_id": str(batch.biller_id),
        "made_at": batch.made_at.isoformat(),
        "currency": "EUR",
        "total_cents": sum(claim.amount_cents for claim in batch.claims),
        "claims": [_claim(claim) for claim in batch.claims],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        "invoice_no": claim.invoice_no,
        "attempt": claim.attempt,
        "appointment_id": str(claim.appointment_id),
        "care_on": claim.care_on.isoformat(),
        "rpps": claim.rpps,
        "insured": {
            "nir": claim.nir,
            "ame_number": claim.ame_number,
            "born_on": claim.born_on.isoformat() if claim.born_on else None,
        },
        "amc": (
            {"number": claim.amc_number, "member_number": claim.amc_member_number}
            if claim.amc_number
            else None
        ),
        "pathway_indicator": claim.pathway_indicator,
        "exemption_code": claim.exemption_code,
        "amount_cents": claim.amount_cents,
        "lines": [
            {
                "code": line.code,
                "benefit": line.benefit,
                "base_cents": line.base_cents,
                "amount_cents": line.amount_cents,
            }
            for line in claim.lines
        ],
    }
