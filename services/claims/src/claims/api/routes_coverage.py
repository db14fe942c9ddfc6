"""Coverage of patients, the AMC directory and sponsors' offers: HTTP in, use case, HTTP out."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from claims import store
from claims.api.auth import ConfigDep
from claims.api.schemas import (
    AmcList,
    AmcRead,
    CoverageRead,
    CoverageWrite,
    SponsorOfferCreate,
    SponsorOfferRead,
)
from claims.domain.calendar import day_in_paris
from claims.usecases import coverage, sponsors
from common.web import etags, idempotency
from common.web.access import AccessDep
from common.web.auth import CallerDep, Role, requires
from common.web.deps import Now, Transaction
from common.web.etags import IfMatchOptional
from common.web.idempotency import IdempotencyKey
from common.web.openapi import bounded
from common.web.problems import responses
from common.web.schemas import QueryDate

router = APIRouter(prefix="/claims/v1", tags=["coverage"])


@router.put(
    "/patients/{patient_id}/coverage",
    responses=responses(404, 412, 428),
    dependencies=[requires(Role.PATIENT)],
)
async def put_coverage(
    patient_id: UUID,
    body: CoverageWrite,
    access: AccessDep,
    caller: CallerDep,
    if_match: IfMatchOptional,
    response: Response,
    config: ConfigDep,
    transaction: Transaction,
    now: Now,
) -> CoverageRead:
    """The coverage from now on, with If-Match once there is one; live appointments are priced again."""
    await access.patient(transaction, patient_id, what="coverage", purpose="change")
    head = await store.lock_coverage(transaction, patient_id)
    if head.version > 0 or if_match is not None:
        etags.check(if_match, head.version)
    row = await coverage.put_coverage(
        transaction, config, patient_id, body.statement(), head=head, stated_by=caller.subject, now=now
    )
    response.headers["ETag"] = etags.etag(row.version)
    return CoverageRead.of(row, await coverage.opened(transaction, config, row, care_on=day_in_paris(now)))


@router.get("/patients/{patient_id}/coverage", responses=responses(404))
async def read_coverage(
    patient_id: UUID,
    access: AccessDep,
    response: Response,
    config: ConfigDep,
    transaction: Transaction,
    now: Now,
) -> CoverageRead:
    """The coverage of now; numbers are masked but for their last characters."""
    await access.patient(transaction, patient_id, what="coverage", purpose="care")
    row = await coverage.get_current(transaction, patient_id)
    response.headers["ETag"] = etags.etag(row.version)
    return CoverageRead.of(row, await coverage.opened(transaction, config, row, care_on=day_in_paris(now)))


@router.get(
    "/amc-directory",
    dependencies=[requires(*Role)],
    openapi_extra=bounded("the first 50; a longer word finds fewer"),
)
async def search_amc_directory(
    config: ConfigDep,
    now: Now,
    q: Annotated[str, Query(min_length=2, max_length=64)],
    on: Annotated[QueryDate | None, Query(description="the care date; today when left out")] = None,
) -> AmcList:
    """By the start of the number or a part of the name."""
    rows = config.tables.search_amc(q, on=on or day_in_paris(now))
    return AmcList(items=[AmcRead.of(row) for row in rows[:50]])


@router.post(
    "/sponsor-offers",
    status_code=201,
    responses=responses(409),
    dependencies=[requires(Role.ADMINISTRATOR)],
)
async def add_sponsor_offer(
    body: SponsorOfferCreate, key: IdempotencyKey, config: ConfigDep, transaction: Transaction, now: Now
) -> SponsorOfferRead:
    """The answer tells the joining code, once: a replay does not."""
    earlier = await idempotency.begin(transaction, key, now=now)
    if earlier is not None:
        return SponsorOfferRead.of(await sponsors.get_offer(transaction, UUID(earlier)), None)
    row, code = await sponsors.add_offer(transaction, config, body.offer(), now=now)
    await idempotency.finish(transaction, key, status=201, reference=str(row.id), now=now)
    return SponsorOfferRead.of(row, code)
