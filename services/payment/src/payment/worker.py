"""Composition root of the worker process: consumer, relay and tasks."""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from common.clock import Clock
from common.db import Sessions, engine_of, sessions_of
from common.messaging.runner import WorkerHealth, run_worker
from common.telemetry import Metrics
from common.wake import Wake
from payment import store
from payment.consumers import routes
from payment.settings import Settings
from payment.tasks import open_resources, tasks

_MEASURE_EVERY: Final = 5.0
_log: Final = logging.getLogger(__name__)


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
        resources = await stack.enter_async_context(
            open_resources(settings.provider_url, settings.provider_key.get_secret_value())
        )
        sessions = sessions_of(engine, wake)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        measuring = group.create_task(_measure(sessions, metrics)) if metrics is not None else None
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
        )
        if measuring is not None:
            measuring.cancel()


async def _measure(sessions: Sessions, metrics: Metrics) -> None:
    """How many holds are in each open state, for as long as the worker runs."""
    while True:
        try:
            async with sessions() as session:
                for status, count in (await store.count_holds(session)).items():
                    metrics.set("hold_states", count, state=status.value)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("the holds are not counted: %s", type(error).__name__)
        await asyncio.sleep(_MEASURE_EVERY)
