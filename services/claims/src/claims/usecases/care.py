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
from claims.models import CareAct, Quote, QuoteState, Status, Stream, UnpricedCare
from claims.usecases import coverage, early, insured, legs, pricing, questions, quotes, story
from claims.usecases.means import Means, SeenInsured
from common.events.booking import ConsultationCompletedV1
from common.events.claims import CarePricedV1
from common.events.envelope import Meta
from common.ids import uuid7
from common.messaging import history, outbox
from common.messaging.records import APPLIED, Outcome, ignored, waiting

PAYER_KINDS: Final[tuple[PayerKind, ...]] = ("amo", "amc")


async def take_completion(
    session: AsyncSession, means: Means, event: ConsultationCompletedV1, meta: Meta, *, now: datetime
) -> Outcome:
    """Prices the care, and opens one leg per payer.

    When no price exists for what was done the care is kept as unpriced: whoever can correct it sees why.
    """
    stream = await early.known_stream(session, event, meta)
    if stream is None:
        return waiting("appointment-requested")
    if stream.status is Status.PRICED:
        return ignored("already-priced")
    if stream.status is Status.UNPRICED:
        return ignored("already-completed")
    if stream.status is Status.ENDED:
        return ignored("appointment-ended")
    history.note(session, stream.id, meta.type, at=meta.time)
    try:
        # The tables as known when the care was done: pricing it late gives the same cents.
        await price_care(session, means, stream, event, known_at=event.completed_at, now=now)
    except PricingRefused as refused:
        _keep_unpriced(session, means, stream, event, refused, now=now)
    return APPLIED


async def price_care(
    session: AsyncSession,
    means: Means,
    stream: Stream,
    event: ConsultationCompletedV1,
    *,
    known_at: datetime,
    now: datetime,
) -> CareAct:
    """The final price of the care of a locked stream, with the coverage of its end; its legs are planned.

    Raises PricingRefused, before anything but the coverage's `priced_until` is written.
    """
    head = await store.lock_coverage(session, event.patient_id)
    row = await store.find_coverage_at(session, event.patient_id, instant=event.completed_at)
    head.priced_until = max(head.priced_until or event.completed_at, event.completed_at)
    consultation = _consultation_of(event)
    care_on = day_at(event.starts_at, consultation.clock)
    known = await coverage.opened(session, means, row, care_on=care_on, known_at=event.completed_at)
    last = await store.find_issued_quote(session, stream.id)
    parked = await _parked(session, means, known, last, event, care_on=care_on)
    _, booked_on = quotes.asked_of(stream)
    inputs = await questions.asked(
        session,
        means,
        consultation,
        known.declared if RightsVerdict.REFUSED in parked.values() else known.insurance,
        offer=known.offer,
        patient_id=event.patient_id,
        practitioner_id=event.practitioner_id,
        when=When(care_on=care_on, booked_on=booked_on, starts_at=event.starts_at),
    )
    priced = price(inputs, means.tables, means.policy, as_known_at=known_at)
    waiting_for = {
        part.payer.value
        for part in priced.claim_parts
        if part.payer.value in parked or "amo" in parked  # an AMC pays what the fund has settled
    }
    if waiting_for:
        priced = pricing.unverified(means, priced)
    # Rights that are proven later price the care that was done, not the one that was asked for.
    stream.request = dict(stream.request or {}) | {"exemption_related": event.exemption_related}
    if last is not None:
        last.state = QuoteState.SUPERSEDED
    stream.status = Status.PRICED
    stream.revision += 1
    act = CareAct(
        id=uuid7(now),
        appointment_id=stream.id,
        patient_id=event.patient_id,
        account_id=event.account_id,
        practitioner_id=event.practitioner_id,
        biller_id=event.biller_id,
        revision=stream.revision,
        coverage_version=known.version,
        care_on=care_on,
        completed_at=event.completed_at,
        priced_at=now,
        pathway_indicator=priced.pathway_indicator,
        rights_pending=bool(waiting_for),
        flat_contribution_cents=priced.flat_contribution_cents,
        partner_session=priced.reimbursable and event.profession == PSYCHOLOGIST,
        sponsor_offer_id=known.offer.id if known.offer and priced.sponsor_cents else None,
        insured_sealed=await insured.seal_person(session, means, event.patient_id, known.person, now=now),
        **await pricing.columns(
            session,
            means,
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
    story.tell(session, stream.id, "care-act", "priced", now=now, amount_cents=act.fee_cents, reason=reason)
    outbox.add(session, stream, _priced(stream, act), now=now)
    legs.plan_legs(session, stream, act, priced, known.person, parked=waiting_for)
    if waiting_for:
        coverage.plan_look_up(
            session, event.patient_id, key=f"{stream.id}:completed", care_on=care_on, due_at=now
        )
    return act


async def price_anew(
    session: AsyncSession,
    means: Means,
    stream: Stream,
    act: CareAct,
    known: coverage.Known,
    inputs: Inputs,
    priced: Priced,
    *,
    now: datetime,
) -> None:
    """The next revision of a final price: the rights proven since give the payers other shares.

    Only while no claim of the care has left, and with the same advance: the card is settled already.
    """
    stream.revision += 1
    stored = await pricing.columns(
        session, means, inputs, priced, owner=act.patient_id, kept=True, known_at=act.known_at, now=now
    )
    for name, value in stored.items():
        setattr(act, name, value)
    act.revision, act.coverage_version, act.rights_pending = stream.revision, known.version, False
    act.pathway_indicator = priced.pathway_indicator
    act.flat_contribution_cents = priced.flat_contribution_cents
    cents = act.fee_cents
    story.tell(session, stream.id, "care-act", "priced", now=now, amount_cents=cents, reason="rights-proven")
    outbox.add(session, stream, _priced(stream, act), now=now)


async def _parked(
    session: AsyncSession,
    means: Means,
    known: coverage.Known,
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
    parked: dict[str, RightsVerdict] = {}
    refused: dict[str, RightsVerdict] = {}
    for kind, verdict in verdicts.items():
        if verdict is RightsVerdict.UNAVAILABLE:
            parked[kind] = verdict
        elif verdict is RightsVerdict.REFUSED:
            refused[kind] = verdict
    if refused and quoted is not None:
        before = await pricing.inputs_again(session, means, quoted, owner=event.patient_id, kept=False)
        agreed = {"amo": before.nir is Nir.FAILED, "amc": before.amc is Amc.UNKNOWN}
        if not all(agreed[kind] for kind in refused):
            parked |= refused
    return parked


def _keep_unpriced(
    session: AsyncSession,
    means: Means,
    stream: Stream,
    event: ConsultationCompletedV1,
    refused: PricingRefused,
    *,
    now: datetime,
) -> None:
    stream.status = Status.UNPRICED
    session.add(
        UnpricedCare(
            appointment_id=stream.id,
            patient_id=event.patient_id,
            practitioner_id=event.practitioner_id,
            completed_at=event.completed_at,
            care_on=day_at(event.starts_at, _consultation_of(event).clock),
            completion=event.model_dump(mode="json"),
            refusal=refused.code,
            field=refused.field,
            rule=refused.rule,
            table_version=means.tables.version,
            corrections=0,
            since=now,
        )
    )
    history.note(session, stream.id, "claims.care-unpriced", at=now)
    story.tell(session, stream.id, "care-act", "unpriced", now=now, reason=refused.code)


async def insured_person(session: AsyncSession, means: Means, appointment_id: UUID) -> SeenInsured:
    """Whom the appointment is billed for: as the care was priced, or before that as known now."""
    stream = await store.get_stream(session, appointment_id)
    act = await store.find_care_act(session, appointment_id)
    assert stream.patient_id and stream.starts_at  # noqa: S101, PT018  the request set them
    if act is not None:
        person = await insured.person_of(session, means, act)
    else:
        row = await store.find_current_coverage(session, stream.patient_id)
        consultation, _ = quotes.asked_of(stream)
        care_on = day_at(stream.starts_at, consultation.clock)
        known = await coverage.opened(session, means, row, care_on=care_on)
        person = known.person
    return SeenInsured(appointment_id=stream.id, patient_id=stream.patient_id, person=person)


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


def _priced(stream: Stream, act: CareAct) -> CarePricedV1:
    return CarePricedV1.model_validate(
        {
            "appointment_id": stream.id,
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
