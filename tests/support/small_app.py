"""A service of a few routes, to see what common.web makes of them."""

import asyncio
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal
from uuid import UUID, uuid4

import httpx
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import select, text

from common.clock import Clock
from common.db import Sessions
from common.errors import DomainError, Refusal
from common.web import access, etags, idempotency, pages
from common.web.access import AccessDep
from common.web.app import base_app
from common.web.auth import CallerDep, Role, Verifier, requires
from common.web.deps import Cursor, CursorKey, Limit, Now, Prefer, Reading, Transaction
from common.web.etags import IfMatch
from common.web.idempotency import IdempotencyKey
from common.web.limits import rate_limited
from common.web.problems import problem, responses
from common.web.progress import LastEventId, ProgressDep
from common.web.schemas import In, Out
from common.web.tables import PractitionerKeyRow

AWAITED: Final = UUID(int=1)

router = APIRouter(prefix="/small/v1")


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def _is_even(value: int) -> int:
    if value % 2:
        raise PydanticCustomError("not_even", "must be even")
    return value


class Round(In):
    shape: Literal["round"]
    radius: int


class Square(In):
    shape: Literal["square"]
    side2: int


class ThingCreate(In):
    rpps: Annotated[str, Field(max_length=20)]
    count: Annotated[int, AfterValidator(_is_even)] = 0
    due_at: datetime | None = None
    born_on: date | None = None
    colour: Colour = Colour.RED
    owner_id: UUID | None = None
    tags: dict[str, int] = {}  # noqa: RUF012
    parts: list[Annotated[Round | Square, Field(discriminator="shape")]] = []  # noqa: RUF012


class ThingRead(Out):
    id: UUID
    rpps: str
    price_cents: int
    made_at: datetime


class ThingPage(Out):
    items: list[UUID]
    next_cursor: str | None


class Full(DomainError):
    code: ClassVar[str] = "full"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class Gone(DomainError):
    code: ClassVar[str] = "thing-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


@router.post("/things", status_code=201, responses=responses(409))
async def create_thing(
    thing: ThingCreate,
    key: IdempotencyKey,
    transaction: Transaction,
    now: Now,
    request: Request,
) -> ThingRead:
    earlier = await idempotency.begin(transaction, key, now=now)
    if earlier is not None:
        row = await transaction.get_one(PractitionerKeyRow, UUID(earlier))
        return ThingRead(id=row.practitioner_id, rpps=row.rpps, price_cents=1, made_at=now)
    if thing.rpps == "full":
        raise Full("no room left", extra={"next": ["monday"]}, retry_after=7)
    row = PractitionerKeyRow(practitioner_id=uuid4(), rpps=thing.rpps)
    transaction.add(row)
    held: asyncio.Event | None = getattr(request.app.state, "held", None)
    await idempotency.finish(transaction, key, status=201, reference=str(row.practitioner_id), now=now)
    if held is not None:
        request.app.state.reached.set()
        await held.wait()
    return ThingRead(id=row.practitioner_id, rpps=row.rpps, price_cents=1, made_at=now)


@router.post("/plain")
async def check_thing(thing: ThingCreate) -> dict[str, Any]:
    return {"colour": thing.colour, "due_at": thing.due_at and thing.due_at.isoformat()}


@router.get("/things/{thing_id}", responses=responses(404))
async def read_thing(thing_id: UUID, session: Reading, now: Now) -> ThingRead:
    row = await session.get(PractitionerKeyRow, thing_id)
    if row is None:
        raise Gone(f"no thing {thing_id}", retry_after=1)
    return ThingRead(id=row.practitioner_id, rpps=row.rpps, price_cents=1, made_at=now)


@router.delete("/things/{thing_id}", status_code=204)
async def delete_thing(thing_id: UUID) -> None:
    raise problem(503, "paused", f"not now: {thing_id.version}", headers={"Retry-After": "5"})


@router.patch("/things/{thing_id}")
async def change_thing(thing_id: UUID, if_match: IfMatch, response: Response) -> dict[str, str]:
    etags.check(if_match, 3)
    response.headers["ETag"] = etags.etag(4)
    return {"id": str(thing_id)}


@router.get("/things")
async def list_things(session: Reading, cursor: Cursor, limit: Limit, key: CursorKey) -> ThingPage:
    query = select(PractitionerKeyRow.practitioner_id).order_by(PractitionerKeyRow.practitioner_id)
    if cursor:
        query = query.where(PractitionerKeyRow.practitioner_id > UUID(cursor[0]))
    ids = list((await session.scalars(query.limit(limit))).all())
    more = len(ids) == limit
    return ThingPage(items=ids, next_cursor=pages.encode([str(ids[-1])], key=key) if more else None)


@router.get("/others")
async def list_others(cursor: Cursor) -> list[str]:
    return cursor or []


@router.post("/twice", status_code=201)
async def create_twice(transaction: Transaction) -> dict[str, str]:
    one = uuid4()
    transaction.add(PractitionerKeyRow(practitioner_id=one, rpps="once"))
    await transaction.flush()
    transaction.expunge_all()
    transaction.add(PractitionerKeyRow(practitioner_id=one, rpps="twice"))
    return {"id": str(one)}  # the flush of the commit fails


@router.get("/broken")
async def read_broken() -> dict[str, str]:
    raise RuntimeError("the patient is called Dupont")


@router.get("/half")
async def read_half() -> StreamingResponse:
    async def body() -> Any:
        yield b"half"
        raise RuntimeError("gone")

    return StreamingResponse(body())


@router.get("/write-while-reading")
async def write_while_reading(session: Reading) -> None:
    session.add(PractitionerKeyRow(practitioner_id=uuid4(), rpps="lost"))
    await session.flush()


@router.get("/slow-statement")
async def read_slowly(session: Reading) -> None:
    await session.execute(text("SET LOCAL statement_timeout = '20ms'"))
    await session.execute(text("SELECT pg_sleep(1)"))


@router.get("/me")
async def read_me(caller: CallerDep) -> dict[str, Any]:
    return {"subject": str(caller.subject), "roles": sorted(caller.roles), "rpps": caller.rpps}


@router.post("/administration", dependencies=[requires(Role.ADMINISTRATOR, Role.SUPPORT)])
async def administer() -> dict[str, str]:
    return {}


@router.get("/public", dependencies=[rate_limited("public", requests=3, seconds=60)])
async def read_public() -> dict[str, str]:
    return {}


@router.get("/patients/{patient_id}/file")
async def read_file(patient_id: UUID, transaction: Transaction, seen: AccessDep) -> dict[str, str]:
    await seen.patient(transaction, patient_id, what="file", purpose="care")
    return {"patient_id": str(patient_id)}


@router.get("/wait")
async def wait_for_thing(prefer: Prefer, progress: ProgressDep) -> dict[str, Any]:
    async def check(session: Any) -> str | None:
        found: str | None = await session.scalar(
            select(PractitionerKeyRow.rpps).where(PractitionerKeyRow.rpps == "awaited")
        )
        return found

    return {"seconds": prefer, "found": await progress.wait_until(check, prefer, about=AWAITED)}


@router.get("/appointments/{appointment_id}/events", response_class=StreamingResponse)
async def stream_events(appointment_id: UUID, progress: ProgressDep, last: LastEventId) -> StreamingResponse:
    return progress.stream(
        appointment_id,
        last,
        account=AWAITED,
        is_last=lambda row: row.fact == "small.ended",
        keep_alive=0.05,
        longest=5,
    )


def small_app(
    sessions: Sessions | None,
    *,
    verifier: Verifier,
    clock: Clock | None = None,
    permissions: Any = None,
    environment: Any = "development",
    **options: Any,
) -> FastAPI:
    app = base_app(
        service="small",
        title="Small",
        version="1",
        environment=environment,
        clock=clock or Clock(),
        sessions=sessions,  # type: ignore[arg-type]
        verifier=verifier,
        cursor_key=b"c" * 32,
        permissions=permissions,
        **options,
    )
    app.include_router(router)
    app.include_router(access.routes("small"))
    return app


def client_of(app: FastAPI, **options: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, **options)
    return httpx.AsyncClient(transport=transport, base_url="http://small")
