"""A card provider for development and tests: holds, 3-D Secure, signed webhooks, books that last."""

import asyncio
import html
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

import asyncpg
import httpx
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from common.clock import Clock
from common.telemetry import FASTAPI_OFF
from simulators import card_provider_by_itself as by_itself
from simulators.card_provider_books import Answer, Books, Entry, Refused, Scenario, Work
from simulators.card_provider_webhooks import Deliverer

PREFIX: Final = "/simulators/card"
CONTROLS_PREFIX: Final = "/simulators/controls/card"


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Number = Annotated[str, Field(pattern=r"^[0-9]{12,19}$")]
Reference = Annotated[str, Field(min_length=1, max_length=200)]
Amount = Annotated[int, Field(gt=0, le=10_000_000, strict=True)]


class TokenIn(_In):
    number: Number
    exp_month: int = Field(ge=1, le=12)
    exp_year: int = Field(ge=2000, le=2100)
    cvc: str = Field(pattern=r"^[0-9]{3,4}$")


class PaymentIn(_In):
    reference: Reference
    token: str
    amount_cents: Amount
    currency: Literal["EUR"]
    off_session: bool = False
    capture: Literal["manual", "automatic"] = "manual"
    metadata: dict[str, str] = Field(default_factory=dict, max_length=20)


class CaptureIn(_In):
    amount_cents: Amount


class RefundIn(_In):
    reference: Reference
    amount_cents: Amount


class AmountIn(_In):
    amount_cents: Amount


class OwnCaptureIn(AmountIn):
    closes: bool = True  # the rest of the authorisation is released


class SetupIn(_In):
    reference: Reference
    token: str


class ChallengeIn(_In):
    outcome: Literal["accept", "refuse"]


class ScenarioIn(_In):
    duplicates: int = Field(0, ge=0, le=10)
    delay_seconds: float = Field(0, ge=0, le=3600)
    before_response: bool = False
    newest_first: bool = False
    muted: bool = False
    outage: Literal["none", "unavailable", "lost-response"] = "none"
    slow_seconds: float = Field(0, ge=0, le=60)


def _problem(code: str, status: int) -> JSONResponse:
    body = {"type": f"urn:problem:{code}", "title": code.replace("-", " "), "status": status, "code": code}
    return JSONResponse(body, status, media_type="application/problem+json")


async def _on_refused(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, Refused):
        raise error
    return _problem(error.code, error.status)


def _books(request: Request) -> Books:
    books: Books = request.app.state.books
    return books


async def _authorised(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    expected = f"Bearer {request.app.state.api_key}"
    if not secrets.compare_digest(authorization.encode(), expected.encode()):
        raise Refused("key-invalid", status=401)


async def _working(request: Request) -> None:
    """What a scripted outage does before the work."""
    scenario = await _books(request).scenario()
    if scenario.slow_seconds:
        await asyncio.sleep(scenario.slow_seconds)
    if scenario.outage == "unavailable":
        raise Refused("unavailable", status=503)


BooksDep = Annotated[Books, Depends(_books)]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]
PaymentId = Annotated[str, Path(max_length=200)]

tokens = APIRouter(prefix=PREFIX)
server = APIRouter(prefix=PREFIX, dependencies=[Depends(_authorised), Depends(_working)])
challenges = APIRouter(prefix=PREFIX)


async def _once(request: Request, key: str, asked: BaseModel | None, work: Work) -> JSONResponse:
    body = {"path": request.url.path, "body": asked.model_dump() if asked else None}
    answer = await _books(request).once(key, body, work)
    return await _respond(request, answer)


async def _respond(request: Request, answer: Answer) -> JSONResponse:
    scenario = await _books(request).scenario()
    if scenario.before_response:
        for event in answer.events:
            await request.app.state.deliverer.send(event)
    if scenario.outage == "lost-response":
        return _problem("gateway-timeout", 504)
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
    return JSONResponse(answer.body, answer.status, headers)


@tokens.post("/tokens", status_code=201)
async def create_token(asked: TokenIn, books: BooksDep) -> dict[str, Any]:
    """Called by the app itself: a card number never reaches our services, and is not kept here either."""
    async with books.entry() as entry:
        return await entry.tokenise(asked.number, month=asked.exp_month, year=asked.exp_year)


@server.post("/v1/payments")
async def create_payment(asked: PaymentIn, key: Key, request: Request) -> JSONResponse:
    async def work(entry: Entry) -> dict[str, Any]:
        return await entry.authorise(
            reference=asked.reference,
            token=asked.token,
            amount_cents=asked.amount_cents,
            currency=asked.currency,
            off_session=asked.off_session,
            automatic=asked.capture == "automatic",
            metadata=asked.metadata,
        )

    return await _once(request, key, asked, work)


@server.get("/v1/payments")
async def find_payment(
    reference: Annotated[str, Query(min_length=1, max_length=200)], books: BooksDep
) -> dict[str, Any]:
    async with books.entry() as entry:
        return await entry.payment(reference)


@server.get("/v1/payment-list")
async def list_payments(
    books: BooksDep,
    after: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
) -> dict[str, Any]:
    """Every payment, in the order of their ids; the next page begins after the last id of this one."""
    async with books.entry() as entry:
        return {"items": await entry.payments_after(after, limit=limit)}


@server.get("/v1/payments/{payment_id}")
async def get_payment(payment_id: PaymentId, books: BooksDep) -> dict[str, Any]:
    async with books.entry() as entry:
        return await entry.payment(payment_id)


@server.post("/v1/payments/{payment_id}/capture")
async def capture_payment(
    payment_id: PaymentId, asked: CaptureIn, key: Key, request: Request
) -> JSONResponse:
    async def work(entry: Entry) -> dict[str, Any]:
        return await entry.capture(payment_id, amount_cents=asked.amount_cents)

    return await _once(request, key, asked, work)


@server.post("/v1/payments/{payment_id}/void")
async def void_payment(payment_id: PaymentId, key: Key, request: Request) -> JSONResponse:
    async def work(entry: Entry) -> dict[str, Any]:
        return await entry.void(payment_id)

    return await _once(request, key, None, work)


@server.post("/v1/payments/{payment_id}/refunds")
async def refund_payment(payment_id: PaymentId, asked: RefundIn, key: Key, request: Request) -> JSONResponse:
    async def work(entry: Entry) -> dict[str, Any]:
        return await entry.refund(payment_id, amount_cents=asked.amount_cents, reference=asked.reference)

    return await _once(request, key, asked, work)


@server.post("/v1/setups")
async def create_setup(asked: SetupIn, key: Key, request: Request) -> JSONResponse:
    async def work(entry: Entry) -> dict[str, Any]:
        return await entry.set_up(token=asked.token, reference=asked.reference)

    return await _once(request, key, asked, work)


@server.get("/v1/setups")
async def find_setup(
    reference: Annotated[str, Query(min_length=1, max_length=200)], books: BooksDep
) -> dict[str, Any]:
    async with books.entry() as entry:
        return await entry.setup(reference=reference)


@server.delete("/v1/methods/{token}")
async def delete_method(token: PaymentId, books: BooksDep) -> dict[str, Any]:
    async with books.entry() as entry:
        return await entry.forget(token)


@challenges.get("/challenges/{challenge}")
async def show_challenge(challenge: PaymentId, books: BooksDep) -> HTMLResponse:
    """The page a patient's bank would show."""
    async with books.entry() as entry:
        asked = await entry.challenged(challenge)
    euros = f"{asked['amount_cents'] // 100}.{asked['amount_cents'] % 100:02d}"
    what = f"Confirm {euros} EUR" if asked["amount_cents"] else "Confirm that this card may be saved"
    script = (
        "async function answer(outcome) { const sent = await fetch(location.href, {method: 'POST', headers: "
        "{'content-type': 'application/json'}, body: JSON.stringify({outcome})}); "
        "document.body.textContent = sent.ok ? 'Thank you, you may close this page.' : 'Too late.'; }"
    )
    buttons = (
        "<button onclick=\"answer('accept')\">Confirm</button> "
        "<button onclick=\"answer('refuse')\">Refuse</button>"
        if asked["open"]
        else "This request is over."
    )
    return HTMLResponse(
        f"<!doctype html><html lang=en><title>Test bank</title><h1>{html.escape(what)}</h1>"
        f"<p>{buttons}</p><script>{script}</script>"
    )


@challenges.post("/challenges/{challenge}")
async def answer_challenge(challenge: PaymentId, asked: ChallengeIn, request: Request) -> JSONResponse:
    async with _books(request).entry() as entry:
        body = await entry.answer_challenge(challenge, accepted=asked.outcome == "accept")
    return JSONResponse(body)


controls = APIRouter(prefix=CONTROLS_PREFIX)


@controls.get("/scenario")
async def get_scenario(books: BooksDep) -> dict[str, Any]:
    return asdict(await books.scenario())


@controls.put("/scenario")
async def put_scenario(asked: ScenarioIn, books: BooksDep) -> dict[str, Any]:
    """Replaces the whole scenario: what is left out goes back to well-behaved."""
    await books.play(Scenario(**asked.model_dump()))
    return asked.model_dump()


@controls.get("/books")
async def get_books(books: BooksDep) -> dict[str, int]:
    """Sums over all payments, in cents: what a ledger must agree with."""
    return await books.totals()


@controls.get("/payments/{payment_id}")
async def look_up_payment(payment_id: PaymentId, books: BooksDep) -> dict[str, Any]:
    async with books.entry() as entry:
        return await entry.payment(payment_id)


@controls.post("/payments/{payment_id}/expiry")
async def expire_payment(payment_id: PaymentId, books: BooksDep) -> dict[str, Any]:
    async with books.entry() as entry:
        return await entry.expire(payment_id)


@controls.post("/payments/{payment_id}/refund")
async def refund_by_itself(payment_id: PaymentId, asked: AmountIn, books: BooksDep) -> dict[str, Any]:
    """The provider gives money back by itself."""
    async with books.entry() as entry:
        return await by_itself.refund(entry, payment_id, amount_cents=asked.amount_cents)


@controls.post("/payments/{payment_id}/capture")
async def capture_by_itself(payment_id: PaymentId, asked: OwnCaptureIn, books: BooksDep) -> dict[str, Any]:
    """The provider captures by itself, all or a part."""
    async with books.entry() as entry:
        return await by_itself.capture(
            entry, payment_id, amount_cents=asked.amount_cents, closes=asked.closes
        )


@controls.post("/payments/{payment_id}/cancellation")
async def cancel_by_itself(payment_id: PaymentId, books: BooksDep) -> dict[str, Any]:
    """The provider gives an authorisation up by itself."""
    async with books.entry() as entry:
        return await entry.void(payment_id)


@controls.post("/methods/{token}/withdrawal")
async def withdraw_card(token: PaymentId, books: BooksDep) -> dict[str, Any]:
    """The bank takes a saved card back."""
    async with books.entry() as entry:
        return {"withdrawn": await by_itself.withdraw_card(entry, token)}


def create_app(
    dsn: str,
    *,
    clock: Clock,
    public_url: str,
    api_key: str,
    webhook_url: str,
    webhook_secret: str,
    transport: httpx.AsyncBaseTransport | None = None,
    deliver: bool = True,
) -> FastAPI:
    """The provider. `public_url` is this app's own address with its prefix; `webhook_url` is payment's.

    `transport` replaces the network for webhooks; without `deliver` they are sent only by `send_due`.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(asyncpg.create_pool(dsn, min_size=1, max_size=6))
            books = Books(pool, clock, public_url.rstrip("/"))
            await books.create_tables()
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, timeout=5))
            app.state.books = books
            app.state.deliverer = Deliverer(books, client, webhook_url, webhook_secret)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            if deliver:
                group.create_task(app.state.deliverer.run(stop))
            try:
                yield
            finally:
                stop.set()

    app = FastAPI(
        telemetry=FASTAPI_OFF,
        title="Card provider simulator",
        lifespan=lifespan,
        openapi_url=f"{PREFIX}/openapi.json",
    )
    app.state.api_key = api_key
    for router in (tokens, server, challenges):
        app.include_router(router)
    app.add_exception_handler(Refused, _on_refused)
    return app


def create_controls(dsn: str, *, clock: Clock, public_url: str) -> FastAPI:
    """A separate app for tests and demonstrations; whoever reaches it scripts the provider."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn, min_size=0, max_size=2) as pool:
            app.state.books = Books(pool, clock, public_url.rstrip("/"))
            await app.state.books.create_tables()
            yield

    app = FastAPI(
        telemetry=FASTAPI_OFF,
        title="Card provider controls",
        lifespan=lifespan,
        openapi_url=f"{CONTROLS_PREFIX}/openapi.json",
    )
    app.include_router(controls)
    app.add_exception_handler(Refused, _on_refused)
    return app
