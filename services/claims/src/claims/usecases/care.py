"""The final price of a performed consultation, with the coverage that was valid when it ended."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain.asking import Consultation, inputs_of
from claims.domain.calendar import day_in_paris
from claims.domain.pricing import price
from claims.models import CareAct, QuoteState, Status, Stream
from claims.usecases import coverage, early, insured, legs, pricing, quotes
from claims.usecases.means import Means, SeenInsured
from common.events.booking import ConsultationCompletedV1
from common.events.claims import CarePricedV1
from common.events.envelope import Meta
from common.ids import uuid7
from common.messaging import history, outbox
from common.messaging.records import APPLIED, Outcome, ignored, waiting


async def take_completion(
    session: AsyncSession, means: Means, event: ConsultationCompletedV1, meta: Meta, *, now: datetime
) -> Outcome:
    """Prices the care, and opens one leg per payer.

    Raises PricingRefused when no price exists for what was done: the record becomes a dead letter, which a
    person redrives once the tables or the coding are right.
    """
    stream = await early.known_stream(session, event, meta)
    if stream is None:
        return waiting("appointment-requested")
    if stream.status is Status.PRICED:
        return ignored("already-priced")
    if stream.status is Status.ENDED:
        return ignored("appointment-ended")
    history.note(session, stream.id, meta.type, at=meta.time)
    head = await store.lock_coverage(session, event.patient_id)
    row = await store.find_coverage_at(session, event.patient_id, instant=event.completed_at)
    head.priced_until = max(head.priced_until or event.completed_at, event.completed_at)
    care_on = day_in_paris(event.starts_at)
    known = await coverage.opened(session, means, row, care_on=care_on)
    _, booked_on = quotes.asked_of(stream)
    inputs = inputs_of(
        _consultation_of(event), known.insurance, care_on=care_on, booked_on=booked_on, tables=means.tables
    )
    # The tables as known when the care was done: pricing it late gives the same cents.
    priced = price(inputs, means.tables, means.policy, as_known_at=event.completed_at)
    last = await store.find_issued_quote(session, stream.id)
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
        rights_pending=False,
        insured_sealed=await insured.seal_person(session, means, event.patient_id, known.person, now=now),
        **await pricing.columns(
            session,
            means,
            inputs,
            priced,
            owner=event.patient_id,
            kept=True,
            known_at=event.completed_at,
            now=now,
        ),
    )
    session.add(act)
    await session.flush()
    outbox.add(session, stream, _priced(stream, act), now=now)
    await legs.open_legs(session, means, stream, act, priced, known.person, now=now)
    return APPLIED


async def insured_person(session: AsyncSession, means: Means, appointment_id: UUID) -> SeenInsured:
    """Whom the appointment is billed for: as the care was priced, or before that as known now."""
    stream = await store.get_stream(session, appointment_id)
    act = await store.find_care_act(session, appointment_id)
    assert stream.patient_id and stream.starts_at  # noqa: S101, PT018  the request set them
    if act is not None:
        person = await insured.person_of(session, means, act)
    else:
        row = await store.find_current_coverage(session, stream.patient_id)
        known = await coverage.opened(session, means, row, care_on=day_in_paris(stream.starts_at))
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
        acts=tuple(act.code for act in event.acts),
        overrun_qualifier=event.overrun_qualifier,
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
