"""Practitioners: HTTP in, use case, HTTP out."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from booking import store
from booking.api.auth import AdministratorCaller
from booking.api.schemas import (
    PractitionerCreate,
    PractitionerFound,
    PractitionerPage,
    PractitionerRead,
    PractitionerUpdate,
)
from booking.usecases import practitioners
from common.events.base import Profession, SpecialtyCode
from common.web import etags, idempotency, pages
from common.web.deps import Cursor, CursorKey, Limit, Now, Reading, Transaction
from common.web.etags import IfMatch
from common.web.idempotency import IdempotencyKey
from common.web.problems import responses
from common.web.schemas import QueryTime

router = APIRouter(prefix="/booking/v1/practitioners", tags=["practitioners"])


@router.post("", status_code=201, responses=responses(409))
async def create_practitioner(
    body: PractitionerCreate,
    key: IdempotencyKey,
    _: AdministratorCaller,
    transaction: Transaction,
    now: Now,
    response: Response,
) -> PractitionerRead:
    """Registers a practitioner, who can be found once there is an agenda."""
    earlier = await idempotency.begin(transaction, key, now=now)
    if earlier is None:
        row = await practitioners.create_practitioner(transaction, body.fields(), now=now)
        await idempotency.finish(transaction, key, status=201, reference=str(row.id), now=now)
    else:
        row = await store.get_practitioner(transaction, UUID(earlier))
    response.headers["ETag"] = etags.etag(row.version)
    return PractitionerRead.of(row)


@router.get("")
async def list_practitioners(
    session: Reading,
    now: Now,
    cursor: Cursor,
    limit: Limit,
    key: CursorKey,
    *,
    profession: Annotated[Profession | None, Query()] = None,
    specialty: Annotated[SpecialtyCode | None, Query()] = None,
    q: Annotated[str | None, Query(max_length=100, description="Words of name or city")] = None,
    available_before: Annotated[QueryTime | None, Query()] = None,
) -> PractitionerPage:
    """A search by name, city, profession and free time; in the order of names."""
    found = await store.list_practitioners(
        session,
        profession=profession,
        specialty=specialty,
        words=q,
        available_before=available_before,
        after=(cursor[0], UUID(cursor[1])) if cursor else None,
        limit=limit + 1,
        now=now,
    )
    items = [PractitionerFound.found(*each) for each in found[:limit]]
    more = len(found) > limit
    last = [found[limit - 1].practitioner.sort_name, str(items[-1].id)] if more else []
    return PractitionerPage(items=items, next_cursor=pages.encode(last, key=key) if more else None)


@router.get("/{practitioner_id}", responses=responses(404))
async def read_practitioner(practitioner_id: UUID, session: Reading, response: Response) -> PractitionerRead:
    """One practitioner, for anybody."""
    row = await store.get_practitioner(session, practitioner_id)
    response.headers["ETag"] = etags.etag(row.version)
    return PractitionerRead.of(row)


@router.patch("/{practitioner_id}", responses=responses(404, 412, 428))
async def update_practitioner(
    practitioner_id: UUID,
    body: PractitionerUpdate,
    if_match: IfMatch,
    _: AdministratorCaller,
    transaction: Transaction,
    now: Now,
    response: Response,
) -> PractitionerRead:
    """Changes what is given; needs If-Match. Prices of later bookings follow."""
    row = await store.get_practitioner(transaction, practitioner_id, lock=True)
    etags.check(if_match, row.version)
    await practitioners.update_practitioner(transaction, row, body.changes(), now=now)
    response.headers["ETag"] = etags.etag(row.version)
    return PractitionerRead.of(row)


@router.delete("/{practitioner_id}", status_code=204, responses=responses(404))
async def withdraw_practitioner(
    practitioner_id: UUID, _: AdministratorCaller, transaction: Transaction, now: Now
) -> None:
    """Nobody finds or books the practitioner any more; appointments stay.

    They are the conflicts of the practitioner from now on, and can be cancelled together.
    """
    await practitioners.withdraw_practitioner(transaction, practitioner_id, now=now)
