"""Payment beside a card provider, in one loop: a test moves the clock, the events and the webhooks."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from pydantic import SecretStr
from sqlalchemy import URL, select, text

from common.clock import Clock
from common.db import Sessions, engine_of, sessions_of
from common.events import booking, claims
from common.events.base import Event
from common.ids import uuid7
from common.messaging.delivery import deliver
from common.messaging.records import Outcome, Record
from common.messaging.tables import OutboxRow, TaskRow
from common.messaging.task_worker import run_due
from common.money import Cents
from common.settings import KafkaSettings, KeySettings, PostgresSettings, ServiceIdentity, sample_key
from common.wake import LocalWake
from payment.api.app import create_app
from payment.consumers import routes
from payment.models import AppointmentRoot, Base, CardRow, HoldRow
from payment.settings import Settings
from payment.tasks import Resources, open_resources, tasks
from simulators.card_provider import create_app as create_provider
from simulators.card_provider_books import Books, Scenario
from simulators.card_provider_webhooks import Deliverer
from support.records import NOW, record
from support.tokens import TOKENS, Issuer

SECRET: Final = "webhook-secret"
PROVIDER_KEY: Final = "provider-key"
PROVIDER_URL: Final = "http://provider.test/simulators/card"
WEBHOOK_URL: Final = "http://payment.test/payment/v1/provider-events"
OK, MASTERCARD = "4242424242424242", "5555555555554444"
THREE_D_SECURE, DECLINED = "4000002760003184", "4000000000000002"
EXPIRES_EARLY, ASKS_OFF_SESSION = "4000000000005126", "4000002500003155"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_LONGEST_RUN: Final = 60

ISSUER: Final = Issuer()


def settings_of(url: URL) -> Settings:
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return Settings(
        environment="development",
        postgres=PostgresSettings(dsn=SecretStr(dsn)),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        tokens=TOKENS,
        identity=ServiceIdentity(
            token_url="http://issuer.test/token", client_id="payment", client_secret=SecretStr("sample")
        ),
        keys=KeySettings.model_validate(
            {
                "master": {"one": sample_key("master")},
                "active": "one",
                "index": sample_key("index"),
                "cursor": sample_key("cursor"),
            }
        ),
        provider_url=PROVIDER_URL,
        provider_key=SecretStr(PROVIDER_KEY),
        webhook_secret=SecretStr(SECRET),
    )


@dataclass
class Wire(httpx.AsyncBaseTransport):
    """The way to the provider. `cut` loses answers after the provider has done its work."""

    inner: httpx.AsyncBaseTransport
    cut: int = 0
    down: int = 0
    sent: list[tuple[str, str]] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            self.down -= 1
            raise httpx.ConnectError("refused")
        self.sent.append((request.method, request.url.path.removeprefix("/simulators/card/v1")))
        answer = await self.inner.handle_async_request(request)
        if self.cut:
            self.cut -= 1
            raise httpx.ReadTimeout("no answer")
        return answer


@dataclass
class Desk:
    """One payment service and its provider. The clock stands still until a test moves it."""

    clock: Clock
    sessions: Sessions
    api: httpx.AsyncClient
    provider: httpx.AsyncClient
    books: Books
    deliverer: Deliverer
    wire: Wire
    resources: Resources
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    keys: int = 0

    # --- time, events, work ------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def wait(self, duration: timedelta) -> None:
        self.clock.shift += duration

    def wait_until(self, at: datetime) -> None:
        self.clock.shift += max(at - self.now, timedelta())

    def record(self, event: Event, *, at: datetime | None = None) -> Record:
        about = (event.topic, event.key())
        self.sequences[about] = self.sequences.get(about, 0) + 1
        return record(event, sequence=self.sequences[about], at=at or self.now)

    async def hear(self, *events: Event) -> list[Outcome]:
        return [await self.take(self.record(event)) for event in events]

    async def take(self, delivered: Record) -> Outcome:
        return await deliver(delivered, routes, self.sessions, now=self.now)

    async def work(self) -> list[tuple[str, str]]:
        """Does what is due until nothing is; returns (kind, outcome) of each task."""
        done: list[tuple[str, str]] = []
        for _ in range(_LONGEST_RUN):
            performed = await run_due(tasks, self.sessions, clock=self.clock, resources=self.resources)
            done += [(each.kind, each.outcome) for each in performed]
            if not performed:
                return done
        raise AssertionError(f"tasks without an end: {done}")

    async def webhooks(self) -> int:
        return await self.deliverer.send_due()

    async def settle_down(self) -> None:
        """Work and webhooks, until neither has anything to do."""
        while await self.work() or await self.webhooks():
            pass

    async def play(self, **scenario: Any) -> None:
        await self.books.play(Scenario(**scenario))

    # --- what there is to see ----------------------------------------------------------------------------

    async def facts(self, about: "Visit") -> list[str]:
        """What was published about a visit, in order, without the service's name."""
        return [headers["ce_type"].removeprefix("payment.") for headers, _ in await self._published(about)]

    async def bodies(self, about: "Visit", fact: str) -> list[dict[str, Any]]:
        rows = await self._published(about)
        return [json.loads(body) for headers, body in rows if headers["ce_type"] == f"payment.{fact}"]

    async def _published(self, about: "Visit") -> list[tuple[dict[str, str], bytes]]:
        async with self.sessions() as session:
            query = select(OutboxRow).where(OutboxRow.key == str(about.id)).order_by(OutboxRow.sequence)
            return [(row.headers, row.body) for row in await session.scalars(query)]

    async def holds(self, about: "Visit") -> list[HoldRow]:
        async with self.sessions() as session:
            query = select(HoldRow).where(HoldRow.appointment_id == about.id).order_by(HoldRow.attempt)
            return list(await session.scalars(query))

    async def amounts(self, about: "Visit") -> list[tuple[str, int, int, int, int]]:
        return [
            (
                hold.status.value,
                hold.held_cents,
                hold.captured_cents,
                hold.released_cents,
                hold.refunded_cents,
            )
            for hold in await self.holds(about)
        ]

    async def root(self, about: "Visit") -> AppointmentRoot:
        async with self.sessions() as session:
            return await session.get_one(AppointmentRoot, about.id)

    async def open_tasks(self) -> list[str]:
        async with self.sessions() as session:
            query = select(TaskRow.kind).where(TaskRow.outcome.is_(None)).order_by(TaskRow.kind)
            return list(await session.scalars(query))

    async def at_provider(self, hold_id: UUID) -> dict[str, Any]:
        async with self.books.entry() as entry:
            return await entry.payment(str(hold_id))

    async def ledger_difference(self) -> int:
        """Cents by which our ledger and the provider's books disagree, and journals that do not balance."""
        answer = await self.api.get("/payment/v1/ledger/check", headers=ISSUER.bearer("support"))
        check, theirs = answer.json(), await self.books.totals()
        if not check["agrees"] or check["unbalanced_journals"]:
            return 10**9
        return sum(
            abs(check[name] - theirs[name]) for name in ("held_cents", "captured_cents", "refunded_cents")
        )

    # --- people ------------------------------------------------------------------------------------------

    def _headers(self, account: UUID, role: str) -> dict[str, str]:
        self.keys += 1
        return {**ISSUER.bearer(role, subject=account), "Idempotency-Key": f"key-{self.keys}"}

    async def get(self, path: str, account: UUID, *, role: str = "patient") -> httpx.Response:
        return await self.api.get(f"/payment/v1{path}", headers=self._headers(account, role))

    async def post(
        self, path: str, body: Any, account: UUID, *, role: str = "patient", key: str | None = None
    ) -> httpx.Response:
        headers = self._headers(account, role)
        if key is not None:
            headers["Idempotency-Key"] = key
        return await self.api.post(f"/payment/v1{path}", json=body, headers=headers)

    async def delete(self, path: str, account: UUID) -> httpx.Response:
        return await self.api.delete(f"/payment/v1{path}", headers=self._headers(account, "patient"))

    async def token(self, number: str = OK, *, expiry: tuple[int, int] = (12, 2099)) -> str:
        card = {"number": number, "exp_month": expiry[0], "exp_year": expiry[1], "cvc": "123"}
        return str((await self.provider.post("/tokens", json=card)).json()["token"])

    async def save(
        self,
        account: UUID,
        number: str = OK,
        *,
        accepted: bool = True,
        ceiling: int = 5000,
        expiry: tuple[int, int] = (12, 2099),
    ) -> UUID:
        """A card on file, saved at the provider; what its holder must agree to is left open."""
        mandate = {"text_version": "2026-01", "accepted": accepted, "ceiling_cents": ceiling}
        body = {"provider_token": await self.token(number, expiry=expiry), "mandate": mandate}
        answer = await self.post("/cards", body, account)
        assert answer.status_code == 201, answer.text
        await self.settle_down()
        self.wait(timedelta(seconds=1))  # the next card is a newer one
        return UUID(answer.json()["id"])

    async def card(self, card_id: UUID) -> CardRow:
        async with self.sessions() as session:
            return await session.get_one(CardRow, card_id)

    async def payment(self, about: "Visit") -> dict[str, Any]:
        answer = await self.get(f"/appointments/{about.id}", about.account)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def answer(self, url: str, outcome: str) -> int:
        return (await self.provider.post(url, json={"outcome": outcome})).status_code

    async def choose(self, about: "Visit", card_id: UUID) -> httpx.Response:
        return await self.post(f"/appointments/{about.id}/card", {"card_id": str(card_id)}, about.account)

    async def held(self, visit: "Visit", advance: int = 750, *, number: str = OK, **mandate: Any) -> None:
        """A visit with a card, a price, a hold and booking's confirmation."""
        await self.save(visit.account, number, **mandate)
        await self.hear(visit.quote(advance))
        await self.settle_down()
        await self.hear(visit.confirmed())


@dataclass
class Visit:
    """An appointment as booking and claims tell of it."""

    made_at: datetime = NOW
    ahead: timedelta = 5 * HOUR
    id: UUID = field(default_factory=uuid4)
    account: UUID = field(default_factory=uuid4)
    patient: UUID = field(default_factory=uuid4)
    practitioner: UUID = field(default_factory=uuid4)
    schedule_no: int = 1
    revision: int = 0

    @property
    def starts_at(self) -> datetime:
        return self.made_at + self.ahead

    @property
    def ends_at(self) -> datetime:
        return self.starts_at + timedelta(minutes=20)

    @property
    def decide_by(self) -> datetime:
        return self.made_at + timedelta(minutes=15)

    def _people(self) -> dict[str, Any]:
        return {
            "appointment_id": self.id,
            "patient_id": self.patient,
            "account_id": self.account,
            "practitioner_id": self.practitioner,
        }

    def _booked(self) -> dict[str, Any]:
        return {
            **self._people(),
            "schedule_no": self.schedule_no,
            "starts_at": self.starts_at,
            "ends_at": self.ends_at,
        }

    def _priced(self, advance: int, fee: int) -> dict[str, Any]:
        return {
            **self._people(),
            "currency": "EUR",
            "fee_cents": Cents(fee),
            "base_cents": Cents(fee),
            "amo_cents": Cents(fee - advance),
            "amc_cents": Cents(0),
            "sponsor_cents": Cents(0),
            "advance_cents": Cents(advance),
            "deferred_deductions_cents": Cents(0),
            "amo_claim_cents": Cents(fee - advance),
            "amc_claim_cents": Cents(0),
            "sheet_mode": "TP",
            "table_version": "0" * 64,
            "revision": self.revision,
            "coverage_version": 1,
        }

    def requested(self) -> booking.AppointmentRequestedV1:
        return booking.AppointmentRequestedV1(
            **self._booked(),
            decide_by=self.decide_by,
            biller_id=self.practitioner,
            preview_id=None,
            profession="physician",
            specialty="01",
            sector="s1",
            zone="metropole",
            agreed_company=False,
            third_party_payment="full",
            currency="EUR",
            fee_cents=Cents(2500),
            pathway="regular-doctor",
            territory="near",
            exemption_related=False,
            under_16=False,
            minor_on_1_january=False,
        )

    def quote(self, advance: int = 750, *, preview: int | None = None) -> claims.QuoteIssuedV1:
        """The next revision."""
        self.revision += 1
        return claims.QuoteIssuedV1(
            **self._priced(advance, 10_000),
            schedule_no=self.schedule_no,
            decide_by=self.decide_by,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            accepted_advance_cents=None if preview is None else Cents(preview),
        )

    def priced(self, advance: int = 750) -> claims.CarePricedV1:
        self.revision += 1
        return claims.CarePricedV1(
            **self._priced(advance, 10_000),
            care_act_id=uuid4(),
            biller_id=self.practitioner,
            completed_at=self.ends_at,
            pathway_indicator="T",
            rights_pending=False,
        )

    def confirmed(self) -> booking.AppointmentConfirmedV1:
        return booking.AppointmentConfirmedV1(**self._booked())

    def moved(self, ahead: timedelta) -> booking.AppointmentMovedV1:
        self.ahead, self.schedule_no = ahead, self.schedule_no + 1
        return booking.AppointmentMovedV1(**self._booked(), decide_by=self.decide_by)

    def cancelled(self) -> booking.AppointmentCancelledV1:
        return booking.AppointmentCancelledV1(
            **self._booked(), cancelled_by="patient", cancelled_at=self.made_at
        )

    def abandoned(self) -> booking.AppointmentAbandonedV1:
        return booking.AppointmentAbandonedV1(**self._booked(), reason="decide-by-passed")

    def not_billed(self) -> booking.ConsultationNotBilledV1:
        return booking.ConsultationNotBilledV1(**self._booked(), reason="unsuitable")

    def patient_absent(self) -> booking.PatientAbsentV1:
        return booking.PatientAbsentV1(**self._booked())

    def balance(self, cents: int = 750, *, collect: bool = True) -> claims.BalanceOpenedV1:
        return claims.BalanceOpenedV1(
            appointment_id=self.id,
            balance_id=uuid7(self.made_at),
            account_id=self.account,
            currency="EUR",
            amount_cents=Cents(cents),
            reason="leg-rejected",
            payer_kind="amc",
            collect=collect,
        )


@asynccontextmanager
async def running_desk(payment_url: URL, provider_dsn: str) -> AsyncIterator[Callable[[], Any]]:
    """Both apps, for as long as it is open. Each call of what it yields begins anew, with nothing written."""
    clock = Clock(read=lambda: NOW)
    settings = settings_of(payment_url)
    app = create_app(settings, clock=clock, wake=LocalWake())
    app.state.verifier = ISSUER.verifier()
    provider = create_provider(
        provider_dsn,
        clock=clock,
        public_url=PROVIDER_URL,
        api_key=PROVIDER_KEY,
        webhook_url=WEBHOOK_URL,
        webhook_secret=SECRET,
        transport=httpx.ASGITransport(app),
        deliver=False,
    )
    wire = Wire(httpx.ASGITransport(provider))
    engine = engine_of(settings.postgres, name="payment-worker", pool=4)
    async with (
        app.router.lifespan_context(app),
        provider.router.lifespan_context(provider),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://payment.test") as api,
        httpx.AsyncClient(transport=httpx.ASGITransport(provider), base_url=PROVIDER_URL) as at_provider,
        open_resources(PROVIDER_URL, PROVIDER_KEY, transport=wire) as resources,
    ):
        sessions = sessions_of(engine, None)
        ours = ["outbox", "inbox", "task", "history", "dead_letter", "idempotency", *Base.metadata.tables]

        async def begin() -> Desk:
            clock.shift = timedelta()
            wire.cut = wire.down = 0
            wire.sent.clear()
            async with sessions.begin() as session:
                await session.execute(text(f"TRUNCATE {', '.join(ours)} CASCADE"))
            tables = "card_method, card_payment, card_refund, card_setup, card_idempotency, card_event"
            await provider.state.books.pool.execute(f"TRUNCATE {tables}, card_scenario CASCADE")
            books, deliverer = provider.state.books, provider.state.deliverer
            return Desk(clock, sessions, api, at_provider, books, deliverer, wire, resources)

        yield begin
    await engine.dispose()
