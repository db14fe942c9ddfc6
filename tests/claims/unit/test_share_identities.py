"""What holds for every answer: generated questions, every policy."""

from dataclasses import replace

from hypothesis import given, settings

from claims.domain.pricing import (
    ActLine,
    Inputs,
    PaidTo,
    Payer,
    Policy,
    Priced,
    PricingRefused,
    SheetMode,
    claimed,
    inputs_from_json,
    inputs_to_json,
    policy_from_json,
    policy_to_json,
    price,
)
from claims.domain.tables import load_tables
from common.money import Cents, share
from support.questions import policies, question, questions

TABLES = load_tables()
EXAMPLES = settings(max_examples=200, deadline=None)
BY_THIRD_PARTY = {SheetMode.TP, SheetMode.TP_RECEIPT}
AMOUNTS = (
    "base_cents",
    "overrun_cents",
    "amo_cents",
    "amc_cents",
    "amo_refund_expected_cents",
    "amc_refund_expected_cents",
    "sponsor_cents",
    "flat_contribution_cents",
    "surcharge_cents",
    "deferred_deductions_cents",
    "advance_cents",
    "patient_final_cents",
)


def answer(inputs: Inputs, policy: Policy) -> Priced | str:
    try:
        return price(inputs, TABLES, policy)
    except PricingRefused as refused:
        return refused.code


def changed(one: Priced | str, other: Priced | str) -> set[str]:
    """Amounts, sheet and claims that differ; a refusal stays the same refusal."""
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return set()
    names = (*AMOUNTS, "sheet_mode", "claim_parts", "lines", "reimbursable", "warnings")
    return {name for name in names if getattr(one, name) != getattr(other, name)}


@given(questions(), policies())
@EXAMPLES
def test_the_payers_and_the_patient_bear_the_fee_and_nothing_more(inputs: Inputs, policy: Policy) -> None:
    priced = answer(inputs, policy)
    if isinstance(priced, str):
        return

    borne = priced.amo_cents + priced.amc_cents + priced.sponsor_cents + priced.patient_final_cents
    amo_claim, amc_claim = claimed(priced)

    assert borne - priced.deferred_deductions_cents == priced.fee_cents
    assert amo_claim + amc_claim + priced.sponsor_cents + priced.advance_cents == priced.fee_cents
    assert amc_claim == priced.amc_cents - priced.amc_refund_expected_cents
    assert all(getattr(priced, name) >= 0 for name in AMOUNTS)
    assert priced.amo_cents + priced.amc_cents <= priced.base_cents <= priced.fee_cents
    assert priced.base_cents + priced.overrun_cents == priced.fee_cents
    assert priced.patient_final_cents >= priced.deferred_deductions_cents
    assert priced.overrun_cents <= priced.advance_cents + priced.sponsor_cents <= priced.fee_cents


@given(questions(), policies())
@EXAMPLES
def test_lines_and_claims_add_up(inputs: Inputs, policy: Policy) -> None:
    priced = answer(inputs, policy)
    if isinstance(priced, str):
        return

    gross = sum(line.amo_cents for line in priced.lines)

    assert sum(line.base_cents for line in priced.lines) == priced.base_cents
    assert sum(line.amc_cents for line in priced.lines) == priced.amc_cents
    assert sum(line.surcharge_cents for line in priced.lines) == priced.surcharge_cents
    assert priced.amc_cents in {0, priced.base_cents - gross}
    assert priced.amo_cents in {gross, gross - priced.surcharge_cents}
    for part in priced.claim_parts:
        assert part.amount_cents == sum(line.amount_cents for line in part.lines) > 0
    assert len({part.payer for part in priced.claim_parts}) == len(priced.claim_parts)
    if "B3" in {entry.rule for entry in priced.trace}:
        assert [part.payer for part in priced.claim_parts] in ([], [Payer.AMO])


@given(questions(), policies())
@EXAMPLES
def test_the_sheet_says_who_was_paid_directly(inputs: Inputs, policy: Policy) -> None:
    priced = answer(inputs, policy)
    if isinstance(priced, str):
        return

    gross = sum(line.amo_cents for line in priced.lines)
    own = 0 if priced.amc_cents else priced.base_cents - gross
    _, amc_claim = claimed(priced)
    left = priced.base_cents - gross - amc_claim - min(priced.sponsor_cents, own)
    direct = priced.sheet_mode not in BY_THIRD_PARTY

    assert (priced.sheet_mode is SheetMode.INVOICE) == (not priced.reimbursable)
    assert (priced.sheet_mode is SheetMode.TP_RECEIPT) == (not direct and left > 0)
    assert direct or priced.amo_refund_expected_cents == 0
    assert (priced.sheet is not None) == (priced.sheet_mode is SheetMode.FSE and priced.amo_cents > 0)
    if priced.sheet is not None:
        assert (priced.sheet.payer, priced.sheet.paid_to) == (Payer.AMO, PaidTo.INSURED)
        assert priced.sheet.amount_cents == priced.amo_cents
        assert priced.sheet.amount_cents == sum(line.amount_cents for line in priced.sheet.lines)
        assert all(line.amount_cents > 0 for line in priced.sheet.lines)
    if direct and priced.reimbursable:
        kept = priced.flat_contribution_cents
        assert priced.amo_refund_expected_cents == priced.amo_cents - kept
        assert priced.deferred_deductions_cents == kept


@given(questions(), policies())
@EXAMPLES
def test_the_flat_contribution_is_one_amount_and_never_on_the_card(inputs: Inputs, policy: Policy) -> None:
    due = answer(replace(inputs, pf_exempt=False), policy)
    exempt = answer(replace(inputs, pf_exempt=True), policy)

    touched = {
        "flat_contribution_cents",
        "deferred_deductions_cents",
        "patient_final_cents",
        "amo_refund_expected_cents",
        "warnings",
    }
    assert changed(due, exempt) <= touched
    if isinstance(due, str) or isinstance(exempt, str):
        return
    gross = sum(line.amo_cents for line in due.lines)
    assert due.flat_contribution_cents in {0, 50, 100, 150, 200}
    assert due.flat_contribution_cents <= gross - due.surcharge_cents
    assert exempt.flat_contribution_cents == 0


@given(questions(), policies())
@EXAMPLES
def test_a_sponsor_pays_only_what_nobody_refunds(inputs: Inputs, policy: Policy) -> None:
    alone = answer(replace(inputs, sponsor=None), policy)
    sponsored = answer(inputs, policy)

    touched = {"sponsor_cents", "advance_cents", "patient_final_cents", "sheet_mode"}
    assert changed(alone, sponsored) <= touched
    if isinstance(alone, str) or isinstance(sponsored, str):
        return
    paid = sponsored.sponsor_cents
    unrefunded = alone.patient_final_cents - alone.deferred_deductions_cents - alone.surcharge_cents
    if alone.sheet_mode in BY_THIRD_PARTY:  # recovered later, and so not borne yet
        unrefunded += alone.surcharge_cents
    assert paid <= unrefunded
    assert sponsored.patient_final_cents == alone.patient_final_cents - paid
    assert sponsored.advance_cents == alone.advance_cents - paid
    if inputs.sponsor is not None:
        assert inputs.sponsor.max_cents is None or paid <= inputs.sponsor.max_cents
        assert inputs.sponsor.cents is None or paid <= inputs.sponsor.cents
    if sponsored.sheet_mode is not alone.sheet_mode:
        assert (alone.sheet_mode, sponsored.sheet_mode) == (SheetMode.TP_RECEIPT, SheetMode.TP)


@given(questions(), policies())
@EXAMPLES
def test_without_compulsory_third_party_payment_nobody_advances_less(inputs: Inputs, policy: Policy) -> None:
    imposed = answer(inputs, replace(policy, compulsory_tp=True))
    free = answer(inputs, replace(policy, compulsory_tp=False))

    if isinstance(imposed, str) or isinstance(free, str):
        assert imposed == free
        return
    assert free.advance_cents >= imposed.advance_cents
    if imposed.surcharge_cents == 0:
        assert free.amo_cents + free.amc_cents == imposed.amo_cents + imposed.amc_cents


@given(questions(), policies())
@EXAMPLES
def test_alternation_changes_warnings_only(inputs: Inputs, policy: Policy) -> None:
    alternated = answer(replace(inputs, alternation_ok=True), policy)
    remote_only = answer(replace(inputs, alternation_ok=False), policy)

    assert changed(alternated, remote_only) <= {"warnings"}


@given(questions(), policies())
@EXAMPLES
def test_questions_and_policies_survive_storage(inputs: Inputs, policy: Policy) -> None:
    assert inputs_from_json(inputs_to_json(inputs)) == inputs
    assert policy_from_json(policy_to_json(policy)) == policy


def test_every_base_up_to_100_euros_is_shared_half_up_to_the_cent() -> None:
    for base in range(1, 10_001):
        cents = Cents(base)

        priced = price(question(acts=(ActLine("=", cents),), fee_cents=cents), TABLES)

        assert priced.amo_cents == (base * 7 + 5) // 10 == share(cents, 7000)
        assert priced.amo_cents + priced.amc_cents == base
