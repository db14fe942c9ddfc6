"""A request for a time: one read, one statement that settles it, and an explanation when it says no."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Final, cast
from uuid import UUID

import asyncpg

from booking import hot, store
from booking.domain.ages import LEGAL_ZONE, ages
from booking.domain.lifecycle import Status
from booking.domain.offers import check_ahead, decide_by
from booking.domain.reasons import REASONS
from booking.models import Offer
from booking.usecases.appointments import PatientBusy, TimeTaken, end_overdue, next_offers
from booking.usecases.patients import BORN_ON
from common import vault
from common.crypto import Keyring
from common.db import Direct, Sessions, Wakes
from common.errors import DomainError, Refusal
from common.events.base import PathwayAnswer, TerritoryAnswer
from common.events.booking import AppointmentRequestedV1, OverrunQualifier
from common.ids import uuid7
from common.messaging import outbox
from common.places import clock_of
from common.web import idempotency

DECIDE_BY: Final = "decide-by"  # the kind of the timer's task
REASON: Final = "reason"
_CREATED: Final = 201
_TRIES: Final = 3


class ConsentMissing(DomainError):
    code: ClassVar[str] = "consent-missing"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    offer_id: UUID
    patient_id: UUID
    account_id: UUID
    reason_code: str
    preview_id: UUID | None
    pathway: PathwayAnswer
    territory: TerritoryAnswer
    exemption_related: bool
    special_demand: bool
    seen_in_person: bool | None


@dataclass(frozen=True, slots=True)
class Requested:
    """A new appointment with its first fact, or the id of the one that the same request made before."""

    appointment_id: UUID
    fields: Mapping[str, Any]  # its columns; empty: made before
    fact: str = AppointmentRequestedV1.type
    history_id: int = 0


@dataclass(frozen=True, slots=True)
class RequestResources:
    """What a request works with."""

    direct: asyncpg.Pool
    sessions: Sessions
    keyring: Keyring
    wake: Wakes | None
    decide_within: timedelta


async def request(
    resources: RequestResources, wanted: Wanted, *, key: idempotency.Key, now: datetime
) -> Requested:
    """Claims the time, or says why not. Two round trips when nobody is in the way.

    Raises Emergency, ReasonNotFound, PatientNotFound, OfferNotFound, TimePassed, ConsentMissing, TimeTaken,
    PatientBusy, InFlight, KeyReused.
    """
    REASONS.accept(wanted.reason_code, on=now.astimezone(LEGAL_ZONE).date())
    async with resources.direct.acquire() as connection:
        requested = await _request(resources, connection, wanted, key=key, now=now)
    if requested is None:
        raise TimeTaken(await _next(resources, wanted, now=now))
    return requested


async def _request(
    resources: RequestResources, connection: Direct, wanted: Wanted, *, key: idempotency.Key, now: datetime
) -> Requested | None:
    for _ in range(_TRIES):
        read = await hot.read_request(
            connection,
            scope=key.scope,
            offer_id=wanted.offer_id,
            account_id=wanted.account_id,
            patient_id=wanted.patient_id,
        )
        earlier = idempotency.decided(key, read)
        if earlier is not None:
            return Requested(UUID(earlier), {})
        fields = _fields(resources, wanted, read, now=now)
        requested = await _claim(resources, connection, fields, key=key, now=now)
        if requested is not None:
            return requested
        if not await _is_free_now(resources, connection, wanted, read, key=key, now=now):
            break
    return None


async def _claim(
    resources: RequestResources,
    connection: Direct,
    fields: dict[str, Any],
    *,
    key: idempotency.Key,
    now: datetime,
) -> Requested | None:
    appointment_id: UUID = fields["id"]
    event = _event(fields)
    try:
        claimed = await hot.claim_time(
            connection,
            fields,
            lock=key.lock,
            answer=key.row(status=_CREATED, reference=str(appointment_id), now=now),
            requested=outbox.row(event, sequence=1, now=now),
            fact=event.type,
            timer=DECIDE_BY,
        )
    except asyncpg.UniqueViolationError:
        raise idempotency.in_flight() from None  # the first one with this key has just committed
    if not claimed.locked:
        raise idempotency.in_flight()
    if claimed.history_id is None:
        return None
    if resources.wake is not None:
        resources.wake.set("outbox")
        resources.wake.set("task")
    return Requested(appointment_id, fields, event.type, claimed.history_id)


async def _is_free_now(
    resources: RequestResources,
    connection: Direct,
    wanted: Wanted,
    read: Any,
    *,
    key: idempotency.Key,
    now: datetime,
) -> bool:
    """Why the claim was refused; True when trying again may help. Raises PatientBusy."""
    refusal = await hot.explain_refusal(
        connection,
        scope=key.scope,
        practitioner_no=read["practitioner_no"],
        patient_no=read["patient_no"],
        starts_at=read["starts_at"],
        ends_at=read["ends_at"],
        offer_id=wanted.offer_id,
        now=now,
    )
    if refusal.answered:
        return True  # and the next read finds the answer
    if refusal.overdue:
        async with resources.sessions.begin() as session:
            await end_overdue(session, offer=_offer(wanted, read), patient_no=read["patient_no"], now=now)
        return True
    if refusal.taken and refusal.shown_free:
        async with resources.sessions.begin() as session:
            await store.mark_taken(
                session, practitioner_no=read["practitioner_no"], starting=read["starts_at"]
            )
    if refusal.busy_with and not refusal.taken:
        raise PatientBusy(refusal.busy_with)
    return not refusal.taken


async def _next(resources: RequestResources, wanted: Wanted, *, now: datetime) -> list[Offer]:
    async with resources.sessions() as session:
        offer = await store.get_offer(session, wanted.offer_id)
        return list(await next_offers(session, offer, now=now))


def _offer(wanted: Wanted, read: Any) -> Offer:
    return Offer(
        id=wanted.offer_id,
        practitioner_id=read["practitioner_id"],
        practitioner_no=read["practitioner_no"],
        starts_at=read["starts_at"],
        ends_at=read["ends_at"],
    )


_TERMS: Final = (
    "practitioner_id",
    "biller_id",
    "profession",
    "specialty",
    "sector",
    "zone",
    "agreed_company",
    "third_party_payment",
    "currency",
    "fee_cents",
)


def _fields(resources: RequestResources, wanted: Wanted, read: Any, *, now: datetime) -> dict[str, Any]:
    """The columns of the new appointment. What the caller may not use answers as if it were not there."""
    if read["patient_id"] is None or read["wrapped"] is None:
        raise store.PatientNotFound("no such patient")
    if read["starts_at"] is None or read["practitioner_id"] is None:
        raise store.OfferNotFound("no such offer")
    check_ahead(starts_at=read["starts_at"], now=now)
    if read["consent_id"] is None:
        raise ConsentMissing("the patient consents to a teleconsultation first")
    patient_key = vault.patient_key(
        resources.keyring, wanted.patient_id, wrapped=read["wrapped"], master_key=read["master_key"]
    )
    born_on = date.fromisoformat(patient_key.decrypt(read["born_on"], field=BORN_ON))
    clock = clock_of(read["time_zone"], zone=read["zone"])
    found = ages(born_on, starts_at=read["starts_at"], clock=clock)
    fields: dict[str, Any] = {name: read[name] for name in _TERMS}
    return fields | {
        "id": uuid7(now),
        "version": 1,
        "status": Status.REQUESTED,
        "schedule_no": 1,
        "practitioner_no": read["practitioner_no"],
        "patient_id": wanted.patient_id,
        "patient_no": read["patient_no"],
        "account_id": wanted.account_id,
        "starts_at": read["starts_at"],
        "ends_at": read["ends_at"],
        "decide_by": decide_by(starts_at=read["starts_at"], now=now, within=resources.decide_within),
        "requested_at": now,
        "consent_id": read["consent_id"],
        "preview_id": wanted.preview_id,
        "reason": patient_key.encrypt(wanted.reason_code, field=REASON),
        "pathway": wanted.pathway,
        "territory": wanted.territory,
        "exemption_related": wanted.exemption_related,
        "under_16": found.under_16,
        "minor_on_1_january": found.minor_on_1_january,
        "age_group": found.group,
        "overrun_qualifier": _overrun_qualifier(wanted, read),
        "seen_in_person": wanted.seen_in_person,
        "payment_sequence": 0,
        "time_zone": read["time_zone"],  # told, and not kept: it is the practitioner's
    }


def _overrun_qualifier(wanted: Wanted, read: Any) -> OverrunQualifier | None:
    """Why the fee may be above the tariff of sector 1: the practitioner's right goes before a demand."""
    if read["permanent_overrun"]:
        return "DP"
    return "DE" if wanted.special_demand else None


def _event(fields: dict[str, Any]) -> AppointmentRequestedV1:
    names = set(AppointmentRequestedV1.model_fields) - {"appointment_id"}
    return AppointmentRequestedV1(
        appointment_id=fields["id"], **cast("dict[str, Any]", {name: fields[name] for name in names})
    )
