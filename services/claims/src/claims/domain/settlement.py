"""One question settled: every amount, and the rules that fired in their order; sentences come later."""

from typing import NamedTuple

from claims.domain.coding import MSP, Coded, code_and_base
from claims.domain.counter import ThirdParty, amc_pays, sheet_mode, third_party_payment
from claims.domain.deductions import ContributionTaken, SurchargeTaken, contribution, no_surcharge, surcharge
from claims.domain.inputs import Amc, Inputs, Insured, Nir, ThirdPartyPayment
from claims.domain.policy import Policy
from claims.domain.priced import Benefit, ClaimLine, ClaimPart, PaidTo, Payer, PricedLine, SheetMode, Step
from claims.domain.rates import Rate, rate_of
from claims.domain.refusals import WarningCode
from claims.domain.reimbursability import Reimbursability, reimbursability
from claims.domain.situation import PSYCHOLOGIST, Situation, read_situation
from claims.domain.sponsors import sponsored
from claims.domain.tables import Book
from common.money import WHOLE, Cents, share

ZERO = Cents(0)
UNCONFIRMED = "U"


class Computation(NamedTuple):
    """Amounts in cents, meaning as in Priced."""

    reimbursable: bool
    base_cents: Cents
    overrun_cents: Cents
    copayment_cents: Cents
    copayment_left_cents: Cents  # that the patient pays at the counter under third-party payment
    supplement_cents: Cents  # of the local scheme, within the AMO share
    amo_cents: Cents
    amc_cents: Cents
    amo_refund_cents: Cents
    amc_refund_cents: Cents
    sponsor_cents: Cents
    contribution_cents: Cents
    surcharge_cents: Cents
    deferred_cents: Cents
    advance_cents: Cents
    final_cents: Cents
    sheet_mode: SheetMode
    rate_bp: int
    lines: tuple[PricedLine, ...]
    claim_parts: tuple[ClaimPart, ...]
    sheet: ClaimPart | None
    indicator: str | None
    claim_code: str | None
    steps: list[Step]
    warnings: list[WarningCode]

    def altered_from(self, other: "Computation") -> bool:
        """Whether a patient, a payer or the practitioner would notice."""
        return (
            self.sheet_mode is not other.sheet_mode
            or self.base_cents != other.base_cents
            or self.amo_cents != other.amo_cents
            or self.amc_cents != other.amc_cents
            or self.sponsor_cents != other.sponsor_cents
            or self.advance_cents != other.advance_cents
            or self.deferred_cents != other.deferred_cents
        )


class LineShare(NamedTuple):
    """AMO share of one line before the surcharge, its supplement apart, and what is left."""

    main_cents: Cents
    supplement_cents: Cents
    left_cents: Cents


def compute(inputs: Inputs, book: Book, policy: Policy) -> Computation:
    """Steps 1 to 11 of the order of evaluation. Raises PricingRefused."""
    situation = read_situation(inputs, book, policy)
    partner = situation.partner
    if partner is None and not situation.specialty.physician:
        # The fund may reimburse remote acts of the profession that this platform does not bill to it.
        unbilled = "not-billed" if situation.specialty.confidence == UNCONFIRMED else None
        step = Step("A5", unbilled, inputs.fee_cents, situation.specialty.reference)
        return _not_reimbursed(situation, step, warnings=_partner_assumed(situation))
    if inputs.insured is Insured.NO:
        return _not_reimbursed(situation, Step("A4", None, inputs.fee_cents))
    if partner is not None:
        coded = code_and_base(situation)
        step = Step("A6", None, coded.base_cents, partner.reference)
        return _reimbursed(situation, coded, Reimbursability(reimbursable=True, step=step))
    verdict = reimbursability(situation)
    if not verdict.reimbursable and verdict.step is not None:
        return _not_reimbursed(situation, verdict.step, warnings=verdict.warnings)
    return _reimbursed(situation, code_and_base(situation), verdict)


def _not_reimbursed(
    situation: Situation, step: Step, *, warnings: tuple[WarningCode, ...] = ()
) -> Computation:
    """The patient owes the whole fee, which a sponsor may pay; nothing is looked up (S2)."""
    inputs = situation.inputs
    fee = inputs.fee_cents
    sponsor = sponsored(
        inputs.sponsor, specialty=situation.specialty.specialty, copayment_cents=0, other_cents=fee
    )
    steps = [step]
    if sponsor:
        steps.append(Step("S2", None, sponsor))
    told = [*warnings, *([WarningCode.CSS_NOT_REIMBURSABLE] if inputs.exemptions.css else [])]
    if step.row is not None and step.row.confidence == UNCONFIRMED:
        told.append(WarningCode.UNCONFIRMED_RULE)
    left = Cents(fee - sponsor)
    return Computation(
        reimbursable=False,
        base_cents=ZERO,
        overrun_cents=fee,
        copayment_cents=ZERO,
        copayment_left_cents=ZERO,
        supplement_cents=ZERO,
        amo_cents=ZERO,
        amc_cents=ZERO,
        amo_refund_cents=ZERO,
        amc_refund_cents=ZERO,
        sponsor_cents=sponsor,
        contribution_cents=ZERO,
        surcharge_cents=ZERO,
        deferred_cents=ZERO,
        advance_cents=left,
        final_cents=left,
        sheet_mode=SheetMode.INVOICE,
        rate_bp=0,
        lines=(),
        claim_parts=(),
        sheet=None,
        indicator=None,
        claim_code=None,
        steps=steps,
        warnings=told,
    )


def _reimbursed(situation: Situation, coded: Coded, verdict: Reimbursability) -> Computation:
    """Steps 5 to 11; a verdict without its step is the reduced rate out of pathway."""
    inputs = situation.inputs
    fee, base, overrun = inputs.fee_cents, coded.base_cents, coded.overrun_cents
    rate, reduced = rate_of(situation), verdict.step is None
    shares = [_share(line.base_cents, rate) for line in coded.lines]
    copayment = Cents(sum([each.left_cents for each in shares]))
    gross = Cents(base - copayment)
    amc = copayment if amc_pays(situation, rate) else ZERO

    third_party = third_party_payment(situation, rate, overrun_cents=overrun)
    bases = [line.base_cents for line in coded.lines]
    cut = surcharge(situation, bases) if reduced else no_surcharge(len(bases))
    kept = contribution(situation, amo_cents=gross - cut.total_cents)
    own_copayment = ZERO if amc else copayment
    sponsor = sponsored(
        inputs.sponsor,
        specialty=situation.specialty.specialty,
        copayment_cents=own_copayment,
        other_cents=overrun,
    )

    unpaid_copayment = ZERO if third_party.amc else copayment
    unpaid_amo = ZERO if third_party.amo else gross
    advance = Cents(overrun + unpaid_copayment + unpaid_amo - sponsor)
    amo = gross if third_party.amo else Cents(gross - cut.total_cents)
    deferred = Cents(kept.amount_cents + (cut.total_cents if third_party.amo else 0))
    copayment_left = Cents(unpaid_copayment - min(sponsor, own_copayment))
    mode = sheet_mode(situation, third_party, copayment_left_cents=copayment_left)

    # What the patient is refunded is not what the rate alone gives.
    refund_cut = "reduced" if cut.total_cents and not third_party.amo else None
    steps = [
        *([verdict.step] if verdict.step else []),
        *coded.steps,
        *rate.before,
        *([Step(rate.rule, None, gross, rate.row, refund_cut)] if rate.rule else []),
        *_payment_steps(situation, rate, third_party, amounts=(copayment, copayment_left, amc, advance)),
        *([_surcharge_step(cut, third_party)] if reduced else []),
        *_contribution_steps(kept, third_party),
        *([Step("S1", None, sponsor)] if sponsor else []),
    ]
    return Computation(
        reimbursable=True,
        base_cents=base,
        overrun_cents=overrun,
        copayment_cents=copayment,
        copayment_left_cents=copayment_left,
        supplement_cents=Cents(sum([each.supplement_cents for each in shares])),
        amo_cents=amo,
        amc_cents=amc,
        amo_refund_cents=ZERO if third_party.amo else Cents(amo - kept.amount_cents),
        amc_refund_cents=ZERO if third_party.amc else amc,
        sponsor_cents=sponsor,
        contribution_cents=kept.amount_cents,
        surcharge_cents=cut.total_cents,
        deferred_cents=deferred,
        advance_cents=advance,
        final_cents=Cents(fee - amo - amc - sponsor + deferred),
        sheet_mode=mode,
        rate_bp=rate.total_bp,
        lines=_lines(coded, shares, cut, amc_pays=bool(amc)),
        claim_parts=_claim_parts(coded, shares, rate, third_party),
        sheet=_sheet(coded, shares, cut, rate) if mode is SheetMode.FSE else None,
        indicator=None if verdict.indicator is None else verdict.indicator.indicator,
        claim_code=rate.claim_code,
        steps=steps,
        warnings=[
            *_warnings(situation, coded, verdict, rate, third_party, cut, kept),
            *_unconfirmed_rules(situation, coded, verdict, steps),
        ],
    )


def _share(base: Cents, rate: Rate) -> LineShare:
    main = share(base, rate.rate_bp)
    # Two roundings up could pass the base on a line of a cent or two.
    supplement = Cents(min(share(base, rate.supplement_bp), base - main))
    return LineShare(main, supplement, Cents(base - main - supplement))


def _payment_steps(
    situation: Situation, rate: Rate, third_party: ThirdParty, *, amounts: tuple[Cents, Cents, Cents, Cents]
) -> list[Step]:
    inputs = situation.inputs
    copayment, left, amc, advance = amounts
    if third_party.amo:
        if copayment == 0 or rate.rule == "B3":
            return []
        if third_party.amc:
            return [Step("A1", None, amc, rate.row)]
        return [Step("A2", inputs.amc.value, copayment, rate.row, _sponsored(copayment, left))]
    if inputs.insured is not Insured.YES:
        return [Step("A3", "insurance-unknown", advance, rate.row)]
    if situation.nir_usable:
        return [Step("T0", None, advance, rate.row)]
    return [Step("A3", "amc-claimed" if third_party.amc else inputs.nir.value, advance, rate.row)]


def _sponsored(copayment: Cents, left: Cents) -> str | None:
    if left == copayment:
        return None
    return "partly-sponsored" if left else "sponsored"


def _surcharge_step(cut: SurchargeTaken, third_party: ThirdParty) -> Step:
    return Step(
        "E5" if third_party.amo else "E3", "css" if cut.row is None else None, cut.total_cents, cut.row
    )


def _contribution_steps(kept: ContributionTaken, third_party: ThirdParty) -> list[Step]:
    if kept.exempt is not None:
        return [Step("D3", kept.exempt, kept.amount_cents, kept.row)]
    if kept.amount_cents:
        return [Step("D2" if third_party.amo else "D1", None, kept.amount_cents, kept.row)]
    return []


def _lines(
    coded: Coded, shares: list[LineShare], cut: SurchargeTaken, *, amc_pays: bool
) -> tuple[PricedLine, ...]:
    return tuple(
        PricedLine(
            line.code,
            line.tariff_cents,
            line.base_cents,
            Cents(each.main_cents + each.supplement_cents),
            each.left_cents if amc_pays else ZERO,
            taken,
            None if line.row is None else line.row.reference,
        )
        for line, each, taken in zip(coded.lines, shares, cut.lines, strict=True)
    )


def _claim_parts(
    coded: Coded, shares: list[LineShare], rate: Rate, third_party: ThirdParty
) -> tuple[ClaimPart, ...]:
    css = rate.rule == "B3"
    main = _main_benefit(rate)
    rest = Benefit.COPAYMENT_CSS if css else Benefit.COPAYMENT
    to_amo: list[ClaimLine] = []
    to_amc: list[ClaimLine] = []
    for line, each in zip(coded.lines, shares, strict=True):
        if third_party.amo:
            to_amo.append(ClaimLine(line.code, main, line.base_cents, each.main_cents))
            to_amo.append(
                ClaimLine(line.code, Benefit.LOCAL_SUPPLEMENT, line.base_cents, each.supplement_cents)
            )
        if third_party.amc:
            (to_amo if css else to_amc).append(ClaimLine(line.code, rest, line.base_cents, each.left_cents))
    parts = (_part(Payer.AMO, to_amo), _part(Payer.AMC, to_amc))
    return tuple([part for part in parts if part is not None])


def _sheet(coded: Coded, shares: list[LineShare], cut: SurchargeTaken, rate: Rate) -> ClaimPart | None:
    """The share of the AMO after the surcharge; the fund itself keeps the flat contribution (rule D1)."""
    lines: list[ClaimLine] = []
    for line, each, taken in zip(coded.lines, shares, cut.lines, strict=True):
        refunded = Cents(each.main_cents - taken)
        lines.append(ClaimLine(line.code, _main_benefit(rate), line.base_cents, refunded))
        lines.append(ClaimLine(line.code, Benefit.LOCAL_SUPPLEMENT, line.base_cents, each.supplement_cents))
    return _part(Payer.AMO, lines, PaidTo.INSURED)


def _main_benefit(rate: Rate) -> Benefit:
    return Benefit.AME if rate.rule == "B4" else Benefit.BASE


def _part(payer: Payer, lines: list[ClaimLine], paid_to: PaidTo = PaidTo.PROVIDER) -> ClaimPart | None:
    """None: there is nothing to ask for."""
    paid = [line for line in lines if line.amount_cents]
    if not paid:
        return None
    return ClaimPart(payer, Cents(sum([line.amount_cents for line in paid])), tuple(paid), paid_to)


def _warnings(
    situation: Situation,
    coded: Coded,
    verdict: Reimbursability,
    rate: Rate,
    third_party: ThirdParty,
    cut: SurchargeTaken,
    kept: ContributionTaken,
) -> list[WarningCode]:
    inputs, exemptions = situation.inputs, situation.inputs.exemptions
    full_amc = inputs.amc is Amc.CONTRACTED and inputs.third_party_payment is ThirdPartyPayment.FULL
    covid = situation.book.exemptions.find(("covid",), on=inputs.care_on) is not None
    applies = (
        (WarningCode.INSURANCE_UNKNOWN, inputs.insured is Insured.UNKNOWN),
        (WarningCode.NIR_FAILED, inputs.nir is Nir.FAILED),
        (WarningCode.NIR_PROVISIONAL, inputs.nir is Nir.PROVISIONAL),
        (
            WarningCode.EXEMPTION_UNPROVEN,
            (exemptions.css and situation.css is None) or (exemptions.ame and situation.ame is None),
        ),
        (
            WarningCode.UNCONFIRMED_TARIFF,
            UNCONFIRMED in [line.row.confidence for line in coded.lines if line.row is not None],
        ),
        (WarningCode.PF_UNCONFIRMED, covid and kept.amount_cents > 0),
        (
            WarningCode.SURCHARGE_UNCONFIRMED,
            cut.total_cents > 0 and (cut.unconfirmed or rate.total_bp == WHOLE),
        ),
        (WarningCode.AMC_NEEDS_NIR, full_amc and not situation.nir_usable and not third_party.amc),
        (WarningCode.THIRD_PARTY_PAYMENT_IMPOSED, third_party.imposed),
        (
            WarningCode.OVERRUN_BESIDE_THIRD_PARTY_ASSUMED,
            coded.overrun_cents > 0 and third_party.amo and not third_party.imposed,
        ),
    )
    return [*verdict.warnings, *[warning for warning, holds in applies if holds]]


def _partner_assumed(situation: Situation) -> tuple[WarningCode, ...]:
    """A policy says that the psychologist is no partner; sessions of the scheme have a price on that day."""
    if situation.policy.partner_psychologist or situation.specialty.specialty != PSYCHOLOGIST:
        return ()
    session = situation.book.acts.find((MSP.code,), on=situation.inputs.care_on)
    return (WarningCode.PARTNER_PSYCHOLOGIST_ASSUMED,) if session is not None else ()


def _unconfirmed_rules(
    situation: Situation, coded: Coded, verdict: Reimbursability, steps: list[Step]
) -> list[WarningCode]:
    """Rates, exemptions, conditions of acts, the pathway's letter; tariffs and surcharges have their own."""
    on, acts = situation.inputs.care_on, situation.book.acts
    conditions = [acts.find((line.code,), on=on) for line in coded.lines if line.row is not None]
    confidences = [row.confidence for row in conditions if row is not None]
    confidences += [
        step.row.confidence
        for step in steps
        if step.row is not None and step.row.table not in {"tariffs", "surcharges"}
    ]
    if verdict.indicator is not None:
        confidences.append(verdict.indicator.confidence)
    return [WarningCode.UNCONFIRMED_RULE] if UNCONFIRMED in confidences else []
