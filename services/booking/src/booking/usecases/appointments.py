"""The moves of an appointment that people make, and those a timer makes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar, TypedDict, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from booking import store
from booking.domain.ages import ages
from booking.domain.cancellation import Party, StrikeKind, judge
from booking.domain.lifecycle import (
    Move,
    Status,
    after,
    check_absence,
    check_failure,
    check_no_document,
    check_start,
)
from booking.domain.offers import check_ahead, decide_by
from booking.models import ONE_VISIT_OF_PATIENT, Appointment, Offer, Strike
from booking.store import EncryptedBirth
from booking.usecases.patients import BORN_ON
from common import vault
from common.crypto import Keyring
from common.db import violated_constraint
from common.errors import DomainError, Refusal
from common.events.base import (
    AgeGroup,
    Currency,
    PathwayAnswer,
    Profession,
    Sector,
    TerritoryAnswer,
    ThirdPartyPayment,
    Zone,
)
from common.events.booking import (
    AbandonReason,
    AppointmentAbandonedV1,
    AppointmentCancelledV1,
    AppointmentConfirmedV1,
    AppointmentMovedV1,
    CancelReason,
    CodedAct,
    ConsultationCompletedV1,
    ConsultationNotBilledV1,
    ConsultationStartedV1,
    NotBilledReason,
    Outcome,
    OverrunQualifier,
    PatientAbsentV1,
)
from common.messaging import outbox
from common.money import Cents
from common.places import clock_of
from common.web.auth import Caller

_NEXT_OFFERS = 5
_EXCLUSION = "23P01"
_DEADLOCK = "40P01"


class TimeTaken(DomainError):
    code: ClassVar[str] = "time-taken"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT

    def __init__(self, next_offers: Sequence[Offer]) -> None:
        super().__init__(
            "somebody else has this time", extra={"next_offers": [_offer(each) for each in next_offers]}
        )


class PatientBusy(DomainError):
    code: ClassVar[str] = "patient-busy"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT

    def __init__(self, busy_with: UUID | None) -> None:
        """`busy_with` is the visit in the way; None where the caller may not know of it."""
        extra = {"busy_with": str(busy_with)} if busy_with else {}
        super().__init__("the patient has another visit at this time", extra=extra)


class NotYours(DomainError):
    """The caller sees the appointment, and this move belongs to somebody else."""

    code: ClassVar[str] = "not-your-move"
    refusal: ClassVar[Refusal] = Refusal.FORBIDDEN


class AnotherPractitioner(DomainError):
    code: ClassVar[str] = "another-practitioner"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class About(TypedDict):
    appointment_id: UUID
    patient_id: UUID
    account_id: UUID
    practitioner_id: UUID
    schedule_no: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionReport:
    """The practitioner's, on what was done; None: as it was asked for."""

    acts: Sequence[str]
    fee_cents: Cents
    overrun_qualifier: OverrunQualifier | None
    outcome: Outcome
    exemption_related: bool
    pathway: PathwayAnswer | None
    seen_in_person: bool | None


def about(appointment: Appointment) -> About:
    """What every event about an appointment says."""
    return {
        "appointment_id": appointment.id,
        "patient_id": appointment.patient_id,
        "account_id": appointment.account_id,
        "practitioner_id": appointment.practitioner_id,
        "schedule_no": appointment.schedule_no,
        "starts_at": appointment.starts_at,
        "ends_at": appointment.ends_at,
    }


# What people do


async def cancel(
    session: AsyncSession, appointment_id: UUID, *, caller: Caller, now: datetime
) -> Appointment:
    """Free until two hours before; later it is allowed and counted.

    A repetition by the party that has cancelled changes nothing.
    Raises MoveRefused, TooLate once the time has come.
    """
    appointment, party = await store.get_appointment(session, appointment_id, caller=caller, lock=True)
    if appointment.status is Status.CANCELLED and appointment.cancelled_by is party:
        return appointment
    await cancel_locked(session, appointment, party, now=now)
    return appointment


async def cancel_locked(
    session: AsyncSession,
    appointment: Appointment,
    party: Party,
    *,
    reason: CancelReason | None = None,
    now: datetime,
) -> None:
    """The appointment's row is locked. Raises MoveRefused, TooLate."""
    status = after(appointment.status, Move.CANCEL)
    judged = judge(party, starts_at=appointment.starts_at, now=now)
    appointment.status = status
    appointment.cancelled_by = party
    appointment.free_cancellation = judged.free
    appointment.ended_at = now
    appointment.end_reason = reason
    if judged.strike:
        session.add(_strike(appointment, StrikeKind.LATE_CANCELLATION, now))
    await store.free_time(session, appointment)
    cancelled = AppointmentCancelledV1(
        **about(appointment), cancelled_by=party.value, cancelled_at=now, reason=reason
    )
    outbox.add(session, appointment, cancelled, now=now)
    await session.flush()


async def move(
    session: AsyncSession,
    keyring: Keyring,
    appointment_id: UUID,
    *,
    offer_id: UUID,
    caller: Caller,
    now: datetime,
) -> Appointment:
    """Claims the new range and frees the old one in this transaction; the same practitioner, once confirmed.

    A move gives the old time up, so the clock of a cancellation holds for it: less than two hours before, it
    counts as a late cancellation of the old time. The ages that the rules of care ask about are those of the
    new day. Raises MoveRefused, TooLate, TimeTaken, PatientBusy, TimePassed, AnotherPractitioner.
    """
    found = await store.get_appointment_to_move(session, appointment_id, caller=caller)
    appointment, encrypted, time_zone = found.appointment, found.birth, found.time_zone
    status = after(appointment.status, Move.RESCHEDULE)
    moved_from = appointment.starts_at
    judged = judge(found.party, starts_at=moved_from, now=now)
    offer = await store.get_offer(session, offer_id)
    if offer.practitioner_id != appointment.practitioner_id:
        raise AnotherPractitioner("an appointment moves within one practitioner's agenda")
    check_ahead(starts_at=offer.starts_at, now=now)
    await end_overdue(session, offer=offer, patient_no=appointment.patient_no, now=now)
    await _claim_instead(session, appointment, offer, party=found.party, now=now)
    if judged.strike:
        session.add(_strike(appointment, StrikeKind.LATE_CANCELLATION, now))
    appointment.status = status
    appointment.schedule_no += 1
    appointment.decide_by = decide_by(starts_at=offer.starts_at, now=now)
    appointment.action = appointment.action_expires_at = None
    clock = clock_of(time_zone, zone=appointment.zone)
    _count_ages_again(keyring, appointment, encrypted, clock=clock)
    moved = AppointmentMovedV1(
        **about(appointment),
        decide_by=appointment.decide_by,
        under_16=appointment.under_16,
        minor_on_1_january=appointment.minor_on_1_january,
        age_group=cast("AgeGroup | None", appointment.age_group),
        time_zone=time_zone,
        moved_from=moved_from,
        moved_by=found.party.value,
        moved_at=now,
    )
    outbox.add(session, appointment, moved, now=now)
    await session.flush()
    return appointment


async def start(session: AsyncSession, appointment_id: UUID, *, caller: Caller, now: datetime) -> Appointment:
    """The practitioner opens the consultation, from 15 minutes before its time. Raises TooEarly."""
    appointment = await _lock_as_practitioner(session, appointment_id, caller)
    status = after(appointment.status, Move.START)
    check_start(starts_at=appointment.starts_at, now=now)
    appointment.status = status
    appointment.started_at = now
    started = ConsultationStartedV1(**about(appointment), started_at=now)
    outbox.add(session, appointment, started, now=now)
    await session.flush()
    return appointment


async def complete(
    session: AsyncSession, appointment_id: UUID, *, word: CompletionReport, caller: Caller, now: datetime
) -> Appointment:
    """The practitioner's word on what was done. The terms of the booking stay, but for the fee."""
    appointment = await _lock_as_practitioner(session, appointment_id, caller)
    appointment.status = after(appointment.status, Move.COMPLETE)
    appointment.ended_at = now
    appointment.acts = list(word.acts)
    appointment.completed_fee_cents = word.fee_cents
    appointment.outcome = word.outcome
    appointment.exemption_related = word.exemption_related
    if word.overrun_qualifier is not None:
        appointment.overrun_qualifier = word.overrun_qualifier
    if word.pathway is not None:
        appointment.pathway = word.pathway
    if word.seen_in_person is not None:
        appointment.seen_in_person = word.seen_in_person
    practitioner = await store.get_practitioner_of(session, appointment)
    completed = ConsultationCompletedV1(
        **about(appointment),
        completed_at=now,
        biller_id=appointment.biller_id,
        profession=cast("Profession", appointment.profession),
        specialty=appointment.specialty,
        sector=cast("Sector", appointment.sector),
        zone=cast("Zone", appointment.zone),
        agreed_company=appointment.agreed_company,
        third_party_payment=cast("ThirdPartyPayment", appointment.third_party_payment),
        acts=[CodedAct(code=code) for code in word.acts],
        currency=cast("Currency", appointment.currency),
        fee_cents=word.fee_cents,
        overrun_qualifier=cast("OverrunQualifier | None", appointment.overrun_qualifier),
        outcome=word.outcome,
        pathway=cast("PathwayAnswer", appointment.pathway),
        territory=cast("TerritoryAnswer", appointment.territory),
        exemption_related=appointment.exemption_related,
        under_16=appointment.under_16,
        minor_on_1_january=appointment.minor_on_1_january,
        age_group=cast("AgeGroup | None", appointment.age_group),
        seen_in_person=appointment.seen_in_person,
        time_zone=practitioner.time_zone,
    )
    outbox.add(session, appointment, completed, now=now)
    await session.flush()
    return appointment


async def declare_unsuitable(
    session: AsyncSession, appointment_id: UUID, *, caller: Caller, now: datetime
) -> Appointment:
    """The practitioner says that video does not fit: nobody pays."""
    appointment = await _lock_as_practitioner(session, appointment_id, caller)
    return await _not_billed(session, appointment, Move.DECLARE_UNSUITABLE, "unsuitable", now=now)


async def report_technical_failure(
    session: AsyncSession, appointment_id: UUID, *, caller: Caller, now: datetime
) -> Appointment:
    """By anybody who was to take part; after the start it is the practitioner who says so.

    Others may for the first 10 minutes while no document is issued. Raises TooEarly before the consultation
    could have opened, TooLate, DocumentIssued.
    """
    appointment, party = await store.get_appointment(session, appointment_id, caller=caller, lock=True)
    after(appointment.status, Move.REPORT_TECHNICAL_FAILURE)
    check_start(starts_at=appointment.starts_at, now=now)
    if party is not Party.PRACTITIONER:
        issued = await store.is_document_issued(session, appointment.id)
        check_failure(started_at=appointment.started_at, document_issued=issued, now=now)
    return await _not_billed(
        session, appointment, Move.REPORT_TECHNICAL_FAILURE, "technical-failure", now=now
    )


async def report_practitioner_absent(
    session: AsyncSession, appointment_id: UUID, *, caller: Caller, now: datetime
) -> Appointment:
    """Raises TooEarly, and NotYours for the practitioner, who cancels instead."""
    appointment, party = await store.get_appointment(session, appointment_id, caller=caller, lock=True)
    if party is Party.PRACTITIONER:
        raise NotYours("a practitioner cancels instead")
    after(appointment.status, Move.REPORT_PRACTITIONER_ABSENT)
    check_absence(starts_at=appointment.starts_at, now=now)
    return await _not_billed(
        session, appointment, Move.REPORT_PRACTITIONER_ABSENT, "practitioner-absent", now=now
    )


async def report_patient_absent(
    session: AsyncSession, appointment_id: UUID, *, caller: Caller, now: datetime
) -> Appointment:
    """Nothing is charged for it, and no claim comes of it: it is counted. Raises TooEarly, DocumentIssued."""
    appointment = await _lock_as_practitioner(session, appointment_id, caller)
    status = after(appointment.status, Move.REPORT_PATIENT_ABSENT)
    check_absence(starts_at=appointment.starts_at, now=now)
    check_no_document(document_issued=await store.is_document_issued(session, appointment.id))
    appointment.status = status
    appointment.ended_at = now
    session.add(_strike(appointment, StrikeKind.PATIENT_ABSENT, now))
    await store.free_time(session, appointment)
    outbox.add(session, appointment, PatientAbsentV1(**about(appointment)), now=now)
    await session.flush()
    return appointment


# What follows from facts and timers


async def confirm(session: AsyncSession, appointment: Appointment, *, now: datetime) -> None:
    """The appointment's row is locked."""
    appointment.status = after(appointment.status, Move.CONFIRM)
    outbox.add(session, appointment, AppointmentConfirmedV1(**about(appointment)), now=now)


async def abandon(
    session: AsyncSession, appointment: Appointment, reason: AbandonReason, *, now: datetime
) -> None:
    """The appointment's row is locked; its time is free again."""
    appointment.status = after(appointment.status, Move.ABANDON)
    appointment.ended_at = now
    appointment.end_reason = reason
    await store.free_time(session, appointment)
    outbox.add(session, appointment, AppointmentAbandonedV1(**about(appointment), reason=reason), now=now)


async def let_lapse(session: AsyncSession, appointment_id: UUID, *, now: datetime) -> bool:
    """The timer of `decide_by`. True: nobody had decided."""
    appointment = await store.lock_appointment(session, appointment_id)
    if appointment.status is not Status.REQUESTED or now < appointment.decide_by:
        return False
    await abandon(session, appointment, "decide-by-passed", now=now)
    return True


async def end_overdue(session: AsyncSession, *, offer: Offer, patient_no: int | None, now: datetime) -> int:
    """Ends the requests over this time whose decision is overdue, each with its event. How many they were.

    They are those of the practitioner and those of the patient.
    """
    overdue = await store.lock_overdue(
        session,
        practitioner_no=offer.practitioner_no,
        patient_no=patient_no,
        starts_at=offer.starts_at,
        ends_at=offer.ends_at,
        now=now,
    )
    for each in overdue:
        await abandon(session, each, "taken-over", now=now)
    await session.flush()
    return len(overdue)


async def next_offers(session: AsyncSession, offer: Offer, *, now: datetime) -> Sequence[Offer]:
    """The free times of the same practitioner after the refused one."""
    return await store.list_offers(
        session,
        practitioner_id=offer.practitioner_id,
        starting=offer.ends_at,
        now=now,
        limit=_NEXT_OFFERS,
    )


async def _claim_instead(
    session: AsyncSession, appointment: Appointment, offer: Offer, *, party: Party, now: datetime
) -> None:
    """Raises TimeTaken, PatientBusy."""
    for tries_left in (1, 0):
        try:
            async with session.begin_nested():
                appointment.starts_at = offer.starts_at
                appointment.ends_at = offer.ends_at
                await session.flush()
            break
        except DBAPIError as error:
            # The constraints wait for a claim in flight and then judge. PostgreSQL parts two moves that wait
            # for each other; a second try meets what the other one has made of it.
            state = getattr(error.orig, "sqlstate", None)
            if state not in {_EXCLUSION, _DEADLOCK}:
                raise
            await session.refresh(appointment)
            if state == _DEADLOCK and tries_left:
                continue
            if violated_constraint(error) == ONE_VISIT_OF_PATIENT:
                raise await _busy(session, appointment, offer, party) from None
            raise TimeTaken(await next_offers(session, offer, now=now)) from None
    await store.free_time(session, appointment)
    await store.take_time(session, appointment)


async def _busy(session: AsyncSession, appointment: Appointment, offer: Offer, party: Party) -> PatientBusy:
    if party is not Party.PATIENT:
        return PatientBusy(None)
    return PatientBusy(
        await store.find_visit_of_patient(
            session, appointment, starts_at=offer.starts_at, ends_at=offer.ends_at
        )
    )


def _count_ages_again(
    keyring: Keyring, appointment: Appointment, encrypted: EncryptedBirth | None, *, clock: ZoneInfo
) -> None:
    """On the day of the new time. Of an erased patient nothing is known but what was counted before."""
    if encrypted is None:
        return
    key = vault.patient_key(
        keyring, appointment.patient_id, wrapped=encrypted.wrapped, master_key=encrypted.master_key
    )
    born_on = date.fromisoformat(key.decrypt(encrypted.born_on, field=BORN_ON))
    found = ages(born_on, starts_at=appointment.starts_at, clock=clock)
    appointment.under_16 = found.under_16
    appointment.minor_on_1_january = found.minor_on_1_january
    appointment.age_group = found.group


async def _not_billed(
    session: AsyncSession, appointment: Appointment, move: Move, reason: NotBilledReason, *, now: datetime
) -> Appointment:
    appointment.status = after(appointment.status, move)
    appointment.ended_at = now
    appointment.end_reason = reason
    await store.free_time(session, appointment)
    outbox.add(session, appointment, ConsultationNotBilledV1(**about(appointment), reason=reason), now=now)
    await session.flush()
    return appointment


async def _lock_as_practitioner(session: AsyncSession, appointment_id: UUID, caller: Caller) -> Appointment:
    appointment, party = await store.get_appointment(session, appointment_id, caller=caller, lock=True)
    if party is not Party.PRACTITIONER:
        raise NotYours("this belongs to the practitioner of the appointment")
    return appointment


def _strike(appointment: Appointment, kind: StrikeKind, now: datetime) -> Strike:
    """For the time that the appointment has now."""
    return Strike(
        appointment_id=appointment.id,
        schedule_no=appointment.schedule_no,
        account_id=appointment.account_id,
        kind=kind,
        at=now,
    )


def _offer(offer: Offer) -> dict[str, str]:
    return {
        "id": str(offer.id),
        "practitioner_id": str(offer.practitioner_id),
        "profession": offer.profession,
        "specialty": offer.specialty,
        "starts_at": offer.starts_at.isoformat().replace("+00:00", "Z"),
        "ends_at": offer.ends_at.isoformat().replace("+00:00", "Z"),
        "mode": offer.mode.value,
    }
