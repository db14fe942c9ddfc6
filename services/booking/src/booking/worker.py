"""Composition root of the worker process: consumer, relay and tasks."""

import asyncio

from booking import store
from booking.consumers import routes
from booking.settings import Settings
from booking.tasks import tasks
from common.clock import Clock
from common.db import engine_of, sessions_of
from common.messaging.housekeeping import House
from common.messaging.runner import WorkerHealth, run_worker
from common.telemetry import Metrics
from common.wake import Wake


def house_of(settings: Settings) -> House:
    return House(store.PURGES, settings.retention)


async def run(
    settings: Settings,
    *,
    clock: Clock,
    wake: Wake,
    stop: asyncio.Event,
    health: WorkerHealth | None = None,
    metrics: Metrics | None = None,
) -> None:
    """Until `stop` is set, and what is in hand is done."""
    engine = engine_of(settings.postgres, name="booking-worker", pool=settings.postgres.worker_pool)
    await run_worker(
        service="booking",
        routes=routes,
        tasks=tasks,
        sessions=sessions_of(engine, wake),
        engine=engine,
        postgres=settings.postgres,
        kafka=settings.kafka,
        clock=clock,
        wake=wake,
        resources=None,
        stop=stop,
        health=health,
        metrics=metrics,
        house=house_of(settings),
    )
