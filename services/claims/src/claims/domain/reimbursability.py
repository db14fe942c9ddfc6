"""Whether a physician's act is reimbursable: care pathway, territory, and once the known patient."""

from typing import Final, NamedTuple

from claims.domain.dated import RowReference
from claims.domain.inputs import Pathway, Territory
from claims.domain.policy import OutOfPathway
from claims.domain.priced import Step
from claims.domain.refusals import PricingRefused, RefusalCode, WarningCode
from claims.domain.situation import Situation
from claims.domain.tables import Age, DirectAccess, PathwayIndicator

DIRECT_ACCESS: Final = "direct-access"
IN_PERSON: Final = "in-person"
REMOTE: Final = "remote"


class Reimbursability(NamedTuple):
    """`step` is E1 or E4, or None out of pathway at a reduced rate: E3 or E5 is decided later."""

    reimbursable: bool
    step: Step | None
    indicator: PathwayIndicator | None = None  # the row of the letter that the claim carries
    warnings: tuple[WarningCode, ...] = ()


def reimbursability(situation: Situation) -> Reimbursability:
    """Territory and the known patient are conditions of a teleconsultation only, not of a visit in person."""
    inputs = situation.inputs
    failed = _failed_remote_condition(situation)
    if failed is not None:
        return failed
    reason, row = _pathway(situation)
    if reason is None and situation.policy.out_of_pathway is OutOfPathway.NOT_REIMBURSABLE:
        step = Step("E4", "pathway", inputs.fee_cents)
        return Reimbursability(reimbursable=False, step=step, warnings=(WarningCode.OUT_OF_PATHWAY_ASSUMED,))
    return Reimbursability(
        reimbursable=True,
        step=None if reason is None else Step("E1", reason, None, row, _unanswered(situation, reason)),
        indicator=_indicator(situation, reason or Pathway.NONE.value),
        warnings=tuple(_warnings(situation, reason)),
    )


def _failed_remote_condition(situation: Situation) -> Reimbursability | None:
    inputs = situation.inputs
    if situation.in_person:
        return None
    known_patient = situation.book.periods.find(("known-patient",), on=inputs.care_on)
    if known_patient is not None and not inputs.known_patient:
        step = Step("E4", "known-patient", inputs.fee_cents, known_patient.reference)
        return Reimbursability(reimbursable=False, step=step)
    if inputs.territory is Territory.FAR and inputs.pathway is not Pathway.REGULAR_DOCTOR:
        return Reimbursability(reimbursable=False, step=Step("E4", "territory", inputs.fee_cents))
    return None


def _pathway(situation: Situation) -> tuple[str | None, RowReference | None]:
    """Why the pathway is respected or not required, None when it is not."""
    inputs = situation.inputs
    if inputs.pathway not in (Pathway.NONE, Pathway.UNANSWERED):
        return inputs.pathway.value, None
    limit = pathway_age(situation)
    if situation.age < limit.age:
        return "under-16", limit.reference
    access = direct_access(situation)
    if access is not None:
        return DIRECT_ACCESS, access.reference
    if situation.ame is not None:
        return "ame", situation.ame.reference
    if situation.ald is not None:
        return "ald", situation.ald.reference
    return (inputs.pathway.value if inputs.pathway is Pathway.UNANSWERED else None), None


def pathway_age(situation: Situation) -> Age:
    """From which age the care pathway counts. Raises PricingRefused on a day that the tables do not reach."""
    row = situation.book.ages.find(("pathway",), on=situation.inputs.care_on)
    if row is None:
        raise PricingRefused(RefusalCode.NO_TARIFF, "care_on", "the-tables-reach-the-care-date")
    return row


def direct_access(situation: Situation) -> DirectAccess | None:
    """The row that lets a patient of this age see the specialty without referral, if there is one."""
    limited = situation.in_person or situation.policy.direct_access_age_limits
    key = (situation.specialty.specialty, IN_PERSON if limited else REMOTE)
    row = situation.book.direct_access.find(key, on=situation.inputs.care_on)
    return row if row is not None and row.holds_at(situation.age) else None


def _indicator(situation: Situation, reason: str) -> PathwayIndicator | None:
    inputs = situation.inputs
    if inputs.pathway is Pathway.ORGANISATION and inputs.territory is Territory.PRIORITY_ZONE:
        reason = Territory.PRIORITY_ZONE.value
    return situation.book.pathway_indicators.find((reason,), on=inputs.care_on)


def _is_territory_unanswered(situation: Situation) -> bool:
    inputs = situation.inputs
    unanswered = inputs.territory is Territory.UNANSWERED and inputs.pathway is not Pathway.REGULAR_DOCTOR
    return unanswered and not situation.in_person


def _unanswered(situation: Situation, reason: str) -> str | None:
    """Which sentence says what the act is reimbursable for and what is not certain, in one."""
    if not _is_territory_unanswered(situation):
        return None
    return "unanswered-both" if reason == Pathway.UNANSWERED.value else "unanswered-territory"


def _warnings(situation: Situation, reason: str | None) -> list[WarningCode]:
    inputs, warnings = situation.inputs, []
    if reason == Pathway.UNANSWERED.value:
        warnings.append(WarningCode.PATHWAY_UNCONFIRMED)
    if _is_territory_unanswered(situation):
        warnings.append(WarningCode.TERRITORY_UNCONFIRMED)
    if not inputs.alternation_ok:
        warnings.append(WarningCode.ALTERNATION)
    if reason is None:
        warnings.append(WarningCode.OUT_OF_PATHWAY_ASSUMED)
    if reason == DIRECT_ACCESS:
        key = (situation.specialty.specialty, IN_PERSON)
        visit = situation.book.direct_access.find(key, on=inputs.care_on)
        if visit is None or not visit.holds_at(situation.age):
            warnings.append(WarningCode.DIRECT_ACCESS_ASSUMED)
    return warnings
