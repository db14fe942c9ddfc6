"""Which share of the base the AMO pays: one rate, by precedence (rules C1, B1-B6)."""

from typing import Final, NamedTuple

from claims.domain.dated import RowReference
from claims.domain.priced import Step
from claims.domain.refusals import PricingRefused, RefusalCode
from claims.domain.situation import Situation
from claims.domain.tables import Exemption

GENERAL: Final = "general"


class Rate(NamedTuple):
    """Basis points; the supplement is a benefit line rounded apart. No `rule`: the ordinary rate."""

    rate_bp: int
    supplement_bp: int
    rule: str | None
    row: RowReference
    claim_code: str | None
    before: tuple[Step, ...] = ()  # B1n and B2n: an exemption exists and does not count here

    @property
    def total_bp(self) -> int:
        return self.rate_bp + self.supplement_bp


def rate_of(situation: Situation) -> Rate:
    """Raises PricingRefused `no-rate` when the scheme decides and has no row."""
    chosen = _covid(situation) or _exemption(situation)
    if chosen is not None:
        rule, row = chosen
        partner = situation.partner
        if rule == "B3" and partner is not None and partner.css_pays_the_rest:
            return Rate(partner.rate_bp, 0, rule, partner.reference, row.claim_code)
        if row.rate_bp is not None:
            return Rate(row.rate_bp, 0, rule, row.reference, row.claim_code)
    return _ordinary(situation)


def _covid(situation: Situation) -> tuple[str, Exemption] | None:
    """Every reimbursable teleconsultation of a physician was paid in full."""
    if situation.in_person or situation.partner is not None:
        return None
    row = situation.book.exemptions.find(("covid",), on=situation.inputs.care_on)
    return None if row is None else ("C1", row)


def _exemption(situation: Situation) -> tuple[str, Exemption] | None:
    if situation.ame is not None:
        return "B4", situation.ame
    if situation.maternity is not None:
        return "B2", situation.maternity
    if situation.ald is not None:
        return "B1", situation.ald
    if situation.css is not None:
        return "B3", situation.css
    return None


def _ordinary(situation: Situation) -> Rate:
    said, before, code = situation.inputs.exemptions, [], None
    if said.ald_unrelated:
        unrelated = situation.exemption("ald-unrelated")
        before.append(Step("B1n", None, None, unrelated.reference))
        code = unrelated.claim_code
    if said.maternity is not None:
        before.append(Step("B2n", None, None, situation.exemption("maternity").reference))
    partner = situation.partner
    if partner is not None:
        return Rate(partner.rate_bp, 0, None, partner.reference, code, tuple(before))
    row = situation.book.schemes.find((situation.inputs.scheme,), on=situation.inputs.care_on)
    if row is None:
        raise PricingRefused(RefusalCode.NO_RATE, "scheme", "scheme-has-a-row-at-the-care-date")
    rule = None
    if row.supplement_bp:
        rule = "B5"
    elif row.scheme != GENERAL:
        rule = "B6"
    return Rate(row.rate_bp, row.supplement_bp, rule, row.reference, code, tuple(before))
