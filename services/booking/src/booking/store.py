"""Every query of the booking service, by name."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    delete,
    exists,
    false,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from booking.domain.agenda import Span
from booking.domain.cancellation import Party
from booking.domain.lifecycle import BUSY, LIVE, Status
from booking.models import (
    LIVE_SQL,
    AgendaException,
    AgendaRule,
    Appointment,
    Consent,
    Link,
    Offer,
    Patient,
    Practitioner,
)
from common.errors import DomainError, Refusal
from common.events.documents import IssuedV1 as DocumentIssuedEvent
from common.folding import folded
from common.ids import uuid7
from common.messaging import roots
from common.messaging.housekeeping import Purge
from common.messaging.tables import HistoryRow
from common.web.auth import Caller, Role
from common.web.tables import DataKeyRow

# Times that are over, and that nobody took; of the others the appointment is told. Probed practitioner by
# practitioner: the unique index leads there, and a table of millions is never read through.
PURGES: Final = (
    Purge(
        "offer",
        "offers",
        "SELECT over.ctid FROM practitioner CROSS JOIN LATERAL ("
        " SELECT ctid FROM offer WHERE offer.practitioner_no = practitioner.no"
        " AND offer.starts_at < :before AND offer.taken_by IS NULL LIMIT :limit FOR UPDATE SKIP LOCKED"
        ") AS over LIMIT :limit",
    ),
)


class AppointmentNotFound(DomainError):
    code: ClassVar[str] = "appointment-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class PatientNotFound(DomainError):
    code: ClassVar[str] = "patient-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class PractitionerNotFound(DomainError):
    code: ClassVar[str] = "practitioner-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class OfferNotFound(DomainError):
    code: ClassVar[str] = "offer-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


# Practitioners and their agendas


async def get_practitioner(
    session: AsyncSession, practitioner_id: UUID, *, lock: bool = False
) -> Practitioner:
    query = select(Practitioner).where(
        Practitioner.id == practitioner_id, Practitioner.withdrawn_at.is_(None)
    )
    practitioner = await session.scalar(query.with_for_update() if lock else query)
    if practitioner is None:
        raise PractitionerNotFound("no such practitioner")
    return practitioner


async def get_practitioner_or_former(session: AsyncSession, practitioner_id: UUID) -> Practitioner:
    """Also one who has left."""
    practitioner = await session.get(Practitioner, practitioner_id)
    if practitioner is None:
        raise PractitionerNotFound("no such practitioner")
    return practitioner


async def get_practitioner_of(session: AsyncSession, appointment: Appointment) -> Practitioner:
    """Also one who has left since."""
    return await session.get_one(Practitioner, appointment.practitioner_id)


async def is_rpps_known(session: AsyncSession, rpps: str) -> bool:
    return bool(await session.scalar(select(exists().where(Practitioner.rpps == rpps))))


class FoundPractitioner(NamedTuple):
    practitioner: Practitioner
    next_available_at: datetime | None


async def list_practitioners(
    session: AsyncSession,
    *,
    profession: str | None,
    specialty: str | None,
    words: str | None,
    available_before: datetime | None,
    after: tuple[str, UUID] | None,
    limit: int,
    now: datetime,
) -> Sequence[FoundPractitioner]:
    """By name. The word search asks every word to begin a word of name or city."""
    free = (
        select(func.min(Offer.starts_at))
        .where(Offer.practitioner_id == Practitioner.id, Offer.taken_by.is_(None), Offer.starts_at > now)
        .scalar_subquery()
    )
    query = select(Practitioner, free).where(Practitioner.withdrawn_at.is_(None))
    if profession is not None:
        query = query.where(Practitioner.profession == profession)
    if specialty is not None:
        query = query.where(Practitioner.specialty == specialty)
    if words is not None and (prefixes := folded(words).split()):
        query = query.where(
            Practitioner.words.op("@@")(
                func.to_tsquery("simple", " & ".join(f"{each}:*" for each in prefixes))
            )
        )
    if available_before is not None:
        query = query.where(free < available_before)
    if after is not None:
        query = query.where(tuple_(Practitioner.sort_name, Practitioner.id) > tuple_(*after))
    query = query.order_by(Practitioner.sort_name, Practitioner.id).limit(limit)
    return [FoundPractitioner(*row) for row in await session.execute(query)]


async def list_rules(session: AsyncSession, practitioner_id: UUID) -> Sequence[AgendaRule]:
    query = select(AgendaRule).where(AgendaRule.practitioner_id == practitioner_id).order_by(AgendaRule.id)
    return (await session.scalars(query)).all()


async def list_exceptions(session: AsyncSession, practitioner_id: UUID) -> Sequence[AgendaException]:
    query = select(AgendaException).where(AgendaException.practitioner_id == practitioner_id)
    return (await session.scalars(query.order_by(AgendaException.id))).all()


async def clear_agenda(session: AsyncSession, practitioner_id: UUID) -> None:
    await session.execute(delete(AgendaRule).where(AgendaRule.practitioner_id == practitioner_id))
    await session.execute(delete(AgendaException).where(AgendaException.practitioner_id == practitioner_id))


# Offers


async def replace_offers(
    session: AsyncSession, practitioner: Practitioner, spans: Sequence[Span], *, now: datetime
) -> None:
    """The practitioner's future offers are `spans` afterwards; those that are the same keep their id."""
    kept = set()
    gone = []
    query = select(Offer.id, Offer.starts_at, Offer.ends_at, Offer.mode, Offer.specialty).where(
        Offer.practitioner_no == practitioner.no, Offer.starts_at >= now
    )
    wanted = set(spans)
    for offer_id, starts_at, ends_at, mode, specialty in await session.execute(query):
        span = Span(starts_at, ends_at, mode)
        if span in wanted and specialty == practitioner.specialty:
            kept.add(span)
        else:
            gone.append(offer_id)
    if gone:
        await session.execute(delete(Offer).where(Offer.id.in_(gone)))
    new = [
        {
            "id": uuid7(now),
            "practitioner_id": practitioner.id,
            "practitioner_no": practitioner.no,
            "profession": practitioner.profession,
            "specialty": practitioner.specialty,
            "starts_at": span.starts_at,
            "ends_at": span.ends_at,
            "mode": span.mode,
        }
        for span in spans
        if span not in kept
    ]
    if new:
        await session.execute(insert(Offer).on_conflict_do_nothing(), new)
    await mark_taken(session, practitioner_no=practitioner.no, starting=now)


# The predicates repeat the constraint's own words, so that its index answers them.
_MARK_TAKEN: Final = text(f"""
    UPDATE offer SET taken_by = appointment.id
    FROM appointment
    WHERE offer.practitioner_no = :practitioner_no AND offer.starts_at >= :starting AND offer.taken_by IS NULL
      AND appointment.{LIVE_SQL}
      AND int4range(appointment.practitioner_no, appointment.practitioner_no, '[]')
          && int4range(offer.practitioner_no, offer.practitioner_no, '[]')
      AND tstzrange(appointment.starts_at, appointment.ends_at) && tstzrange(offer.starts_at, offer.ends_at)
""")  # noqa: S608  our own constant


async def mark_taken(session: AsyncSession, *, practitioner_no: int, starting: datetime) -> None:
    """Derives again what is taken from the live appointments."""
    await session.execute(_MARK_TAKEN, {"practitioner_no": practitioner_no, "starting": starting})


_FREE_TIME: Final = text(f"""
    UPDATE offer SET taken_by = (
        SELECT other.id FROM appointment AS other
        WHERE other.id <> :appointment_id AND other.{LIVE_SQL}
          AND int4range(other.practitioner_no, other.practitioner_no, '[]')
              && int4range(offer.practitioner_no, offer.practitioner_no, '[]')
          AND tstzrange(other.starts_at, other.ends_at) && tstzrange(offer.starts_at, offer.ends_at)
        LIMIT 1
    )
    WHERE taken_by = :appointment_id
""")  # noqa: S608  our own constant


async def free_time(session: AsyncSession, appointment: Appointment) -> None:
    """What the appointment took is offered again, unless another live one lies over it."""
    await session.flush()
    await session.execute(_FREE_TIME, {"appointment_id": appointment.id})


async def take_time(session: AsyncSession, appointment: Appointment) -> None:
    await session.execute(
        update(Offer)
        .where(
            Offer.practitioner_no == appointment.practitioner_no,
            Offer.starts_at < appointment.ends_at,
            Offer.ends_at > appointment.starts_at,
        )
        .values(taken_by=appointment.id)
    )


async def get_offer(session: AsyncSession, offer_id: UUID) -> Offer:
    offer = await session.get(Offer, offer_id)
    if offer is None:
        raise OfferNotFound("no such offer")
    return offer


async def list_offers(
    session: AsyncSession,
    *,
    practitioner_id: UUID | None = None,
    profession: str | None = None,
    specialty: str | None = None,
    starting: datetime | None = None,
    before: datetime | None = None,
    after: tuple[datetime, UUID] | None = None,
    now: datetime,
    limit: int,
) -> Sequence[Offer]:
    """Free times that begin after `now` and in [`starting`, `before`), earliest first.

    Each combination of filters walks one partial index in its order.
    """
    query = select(Offer).where(Offer.taken_by.is_(None), Offer.starts_at > now)
    if starting is not None and starting > now:
        query = query.where(Offer.starts_at >= starting)
    if practitioner_id is not None:
        query = query.where(Offer.practitioner_id == practitioner_id)
    if profession is not None:
        query = query.where(Offer.profession == profession)
    if specialty is not None:
        query = query.where(Offer.specialty == specialty)
    if before is not None:
        query = query.where(Offer.starts_at < before)
    if after is not None:
        query = query.where(tuple_(Offer.starts_at, Offer.id) > tuple_(*after))
    return (await session.scalars(query.order_by(Offer.starts_at, Offer.id).limit(limit))).all()


# Patients


async def get_patient(
    session: AsyncSession, patient_id: UUID, *, account_id: UUID, lock: bool = False
) -> tuple[Patient, Link]:
    """A patient for whom this account may act."""
    query = (
        select(Patient, Link)
        .join(Link, Link.patient_id == Patient.id)
        .where(Patient.id == patient_id, Link.account_id == account_id, Patient.erased_at.is_(None))
    )
    row = (await session.execute(query.with_for_update(of=Patient) if lock else query)).one_or_none()
    if row is None:
        raise PatientNotFound("no such patient")
    return row.Patient, row.Link


async def get_seen_patient(
    session: AsyncSession, patient_id: UUID, *, account_id: UUID
) -> tuple[Patient, Link | None]:
    """A patient whom the caller may see as rights say; with the caller's own link, if there is one."""
    link = and_(Link.patient_id == Patient.id, Link.account_id == account_id)
    query = select(Patient, Link).outerjoin(Link, link)
    query = query.where(Patient.id == patient_id, Patient.erased_at.is_(None))
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise PatientNotFound("no such patient")
    return row.Patient, row.Link


async def get_patient_of(session: AsyncSession, appointment: Appointment) -> Patient:
    patient = await session.get_one(Patient, appointment.patient_id)
    if patient.erased_at is not None:
        raise PatientNotFound("no such patient")
    return patient


async def list_patients(session: AsyncSession, account_id: UUID) -> Sequence[tuple[Patient, Link]]:
    query = (
        select(Patient, Link)
        .join(Link, Link.patient_id == Patient.id)
        .where(Link.account_id == account_id, Patient.erased_at.is_(None))
        .order_by(Link.since, Patient.id)
    )
    return [(row.Patient, row.Link) for row in await session.execute(query)]


async def list_links(session: AsyncSession, patient_id: UUID) -> Sequence[Link]:
    return (await session.scalars(select(Link).where(Link.patient_id == patient_id))).all()


async def has_self(session: AsyncSession, account_id: UUID) -> bool:
    return bool(
        await session.scalar(select(exists().where(Link.account_id == account_id, Link.relation == "self")))
    )


async def count_patients(session: AsyncSession, account_id: UUID) -> int:
    query = select(func.count()).select_from(Link).where(Link.account_id == account_id)
    return await session.scalar(query) or 0


async def is_identity_known(
    session: AsyncSession, account_id: UUID, identity_hashes: Sequence[bytes]
) -> bool:
    """Whether the account has a patient with one of these hashes."""
    query = select(
        exists().where(
            Link.account_id == account_id,
            Link.patient_id == Patient.id,
            Patient.identity_hash.in_(identity_hashes),
            Patient.erased_at.is_(None),
        )
    )
    return bool(await session.scalar(query))


async def has_open_appointment(session: AsyncSession, patient_id: UUID) -> bool:
    open_ones = LIVE - {Status.COMPLETED}
    query = exists().where(Appointment.patient_id == patient_id, Appointment.status.in_(open_ones))
    return bool(await session.scalar(select(query)))


async def forget_reasons(session: AsyncSession, patient_id: UUID) -> None:
    await session.execute(update(Appointment).where(Appointment.patient_id == patient_id).values(reason=None))


async def get_consent(session: AsyncSession, consent_id: UUID) -> Consent:
    return await session.get_one(Consent, consent_id)


async def list_consents(session: AsyncSession, patient_id: UUID) -> Sequence[Consent]:
    query = select(Consent).where(Consent.patient_id == patient_id).order_by(Consent.given_at.desc())
    return (await session.scalars(query)).all()


# Appointments


class Seen(NamedTuple):
    appointment: Appointment
    party: Party  # as whom the caller sees it


def _seen_as_patient(caller: Caller) -> ColumnElement[bool]:
    if Role.PATIENT not in caller.roles:
        return false()
    return exists().where(Link.account_id == caller.subject, Link.patient_id == Appointment.patient_id)


def _seen_as_practitioner(caller: Caller) -> ColumnElement[bool]:
    if Role.PRACTITIONER not in caller.roles or caller.rpps is None:
        return false()
    return Appointment.practitioner_id.in_(select(Practitioner.id).where(Practitioner.rpps == caller.rpps))


def _seen(caller: Caller) -> Select[Appointment, bool, bool]:
    as_patient, as_practitioner = _seen_as_patient(caller), _seen_as_practitioner(caller)
    query = select(Appointment, as_patient.label("as_patient"), as_practitioner.label("as_practitioner"))
    if caller.roles & {Role.SUPPORT, Role.SERVICE}:
        return query
    return query.where(or_(as_patient, as_practitioner))


async def find_seen(
    session: AsyncSession, appointment_id: UUID, *, caller: Caller, lock: bool = False
) -> Seen | None:
    """What this caller may see: their own, a relative's, one of their practice, or, as support, any."""
    query = _seen(caller).where(Appointment.id == appointment_id)
    if lock:
        query = query.with_for_update(of=Appointment)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    return Seen(row.Appointment, _party(row))


def _party(row: Any) -> Party:
    """As whom the caller sees the appointment of a row of `_seen`."""
    if row.as_practitioner:
        return Party.PRACTITIONER
    return Party.PATIENT if row.as_patient else Party.PLATFORM


async def get_appointment(
    session: AsyncSession, appointment_id: UUID, *, caller: Caller, lock: bool = False
) -> Seen:
    seen = await find_seen(session, appointment_id, caller=caller, lock=lock)
    if seen is None:
        raise AppointmentNotFound("no such appointment")
    return seen


class EncryptedBirth(NamedTuple):
    """A patient's encrypted date of birth, with the row of data_key that opens it."""

    born_on: bytes
    wrapped: bytes
    master_key: str


class ToMove(NamedTuple):
    appointment: Appointment
    party: Party  # as whom the caller moves it
    birth: EncryptedBirth | None  # none: the patient was erased
    time_zone: str  # of the practitioner by now


async def get_appointment_to_move(session: AsyncSession, appointment_id: UUID, *, caller: Caller) -> ToMove:
    """The root row, locked, if this caller may see it.

    With the birth date and the practitioner's time zone, in the same round trip.
    """
    query = (
        _seen(caller)
        .add_columns(Patient.born_on, DataKeyRow.wrapped, DataKeyRow.master_key, Practitioner.time_zone)
        .join(Practitioner, Practitioner.id == Appointment.practitioner_id)
        .outerjoin(Patient, Patient.id == Appointment.patient_id)
        .outerjoin(DataKeyRow, and_(DataKeyRow.patient_id == Patient.id, DataKeyRow.kind == "erasable"))
        .where(Appointment.id == appointment_id)
        .with_for_update(of=Appointment)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise AppointmentNotFound("no such appointment")
    if row.born_on is None or row.wrapped is None:
        return ToMove(row.Appointment, _party(row), None, row.time_zone)
    birth = EncryptedBirth(row.born_on, row.wrapped, row.master_key)
    return ToMove(row.Appointment, _party(row), birth, row.time_zone)


async def list_appointments(
    session: AsyncSession, *, caller: Caller, after: UUID | None, limit: int
) -> Sequence[Appointment]:
    """Newest request first."""
    own = or_(
        Appointment.patient_id.in_(select(Link.patient_id).where(Link.account_id == caller.subject))
        if Role.PATIENT in caller.roles
        else false(),
        _seen_as_practitioner(caller),
    )
    query = select(Appointment).where(own)
    if after is not None:
        query = query.where(Appointment.id < after)
    return (await session.scalars(query.order_by(Appointment.id.desc()).limit(limit))).all()


async def list_visits_to_come(
    session: AsyncSession, practitioner_id: UUID, *, now: datetime
) -> Sequence[Appointment]:
    """Requested and confirmed appointments of a practitioner that begin after `now`, soonest first."""
    query = select(Appointment).where(
        Appointment.practitioner_id == practitioner_id,
        Appointment.status.in_([Status.REQUESTED, Status.CONFIRMED]),
        Appointment.starts_at > now,
    )
    return (await session.scalars(query.order_by(Appointment.starts_at, Appointment.id))).all()


async def lock_appointment(session: AsyncSession, appointment_id: UUID) -> Appointment:
    """The root row, held until the transaction ends: two moves on one appointment never interleave."""
    appointment = roots.find_locked(session, Appointment, appointment_id)
    if appointment is not None:
        return appointment  # with all the others of its batch
    query = select(Appointment).where(Appointment.id == appointment_id).with_for_update()
    appointment = await session.scalar(query)
    if appointment is None:
        raise AppointmentNotFound("no such appointment")
    return appointment


async def lock_appointments(session: AsyncSession, appointment_ids: Iterable[UUID]) -> None:
    """Those that exist, in one statement; `lock_appointment` then has them."""
    await roots.lock_all(session, Appointment, appointment_ids)


async def find_appointment(session: AsyncSession, appointment_id: UUID) -> Appointment | None:
    return await session.get(Appointment, appointment_id)


async def lock_overdue(
    session: AsyncSession,
    *,
    practitioner_no: int,
    patient_no: int | None,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
) -> Sequence[Appointment]:
    """Requests over this time whose decision is overdue; one that somebody else is ending is waited for."""
    whose = _is(Appointment.practitioner_no, practitioner_no)
    if patient_no is not None:
        whose = or_(whose, and_(Appointment.patient_no.is_not(None), _is(Appointment.patient_no, patient_no)))
    query = (
        select(Appointment)
        .where(
            whose,
            _over(starts_at, ends_at),
            Appointment.status == Status.REQUESTED,
            Appointment.decide_by <= now,
        )
        .order_by(Appointment.id)
        .with_for_update()
    )
    return (await session.scalars(query)).all()


async def find_visit_of_patient(
    session: AsyncSession, appointment: Appointment, *, starts_at: datetime, ends_at: datetime
) -> UUID | None:
    """Another appointment that the patient has in this time."""
    query = select(Appointment.id).where(
        Appointment.patient_no.is_not(None),
        _is(Appointment.patient_no, appointment.patient_no),
        _over(starts_at, ends_at),
        Appointment.status.in_(BUSY),
        Appointment.id != appointment.id,
    )
    return await session.scalar(query.limit(1))


def _is(column: InstrumentedAttribute[Any], number: int | None) -> ColumnElement[bool]:
    """Equality in the words of the exclusion constraints, so that their indexes answer it."""
    return func.int4range(column, column, "[]").op("&&")(func.int4range(number, number, "[]"))


def _over(starts_at: datetime, ends_at: datetime) -> ColumnElement[bool]:
    return func.tstzrange(Appointment.starts_at, Appointment.ends_at).op("&&")(
        func.tstzrange(starts_at, ends_at)
    )


async def list_history(
    session: AsyncSession, appointment_ids: Sequence[UUID], *, newest: int = 20
) -> dict[UUID, list[HistoryRow]]:
    """The newest facts of each appointment, oldest first, for a whole page in one query."""
    rank = func.row_number().over(partition_by=HistoryRow.appointment_id, order_by=HistoryRow.id.desc())
    ranked = select(HistoryRow.id, rank.label("rank")).where(HistoryRow.appointment_id.in_(appointment_ids))
    recent = ranked.subquery()
    query = (
        select(HistoryRow)
        .join(recent, recent.c.id == HistoryRow.id)
        .where(recent.c.rank <= newest)
        .order_by(HistoryRow.id)
    )
    found: dict[UUID, list[HistoryRow]] = {each: [] for each in appointment_ids}
    for row in await session.scalars(query):
        found[row.appointment_id].append(row)
    return found


async def is_document_issued(session: AsyncSession, appointment_id: UUID) -> bool:
    """Whether documents has told of a document of this appointment."""
    issued = exists().where(
        HistoryRow.appointment_id == appointment_id, HistoryRow.fact == DocumentIssuedEvent.type
    )
    return bool(await session.scalar(select(issued)))


# Rights, as other services ask


async def knows_patient(
    session: AsyncSession, *, subject: UUID | None, rpps: str | None, patient_id: UUID
) -> bool:
    """Whether this account acts for the patient, or this practitioner has or had an appointment with them."""
    linked = exists().where(Link.account_id == subject, Link.patient_id == patient_id)
    treats = exists().where(
        Appointment.patient_id == patient_id,
        Appointment.practitioner_id == Practitioner.id,
        Practitioner.rpps == rpps,
    )
    return bool(await session.scalar(select(or_(linked, treats))))


async def knows_appointment(
    session: AsyncSession, *, subject: UUID | None, rpps: str | None, appointment_id: UUID
) -> bool:
    linked = exists().where(Link.account_id == subject, Link.patient_id == Appointment.patient_id)
    own = exists().where(Practitioner.id == Appointment.practitioner_id, Practitioner.rpps == rpps)
    query = exists().where(Appointment.id == appointment_id, or_(linked, own))
    return bool(await session.scalar(select(query)))
