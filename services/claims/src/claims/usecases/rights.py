"""What payers' rights services say of a coverage: asked outside of transactions, kept encrypted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain.leg import Move, State
from claims.domain.pricing import ClaimPart, Payer, PricingRefused
from claims.domain.rights import (
    SUFFICIENT,
    PayerKind,
    RightsAnswer,
    RightsQuestion,
    RightsStatus,
)
from claims.models import Leg
from claims.models import RightsAnswer as RightsAnswerRow
from claims.usecases import care, coverage, encryption, insured, legs, story
from claims.usecases.config import ClaimsConfig
from claims.usecases.statements import exemption_to_json
from common.ids import uuid7
from common.messaging import history, tasks
from common.money import Cents

_JUST_AFTER: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsQuestions:
    """What to ask about which coverage version."""

    version: int
    questions: Sequence[RightsQuestion]


async def asking(
    session: AsyncSession, config: ClaimsConfig, patient_id: UUID, *, care_on: date, now: datetime
) -> RightsQuestions | None:
    """The questions whose answer is not known or no longer fresh; none: there is nothing to ask."""
    row = await store.find_current_coverage(session, patient_id)
    known = await coverage.opened(session, config, row, care_on=care_on)
    if not known.has_numbers:
        return None
    person = known.person
    wanted = [
        RightsQuestion(
            payer_kind="amo",
            care_on=care_on,
            nir=person.nir or person.nia,
            ame_number=person.ame_number,
            born_on=person.born_on,
        )
    ]
    if person.amc_number is not None:
        wanted.append(
            RightsQuestion(
                payer_kind="amc",
                care_on=care_on,
                amc_number=person.amc_number,
                amc_member_number=person.amc_member_number,
            )
        )
    since = now - config.terms.rights_fresh_for
    questions = [each for each in wanted if not _is_fresh(known.answers, each.payer_kind, care_on, since)]
    return RightsQuestions(version=known.version, questions=questions) if questions else None


def _is_fresh(answers: Sequence[RightsAnswer], payer_kind: PayerKind, care_on: date, since: datetime) -> bool:
    last = next((each for each in reversed(answers) if each.payer_kind == payer_kind), None)
    if last is None or last.status is RightsStatus.UNAVAILABLE or last.known_from is None:
        return False
    reaches = last.status is not RightsStatus.OPEN or last.covers(care_on)
    return reaches and last.known_from > since


async def record(
    session: AsyncSession,
    config: ClaimsConfig,
    patient_id: UUID,
    answers: Sequence[RightsAnswer],
    *,
    version: int,
    now: datetime,
) -> None:
    """Keeps what was answered about a version, and has everything priced again that may rest on it.

    An answer about a version that is no longer the current one changes nothing. None holds at or before an
    instant that a final price rests on.
    """
    head = await store.lock_coverage(session, patient_id)
    if head.version != version:
        return
    begins = now
    if head.priced_until is not None and head.priced_until >= begins:
        begins = head.priced_until + _JUST_AFTER
    earlier = await store.list_rights_answers(session, patient_id, version=version, known_at=None)
    last = {each.payer_kind: each.status for each in earlier}
    told = [
        each
        for each in answers
        if not (each.status is RightsStatus.UNAVAILABLE and last.get(each.payer_kind) == each.status.value)
    ]
    if not told:
        return
    for each in told:
        await _keep(session, config, patient_id, each, version=version, begins=begins, now=now)
    await session.flush()
    of = f"{version}:{begins.isoformat()}"
    for appointment_id in await store.list_live_appointments(session, patient_id):
        payload = {"appointment_id": str(appointment_id)}
        tasks.add(session, "price-again", f"{appointment_id}:{of}", due_at=now, payload=payload)
    for appointment_id in await store.list_care_awaiting_rights(session, patient_id):
        payload = {"appointment_id": str(appointment_id)}
        tasks.add(session, "settle-rights", f"{appointment_id}:{of}", due_at=now, payload=payload)


async def _keep(
    session: AsyncSession,
    config: ClaimsConfig,
    patient_id: UUID,
    answer: RightsAnswer,
    *,
    version: int,
    begins: datetime,
    now: datetime,
) -> None:
    exemptions = answer.exemptions
    told = {
        "exemptions": (None if exemptions is None else [exemption_to_json(each) for each in exemptions]),
        "reference": answer.reference,
    }
    session.add(
        RightsAnswerRow(
            id=uuid7(now),
            patient_id=patient_id,
            coverage_version=version,
            payer_kind=answer.payer_kind,
            status=answer.status.value,
            known_from=begins,
            valid_from=answer.valid_from,
            valid_to=answer.valid_to,
            encrypted=await encryption.encrypt_json(
                session, config, patient_id, told, field=coverage.RIGHTS_FIELD, now=now
            ),
        )
    )


async def settle(session: AsyncSession, config: ClaimsConfig, appointment_id: UUID, *, now: datetime) -> None:
    """Lets claims leave whose rights are proven by now, for the insured person as known now.

    Where the rights give the payers other shares, the care is priced again while none of its claims has left
    and the patient's advance is the same. Else a claim whose share is another one goes on waiting, in
    sight of support, and the others do not wait for it.
    """
    root = await store.lock_root(session, appointment_id)
    act = await store.get_care_act(session, appointment_id)
    await store.share_coverage(session, act.patient_id)
    row = await store.find_current_coverage(session, act.patient_id)
    known = await coverage.opened(session, config, row, care_on=act.care_on)
    of_act = await store.list_legs(session, appointment_id)
    pending = [
        each
        for each in of_act
        if each.state is State.RIGHTS_PENDING
        and known.verdicts_for(each.payer_kind, care_on=act.care_on) <= SUFFICIENT
    ]
    if not pending:
        return
    try:
        inputs, again = await legs.priced_again(session, config, root, act, known)
    except PricingRefused:
        history.note(session, root.id, "claims.price-with-rights-refused", at=now)
        _tell_kept(session, pending, "price-with-rights-refused", now=now)
        return
    parts = {part.payer.value: part for part in again.claim_parts}
    same = [each for each in pending if _share(parts, each) == each.amount_cents]
    new = [part for kind, part in parts.items() if kind not in {each.payer_kind for each in of_act}]
    if len(same) == len(pending) and not new:
        leaving = same
    elif len(pending) == len(of_act) and again.advance_cents == act.advance_cents:
        await care.price_anew(session, config, root, act, known, inputs, again, now=now)
        leaving = [each for each in pending if each.payer_kind in parts]
        for each in pending:
            await _take_share(session, await store.lock_leg(session, each.id), parts, now=now)
        only_new = replace(again, claim_parts=tuple(new))
        legs.plan_legs(session, root, act, only_new, known.person, awaiting_rights=frozenset())
        await legs.open_planned(session, config, now=now)
    else:
        reason = "price-with-rights-differs"
        history.note(session, root.id, f"claims.{reason}", at=now)
        due = again.advance_cents
        story.tell(session, root.id, "care-act", "not-priced-again", now=now, amount_cents=due, reason=reason)
        _tell_kept(session, [each for each in pending if each not in same], reason, now=now)
        leaving = same
    if not leaving:
        return
    person = known.person
    act.insured_encrypted = await insured.encrypt_person(session, config, act.patient_id, person, now=now)
    for each in sorted(leaving, key=lambda leg: leg.payer_kind != Payer.AMO.value):
        leg = await store.lock_leg(session, each.id)
        await legs.resume_after_rights(session, config, root, leg, person, now=now)
    await legs.settle_pending(session, act)


def _tell_kept(session: AsyncSession, kept: Sequence[Leg], reason: str, *, now: datetime) -> None:
    """Why claims go on waiting although the rights are proven, for support to see."""
    for leg in kept:
        story.tell(
            session,
            leg.appointment_id,
            "leg",
            leg.state.value,
            now=now,
            leg=leg,
            amount_cents=leg.amount_cents,
            reason=reason,
        )


def _share(parts: Mapping[str, ClaimPart], leg: Leg) -> Cents | None:
    part = parts.get(leg.payer_kind)
    return None if part is None else part.amount_cents


async def _take_share(
    session: AsyncSession, leg: Leg, parts: Mapping[str, ClaimPart], *, now: datetime
) -> None:
    part = parts.get(leg.payer_kind)
    if part is None:
        story.move(session, leg, Move.ABANDON, now=now, reason="no-share-left")
    else:
        legs.share_anew(leg, part)
