"""Agendas and the offers that follow from them: HTTP in, use case, HTTP out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from booking import store
from booking.api.auth import AgendaCaller
from booking.api.schemas import AgendaRead, AgendaWrite, NextOffer, OfferPage, OfferRead
from booking.models import Offer
from booking.usecases import practitioners
from common.events.base import Profession, SpecialtyCode
from common.web import etags, pages
from common.web.auth import Role
from common.web.deps import Cursor, CursorKey, Limit, Now, Reading, Transaction
from common.web.etags import IfMatchOptional
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
    """If-Match is needed once there is an agenda; the same body again, without it, changes nothing."""
    row = await store.get_practitioner(transaction, practitioner_id, lock=True)
    if Role.ADMINISTRATOR not in caller.roles and row.rpps != caller.rpps:
        raise store.PractitionerNotFound("no such practitioner")
    wanted = [each.rule() for each in body.rules], [each.exception() for each in body.exceptions]
    repeated = if_match is None and wanted == await practitioners.agenda_of(transaction, row.id)
    if row.agenda_revision > 0 and not repeated:
        etags.check(if_match, row.agenda_revision)
    if not repeated:
        rules, exceptions = wanted
        await practitioners.write_agenda(transaction, row, rules=rules, exceptions=exceptions, now=now)
    response.headers["ETag"] = etags.etag(row.agenda_revision)
    return AgendaRead.of(
        row,
        await store.list_rules(transaction, practitioner_id),
        await store.list_exceptions(transaction, practitioner_id),
    )


@router.get("/practitioners/{practitioner_id}/agenda", responses=responses(404))
async def read_agenda(
    practitioner_id: UUID, caller: AgendaCaller, session: Reading, response: Response
) -> AgendaRead:
    """The rules and exceptions that free times follow from."""
    row = await store.get_practitioner(session, practitioner_id)
    if Role.ADMINISTRATOR not in caller.roles and row.rpps != caller.rpps:
        raise store.PractitionerNotFound("no such practitioner")
    response.headers["ETag"] = etags.etag(row.agenda_revision)
    return AgendaRead.of(
        row,
        await store.list_rules(session, practitioner_id),
        await store.list_exceptions(session, practitioner_id),
    )


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
    found = await store.list_offers(
        session, profession=profession, specialty=specialty, now=now, limit=1
    )
    return NextOffer(offer=OfferRead.of(found[0]) if found else None)


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
