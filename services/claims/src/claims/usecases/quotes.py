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
from claims.models import AppointmentRoot, Preview, Quote, QuoteState, SponsorOffer, Status
from claims.usecases import coverage, early, pricing, questions
from claims.usecases.config import ClaimsConfig
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
    config: ClaimsConfig,
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
        config,
        consultation,
        insurance,
        offer=offer,
        patient_id=patient_id,
        practitioner_id=practitioner_id,
        when=when,
    )
    priced = price(inputs, config.tables, config.policy, as_known_at=now)
    columns = await pricing.columns(
        session, config, inputs, priced, owner=patient_id or created_by, kept=False, known_at=now, now=now
    )
    row = Preview(id=uuid7(now), created_at=now, created_by=created_by, patient_id=patient_id, **columns)
    session.add(row)
    await session.flush()
    return row


async def take_request(
    session: AsyncSession, config: ClaimsConfig, event: AppointmentRequestedV1, meta: Meta, *, now: datetime
) -> Outcome:
    root = await store.lock_root(session, event.appointment_id)
    if root.status is not Status.UNKNOWN:
        return ignored("already-requested")
    history.note(session, root.id, meta.type, at=meta.time)
    root.status = Status.LIVE
    root.patient_id, root.account_id = event.patient_id, event.account_id
    root.practitioner_id = event.practitioner_id
    root.schedule_no, root.decide_by = event.schedule_no, event.decide_by
    root.starts_at, root.ends_at = event.starts_at, event.ends_at
    # The release before this one reads it too, and knows no more of it than is given.
    consultation = consultation_of(event)
    asked = {name: value for name, value in asdict(consultation).items() if value is not None}
    root.request = asked | {"booked_on": day_at(meta.time, consultation.clock).isoformat()}
    root.accepted_advance_cents = await store.find_accepted_advance(
        session, event.preview_id, account_id=event.account_id, patient_id=event.patient_id
    )
    await _issue(session, config, root, now=now)
    return APPLIED


async def take_move(
    session: AsyncSession, config: ClaimsConfig, event: AppointmentMovedV1, meta: Meta, *, now: datetime
) -> Outcome:
    root = await early.known_root(session, event, meta)
    if root is None:
        return waiting("appointment-requested")
    if root.status is not Status.LIVE:
        return ignored("not-live")
    if event.schedule_no <= root.schedule_no:
        return ignored("older-schedule")
    history.note(session, root.id, meta.type, at=meta.time)
    root.schedule_no, root.decide_by = event.schedule_no, event.decide_by
    root.starts_at, root.ends_at = event.starts_at, event.ends_at
    request = dict(root.request or {})
    root.request = request | _place_of(event, request)
    await _issue(session, config, root, now=now)
    return APPLIED


async def take_start(session: AsyncSession, event: ConsultationStartedV1, meta: Meta) -> Outcome:
    root = await early.known_root(session, event, meta)
    if root is None:
        return waiting("appointment-requested")
    if root.status is not Status.LIVE:
        return ignored("not-live")
    history.note(session, root.id, meta.type, at=meta.time)
    root.status = Status.STARTED
    return APPLIED


async def take_end(session: AsyncSession, event: BookingFact, meta: Meta, *, now: datetime) -> Outcome:
    """Cancelled, abandoned, not billed or patient absent: the quote is void."""
    root = await early.known_root(session, event, meta)
    if root is None:
        return waiting("appointment-requested")
    if root.status is Status.PRICED:
        return ignored("care-priced")
    if root.status is Status.UNPRICED:
        return ignored("care-performed")
    if root.status is Status.ENDED:
        return ignored("already-ended")
    history.note(session, root.id, meta.type, at=meta.time)
    root.status = Status.ENDED
    quote = await store.find_issued_quote(session, root.id)
    if quote is not None:
        quote.state = QuoteState.VOIDED
        voided = QuoteVoidedV1(
            appointment_id=root.id, revision=quote.revision, reason="appointment-ended", refusal=None
        )
        outbox.add(session, root, voided, now=now)
    return APPLIED


async def price_again(
    session: AsyncSession, config: ClaimsConfig, appointment_id: UUID, *, now: datetime
) -> None:
    """The next revision, when the coverage has changed something that counts and the visit has not begun."""
    root = await store.lock_root(session, appointment_id)
    if root.status is Status.LIVE:
        await _issue(session, config, root, now=now)


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


def stored_consultation_of(root: AppointmentRoot) -> tuple[Consultation, date]:
    """What was asked for, and the day of booking."""
    stored: dict[str, Any] = dict(root.request or {})
    booked_on = date.fromisoformat(stored.pop("booked_on"))
    return Consultation(**stored | {"acts": tuple(stored["acts"])}), booked_on


async def _issue(
    session: AsyncSession, config: ClaimsConfig, root: AppointmentRoot, *, now: datetime
) -> None:
    """Revision + 1, unless nothing has changed. The coverage cannot change until this transaction ends."""
    assert root.patient_id and root.starts_at  # noqa: S101, PT018  the request set them
    head = await store.share_coverage(session, root.patient_id)
    row = (
        await store.find_coverage_version(session, root.patient_id, version=head.version)
        if head.version
        else None
    )
    consultation, booked_on = stored_consultation_of(root)
    care_on = day_at(root.starts_at, consultation.clock)
    known = await coverage.opened(session, config, row, care_on=care_on)
    _verify_before_the_visit(session, config, root, known, care_on=care_on, now=now)
    inputs = await questions.asked(
        session,
        config,
        consultation,
        known.insurance,
        offer=known.offer,
        patient_id=root.patient_id,
        practitioner_id=root.practitioner_id,
        when=When(care_on=care_on, booked_on=booked_on, starts_at=root.starts_at, ordinary_fee=True),
    )
    last = await store.find_issued_quote(session, root.id) if root.revision else None
    unchanged = last is not None and last.inputs_index == pricing.inputs_index(config, inputs)
    if last is not None and unchanged and last.schedule_no == root.schedule_no:
        return
    try:
        priced = price(inputs, config.tables, config.policy, as_known_at=now)
    except PricingRefused as refused:
        _refuse(session, root, refused, now=now)
        return
    if known.unverified(care_on=care_on):
        priced = pricing.unverified(config, priced)
    if last is not None:
        last.state = QuoteState.SUPERSEDED
    root.revision += 1
    quote = Quote(
        appointment_id=root.id,
        revision=root.revision,
        schedule_no=root.schedule_no,
        coverage_version=known.version,
        state=QuoteState.ISSUED,
        issued_at=now,
        **await pricing.columns(
            session, config, inputs, priced, owner=root.patient_id, kept=False, known_at=now, now=now
        ),
    )
    store.add_quote(session, quote)
    outbox.add(session, root, _issued(root, quote), now=now)


def _verify_before_the_visit(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    known: coverage.CoverageSnapshot,
    *,
    care_on: date,
    now: datetime,
) -> None:
    """Rights may end between booking and visit: they are asked again shortly before it."""
    if config.terms.look_up_rights and known.has_numbers and root.patient_id and root.starts_at:
        coverage.plan_look_up(
            session,
            root.patient_id,
            key=f"{root.id}:{root.schedule_no}",
            care_on=care_on,
            due_at=max(now, root.starts_at - config.terms.verify_before),
        )


def _refuse(session: AsyncSession, root: AppointmentRoot, refused: PricingRefused, *, now: datetime) -> None:
    """No price exists. An earlier revision, if there is one, stays: the patient agreed to it."""
    if root.revision > 0:
        history.note(session, root.id, "claims.price-again-refused", at=now)
        return
    root.revision = 1
    voided = QuoteVoidedV1.model_validate(
        {"appointment_id": root.id, "revision": 1, "reason": "refused", "refusal": refused.code}
    )
    outbox.add(session, root, voided, now=now)


def _issued(root: AppointmentRoot, quote: Quote) -> QuoteIssuedV1:
    accepted = root.accepted_advance_cents
    return QuoteIssuedV1.model_validate(
        {
            "appointment_id": root.id,
            "patient_id": root.patient_id,
            "account_id": root.account_id,
            "practitioner_id": root.practitioner_id,
            "revision": quote.revision,
            "coverage_version": quote.coverage_version,
            "schedule_no": root.schedule_no,
            "decide_by": root.decide_by,
            "starts_at": root.starts_at,
            "ends_at": root.ends_at,
            "accepted_advance_cents": None if accepted is None else Cents(accepted),
            **pricing.event_amounts(quote),
        }
    )
