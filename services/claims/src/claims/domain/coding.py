"""Which codes a consultation carries and on which base it is reimbursed (rules F1-F3, G1-G4, E2)."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from claims.domain.inputs import GIVEN, ActLine, Inputs, OverrunQualifier, Pathway, Sector
from claims.domain.priced import Step
from claims.domain.refusals import PricingRefused, RefusalCode
from claims.domain.reimbursability import direct_access, pathway_age
from claims.domain.situation import Situation
from claims.domain.tables import ARTICLE_2_BIS, NO_COORDINATION, Act, Book, SpecialtyRow, Tariff
from common.money import Cents

GP: Final = "gp"
TCG: Final = ActLine("TCG")
TC: Final = ActLine("TC")
MPC: Final = ActLine("MPC")
MCS: Final = ActLine("MCS")
TCS: Final = ActLine("TCS")
MSP: Final = ActLine("MSP")
MHP: Final = "MHP"  # out of hours
MOP: Final = "MOP"  # patient of 80 or more
# Answers of a patient who may well have no regular doctor.
_NO_REGULAR_DOCTOR: Final = frozenset({Pathway.ORGANISATION, Pathway.NONE, Pathway.UNANSWERED})
OVERRUN_CLASS: Final = "s2+"  # sector 2 without OPTAM, charging more than the row


class CodedLine(NamedTuple):
    code: str
    tariff_cents: Cents
    base_cents: Cents  # the tariff, less the shortfall of a fee below it
    row: Tariff | None  # None: the base came with the question


class Coded(NamedTuple):
    lines: tuple[CodedLine, ...]
    base_cents: Cents
    overrun_cents: Cents
    steps: tuple[Step, ...]


def acts_before_coding(inputs: Inputs, specialty: SpecialtyRow, book: Book) -> tuple[ActLine, ...]:
    """What the practitioner is expected to code, for a price preview (section 4.1 of the tariffs)."""
    on, group = inputs.care_on, specialty.tariff_group
    if not specialty.physician:
        return (MSP,)
    if group == GP:
        row = book.tariffs.find((TCG.code, group, Sector.S1.value, inputs.zone), on=on)
        free = inputs.sector is Sector.S2 and not inputs.company
        return (TC,) if free and row is not None and inputs.fee_cents > row.base_cents else (TCG,)
    key = (group, Sector.S1.value, inputs.zone)
    if book.tariffs.find((TC.code, *key), on=on) is None:
        return (TCS,)
    coordinated = (TC, MPC, MCS)
    found = [book.tariffs.find((line.code, *key), on=on) for line in coordinated]
    overrun = inputs.fee_cents > sum(row.base_cents for row in found if row is not None)
    permanent = inputs.overrun_qualifier is OverrunQualifier.DP  # who has the right is expected to use it
    act = book.acts.find((MCS.code,), on=on)
    barred = act is not None and overrun and _overrun_bars_coordination(inputs, act)
    if inputs.pathway is Pathway.REFERRED and not permanent and not barred:
        return coordinated
    return (TC, MPC)


def _overrun_bars_coordination(inputs: Inputs, act: Act) -> bool:
    """Whether no coordination line goes with an overrun of this doctor.

    A sector 2 doctor without OPTAM and the holder of a permanent right claim it at the tariffs only; a doctor
    of sector 1 or OPTAM without a condition on the fee (article 2 bis of the nomenclature).
    """
    sectors = {Sector.S2} if act.coordination == ARTICLE_2_BIS else {Sector.S2, Sector.OPTAM}
    sector_2 = inputs.sector in sectors and not inputs.company
    return sector_2 or inputs.overrun_qualifier is OverrunQualifier.DP


def code_and_base(situation: Situation) -> Coded:
    """Raises PricingRefused: `no-tariff`, `act-not-allowed`, `overrun-forbidden`."""
    inputs = situation.inputs
    acts = inputs.acts or acts_before_coding(inputs, situation.specialty, situation.book)
    sector_class, rows = _rows(situation, acts)
    _check_conditions(situation, acts)
    amounts = [_amount(line, row) for line, row in zip(acts, rows, strict=True)]
    tariff = sum(amounts)
    overrun = max(inputs.fee_cents - tariff, 0)
    if overrun:
        _check_overrun(situation)
    _check_coordination(situation, acts, overrun_cents=overrun)

    shortfall = max(tariff - inputs.fee_cents, 0)
    lines = []
    for line, row, amount in zip(acts, rows, amounts, strict=True):
        missing = min(shortfall, amount)
        shortfall -= missing
        lines.append(CodedLine(line.code, Cents(amount), Cents(amount - missing), row))
    base = Cents(tariff - max(tariff - inputs.fee_cents, 0))
    steps = _steps(situation, lines, sector_class, base_cents=base, overrun_cents=overrun)
    return Coded(tuple(lines), base, Cents(overrun), tuple(steps))


def _amount(line: ActLine, row: Tariff | None) -> int:
    if row is not None:
        return row.base_cents
    return line.base_cents or 0


def _rows(situation: Situation, acts: Sequence[ActLine]) -> tuple[str, list[Tariff | None]]:
    """The rows of the class that the fee itself decides: sector 2 charging more falls to its own row."""
    inputs = situation.inputs
    if inputs.company:
        return Sector.S1.value, _found(situation, acts, Sector.S1.value)
    if inputs.sector is not Sector.S2:
        return inputs.sector.value, _found(situation, acts, inputs.sector.value)
    try:
        rows = _found(situation, acts, Sector.S2.value)
    except PricingRefused:
        above = _found(situation, acts, OVERRUN_CLASS)
        if inputs.fee_cents <= sum(map(_amount, acts, above)):
            raise
        return OVERRUN_CLASS, above
    if inputs.fee_cents <= sum(map(_amount, acts, rows)):
        return Sector.S2.value, rows
    return OVERRUN_CLASS, _found(situation, acts, OVERRUN_CLASS)


def _found(situation: Situation, acts: Sequence[ActLine], sector_class: str) -> list[Tariff | None]:
    inputs, tariffs = situation.inputs, situation.book.tariffs
    rows: list[Tariff | None] = []
    for line in acts:
        if line.code == GIVEN:
            rows.append(None)
            continue
        key = (line.code, situation.specialty.tariff_group, sector_class, inputs.zone)
        row = tariffs.find(key, on=inputs.care_on)
        if row is None:
            rule = f"{line.code}-has-a-row-for-{key[1]}-{sector_class}-{inputs.zone}-at-the-care-date"
            raise PricingRefused(RefusalCode.NO_TARIFF, "acts", rule)
        rows.append(row)
    return rows


def _check_conditions(situation: Situation, acts: Sequence[ActLine]) -> None:
    for line in acts:
        if line.code == GIVEN:
            continue
        act = situation.book.acts.find((line.code,), on=situation.inputs.care_on)
        if act is None:
            continue
        if act.min_age is not None and situation.age < act.min_age:
            raise PricingRefused(RefusalCode.ACT_NOT_ALLOWED, "acts", f"{line.code}-from-{act.min_age}-years")
        if act.max_age is not None and situation.age > act.max_age:
            raise PricingRefused(RefusalCode.ACT_NOT_ALLOWED, "acts", f"{line.code}-to-{act.max_age}-years")
        if act.other_than_regular_doctor and situation.inputs.pathway is Pathway.REGULAR_DOCTOR:
            raise PricingRefused(
                RefusalCode.ACT_NOT_ALLOWED, "acts", f"{line.code}-not-by-the-regular-doctor"
            )


def _check_coordination(situation: Situation, acts: Sequence[ActLine], *, overrun_cents: int) -> None:
    """A coordination line is of a patient whom somebody sent, or who needs nobody to (article 2 bis)."""
    inputs = situation.inputs
    for line in acts:
        act = situation.book.acts.find((line.code,), on=inputs.care_on)
        if act is None or act.coordination == NO_COORDINATION:
            continue
        if not _is_coordinated(situation, act):
            raise PricingRefused(RefusalCode.ACT_NOT_ALLOWED, "acts", f"{line.code}-of-a-referred-patient")
        if overrun_cents and _overrun_bars_coordination(inputs, act):
            rule = f"{line.code}-not-with-an-authorised-overrun"
            raise PricingRefused(RefusalCode.ACT_NOT_ALLOWED, "acts", rule)


def _is_coordinated(situation: Situation, act: Act) -> bool:
    pathway = situation.inputs.pathway
    if pathway is Pathway.REFERRED:
        return True
    if act.coordination != ARTICLE_2_BIS:
        return False
    if pathway is Pathway.INSTITUTION:
        return True
    if pathway is not Pathway.REGULAR_DOCTOR and direct_access(situation) is not None:
        return True
    return pathway in _NO_REGULAR_DOCTOR and situation.age < pathway_age(situation).age


def _check_overrun(situation: Situation) -> None:
    inputs = situation.inputs
    if situation.css is not None:
        rule = "no-overrun-with-css"
    elif inputs.company:
        rule = "no-overrun-by-an-agreed-company"
    elif situation.partner is not None:
        rule = "no-overrun-by-a-partner-psychologist"
    elif inputs.sector is Sector.S1 and inputs.overrun_qualifier is OverrunQualifier.NONE:
        rule = "sector-1-overrun-needs-de-or-dp"
    else:
        return
    raise PricingRefused(RefusalCode.OVERRUN_FORBIDDEN, "fee_cents", rule)


def _steps(
    situation: Situation,
    lines: Sequence[CodedLine],
    sector_class: str,
    *,
    base_cents: int,
    overrun_cents: int,
) -> list[Step]:
    steps: list[Step] = []
    references = [None if line.row is None else line.row.reference for line in lines]
    first = next(filter(None, references), None)
    codes = [line.code for line in lines]
    if first is not None and situation.partner is None:
        rules = _tariff_rules(situation, codes, sector_class)
        steps += [Step(rule, None, base_cents, first) for rule in rules]
    if len(lines) > 1:
        steps.append(Step("F1", None, base_cents))
    for rule, code in (("F2", MHP), ("F3", MOP)):
        if code in codes:
            index = codes.index(code)
            steps.append(Step(rule, None, lines[index].base_cents, references[index]))
    if overrun_cents:
        steps.append(Step("E2", None, overrun_cents, first))
    return steps


def _tariff_rules(situation: Situation, codes: Sequence[str], sector_class: str) -> list[str]:
    """Which row the base comes from: G1 or G2 by date, then G3 or G4 by sector."""
    rules = []
    if situation.specialty.tariff_group != GP:
        if TCS.code in codes:
            rules.append("G2")
        elif TC.code in codes:
            rules.append("G1")
    if sector_class == OVERRUN_CLASS:
        rules.append("G3")
    elif sector_class in {Sector.OPTAM.value, Sector.S2.value}:
        rules.append("G4")
    return rules
