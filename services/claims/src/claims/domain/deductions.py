"""What the fund keeps back: the out-of-pathway surcharge and the flat contribution (rules E3, E5, D1-D3)."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from claims.domain.dated import RowReference
from claims.domain.refusals import PricingRefused, RefusalCode
from claims.domain.situation import Situation, age_on
from claims.domain.tables import Exemption
from common.money import Cents, share


class SurchargeTaken(NamedTuple):
    """Cents, per line and in all; the last line that the cap reaches takes what is left under it."""

    lines: tuple[Cents, ...]
    total_cents: Cents
    unconfirmed: bool
    row: RowReference | None


class ContributionTaken(NamedTuple):
    amount_cents: Cents
    exempt: str | None  # why nothing is due
    row: RowReference | None


def no_surcharge(lines: int) -> SurchargeTaken:
    return SurchargeTaken((Cents(0),) * lines, Cents(0), unconfirmed=False, row=None)


def surcharge(situation: Situation, bases: Sequence[Cents]) -> SurchargeTaken:
    """Points of each line, half up, capped once per consultation by the same points of a GP's visit.

    Raises PricingRefused `no-out-of-pathway-rate` for a scheme without a row.
    """
    if situation.css is not None:  # the fund makes up for it
        return no_surcharge(len(bases))
    on = situation.inputs.care_on
    row = situation.book.surcharges.find((situation.inputs.scheme,), on=on)
    cap = None if row is None else situation.book.tariffs.find(row.cap_key, on=on)
    if row is None or cap is None:
        rule = "scheme-has-an-out-of-pathway-rate-at-the-care-date"
        raise PricingRefused(RefusalCode.NO_OUT_OF_PATHWAY_RATE, "scheme", rule)
    left = share(cap.base_cents, row.points_bp)
    lines = []
    for base in bases:
        taken = Cents(min(share(base, row.points_bp), left))
        left = Cents(left - taken)
        lines.append(taken)
    return SurchargeTaken(
        tuple(lines), Cents(sum(lines)), unconfirmed=row.confidence == "U", row=row.reference
    )


def contribution(situation: Situation, *, amo_cents: int) -> ContributionTaken:
    """One per consultation, within two ceilings; none when the AMO share after the surcharge is smaller."""
    inputs = situation.inputs
    if situation.partner is not None:
        return ContributionTaken(Cents(0), None, None)
    exempt = _exempt(situation)
    if exempt is not None:
        reason, exemption = exempt
        return ContributionTaken(Cents(0), reason, exemption.reference)
    row = situation.book.contributions.find(("consultation",), on=inputs.care_on)
    if row is None:  # it did not exist yet
        return ContributionTaken(Cents(0), None, None)
    due = max(
        min(
            row.amount_cents,
            row.year_ceiling_cents - inputs.pf_taken_this_year_cents,
            row.day_ceiling_cents - inputs.pf_taken_today_cents,
        ),
        0,
    )
    return ContributionTaken(Cents(due if due <= amo_cents else 0), None, row.reference)


def _exempt(situation: Situation) -> tuple[str, Exemption] | None:
    inputs = situation.inputs
    found: list[tuple[str, Exemption | None]] = [
        ("css", situation.css),
        ("ame", situation.ame),
        ("maternity", situation.maternity),
    ]
    if _minor_on_1_january(situation):
        found.append(("minor", situation.exemption("minor")))
    if inputs.pf_exempt:
        found.append(("other", situation.exemption("other")))
    return next(((why, row) for why, row in found if row is not None and row.contribution_exempt), None)


def _minor_on_1_january(situation: Situation) -> bool:
    inputs = situation.inputs
    limit = situation.book.ages.find(("contribution",), on=inputs.care_on)
    return limit is not None and age_on(inputs.born_on, date(inputs.care_on.year, 1, 1)) < limit.age
