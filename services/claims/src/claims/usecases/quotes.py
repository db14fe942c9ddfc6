"""Who pays what before the consultation: previews, and the revisions of a quote."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain.asking import Consultation, Insurance, When
from claims.domain.calendar import day_at
from claims.domain.pricing import PricingRefused, price
from claims.models import Preview, Quote, QuoteState, SponsorOffer, Status, Stream
from claims.usecases import coverage, early, pricing, questions
from claims.usecases.means import Means
from common.events.booking import (
    AppointmentMovedV1,
    AppointmentRequestedV1,
    BookingFact,
    ConsultationCompletedV1,
    ConsultationStartedV1,
)
from common.events.claims import QuoteIssuedV1, QuoteVoidedV1
from common.events.envelope import Meta
from common.ids import uuid7
from common.messaging import history, outbox
from common.messaging.records import APPLIED, Outcome, ignored, waiting
from common.money import Cents
from common.places import TIME_ZONES


async def preview(
    session: AsyncSession,
    means: Means,
    consultation: Consultation,
    insurance: Insurance,
    *,
    offer: SponsorOffer | None,
    when: When,
    patient_id: UUID | None,
    practitioner_id: UUID | None,
    created_by: UUID,
    now: datetime,
) -> Preview:
    """A price nobody is bound to, kept so that a booking can say what was seen. Raises PricingRefused."""
    inputs = await questions.asked(
        session,
        means,
        consultation,
        insurance,
        offer=offer,
        patient_id=patient_id,
        practitioner_id=practitioner_id,
        when=when,
    )
    priced = price(inputs, means.tables, means.policy, as_known_at=now)
    columns = await pricing.columns(
        session, means, inputs, priced, owner=patient_id or created_by, kept=False, known_at=now, now=now
    )
    row = Preview(id=uuid7(now), created_at=now, created_by=created_by, patient_id=patient_id, **columns)
    session.add(row)
    await session.flush()
    return row


async def take_request(
    session: AsyncSession, means: Means, event: AppointmentRequestedV1, meta: Meta, *, now: datetime
) -> Outcome:
    stream = await store.lock_stream(session, event.appointment_id)
    if stream.status is not Status.UNKNOWN:
        return ignored("already-requested")
    history.note(session, stream.id, meta.type, at=meta.time)
    stream.status = Status.LIVE
    stream.patient_id, stream.account_id = event.patient_id, event.account_id
    stream.practitioner_id = event.practitioner_id
    stream.schedule_no, stream.decide_by = event.schedule_no, event.decide_by
    stream.starts_at, stream.ends_at = event.starts_at, event.ends_at
    # The release before this one reads it too, and knows no more of it than is given.
    consultation = consultation_of(event)
    asked = {name: value for name, value in asdict(consultation).items() if value is not None}
    stream.request = asked | {"booked_on": day_at(meta.time, consultation.clock).isoformat()}
    stream.accepted_advance_cents = await store.find_accepted_advance(
        session, event.preview_id, account_id=event.account_id, patient_id=event.patient_id
    )
    await _issue(session, means, stream, now=now)
    return APPLIED


async def take_move(
    session: AsyncSession, means: Means, event: AppointmentMovedV1, meta: Meta, *, now: datetime
) -> Outcome:
    stream = await early.known_stream(session, event, meta)
    if stream is None:
        return waiting("appointment-requested")
    if stream.status is not Status.LIVE:
        return ignored("not-live")
    if event.schedule_no <= stream.schedule_no:
        return ignored("older-schedule")
    history.note(session, stream.id, meta.type, at=meta.time)
    stream.schedule_no, stream.decide_by = event.schedule_no, event.decide_by
    stream.starts_at, stream.ends_at = event.starts_at, event.ends_at
    request = dict(stream.request or {})
    stream.request = request | _place_of(event, request)
    await _issue(session, means, stream, now=now)
    return APPLIED


async def take_start(session: AsyncSession, event: ConsultationStartedV1, meta: Meta) -> Outcome:
    stream = await early.known_stream(session, event, meta)
    if stream is None:
        return waiting("appointment-requested")
    if stream.status is not Status.LIVE:
        return ignored("not-live")
    history.note(session, stream.id, meta.type, at=meta.time)
    stream.status = Status.STARTED
    return APPLIED


async def take_end(session: AsyncSession, event: BookingFact, meta: Meta, *, now: datetime) -> Outcome:
    """Cancelled, abandoned, not billed or patient absent: the quote is void."""
    stream = await early.known_stream(session, event, meta)
    if stream is None:
        return waiting("appointment-requested")
    if stream.status is Status.PRICED:
        return ignored("care-priced")
    if stream.status is Status.UNPRICED:
        return ignored("care-performed")
    if stream.status is Status.ENDED:
        return ignored("already-ended")
    history.note(session, stream.id, meta.type, at=meta.time)
    stream.status = Status.ENDED
    quote = await store.find_issued_quote(session, stream.id)
    if quote is not None:
        quote.state = QuoteState.VOIDED
        voided = QuoteVoidedV1(
            appointment_id=stream.id, revision=quote.revision, reason="appointment-ended", refusal=None
        )
        outbox.add(session, stream, voided, now=now)
    return APPLIED


async def price_again(session: AsyncSession, means: Means, appointment_id: UUID, *, now: datetime) -> None:
    """The next revision, when the coverage has changed something that counts and the visit has not begun."""
    stream = await store.lock_stream(session, appointment_id)
    if stream.status is Status.LIVE:
        await _issue(session, means, stream, now=now)


def consultation_of(event: AppointmentRequestedV1) -> Consultation:
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
        overrun_qualifier=event.overrun_qualifier,
        time_zone=time_zone_of(event),
    )


def time_zone_of(event: AppointmentRequestedV1 | ConsultationCompletedV1) -> str | None:
    """None where it is that of the tariff zone: the release before this one knows no other."""
    return None if event.time_zone == TIME_ZONES[event.zone] else event.time_zone


def _place_of(event: AppointmentMovedV1, request: dict[str, Any]) -> dict[str, Any]:
    """Where the practitioner works by now, and the ages on the day there.

    An older event says nothing of them, and they stay.
    """
    elsewhere = request.get("time_zone") or event.time_zone != TIME_ZONES[request["zone"]]
    told = {
        "time_zone": event.time_zone if elsewhere else None,
        "under_16": event.under_16,
        "minor_on_1_january": event.minor_on_1_january,
        "age_group": event.age_group,
    }
    return {name: value for name, value in told.items() if value is not None}


def asked_of(stream: Stream) -> tuple[Consultation, date]:
    """What was asked for, and the day of booking."""
    stored: dict[str, Any] = dict(stream.request or {})
    booked_on = date.fromisoformat(stored.pop("booked_on"))
    return Consultation(**stored | {"acts": tuple(stored["acts"])}), booked_on


async def _issue(session: AsyncSession, means: Means, stream: Stream, *, now: datetime) -> None:
    """Revision + 1, unless nothing has changed. The coverage cannot change until this transaction ends."""
    assert stream.patient_id and stream.starts_at  # noqa: S101, PT018  the request set them
    head = await store.share_coverage(session, stream.patient_id)
    row = (
        await store.find_coverage_version(session, stream.patient_id, version=head.version)
        if head.version
        else None
    )
    consultation, booked_on = asked_of(stream)
    care_on = day_at(stream.starts_at, consultation.clock)
    known = await coverage.opened(session, means, row, care_on=care_on)
    _verify_before_the_visit(session, means, stream, known, care_on=care_on, now=now)
    inputs = await questions.asked(
        session,
        means,
        consultation,
        known.insurance,
        offer=known.offer,
        patient_id=stream.patient_id,
        practitioner_id=stream.practitioner_id,
        when=When(care_on=care_on, booked_on=booked_on, starts_at=stream.starts_at, ordinary_fee=True),
    )
    last = await store.find_issued_quote(session, stream.id) if stream.revision else None
    unchanged = last is not None and last.inputs_index == pricing.inputs_index(means, inputs)
    if last is not None and unchanged and last.schedule_no == stream.schedule_no:
        return
    try:
        priced = price(inputs, means.tables, means.policy, as_known_at=now)
    except PricingRefused as refused:
        _refuse(session, stream, refused, now=now)
        return
    if known.unverified(care_on=care_on):
        priced = pricing.unverified(means, priced)
    if last is not None:
        last.state = QuoteState.SUPERSEDED
    stream.revision += 1
    quote = Quote(
        appointment_id=stream.id,
        revision=stream.revision,
        schedule_no=stream.schedule_no,
        coverage_version=known.version,
        state=QuoteState.ISSUED,
        issued_at=now,
        **await pricing.columns(
            session, means, inputs, priced, owner=stream.patient_id, kept=False, known_at=now, now=now
        ),
    )
    store.add_quote(session, quote)
    outbox.add(session, stream, _issued(stream, quote), now=now)


def _verify_before_the_visit(
    session: AsyncSession,
    means: Means,
    stream: Stream,
    known: coverage.Known,
    *,
    care_on: date,
    now: datetime,
) -> None:
    """Rights may end between booking and visit: they are asked again shortly before it."""
    if means.terms.look_up_rights and known.has_numbers and stream.patient_id and stream.starts_at:
        coverage.plan_look_up(
            session,
            stream.patient_id,
            key=f"{stream.id}:{stream.schedule_no}",
            care_on=care_on,
            due_at=max(now, stream.starts_at - means.terms.verify_before),
        )


def _refuse(session: AsyncSession, stream: Stream, refused: PricingRefused, *, now: datetime) -> None:
    """No price exists. An earlier revision, if there is one, stays: the patient agreed to it."""
    if stream.revision > 0:
        history.note(session, stream.id, "claims.price-again-refused", at=now)
        return
    stream.revision = 1
    voided = QuoteVoidedV1.model_validate(
        {"appointment_id": stream.id, "revision": 1, "reason": "refused", "refusal": refused.code}
    )
    outbox.add(session, stream, voided, now=now)


def _issued(stream: Stream, quote: Quote) -> QuoteIssuedV1:
    accepted = stream.accepted_advance_cents
    return QuoteIssuedV1.model_validate(
        {
            "appointment_id": stream.id,
            "patient_id": stream.patient_id,
            "account_id": stream.account_id,
            "practitioner_id": stream.practitioner_id,
            "revision": quote.revision,
            "coverage_version": quote.coverage_version,
            "schedule_no": stream.schedule_no,
            "decide_by": stream.decide_by,
            "starts_at": stream.starts_at,
            "ends_at": stream.ends_at,
            "accepted_advance_cents": None if accepted is None else Cents(accepted),
            **pricing.event_amounts(quote),
        }
    )
