"""The answer of the calculator: who pays what, why, and what leaves for whom."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from claims.domain.dated import RowReference
from claims.domain.refusals import WarningCode
from claims.domain.sentences import Explanation
from common.money import Cents


class SheetMode(StrEnum):
    TP = "TP"  # electronic claims, nothing of the copayment at the counter
    TP_RECEIPT = "TP+RECEIPT"  # claim to the AMO, document for the AMC
    FSE = "FSE"  # direct payment, electronic sheet
    PAPER = "PAPER"  # direct payment, sheet that the patient sends
    INVOICE = "INVOICE"  # not reimbursable


class Payer(StrEnum):
    AMO = "amo"
    AMC = "amc"


class PaidTo(StrEnum):
    """Whom the payer pays."""

    PROVIDER = "provider"  # third-party payment
    INSURED = "insured"  # a refund of what the patient has paid


class Benefit(StrEnum):
    BASE = "base"
    LOCAL_SUPPLEMENT = "local-supplement"
    COPAYMENT = "copayment"
    COPAYMENT_CSS = "copayment-css"
    AME = "ame"


class Step(NamedTuple):
    """A rule that fired: the amount it decided and the row it rests on.

    `variant` chooses the sentence, or `reason` where no other says more.
    """

    rule: str
    reason: str | None = None
    amount_cents: int | None = None
    row: RowReference | None = None
    variant: str | None = None


class TraceEntry(NamedTuple):
    rule: str
    reason: str | None
    amount_cents: Cents | None
    row: RowReference | None
    sentence_fr: str
    sentence_en: str


class PricedLine(NamedTuple):
    """One act: AMO share before the out-of-pathway surcharge, AMC share as far as an AMC pays it."""

    code: str
    tariff_cents: Cents
    base_cents: Cents
    amo_cents: Cents
    amc_cents: Cents
    surcharge_cents: Cents
    row: RowReference | None


class ClaimLine(NamedTuple):
    code: str
    benefit: Benefit
    base_cents: Cents
    amount_cents: Cents


class ClaimPart(NamedTuple):
    """One claim to one payer; with CSS the one claim to the AMO carries the copayment too."""

    payer: Payer
    amount_cents: Cents
    lines: tuple[ClaimLine, ...]
    paid_to: PaidTo = PaidTo.PROVIDER


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """All amounts in cents, none negative.

    `amo + amc + sponsor + patient_final - deferred_deductions = fee`, and at the counter
    `amo claim + amc claim + sponsor + advance = fee`.
    """

    engine_version: str
    tables_version: str
    reimbursable: bool
    fee_cents: Cents
    base_cents: Cents
    overrun_cents: Cents
    amo_cents: Cents
    amc_cents: Cents
    amo_refund_expected_cents: Cents
    amc_refund_expected_cents: Cents
    sponsor_cents: Cents
    flat_contribution_cents: Cents
    surcharge_cents: Cents
    deferred_deductions_cents: Cents
    advance_cents: Cents
    patient_final_cents: Cents
    sheet_mode: SheetMode
    lines: tuple[PricedLine, ...]
    claim_parts: tuple[ClaimPart, ...]
    sheet: (
        ClaimPart | None
    )  # of a direct payment (FSE): what the fund is told to refund, before it keeps the PF
    pathway_indicator: str | None
    exemption_code: str | None
    trace: tuple[TraceEntry, ...]
    warnings: tuple[WarningCode, ...]
    explanations: tuple[Explanation, ...]


def claimed(priced: Priced) -> tuple[Cents, Cents]:
    """What is claimed as AMO share and as AMC share, in cents.

    With CSS the second is the CSS benefit, although both travel in the one claim to the AMO.
    """
    amo = amc = 0
    for part in priced.claim_parts:
        for line in part.lines:
            if line.benefit in {Benefit.COPAYMENT, Benefit.COPAYMENT_CSS}:
                amc += line.amount_cents
            else:
                amo += line.amount_cents
    return Cents(amo), Cents(amc)
