"""The final price of a performed consultation, with the coverage that was valid when it ended."""

from datetime import date, datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain.asking import Consultation, When
from claims.domain.calendar import day_at
from claims.domain.pricing import Amc, Inputs, Nir, Priced, PricingRefused, price
from claims.domain.rights import PayerKind, RightsVerdict
from claims.domain.situation import PSYCHOLOGIST
from claims.models import AppointmentRoot, CareAct, Quote, QuoteState, Status, UnpricedCare
from claims.usecases import coverage, early, insured, legs, pricing, questions, quotes, story
from claims.usecases.config import ClaimsConfig, SeenInsured
from common.events.booking import ConsultationCompletedV1
from common.events.claims import CarePricedV1
from common.events.envelope import Meta
from common.ids import uuid7
from common.messaging import history, outbox
from common.messaging.records import APPLIED, Outcome, ignored, waiting

PAYER_KINDS: Final[tuple[PayerKind, ...]] = ("amo", "amc")


async def take_completion(
    session: AsyncSession, config: ClaimsConfig, event: ConsultationCompletedV1, meta: Meta, *, now: datetime
) -> Outcome:
    """Prices the care, and opens one leg per payer.

    When no price exists for what was done the care is kept as unpriced: whoever can correct it sees why.
    """
    root = await early.known_root(session, event, meta)
    if root is None:
        return waiting("appointment-requested")
    if root.status is Status.PRICED:
        return ignored("already-priced")
    if root.status is Status.UNPRICED:
        return ignored("already-completed")
    if root.status is Status.ENDED:
        return ignored("appointment-ended")
    history.note(session, root.id, meta.type, at=meta.time)
    try:
        # The tables as known when the care was done: pricing it late gives the same cents.
        await price_care(session, config, root, event, known_at=event.completed_at, now=now)
    except PricingRefused as refused:
        _keep_unpriced(session, config, root, event, refused, now=now)
    return APPLIED


async def price_care(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    event: ConsultationCompletedV1,
    *,
    known_at: datetime,
    now: datetime,
) -> CareAct:
    """The final price of the care of a locked root, with the coverage of its end; its legs are planned.

    Raises PricingRefused, before anything but the coverage's `priced_until` is written.
    """
    head = await store.lock_coverage(session, event.patient_id)
    row = await store.find_coverage_at(session, event.patient_id, instant=event.completed_at)
    head.priced_until = max(head.priced_until or event.completed_at, event.completed_at)
    consultation = _consultation_of(event)
    care_on = day_at(event.starts_at, consultation.clock)
    known = await coverage.opened(session, config, row, care_on=care_on, known_at=event.completed_at)
    last = await store.find_issued_quote(session, root.id)
    awaiting_rights = await _awaiting_rights(session, config, known, last, event, care_on=care_on)
    _, booked_on = quotes.stored_consultation_of(root)
    inputs = await questions.asked(
        session,
        config,
        consultation,
        known.declared if RightsVerdict.REFUSED in awaiting_rights.values() else known.insurance,
        offer=known.offer,
        patient_id=event.patient_id,
        practitioner_id=event.practitioner_id,
        when=When(care_on=care_on, booked_on=booked_on, starts_at=event.starts_at),
    )
    priced = price(inputs, config.tables, config.policy, as_known_at=known_at)
    waiting_for = {
        part.payer.value
        for part in priced.claim_parts
        if part.payer.value in awaiting_rights
        or "amo" in awaiting_rights  # an AMC pays what the fund has settled
    }
    if waiting_for:
        priced = pricing.unverified(config, priced)
    # Rights that are proven later price the care that was done, not the one that was asked for.
    root.request = dict(root.request or {}) | {"exemption_related": event.exemption_related}
    if last is not None:
        last.state = QuoteState.SUPERSEDED
    root.status = Status.PRICED
    root.revision += 1
    act = CareAct(
        id=uuid7(now),
        appointment_id=root.id,
        patient_id=event.patient_id,
        account_id=event.account_id,
        practitioner_id=event.practitioner_id,
        biller_id=event.biller_id,
        revision=root.revision,
        coverage_version=known.version,
        care_on=care_on,
        completed_at=event.completed_at,
        priced_at=now,
        pathway_indicator=priced.pathway_indicator,
        rights_pending=bool(waiting_for),
        flat_contribution_cents=priced.flat_contribution_cents,
        partner_session=priced.reimbursable and event.profession == PSYCHOLOGIST,
        sponsor_offer_id=known.offer.id if known.offer and priced.sponsor_cents else None,
        insured_encrypted=await insured.encrypt_person(
            session, config, event.patient_id, known.person, now=now
        ),
        **await pricing.columns(
            session,
            config,
            inputs,
            priced,
            owner=event.patient_id,
            kept=True,
            known_at=known_at,
            now=now,
        ),
    )
    store.add_care_act(session, act)
    reason = "rights-pending" if act.rights_pending else None
    story.tell(session, root.id, "care-act", "priced", now=now, amount_cents=act.fee_cents, reason=reason)
    outbox.add(session, root, _priced(root, act), now=now)
    legs.plan_legs(session, root, act, priced, known.person, awaiting_rights=waiting_for)
    if waiting_for:
        coverage.plan_look_up(
            session, event.patient_id, key=f"{root.id}:completed", care_on=care_on, due_at=now
        )
    return act


async def price_anew(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    act: CareAct,
    known: coverage.CoverageSnapshot,
    inputs: Inputs,
    priced: Priced,
    *,
    now: datetime,
) -> None:
    """The next revision of a final price: the rights proven since give the payers other shares.

    Only while no claim of the care has left, and with the same advance: the card is settled already.
    """
    root.revision += 1
    stored = await pricing.columns(
        session, config, inputs, priced, owner=act.patient_id, kept=True, known_at=act.known_at, now=now
    )
    for name, value in stored.items():
        setattr(act, name, value)
    act.revision, act.coverage_version, act.rights_pending = root.revision, known.version, False
    act.pathway_indicator = priced.pathway_indicator
    act.flat_contribution_cents = priced.flat_contribution_cents
    cents = act.fee_cents
    story.tell(session, root.id, "care-act", "priced", now=now, amount_cents=cents, reason="rights-proven")
    outbox.add(session, root, _priced(root, act), now=now)


async def _awaiting_rights(
    session: AsyncSession,
    config: ClaimsConfig,
    known: coverage.CoverageSnapshot,
    quoted: Quote | None,
    event: ConsultationCompletedV1,
    *,
    care_on: date,
) -> dict[str, RightsVerdict]:
    """Payers whose claim waits for rights, with what their service said.

    A refusal that the last quote did not know is news to the patient: the price stays the one quoted, and
    the claim waits until the rights are proven or the deadline passes. Nothing is charged silently.
    """
    verdicts = {kind: known.verdict(kind, care_on=care_on) for kind in PAYER_KINDS}
    awaiting_rights: dict[str, RightsVerdict] = {}
    refused: dict[str, RightsVerdict] = {}
    for kind, verdict in verdicts.items():
        if verdict is RightsVerdict.UNAVAILABLE:
            awaiting_rights[kind] = verdict
        elif verdict is RightsVerdict.REFUSED:
            refused[kind] = verdict
    if refused and quoted is not None:
        before = await pricing.inputs_again(session, config, quoted, owner=event.patient_id, kept=False)
        agreed = {"amo": before.nir is Nir.FAILED, "amc": before.amc is Amc.UNKNOWN}
        if not all(agreed[kind] for kind in refused):
            awaiting_rights |= refused
    return awaiting_rights


def _keep_unpriced(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    event: ConsultationCompletedV1,
    refused: PricingRefused,
    *,
    now: datetime,
) -> None:
    root.status = Status.UNPRICED
    session.add(
        UnpricedCare(
            appointment_id=root.id,
            patient_id=event.patient_id,
            practitioner_id=event.practitioner_id,
            completed_at=event.completed_at,
            care_on=day_at(event.starts_at, _consultation_of(event).clock),
            completion=event.model_dump(mode="json"),
            refusal=refused.code,
            field=refused.field,
            rule=refused.rule,
            table_version=config.tables.version,
            corrections=0,
            since=now,
        )
    )
    history.note(session, root.id, "claims.care-unpriced", at=now)
    story.tell(session, root.id, "care-act", "unpriced", now=now, reason=refused.code)


async def insured_person(session: AsyncSession, config: ClaimsConfig, appointment_id: UUID) -> SeenInsured:
    """Whom the appointment is billed for: as the care was priced, or before that as known now."""
    root = await store.get_root(session, appointment_id)
    act = await store.find_care_act(session, appointment_id)
    assert root.patient_id and root.starts_at  # noqa: S101, PT018  the request set them
    if act is not None:
        person = await insured.person_of(session, config, act)
    else:
        row = await store.find_current_coverage(session, root.patient_id)
        consultation, _ = quotes.stored_consultation_of(root)
        care_on = day_at(root.starts_at, consultation.clock)
        known = await coverage.opened(session, config, row, care_on=care_on)
        person = known.person
    return SeenInsured(appointment_id=root.id, patient_id=root.patient_id, person=person)


def _consultation_of(event: ConsultationCompletedV1) -> Consultation:
    return Consultation(
        profession=event.profession,
        specialty=event.specialty,
        sector=event.sector,
        zone=event.zone,
        agreed_company=event.agreed_company,
        third_party_payment=event.third_party_payment,
        fee_cents=event.fee_cents,
        pathway=event.pathway,
        territory=event.territory,
        exemption_related=event.exemption_related,
        under_16=event.under_16,
        minor_on_1_january=event.minor_on_1_january,
        age_group=event.age_group,
        seen_in_person=event.seen_in_person,
        acts=tuple(act.code for act in event.acts),
        overrun_qualifier=event.overrun_qualifier,
        time_zone=quotes.time_zone_of(event),
    )


def _priced(root: AppointmentRoot, act: CareAct) -> CarePricedV1:
    return CarePricedV1.model_validate(
        {
            "appointment_id": root.id,
            "patient_id": act.patient_id,
            "account_id": act.account_id,
            "practitioner_id": act.practitioner_id,
            "revision": act.revision,
            "coverage_version": act.coverage_version,
            "care_act_id": act.id,
            "biller_id": act.biller_id,
            "completed_at": act.completed_at,
            "pathway_indicator": act.pathway_indicator,
            "rights_pending": act.rights_pending,
            **pricing.event_amounts(act),
        }
    )
