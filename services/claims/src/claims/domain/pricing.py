"""Who pays what: the one public entry of the calculator. The tables come in, nothing is read or written."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from claims.domain.coding import acts_before_coding
from claims.domain.dated import RowReference
from claims.domain.inputs import (
    ActLine,
    Amc,
    Exemptions,
    Inputs,
    Insured,
    MaternityWindow,
    Nir,
    OverrunQualifier,
    Pathway,
    Sector,
    Sponsor,
    SponsorKind,
    Territory,
    ThirdPartyPayment,
    refuse_impossible,
)
from claims.domain.inputs_json import inputs_from_json, inputs_to_json, policy_from_json, policy_to_json
from claims.domain.policy import DEFAULT_POLICY, OutOfPathway, Policy
from claims.domain.priced import (
    Benefit,
    ClaimLine,
    ClaimPart,
    PaidTo,
    Payer,
    Priced,
    PricedLine,
    SheetMode,
    Step,
    TraceEntry,
    claimed,
)
from claims.domain.priced_json import priced_to_json
from claims.domain.refusals import PricingRefused, RefusalCode, WarningCode
from claims.domain.sentences import UNTOLD, Explanation, Sentences
from claims.domain.settlement import Computation, compute
from claims.domain.situation import find_specialty
from claims.domain.tables import Book, Tables
from common.money import Cents

__all__ = [
    "DEFAULT_POLICY",
    "ENGINE_VERSION",
    "ActLine",
    "Amc",
    "Benefit",
    "ClaimLine",
    "ClaimPart",
    "Exemptions",
    "Explanation",
    "Inputs",
    "Insured",
    "MaternityWindow",
    "Nir",
    "OutOfPathway",
    "OverrunQualifier",
    "PaidTo",
    "Pathway",
    "Payer",
    "Policy",
    "Priced",
    "PricedLine",
    "PricingRefused",
    "RefusalCode",
    "RowReference",
    "Sector",
    "SheetMode",
    "Sponsor",
    "SponsorKind",
    "Territory",
    "ThirdPartyPayment",
    "TraceEntry",
    "WarningCode",
    "claimed",
    "inputs_from_json",
    "inputs_to_json",
    "policy_from_json",
    "policy_to_json",
    "preview_acts",
    "price",
    "priced_to_json",
]

ENGINE_VERSION: Final = "4"  # goes up when the same question on the same tables could get another answer


def price(
    inputs: Inputs, tables: Tables, policy: Policy = DEFAULT_POLICY, *, as_known_at: datetime | None = None
) -> Priced:
    """All amounts in cents at the care date, by the tables as known at an instant (None: all that is known).

    Raises PricingRefused when there is no price; the answer never depends on anything but the arguments.
    """
    refuse_impossible(inputs)
    book = tables.known_at(as_known_at)
    computed = compute(inputs, book, policy)
    if _changed_since_booking(inputs, computed, book, policy):
        computed.steps.append(Step("T1", None, computed.advance_cents))
    return _explained(inputs, computed, tables)


def preview_acts(
    inputs: Inputs, tables: Tables, *, as_known_at: datetime | None = None
) -> tuple[ActLine, ...]:
    """The lines of a consultation that nobody has coded yet; coded ones are returned as they are."""
    book = tables.known_at(as_known_at)
    specialty = find_specialty(inputs.specialty, book, on=inputs.care_on)
    return inputs.acts or acts_before_coding(inputs, specialty, book)


def _changed_since_booking(inputs: Inputs, computed: Computation, book: Book, policy: Policy) -> bool:
    """Rule T1: the same question on the day of booking had another answer, or none."""
    if inputs.booked_on is None or inputs.booked_on >= inputs.care_on:
        return False
    try:
        at_booking = compute(replace(inputs, care_on=inputs.booked_on), book, policy)
    except PricingRefused:
        return True
    return computed.altered_from(at_booking)


# Rules that take from the shares, or add to them: their sentences follow those of the shares.
_AFTER_SHARES: Final = frozenset({"E3", "E5", "D1", "D2", "D3", "S1", "S2", "T1"})
_IN_ONE_SENTENCE: Final = frozenset({WarningCode.PATHWAY_UNCONFIRMED, WarningCode.TERRITORY_UNCONFIRMED})
_ESTIMATES: Final = (
    WarningCode.UNCONFIRMED_TARIFF,
    WarningCode.PF_UNCONFIRMED,
    WarningCode.SURCHARGE_UNCONFIRMED,
    WarningCode.UNCONFIRMED_RULE,
)


def _told(computed: Computation) -> list[WarningCode]:
    """Of the warnings those that tell the patient something that no other sentence of the answer says."""
    rules = {step.rule for step in computed.steps}
    untold = UNTOLD | (_IN_ONE_SENTENCE if "E1" in rules else frozenset())
    told = [warning for warning in computed.warnings if warning not in untold]
    doubts = [warning for warning in told if warning in _ESTIMATES]
    return [warning for warning in told if warning not in doubts[1:]]


def _shares(
    inputs: Inputs, computed: Computation, sentences: Sentences, amounts: dict[str, int]
) -> list[Explanation]:
    """Who pays the practitioner, and who refunds the patient: each amount that is not 0 in one sentence."""
    rules = {step.rule for step in computed.steps}
    fund = "local" if "B5" in rules else None
    insurer = "css" if "B3" in rules else None
    refunded = "if-insured" if inputs.insured is Insured.UNKNOWN else None
    shares = (
        ("summary/amo-paid", fund, amounts["amo_claim"]),
        ("summary/amc-paid", insurer, amounts["amc_claim"]),
        ("summary/amo-refund", refunded or fund, computed.amo_cents - amounts["amo_claim"]),
        ("summary/amc-refund", insurer or refunded, computed.amc_refund_cents),
    )
    return [sentences.written(name, variant, amounts) for name, variant, cents in shares if cents]


def _explained(inputs: Inputs, computed: Computation, tables: Tables) -> Priced:
    sentences = tables.sentences
    third_party = computed.sheet_mode in {SheetMode.TP, SheetMode.TP_RECEIPT}
    amounts = {
        "advance": computed.advance_cents,
        "amc": computed.amc_cents,
        "amc_claim": computed.amc_cents - computed.amc_refund_cents,
        "amc_refund": computed.amc_refund_cents,
        "amo": computed.amo_cents,
        "amo_claim": computed.amo_cents if third_party else 0,
        "amount": 0,
        "base": computed.base_cents,
        "contribution": computed.contribution_cents,
        "copayment": computed.copayment_cents,
        "fee": inputs.fee_cents,
        "final": computed.final_cents,
        "left": computed.copayment_left_cents,
        "main": computed.amo_cents - computed.supplement_cents,
        "overrun": computed.overrun_cents,
        "rate": computed.rate_bp,
        "sponsor": computed.sponsor_cents,
        "supplement": computed.supplement_cents,
        "surcharge": computed.surcharge_cents,
    }
    trace = []
    explanations = [sentences.written("summary/advance", None, amounts)]
    shares: list[Explanation] | None = _shares(inputs, computed, sentences, amounts)
    for rule, reason, amount, row, variant in computed.steps:
        if shares is not None and rule in _AFTER_SHARES:
            explanations += shares
            shares = None
        amounts["amount"] = amount or 0
        explanation = sentences.written(rule, variant or reason, amounts)
        cents = None if amount is None else Cents(amount)
        _, french, english = explanation
        trace.append(TraceEntry(rule, reason, cents, row, french, english))
        explanations.append(explanation)
    explanations += shares or []
    explanations.append(sentences.written("summary/final", None, amounts))
    told = _told(computed)
    explanations += [sentences.written(f"warning/{warning.value}", None, amounts) for warning in told]
    return Priced(
        engine_version=ENGINE_VERSION,
        tables_version=tables.version,
        reimbursable=computed.reimbursable,
        fee_cents=inputs.fee_cents,
        base_cents=computed.base_cents,
        overrun_cents=computed.overrun_cents,
        amo_cents=computed.amo_cents,
        amc_cents=computed.amc_cents,
        amo_refund_expected_cents=computed.amo_refund_cents,
        amc_refund_expected_cents=computed.amc_refund_cents,
        sponsor_cents=computed.sponsor_cents,
        flat_contribution_cents=computed.contribution_cents,
        surcharge_cents=computed.surcharge_cents,
        deferred_deductions_cents=computed.deferred_cents,
        advance_cents=computed.advance_cents,
        patient_final_cents=computed.final_cents,
        sheet_mode=computed.sheet_mode,
        lines=computed.lines,
        claim_parts=computed.claim_parts,
        sheet=computed.sheet,
        pathway_indicator=computed.indicator,
        exemption_code=computed.claim_code,
        trace=tuple(trace),
        warnings=tuple(computed.warnings),
        explanations=tuple(explanations),
    )
