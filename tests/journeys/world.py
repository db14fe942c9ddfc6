"""Four services, a card provider and the payers in one loop: no broker, no socket, a clock to move."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import URL

import booking.consumers
import booking.tasks
import claims.consumers
import claims.tasks
import documents.consumers
import documents.tasks
import payment.consumers
import payment.tasks
from booking.api.app import create_app as create_booking
from booking.settings import Settings as BookingSettings
from claims.api.app import create_app as create_claims
from claims.clients import HttpGateway, Page
from claims.domain.claimfile import Batch
from claims.settings import ClaimingSettings
from claims.settings import Settings as ClaimsSettings
from common.clock import Clock, wall
from common.db import Sessions
from common.messaging.records import Record
from common.messaging.routes import Routes
from common.messaging.tasks import Tasks
from common.settings import KafkaSettings, KeySettings, PostgresSettings, ServiceIdentity, sample_key
from common.wake import Changes, Kind
from common.web.service_client import ServiceClient
from documents.api.app import create_app as create_documents
from documents.domain.content import AnyDocument
from documents.rendering.renderer import Renderer
from documents.settings import Settings as DocumentsSettings
from documents.storage import Storage
from payment.api.app import create_app as create_payment
from payment.settings import Settings as PaymentSettings
from payment.tasks import open_resources
from simulators import payers
from simulators.card_provider import create_app as create_provider
from simulators.card_provider_webhooks import HEADER, signature
from support.postgres import Server
from support.records import NOW
from support.tokens import TOKENS, Issuer

SERVICES: Final = ("booking", "claims", "payment", "documents")
PROVIDER: Final = "http://provider.test/simulators/card"
_WEBHOOKS: Final = "/payment/v1/provider-events"
_SECRET, _PROVIDER_KEY, _GATEWAY_KEY = "webhook-secret", "provider-key", "gateway-key"
_STATED: Final = ("settlement", "exemption", "amc_name", "mode", "folder", "lines")
_APART: Final = timedelta(minutes=30)  # two orders; between their times there is one to move to
_TIMES: Final = 2_500  # of an agenda of sixty days, less the last of them

ISSUER: Final = Issuer()


class Bell:
    """The wake of a service: remembers that something was written, so that only then somebody looks."""

    def __init__(self) -> None:
        self.rung: set[Kind] = set()
        self.changes = Changes()

    def set(self, kind: Kind) -> None:
        self.rung.add(kind)

    def changed(self, ids: Collection[UUID]) -> None:
        self.changes.tell(ids)

    async def wait(self, kind: Kind, timeout: float) -> None:  # noqa: ASYNC109
        raise AssertionError(f"nobody waits for {kind} here, not even {timeout} s")

    def running(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()


@dataclass(slots=True)
class Service:
    name: str
    app: FastAPI
    routes: Routes
    tasks: Tasks
    bell: Bell
    lens: asyncpg.Connection  # to look at its tables behind its back
    resources: Any = None

    @property
    def sessions(self) -> Sessions:
        sessions: Sessions = self.app.state.sessions
        return sessions


Meanwhile = Callable[[], Awaitable[str]]


async def _nothing() -> str:
    return ""


@dataclass(slots=True)
class Between:
    """What happens between a call and its answer. The word that `after` gives can lose the answer."""

    before: Meanwhile = _nothing
    after: Meanwhile = _nothing
    called: bool = False  # the provider may have something to say


@dataclass
class Wire(httpx.AsyncBaseTransport):
    """The way from payment to the provider."""

    inner: httpx.AsyncBaseTransport
    between: Between

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if await self.between.before() == "lost":
            raise httpx.ConnectError("refused")
        answer = await self.inner.handle_async_request(request)
        await answer.aread()
        self.between.called = True
        if await self.between.after() == "lost":
            raise httpx.ReadTimeout("no answer")
        return answer


@dataclass
class Gateway:
    """The way from claims to the payers; `shuffle` says in which order the lines of an answer stand."""

    inner: HttpGateway
    between: Between
    shuffle: Callable[[list[Any]], list[Any]] = list
    returns_wait: bool = False

    async def send(self, batch: Batch) -> None:
        await self.between.before()
        await self.inner.send(batch)
        self.returns_wait = True
        await self.between.after()

    async def returns(self, *, after: str | None) -> Page:
        page = await self.inner.returns(after=after)
        return Page(self.shuffle(page.items), page.unreadable, page.cursor, page.more)


class QuickRenderer(Renderer):
    """Draws and seals nothing, and remembers by its number what a document would have stated."""

    def __init__(self) -> None:
        """Needs no seal and no threads."""
        self.stated: dict[str, str] = {}

    async def render_and_sign(self, document: AnyDocument, *, now: datetime) -> bytes:
        stated = [type(document).__name__, *(repr(getattr(document, name, None)) for name in _STATED)]
        stated += [f"{act.code} {act.amount_cents}" for act in getattr(document, "acts", ())]
        stated.append(f"NIR {getattr(getattr(document, 'insured', None), 'nir', None)}")
        self.stated[document.issue.number] = ", ".join(stated)
        return f"%PDF {document.issue.number} {now}".encode()


@dataclass
class Others(httpx.AsyncBaseTransport):
    """From one service to another by the host's name, and to the issuer of their tokens."""

    apps: dict[str, httpx.ASGITransport] = field(default_factory=dict)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            token = ISSUER.token("service", subject=UUID(int=7), client_id="documents")
            return httpx.Response(200, json={"access_token": token, "expires_in": 500})
        return await self.apps[request.url.host.partition(".")[0]].handle_async_request(request)


@dataclass
class Practitioner:
    id: UUID
    rpps: str
    fee_cents: int
    offers: Mapping[datetime, UUID]
    used: int = 0  # times that belong to an order already
    patients: list[tuple[UUID, UUID]] = field(default_factory=list)  # account and patient


@dataclass
class World:
    clock: Clock
    services: Mapping[str, Service]
    http: Mapping[str, httpx.AsyncClient]
    provider: FastAPI
    between: Between
    gateway: Gateway
    books: asyncpg.Connection  # of the simulators
    practitioners: dict[str, Practitioner] = field(default_factory=dict)
    headers: dict[tuple[str, UUID], dict[str, str]] = field(default_factory=dict)
    archive: list[Record] | None = None  # every event, in the order of its publication, if somebody asks

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def lens(self, service: str) -> asyncpg.Connection:
        return self.services[service].lens

    async def call(
        self, method: str, path: str, body: Any = None, *, role: str, subject: UUID, rpps: str | None = None
    ) -> Any:
        """The API as a person calls it. Fails with the problem when it is refused."""
        key = (role, subject)
        if key not in self.headers:
            self.headers[key] = ISSUER.bearer(role, subject=subject, rpps=rpps)
        headers = self.headers[key] | ({} if method in {"GET", "PUT"} else {"Idempotency-Key": uuid4().hex})
        if method == "PUT" and path.endswith("/coverage"):
            etag = await self.etag(path, headers)
            headers |= {"If-Match": etag} if etag else {}
        answer = await self.http[path.split("/")[1]].request(method, path, json=body, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def etag(self, path: str, headers: Mapping[str, str]) -> str | None:
        patient_id = UUID(path.split("/")[4])
        version = await self.lens("claims").fetchval(
            "SELECT version FROM coverage WHERE patient_id = $1", patient_id
        )
        if version is None:
            return None
        answer = await self.http["claims"].get(path, headers=headers)
        return str(answer.headers["ETag"])

    async def send_webhook(self, body: str) -> None:
        raw = body.encode()
        headers = {HEADER: signature(_SECRET, raw, at=wall()), "Content-Type": "application/json"}
        answer = await self.http["payment"].post(_WEBHOOKS, content=raw, headers=headers)
        assert answer.status_code == 204, answer.text

    async def token(self, number: str) -> str:
        async with self.provider.state.books.entry() as entry:
            return str((await entry.tokenise(number, month=12, year=2099))["token"])

    async def answer_challenge(self, url: str, *, accepted: bool) -> None:
        async with self.provider.state.books.entry() as entry:
            await entry.answer_challenge(url.rpartition("/")[2], accepted=accepted)
        self.between.called = True

    async def reject(self, member: str, *, times: int | None = None) -> None:
        """What the complementary insurer of this member answers, always or the next times."""
        await self.books.execute(
            "INSERT INTO payer_script (member, behaviour, remaining) VALUES ($1, 'reject', $2)", member, times
        )

    async def practitioner(self, name: str, **described: Any) -> Practitioner:
        """One with a free quarter of an hour at every time; a new one when the agenda is used up."""
        known = self.practitioners.get(name)
        if known is None or known.used >= _TIMES:
            known = self.practitioners[name] = await self._engage(described)
        return known

    async def clean(self, name: str) -> None:
        """What an order left undone is dropped, and whoever comes next meets another practitioner."""
        self.practitioners.pop(name, None)
        for service in self.services.values():
            await service.lens.execute("TRUNCATE outbox, dead_letter")
            await service.lens.execute("DELETE FROM task WHERE kind <> 'poll-returns'")
            service.bell.rung.clear()
        await self.books.execute("UPDATE card_event SET delivered_at = next_at")
        # answers to claims of that order, which nobody fetches any more
        last = await self.books.fetchval("SELECT max(position) FROM payer_return")
        await self.lens("claims").execute("UPDATE gateway_cursor SET cursor = $1", str(last or 0))
        self.between.called = self.gateway.returns_wait = False

    async def _engage(self, described: Mapping[str, Any]) -> Practitioner:
        self.clock.shift = timedelta()
        rpps = f"1{uuid4().int % 10**10:010d}"
        body = {
            "rpps": rpps,
            "zone": "metropole",
            "agreed_company": False,
            "currency": "EUR",
            "biller_id": None,
            "first_name": "Claire",
            "last_name": "Morel",
            "display_name": "Claire Morel",
            "address": {"street": "3 place du Marché", "postal_code": "75004", "city": "Paris"},
            "phone": "+33 1 23 45 67 89",
            "languages": ["fr"],
            "time_zone": "Europe/Paris",
            **described,
        }
        admin = UUID(int=6)
        path = "/booking/v1/practitioners"
        made = await self.call("POST", path, body, role="administrator", subject=admin)
        whole_day = {"from_time": "00:00", "to_time": "00:00", "slot_minutes": 15, "mode": "video"}
        rules = [{"weekday": day, **whole_day, "valid_from": None, "valid_to": None} for day in range(1, 8)]
        agenda = {"rules": rules, "exceptions": []}
        path = f"{path}/{made['id']}/agenda"
        await self.call("PUT", path, agenda, role="administrator", subject=admin)
        rows = await self.lens("booking").fetch(
            "SELECT starts_at, id FROM offer WHERE practitioner_id = $1", UUID(made["id"])
        )
        offers = {row["starts_at"]: row["id"] for row in rows}
        return Practitioner(UUID(made["id"]), rpps, int(described["fee_cents"]), offers)

    def begin(self, practitioner: Practitioner) -> datetime:
        """Sets the clock so that the time five hours from now is free, and nobody else's. Answers now."""
        practitioner.used += 1
        self.clock.shift = practitioner.used * _APART
        return self.now


@asynccontextmanager
async def open_world(server: Server, folder: Path) -> AsyncIterator[World]:
    clock = Clock(read=lambda: NOW)
    async with AsyncExitStack() as stack:
        urls: dict[str, URL] = {}
        for name in SERVICES:
            template = await stack.enter_async_context(server.template(name))
            urls[name] = await stack.enter_async_context(server.clone(template))
        outside = await stack.enter_async_context(server.clone("template1"))
        world = await _opened(stack, urls, _dsn(outside), clock, folder)
        yield world


def _dsn(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def _opened(
    stack: AsyncExitStack, urls: Mapping[str, URL], outside: str, clock: Clock, folder: Path
) -> World:
    settings = _settings(urls, folder)
    creating: Mapping[str, Callable[..., FastAPI]] = {
        "booking": create_booking,
        "claims": create_claims,
        "payment": create_payment,
        "documents": create_documents,
    }
    bells = {name: Bell() for name in SERVICES}
    apps: dict[str, FastAPI] = {}
    lenses: dict[str, asyncpg.Connection] = {}
    for name, create in creating.items():
        apps[name] = create(settings[name], clock=clock, wake=bells[name])
        apps[name].state.verifier = ISSUER.verifier()
        await stack.enter_async_context(apps[name].router.lifespan_context(apps[name]))
        lenses[name] = await asyncpg.connect(_dsn(urls[name]))
        stack.push_async_callback(lenses[name].close)
    others = Others({name: httpx.ASGITransport(app) for name, app in apps.items()})
    provider = create_provider(
        outside,
        clock=clock,
        public_url=PROVIDER,
        api_key=_PROVIDER_KEY,
        webhook_url="http://payment.test" + _WEBHOOKS,
        webhook_secret=_SECRET,
        transport=others,
        deliver=False,
    )
    insurers = payers.create_app(outside, clock, key=_GATEWAY_KEY)
    for app in (provider, insurers):
        await stack.enter_async_context(app.router.lifespan_context(app))
    http = {
        name: await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url=f"http://{name}.test")
        )
        for name, transport in others.apps.items()
    }
    books = await asyncpg.connect(outside)
    stack.push_async_callback(books.close)
    between = Between()
    inner = HttpGateway.at(
        "http://payers.test/simulators/payers", _GATEWAY_KEY, transport=httpx.ASGITransport(insurers)
    )
    stack.push_async_callback(inner.close)
    gateway = Gateway(inner, between)
    wire = Wire(httpx.ASGITransport(provider), between)
    config = apps["claims"].state.config
    services = {
        "booking": (booking.consumers.routes, booking.tasks.tasks, None),
        "claims": (
            claims.consumers.routes_of(config),
            claims.tasks.tasks,
            claims.tasks.Resources(config, gateway),
        ),
        "payment": (
            payment.consumers.routes,
            payment.tasks.tasks,
            await stack.enter_async_context(open_resources(PROVIDER, _PROVIDER_KEY, transport=wire)),
        ),
        "documents": (
            documents.consumers.routes,
            documents.tasks.tasks,
            documents.tasks.Resources(
                booking=await stack.enter_async_context(_client("booking", settings, others)),
                claims=await stack.enter_async_context(_client("claims", settings, others)),
                renderer=QuickRenderer(),
                storage=Storage("memory:///"),
                keyring=apps["documents"].state.keyring,
                public_url="https://documents.example",
            ),
        ),
    }
    world = World(
        clock,
        {
            name: Service(name, apps[name], routes, tasks, bells[name], lenses[name], resources)
            for name, (routes, tasks, resources) in services.items()
        },
        http,
        provider,
        between,
        gateway,
        books,
    )
    await claims.tasks.start_polling(world.services["claims"].sessions, now=clock.now())
    return world


def _client(name: str, settings: Mapping[str, Any], others: Others) -> ServiceClient:
    return ServiceClient(f"http://{name}.test", settings["documents"].identity, transport=others)


def _settings(urls: Mapping[str, URL], folder: Path) -> dict[str, Any]:
    return {
        "booking": BookingSettings(**_common("booking", urls)),
        "claims": ClaimsSettings(
            **_common("claims", urls),
            gateway_url="http://payers.test/simulators/payers",
            gateway_key=SecretStr(_GATEWAY_KEY),
            claiming=ClaimingSettings(gather_for=timedelta()),
        ),
        "payment": PaymentSettings(
            **_common("payment", urls),
            provider_url=PROVIDER,
            provider_key=SecretStr(_PROVIDER_KEY),
            webhook_secret=SecretStr(_SECRET),
        ),
        "documents": DocumentsSettings(
            **_common("documents", urls),
            claims_url="http://claims.test",
            public_url="https://documents.example",
            storage_url="memory:///",
            seal_directory=folder / "seal",
        ),
    }


def _common(service: str, urls: Mapping[str, URL]) -> dict[str, Any]:
    return {
        "environment": "development",
        "postgres": PostgresSettings(
            dsn=SecretStr(_dsn(urls[service])), api_pool=4, worker_pool=2, direct_pool=2
        ),
        "kafka": KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        "tokens": TOKENS,
        "identity": ServiceIdentity(
            token_url="http://issuer.test/token", client_id=service, client_secret=SecretStr("sample")
        ),
        "keys": KeySettings(
            master={"one": SecretStr(sample_key("master"))},
            active="one",
            index=SecretStr(sample_key("index")),
            cursor=SecretStr(sample_key("cursor")),
        ),
    }


def read_headers(text: str) -> dict[str, str]:
    headers: dict[str, str] = json.loads(text)
    return headers
