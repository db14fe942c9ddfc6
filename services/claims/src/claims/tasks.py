"""What calls the claims gateway or waits for a deadline; the use case then records how it went."""

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

import httpx

from claims.clients import (
    ClaimsGateway,
    GatewayAway,
    GatewayRefused,
    HttpGateway,
    HttpRights,
    Page,
    RightsAway,
    RightsService,
)
from claims.domain.rendering import Format
from claims.domain.rights import RightsAnswer, RightsStatus
from claims.usecases import batches, coverage, legs, quotes, returns, returns_files, rights, unpriced
from claims.usecases.config import ClaimsConfig
from common.db import Sessions
from common.messaging import tasks as task_rows
from common.messaging.tasks import DONE, Backoff, Done, TaskContext, Tasks

GATEWAY: Final = "payers"
POLL: Final = "poll-returns"

tasks: Final = Tasks()

_log: Final = logging.getLogger(__name__)

# A gateway may be away for a night: claims have days before their deadline.
_PATIENT: Final = Backoff(longest=timedelta(minutes=10), attempts=500)


@dataclass(frozen=True, slots=True)
class Resources:
    config: ClaimsConfig
    gateway: ClaimsGateway
    rights: RightsService | None = None  # none: what patients declare counts


def http_gateway(
    url: str,
    key: str,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    format_: Format = "json-2",
    unconfirmed: bool = False,
) -> HttpGateway:
    return HttpGateway.at(url, key, transport=transport, format_=format_, unconfirmed=unconfirmed)


def http_rights(
    url: str, key: str, *, transport: httpx.AsyncBaseTransport | None = None, seconds: float = 5
) -> HttpRights:
    return HttpRights.at(url, key, transport=transport, seconds=seconds)


async def start_polling(sessions: Sessions, *, now: datetime) -> None:
    """The one poll of the gateway; it plans its own next time."""
    async with sessions.begin() as session:
        task_rows.add(session, POLL, GATEWAY, due_at=now, again=True)


@tasks.on(legs.SEND, retries=_PATIENT)
async def send_leg(context: TaskContext) -> Done:
    resources: Resources = context.resources
    now = context.clock.now()
    async with context.sessions.begin() as session:
        gathered = await batches.gather(session, resources.config, UUID(context.payload["leg_id"]), now=now)
    if gathered is None:
        return Done(batches.LEFT_WITH_ANOTHER)
    try:
        await resources.gateway.send(gathered.file)
    except GatewayAway:
        context.retry(_PATIENT.after(context.attempt), "gateway-away", system="claims-gateway")
    except GatewayRefused as refused:
        if refused.content and len(gathered.file.claims) > 1:
            async with context.finish() as session:
                await batches.break_up(session, gathered.batch_id, now=context.clock.now())
            return Done(batches.BROKEN_UP)
        context.retry(
            _PATIENT.longest, "gateway-refused", system="claims-gateway"
        )  # until a person has looked, or the release after
    async with context.finish() as session:
        now = context.clock.now()
        await batches.mark_sent(session, resources.config, gathered.batch_id, now=now)
        task_rows.add(session, POLL, GATEWAY, due_at=now + resources.config.terms.poll_every, again=True)
    return DONE


@tasks.on(
    POLL, lease=timedelta(seconds=60), retries=Backoff(longest=timedelta(minutes=1), attempts=1_000_000)
)
async def poll_returns(context: TaskContext) -> Done:
    resources: Resources = context.resources
    terms = resources.config.terms
    async with context.sessions() as session:
        cursor = await returns.find_cursor(session, GATEWAY)
    try:
        page = await resources.gateway.returns(after=cursor)
    except GatewayAway:
        context.retry(terms.poll_every, "gateway-away", system="claims-gateway")
    except GatewayRefused:
        context.retry(terms.poll_idle_every, "gateway-refused", system="claims-gateway")
    await _import(context, resources, page)
    async with context.sessions.begin() as session:
        await returns.put_cursor(session, GATEWAY, page.cursor)
        busy = await returns.is_anything_outstanding(session)
    now = context.clock.now()
    if page.more:
        return context.later(now)
    return context.later(now + (terms.poll_every if busy else terms.poll_idle_every))


async def _import(context: TaskContext, resources: Resources, page: Page) -> None:
    """A bad line leaves the rest alone, a crash repeats harmlessly."""
    if page.unreadable:
        _log.error("%s returns of the gateway cannot be read", page.unreadable)
    now = context.clock.now()
    states = await returns_files.import_lines(context.sessions, resources.config, page.items, now=now)
    for item, state in zip(page.items, states, strict=True):
        if state is not None and state.value != "applied":
            _log.info("return %s line %s: %s", item.return_id, item.line, state.value)
    for item, field in await returns_files.find_differing(context.sessions, page.items, states):
        _log.warning("return %s line %s came again with another %s", item.return_id, item.line, field)


@tasks.on("price-again")
async def price_again(context: TaskContext) -> Done:
    resources: Resources = context.resources
    async with context.finish() as session:
        appointment_id = UUID(context.payload["appointment_id"])
        await quotes.price_again(session, resources.config, appointment_id, now=context.clock.now())
    return DONE


# A rights service may be down for days: a claim waits for it until its sending deadline.
_FOR_DAYS: Final = Backoff(first=timedelta(seconds=2), longest=timedelta(minutes=10), attempts=5000)


@tasks.on(coverage.LOOK_UP, lease=timedelta(seconds=60), retries=_FOR_DAYS)
async def look_up_rights(context: TaskContext) -> Done:
    resources: Resources = context.resources
    if resources.rights is None:
        return Done("nobody-to-ask")
    patient_id = UUID(context.payload["patient_id"])
    care_on = date.fromisoformat(context.payload["care_on"])
    async with context.sessions.begin() as session:
        now = context.clock.now()
        asking = await rights.asking(session, resources.config, patient_id, care_on=care_on, now=now)
    if asking is None:
        return Done("known-already")
    answers = []
    for question in asking.questions:
        try:
            answers.append(await resources.rights.ask(question))
        except RightsAway:
            answers.append(RightsAnswer(payer_kind=question.payer_kind, status=RightsStatus.UNAVAILABLE))
    away = any(each.status is RightsStatus.UNAVAILABLE for each in answers)
    recording = context.sessions.begin() if away else context.finish()
    async with recording as session:
        await rights.record(
            session, resources.config, patient_id, answers, version=asking.version, now=context.clock.now()
        )
    if away:
        context.retry(_FOR_DAYS.after(context.attempt), "rights-away", system="rights-service")
    return DONE


@tasks.on("settle-rights")
async def settle_rights(context: TaskContext) -> Done:
    resources: Resources = context.resources
    async with context.finish() as session:
        appointment_id = UUID(context.payload["appointment_id"])
        await rights.settle(session, resources.config, appointment_id, now=context.clock.now())
    return DONE


@tasks.on(legs.SETTLE_BANK_LINES)
async def settle_bank_lines(context: TaskContext) -> Done:
    resources: Resources = context.resources
    async with context.finish() as session:
        batch_id = UUID(context.payload["batch_id"])
        await returns.settle_bank_lines(session, resources.config, batch_id, now=context.clock.now())
    return DONE


@tasks.on("price-unpriced")
async def price_unpriced(context: TaskContext) -> Done:
    resources: Resources = context.resources
    async with context.finish() as session:
        appointment_id = UUID(context.payload["appointment_id"])
        await unpriced.try_again(session, resources.config, appointment_id, now=context.clock.now())
    return DONE


@tasks.on("leg-deadline")
async def pass_deadline(context: TaskContext) -> Done:
    resources: Resources = context.resources
    async with context.finish() as session:
        await legs.pass_deadline(
            session,
            resources.config,
            UUID(context.payload["leg_id"]),
            context.payload["deadline"],
            attempt=context.payload["attempt"],
            now=context.clock.now(),
        )
    return DONE
