"""Composition root of the worker process: consumer, relay and tasks."""

import asyncio
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.consumers import routes_of
from claims.settings import Settings
from claims.tasks import Resources, http_gateway, http_rights, start_polling, tasks
from claims.usecases import unpriced
from claims.usecases.config import config_of
from common.clock import Clock
from common.db import engine_of, sessions_of
from common.messaging.housekeeping import House
from common.messaging.routes import Routes
from common.messaging.runner import WorkerHealth, run_worker
from common.telemetry import Metrics
from common.wake import Wake


def house_of(settings: Settings) -> House:
    return House(store.PURGES, settings.retention)


def routes_for(settings: Settings) -> Routes:
    return routes_of(config_of(settings.keys, settings.terms, settings.pricing_policy))


async def measure(session: AsyncSession, metrics: Metrics, now: datetime) -> None:
    """How long the oldest claim waits in each state that is not its last one."""
    for (payer, state), since in (await store.list_oldest_waiting(session)).items():
        seconds = (now - since).total_seconds() if since else 0
        metrics.set("claims_oldest_seconds", seconds, payer=payer, state=state.value)
    since = await store.find_oldest_unpriced(session)
    seconds = (now - since).total_seconds() if since else 0
    metrics.set("claims_oldest_seconds", seconds, payer="none", state="unpriced")


async def run(
    settings: Settings,
    *,
    clock: Clock,
    wake: Wake,
    stop: asyncio.Event,
    health: WorkerHealth | None = None,
    metrics: Metrics | None = None,
) -> None:
    """Until `stop` is set; then drains."""
    config = config_of(settings.keys, settings.terms, settings.pricing_policy)
    engine = engine_of(settings.postgres, name="claims-worker", pool=settings.postgres.worker_pool)
    sessions = sessions_of(engine, wake)
    key = settings.gateway_key.get_secret_value()
    gateway = http_gateway(
        settings.gateway_url,
        key,
        format_=settings.gateway_format,
        unconfirmed=settings.gateway_unconfirmed,
    )
    rights = http_rights(settings.rights_url, key) if settings.rights_url is not None else None
    try:
        await start_polling(sessions, now=clock.now())
        await unpriced.plan_after_new_tables(sessions, config, now=clock.now())
        await run_worker(
            service="claims",
            routes=routes_of(config),
            tasks=tasks,
            sessions=sessions,
            engine=engine,
            postgres=settings.postgres,
            kafka=settings.kafka,
            clock=clock,
            wake=wake,
            resources=Resources(config=config, gateway=gateway, rights=rights),
            stop=stop,
            health=health,
            metrics=metrics,
            house=house_of(settings),
            measure=measure,
        )
    finally:
        if rights is not None:
            await rights.close()
        await gateway.close()
        await engine.dispose()
