"""Who is paid directly and what the patient advances: third-party payment and the care sheet."""

from typing import NamedTuple

from claims.domain.inputs import Amc, Insured, ThirdPartyPayment
from claims.domain.priced import SheetMode
from claims.domain.rates import Rate
from claims.domain.situation import Situation


class ThirdParty(NamedTuple):
    """Which part of the base the payers pay to the practitioner."""

    amo: bool
    amc: bool  # with CSS: the CSS benefit of the AMO claim
    imposed: bool  # the law imposes what the practitioner does not offer


def third_party_payment(situation: Situation, rate: Rate, *, overrun_cents: int) -> ThirdParty:
    """For reimbursable acts only."""
    inputs, policy = situation.inputs, situation.policy
    rows = (situation.css, situation.ame, situation.ald, situation.maternity)
    compulsory = policy.compulsory_tp and any(
        row is not None and row.third_party_payment != ThirdPartyPayment.NONE.value for row in rows
    )
    willing = policy.tp_with_overrun or not overrun_cents
    offered = inputs.third_party_payment if willing else ThirdPartyPayment.NONE
    insured = inputs.insured is Insured.YES
    amo = insured and situation.nir_usable and (compulsory or offered is not ThirdPartyPayment.NONE)
    contracted = inputs.amc is Amc.CONTRACTED and offered is ThirdPartyPayment.FULL
    alone = insured and not situation.nir_usable and not policy.amc_needs_nir
    amc = (amo and (rate.rule == "B3" or contracted)) or (alone and contracted)
    return ThirdParty(amo, amc, imposed=amo and offered is ThirdPartyPayment.NONE)


def amc_pays(situation: Situation, rate: Rate) -> bool:
    """Whether anybody but the patient and the AMO bears the copayment, now or by a refund."""
    return rate.rule == "B3" or situation.inputs.amc not in (Amc.NONE, Amc.UNKNOWN)


def sheet_mode(situation: Situation, third_party: ThirdParty, *, copayment_left_cents: int) -> SheetMode:
    """For reimbursable acts; `copayment_left_cents` is the part the patient advances under it."""
    if third_party.amo:
        return SheetMode.TP_RECEIPT if copayment_left_cents > 0 else SheetMode.TP
    if situation.inputs.insured is Insured.YES and situation.nir_usable:
        return SheetMode.FSE
    return SheetMode.PAPER
