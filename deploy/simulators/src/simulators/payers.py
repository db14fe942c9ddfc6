"""The payers AMO and AMC: they acknowledge, pay and reject lots of claims as scripted, in their own books."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hmac import compare_digest
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request

from common.clock import Clock
from common.telemetry import FASTAPI_OFF
from simulators import payers_rights
from simulators.payers_books import Books
from simulators.payers_messages import BatchIn, Received, ReturnPage, Script, TakeBack


async def _books(request: Request) -> Books:
    books: Books = request.app.state.books
    return books


async def _authorised(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    expected = f"Bearer {request.app.state.key}"
    if not compare_digest(authorization.encode(), expected.encode()):
        raise HTTPException(401, "the gateway key is missing or wrong", {"WWW-Authenticate": "Bearer"})


BooksDep = Annotated[Books, Depends(_books)]

_router: Final = APIRouter(prefix="/simulators/payers", dependencies=[Depends(_authorised)])
_controls: Final = APIRouter(prefix="/simulators/controls/payers")


@_router.post("/batches", status_code=202)
async def receive_batch(batch: BatchIn, books: BooksDep) -> Received:
    if batch.total_cents != sum(claim.amount_cents for claim in batch.claims):
        raise HTTPException(422, "total_cents is not the sum of the claims")
    if len({claim.invoice_no for claim in batch.claims}) < len(batch.claims):
        raise HTTPException(422, "an invoice number stands twice")
    return await books.receive(batch)


@_router.get("/returns")
async def list_payer_returns(
    books: BooksDep,
    after: Annotated[str, Query(pattern=r"^[0-9]{1,18}$")] = "0",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> ReturnPage:
    return await books.returns(int(after), limit)


@_controls.post("/scripts", status_code=201)
async def add_payer_script(script: Script, books: BooksDep) -> dict[str, int]:
    return {"id": await books.add_script(script)}


@_controls.delete("/scripts", status_code=204)
async def clear_payer_scripts(books: BooksDep) -> None:
    await books.clear_scripts()


@_controls.post("/reversals", status_code=202)
async def take_back_payment(take_back: TakeBack, books: BooksDep) -> dict[str, int]:
    concerned = await books.take_back(take_back.payer, take_back.invoice_no, take_back.cents)
    if not concerned:
        raise HTTPException(404, "nothing was paid for this invoice")
    return {"claims": concerned}


@_controls.get("/claims")
async def list_payer_claims(books: BooksDep) -> list[dict[str, Any]]:
    return await books.claims()


def create_app(dsn: str, clock: Clock, *, key: str) -> FastAPI:
    """The payers' gateway and their rights services. Its lifespan opens the books."""
    app = _app("payers simulator", dsn, clock, [_router, payers_rights.services(_authorised)])
    app.state.key = key
    return app


def create_controls(dsn: str, clock: Clock) -> FastAPI:
    """What a test or a demo scripts the payers with; never reachable where the gateway is."""
    return _app("controls of the payers simulator", dsn, clock, [_controls, payers_rights.controls()])


def _app(title: str, dsn: str, clock: Clock, routers: Sequence[APIRouter]) -> FastAPI:
    books = Books(dsn, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with books.opened():
            yield

    app = FastAPI(
        telemetry=FASTAPI_OFF,
        title=title,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.books = books
    for router in routers:
        app.include_router(router)
    return app
