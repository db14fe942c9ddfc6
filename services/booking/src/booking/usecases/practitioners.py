"""Practitioners and what they offer."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from booking import store
from booking.domain import agenda
from booking.models import AgendaException, AgendaRule, Practitioner
from common.errors import DomainError, Refusal, at_field
from common.events.base import Currency, Profession, Sector, ThirdPartyPayment, Zone
from common.events.booking import PractitionerPublishedV1, PractitionerWithdrawnV1
from common.folding import folded
from common.ids import uuid7
from common.messaging import outbox, tasks
from common.places import TIME_ZONES

EXTEND_AGENDA = "extend-agenda"


class RppsKnown(DomainError):
    code: ClassVar[str] = "rpps-known"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class SectorNotPossible(DomainError):
    code: ClassVar[str] = "sector-not-possible"
    refusal: ClassVar[Refusal] = Refusal.INVALID


class PermanentOverrunNotPossible(DomainError):
    """The permanent right to charge above the tariff is one of sector 1; elsewhere nothing asks for it."""

    code: ClassVar[str] = "permanent-overrun-not-possible"
    refusal: ClassVar[Refusal] = Refusal.INVALID

    def __init__(self, field: str) -> None:
        detail = "a permanent right to charge above the tariff belongs to sector 1"
        super().__init__(detail, extra=at_field(f"/body/{field}", self.code, detail))


async def create_practitioner(
    session: AsyncSession, fields: Mapping[str, Any], *, now: datetime
) -> Practitioner:
    """`fields` are the columns but those this service decides on.

    Raises PermanentOverrunNotPossible, RppsKnown.
    """
    _check_overrun(fields["sector"], permanent=fields["permanent_overrun"], field="permanent_overrun")
    if await store.is_rpps_known(session, fields["rpps"]):
        raise RppsKnown("this RPPS number is registered")
    practitioner_id = uuid7(now)
    practitioner = Practitioner(
        **dict(
            fields,
            biller_id=fields["biller_id"] or practitioner_id,
            time_zone=fields["time_zone"] or TIME_ZONES[fields["zone"]],
        ),
        id=practitioner_id,
        version=0,
        created_at=now,
        agenda_revision=0,
    )
    _index(practitioner)
    session.add(practitioner)
    await session.flush()
    _publish(session, practitioner, now=now)
    await session.flush()
    return practitioner


async def update_practitioner(
    session: AsyncSession, practitioner: Practitioner, changes: Mapping[str, Any], *, now: datetime
) -> None:
    """The practitioner's row is locked. Appointments keep the fee and mark they were requested with.

    None as `biller_id` is the practitioner, as `time_zone` that of the tariff zone.
    Raises SectorNotPossible, PermanentOverrunNotPossible.
    """
    zone_before, clock_before = practitioner.zone, practitioner.time_zone
    for name, value in changes.items():
        if name != "time_zone":
            setattr(practitioner, name, value)
    if practitioner.biller_id is None:
        practitioner.biller_id = practitioner.id
    nobody_chose = "time_zone" not in changes and clock_before == TIME_ZONES[zone_before]
    chosen = changes.get("time_zone", None if nobody_chose else clock_before)
    practitioner.time_zone = chosen or TIME_ZONES[practitioner.zone]
    if (practitioner.profession == "physician") is (practitioner.sector == "none"):
        raise SectorNotPossible("a sector belongs to physicians, and every physician has one")
    field = "permanent_overrun" if "permanent_overrun" in changes else "sector"
    _check_overrun(practitioner.sector, permanent=practitioner.permanent_overrun, field=field)
    _index(practitioner)
    _publish(session, practitioner, now=now)
    if practitioner.time_zone != clock_before:
        await materialise(session, practitioner, now=now)
    await session.flush()


async def withdraw_practitioner(session: AsyncSession, practitioner_id: UUID, *, now: datetime) -> None:
    """Nobody can book them any more; what is booked stays until somebody cancels it."""
    practitioner = await store.get_practitioner(session, practitioner_id, lock=True)
    practitioner.withdrawn_at = now
    await store.replace_offers(session, practitioner, [], now=now)
    outbox.add(session, practitioner, PractitionerWithdrawnV1(practitioner_id=practitioner.id), now=now)


async def write_agenda(
    session: AsyncSession,
    practitioner: Practitioner,
    *,
    rules: Sequence[agenda.Rule],
    exceptions: Sequence[agenda.SpecialDay],
    now: datetime,
) -> None:
    """Replaces rules and exceptions, and the offers that follow from them. The practitioner's row is locked.

    Raises AgendaRefused.
    """
    agenda.check(rules, exceptions)
    await store.clear_agenda(session, practitioner.id)
    for rule in rules:
        session.add(
            AgendaRule(
                practitioner_id=practitioner.id,
                weekday=rule.weekday,
                from_time=rule.from_time,
                to_time=rule.to_time,
                slot_minutes=rule.slot_minutes,
                valid_from=rule.valid_from,
                valid_to=rule.valid_to,
                mode=rule.mode,
            )
        )
        await session.flush()  # one by one: they are read in the order they were written
    for each in exceptions:
        session.add(
            AgendaException(
                practitioner_id=practitioner.id,
                on=each.on,
                last_on=each.last_on,
                kind=each.kind,
                from_time=each.from_time,
                to_time=each.to_time,
                slot_minutes=each.slot_minutes,
                mode=each.mode,
            )
        )
        await session.flush()
    practitioner.agenda_revision += 1
    await materialise(session, practitioner, now=now)
    due_at = now + agenda.EXTEND_EVERY
    tasks.add(session, EXTEND_AGENDA, str(practitioner.id), due_at=due_at, again=True)


async def agenda_of(
    session: AsyncSession, practitioner_id: UUID
) -> tuple[list[agenda.Rule], list[agenda.SpecialDay]]:
    """Rules and exceptions as they were written, in their order."""
    rules = [
        agenda.Rule(
            weekday=row.weekday,
            from_time=row.from_time,
            to_time=row.to_time,
            slot_minutes=row.slot_minutes,
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            mode=row.mode,
        )
        for row in await store.list_rules(session, practitioner_id)
    ]
    exceptions = [
        agenda.SpecialDay(
            on=row.on,
            last_on=row.last_on,
            kind=row.kind,
            from_time=row.from_time,
            to_time=row.to_time,
            slot_minutes=row.slot_minutes,
            mode=row.mode,
        )
        for row in await store.list_exceptions(session, practitioner_id)
    ]
    return rules, exceptions


async def materialise(session: AsyncSession, practitioner: Practitioner, *, now: datetime) -> None:
    """Makes the offers of the next 60 days what the agenda says. Again and again it changes nothing."""
    rules, exceptions = await agenda_of(session, practitioner.id)
    zone = ZoneInfo(practitioner.time_zone)
    spans = agenda.spans(rules, exceptions, zone=zone, starting=now, before=now + agenda.HORIZON)
    await store.replace_offers(session, practitioner, spans, now=now)


async def extend_agenda(session: AsyncSession, practitioner_id: UUID, *, now: datetime) -> bool:
    """The daily extension. False: the practitioner is gone and needs no other one."""
    try:
        practitioner = await store.get_practitioner(session, practitioner_id, lock=True)
    except store.PractitionerNotFound:
        return False
    await materialise(session, practitioner, now=now)
    return True


def _check_overrun(sector: str, *, permanent: bool, field: str) -> None:
    """`field` is the one that the caller wrote, and that makes it impossible."""
    if permanent and sector != "s1":
        raise PermanentOverrunNotPossible(field)


def _index(practitioner: Practitioner) -> None:
    practitioner.sort_name = folded(f"{practitioner.last_name} {practitioner.first_name}")
    words = folded(
        f"{practitioner.display_name} {practitioner.first_name} {practitioner.last_name} {practitioner.city}"
    )
    practitioner.words = cast("str", func.to_tsvector("simple", words))


def _publish(session: AsyncSession, practitioner: Practitioner, *, now: datetime) -> None:
    published = PractitionerPublishedV1(
        practitioner_id=practitioner.id,
        rpps=practitioner.rpps,
        biller_id=practitioner.biller_id,
        profession=cast("Profession", practitioner.profession),
        specialty=practitioner.specialty,
        sector=cast("Sector", practitioner.sector),
        zone=cast("Zone", practitioner.zone),
        agreed_company=practitioner.agreed_company,
        third_party_payment=cast("ThirdPartyPayment", practitioner.third_party_payment),
        currency=cast("Currency", practitioner.currency),
        fee_cents=practitioner.fee_cents,
        permanent_overrun=practitioner.permanent_overrun,
        time_zone=practitioner.time_zone,
    )
    outbox.add(session, practitioner, published, now=now)
