"""Composition root of the worker process: consumer, relay and tasks."""

import asyncio
from contextlib import AsyncExitStack
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from common.clock import Clock
from common.db import engine_of, sessions_of
from common.messaging.housekeeping import House
from common.messaging.runner import WorkerHealth, run_worker
from common.messaging.tasks import add as add_task
from common.telemetry import Metrics
from common.wake import Wake
from payment import store
from payment.consumers import routes
from payment.settings import Settings
from payment.tasks import open_resources, tasks


def house_of(settings: Settings) -> House:
    return House(store.PURGES, settings.retention)


async def measure(session: AsyncSession, metrics: Metrics, _: datetime) -> None:
    """How many holds are in each open state."""
    for status, count in (await store.count_holds(session)).items():
        metrics.set("holds", count, state=status.value)


async def run(
    settings: Settings,
    *,
    clock: Clock,
    wake: Wake,
    stop: asyncio.Event,
    metrics: Metrics | None = None,
    health: WorkerHealth | None = None,
) -> None:
    """Until `stop` is set, and what is in hand is done."""
    engine = engine_of(settings.postgres, name="payment-worker", pool=settings.postgres.worker_pool)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        sessions = sessions_of(engine, wake)
        resources = await stack.enter_async_context(
            open_resources(settings.provider_url, settings.provider_key.get_secret_value())
        )
        async with sessions.begin() as session:
            add_task(session, "compare-with-provider", "all", due_at=clock.now(), again=True)
        await run_worker(
            service="payment",
            routes=routes,
            tasks=tasks,
            sessions=sessions,
            engine=engine,
            postgres=settings.postgres,
            kafka=settings.kafka,
            clock=clock,
            wake=wake,
            resources=resources,
            stop=stop,
            metrics=metrics,
            health=health,
            house=house_of(settings),
            measure=measure,
        )
