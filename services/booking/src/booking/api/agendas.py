"""Agendas and the offers that follow from them: HTTP in, use case, HTTP out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from booking import store
from booking.api.auth import AgendaCaller
from booking.api.schemas import (
    AgendaRead,
    AgendaWrite,
    CancellationsCreate,
    CancelledVisitList,
    CancelledVisitRead,
    ConflictList,
    ConflictRead,
    NextOffer,
    OfferPage,
    OfferRead,
)
from booking.domain.cancellation import Party
from booking.models import Offer, Practitioner
from booking.usecases import conflicts, practitioners
from common.events.base import Profession, SpecialtyCode
from common.web import etags, pages
from common.web.auth import Caller, Role
from common.web.deps import Cursor, CursorKey, Limit, Now, Reading, Transaction
from common.web.etags import IfMatchOptional
from common.web.openapi import bounded
from common.web.problems import responses
from common.web.schemas import FROM_INCLUDED, TO_EXCLUDED, QueryTime

router = APIRouter(prefix="/booking/v1", tags=["agendas"])

From = Annotated[QueryTime | None, Query(alias="from", description=f"Now, unless later. {FROM_INCLUDED}")]
To = Annotated[QueryTime | None, Query(alias="to", description=TO_EXCLUDED)]


@router.put("/practitioners/{practitioner_id}/agenda", responses=responses(404, 412, 428))
async def write_agenda(
    practitioner_id: UUID,
    body: AgendaWrite,
    if_match: IfMatchOptional,
    caller: AgendaCaller,
    transaction: Transaction,
    now: Now,
    response: Response,
) -> AgendaRead:
    """If-Match is needed once there is an agenda; the same body again, without it, changes nothing.

    Visits that are booked stay: `conflicts` lists those that the new agenda does not have open.
    """
    row = await store.get_practitioner(transaction, practitioner_id, lock=True)
    _check_own(row, caller)
    wanted = [each.rule() for each in body.rules], [each.exception() for each in body.exceptions]
    repeated = if_match is None and wanted == await practitioners.agenda_of(transaction, row.id)
    if row.agenda_revision > 0 and not repeated:
        etags.check(if_match, row.agenda_revision)
    if not repeated:
        rules, exceptions = wanted
        await practitioners.write_agenda(transaction, row, rules=rules, exceptions=exceptions, now=now)
    response.headers["ETag"] = etags.etag(row.agenda_revision)
    return await _agenda(transaction, row, now=now)


@router.get("/practitioners/{practitioner_id}/agenda", responses=responses(404))
async def read_agenda(
    practitioner_id: UUID, caller: AgendaCaller, session: Reading, now: Now, response: Response
) -> AgendaRead:
    """The rules and exceptions that free times follow from."""
    row = await store.get_practitioner(session, practitioner_id)
    _check_own(row, caller)
    response.headers["ETag"] = etags.etag(row.agenda_revision)
    return await _agenda(session, row, now=now)


@router.get(
    "/practitioners/{practitioner_id}/conflicts",
    responses=responses(404),
    openapi_extra=bounded("the visits that one practitioner has in the next 60 days"),
)
async def list_conflicts(
    practitioner_id: UUID, caller: AgendaCaller, session: Reading, now: Now
) -> ConflictList:
    """Visits to come at times that the agenda does not have open; all, of a practitioner who has left."""
    row = await store.get_practitioner_or_former(session, practitioner_id)
    _check_own(row, caller)
    found = await conflicts.list_conflicts(session, row, now=now)
    return ConflictList(items=[ConflictRead.of(each) for each in found])


@router.post("/practitioners/{practitioner_id}/cancellations", responses=responses(404, 409))
async def cancel_visits(
    practitioner_id: UUID, body: CancellationsCreate, caller: AgendaCaller, transaction: Transaction, now: Now
) -> CancelledVisitList:
    """Cancels visits of a practitioner together, all or none, such as the conflicts of an agenda.

    Patients pay nothing, and each appointment says the reason as `end_reason`. A visit that is cancelled
    already stays as it is, so the request may be repeated.
    """
    row = await store.get_practitioner_or_former(transaction, practitioner_id)
    _check_own(row, caller)
    cancelled = await conflicts.cancel_visits(
        transaction, row, body.appointment_ids, reason=body.reason, party=_party(row, caller), now=now
    )
    return CancelledVisitList(items=[CancelledVisitRead.of(each) for each in cancelled])


@router.get("/practitioners/{practitioner_id}/offers", responses=responses(404))
async def list_practitioner_offers(
    practitioner_id: UUID,
    session: Reading,
    now: Now,
    cursor: Cursor,
    limit: Limit,
    key: CursorKey,
    *,
    from_: From = None,
    to: To = None,
) -> OfferPage:
    """Free times of one practitioner, soonest first."""
    await store.get_practitioner(session, practitioner_id)
    found = await store.list_offers(
        session,
        practitioner_id=practitioner_id,
        starting=from_,
        now=now,
        before=to,
        after=_after(cursor),
        limit=limit + 1,
    )
    return _page(found, limit, key)


@router.get("/offers")
async def list_offers(
    session: Reading,
    now: Now,
    cursor: Cursor,
    limit: Limit,
    key: CursorKey,
    profession: Annotated[Profession, Query()],
    *,
    specialty: Annotated[SpecialtyCode | None, Query()] = None,
    from_: From = None,
    to: To = None,
) -> OfferPage:
    """Free times of a profession and specialty, soonest first."""
    found = await store.list_offers(
        session,
        profession=profession,
        specialty=specialty,
        starting=from_,
        now=now,
        before=to,
        after=_after(cursor),
        limit=limit + 1,
    )
    return _page(found, limit, key)


@router.get("/offers/next")
async def read_next_offer(
    session: Reading,
    now: Now,
    profession: Annotated[Profession, Query()],
    specialty: Annotated[SpecialtyCode | None, Query()] = None,
) -> NextOffer:
    """The soonest free time; null when there is none."""
    found = await store.list_offers(session, profession=profession, specialty=specialty, now=now, limit=1)
    return NextOffer(offer=OfferRead.of(found[0]) if found else None)


def _check_own(row: Practitioner, caller: Caller) -> None:
    if Role.ADMINISTRATOR not in caller.roles and row.rpps != caller.rpps:
        raise store.PractitionerNotFound("no such practitioner")


def _party(row: Practitioner, caller: Caller) -> Party:
    return Party.PRACTITIONER if row.rpps == caller.rpps else Party.PLATFORM


async def _agenda(session: AsyncSession, row: Practitioner, *, now: datetime) -> AgendaRead:
    return AgendaRead.of(
        row,
        await store.list_rules(session, row.id),
        await store.list_exceptions(session, row.id),
        await conflicts.list_conflicts(session, row, now=now),
    )


def _after(cursor: list[str] | None) -> tuple[datetime, UUID] | None:
    return (datetime.fromisoformat(cursor[0]), UUID(cursor[1])) if cursor else None


def _page(found: Sequence[Offer], limit: int, key: bytes) -> OfferPage:
    items = [OfferRead.of(each) for each in found[:limit]]
    if len(found) <= limit:
        return OfferPage(items=items, next_cursor=None)
    last = found[limit - 1]
    return OfferPage(
        items=items, next_cursor=pages.encode([last.starts_at.isoformat(), str(last.id)], key=key)
    )
