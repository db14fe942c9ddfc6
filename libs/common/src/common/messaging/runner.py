"""A service's worker: consumer, relay and tasks in one group, and how they end together."""

import asyncio
import logging
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import Clock
from common.db import Sessions
from common.messaging import deadletter
from common.messaging.consumer import Consumer, Limits
from common.messaging.failures import is_infrastructure
from common.messaging.relay import KEEP_ARCHIVE, Relay
from common.messaging.routes import Routes
from common.messaging.task_worker import TaskWorker
from common.messaging.tasks import FAILED, Tasks
from common.settings import KafkaSettings, PostgresSettings
from common.telemetry import Metrics
from common.wake import Wake

_DRAIN: Final = 25.0  # seconds from SIGTERM to the end
_MEASURE_EVERY: Final = 5.0
_PRUNE_EVERY: Final = 3600.0
_KEEP_TASKS: Final = timedelta(days=90)

_BACKLOG: Final = text("""
    SELECT count(*), (SELECT CAST(headers->>'ce_time' AS timestamptz) FROM outbox ORDER BY id LIMIT 1)
    FROM outbox
""")
_TASKS: Final = text("""
    SELECT kind, count(*) FILTER (WHERE outcome IS NULL AND due_at <= :now),
        min(due_at) FILTER (WHERE outcome IS NULL AND due_at <= :now),
        count(*) FILTER (WHERE outcome = :failed)
    FROM task WHERE outcome IS NULL OR outcome = :failed GROUP BY kind
""")
_PRUNE_TASKS: Final = text("""
    DELETE FROM task WHERE (kind, key) IN (
        SELECT kind, key FROM task WHERE outcome <> :failed AND finished_at < :before LIMIT 1000
    )
""")

_log: Final = logging.getLogger(__name__)


class WorkerHealth:
    """What a worker's readiness asks. Made before the worker runs, and given to it."""

    def __init__(self) -> None:
        self._consumer: Consumer | None = None
        self._sessions: Sessions | None = None
        self._stopping: asyncio.Event | None = None

    def watch(self, consumer: Consumer, sessions: Sessions, stop: asyncio.Event) -> None:
        self._consumer, self._sessions, self._stopping = consumer, sessions, stop

    async def problems(self) -> list[str]:
        """Nothing means ready: database and Kafka answer, and every position moves or has no lag."""
        if self._consumer is None or self._sessions is None or self._stopping is None:
            return ["starting"]
        if self._stopping.is_set():
            return ["stopping"]
        problems = self._consumer.health()
        try:
            async with asyncio.timeout(1), self._sessions() as session:
                await session.execute(text("SELECT 1"))
        except Exception as error:
            if not is_infrastructure(error):
                raise
            problems.append("database")
        return problems


async def run_worker(  # noqa: PLR0913  the one place where all parts meet
    *,
    service: str,
    routes: Routes,
    tasks: Tasks,
    sessions: Sessions,
    engine: AsyncEngine | None = None,
    postgres: PostgresSettings,
    kafka: KafkaSettings,
    clock: Clock,
    wake: Wake,
    resources: Any,
    stop: asyncio.Event,
    direct: Any = None,
    metrics: Metrics | None = None,
    health: WorkerHealth | None = None,
    keep_archive: timedelta = KEEP_ARCHIVE,
) -> None:
    """Runs until `stop` is set and what is in hand is drained.

    Then handlers and leases have ended, offsets are committed, the group is left and the outbox sent once
    more, all within 25 s. A bug in the runtime itself ends it with an exception.
    """
    dsn = postgres.dsn.get_secret_value()
    # Half of the pool for the consumer, half for tasks: neither waits for the other's connections.
    share = max(1, postgres.worker_pool // 2)
    consumer = Consumer(service, routes, sessions, kafka, clock, limits=Limits(lanes=share), metrics=metrics)
    worker = TaskWorker(
        service,
        tasks,
        sessions,
        clock,
        wake,
        dsn=dsn,
        resources=resources,
        direct=direct,
        at_once=share * 2,  # most of the time a handler waits for the outside, without a connection
        metrics=metrics,
    )
    relay = Relay(service, dsn, kafka, wake, clock, metrics=metrics, keep_archive=keep_archive)
    if health is not None:
        health.watch(consumer, sessions, stop)
    drained = asyncio.Event()
    try:
        async with asyncio.timeout(None) as deadline, wake.running(), asyncio.TaskGroup() as group:
            group.create_task(_bound(deadline, stop))
            group.create_task(relay.run(drained))
            keeping = group.create_task(_keep_house(sessions, clock, metrics))
            async with asyncio.TaskGroup() as intake:
                intake.create_task(consumer.run(stop))
                intake.create_task(worker.run(stop))
            keeping.cancel()
            drained.set()
    except TimeoutError:
        _log.warning("the worker is not drained after %s s; what it had in hand comes again", _DRAIN)
    finally:
        if engine is not None:
            await engine.dispose()


async def _bound(deadline: asyncio.Timeout, stop: asyncio.Event) -> None:
    await stop.wait()
    deadline.reschedule(asyncio.get_running_loop().time() + _DRAIN)


async def _keep_house(sessions: Sessions, clock: Clock, metrics: Metrics | None) -> None:
    """Measures the backlog, and removes finished tasks that nobody asks about any more."""
    pruned = -_PRUNE_EVERY
    while True:
        try:
            if metrics is not None:
                await _measure(sessions, clock, metrics)
            if asyncio.get_running_loop().time() - pruned >= _PRUNE_EVERY:
                pruned = asyncio.get_running_loop().time()
                async with sessions.begin() as session:
                    before = clock.now() - _KEEP_TASKS
                    await session.execute(_PRUNE_TASKS, {"before": before, "failed": FAILED})
        except Exception as error:
            if not is_infrastructure(error):
                raise
            _log.warning("the backlog is not measured: %s", type(error).__name__)
        await asyncio.sleep(_MEASURE_EVERY)


async def _measure(sessions: Sessions, clock: Clock, metrics: Metrics) -> None:
    now = clock.now()
    async with sessions() as session:
        rows, oldest = (await session.execute(_BACKLOG)).one()
        metrics.set("outbox_rows", rows)
        metrics.set("outbox_oldest_seconds", max((now - oldest).total_seconds(), 0) if oldest else 0)
        metrics.set("parked_keys", await deadletter.count_parked(session))
        for kind, due, since, failed in await session.execute(_TASKS, {"now": now, "failed": FAILED}):
            metrics.set("tasks_due", due, kind=kind)
            metrics.set("tasks_oldest_seconds", (now - since).total_seconds() if since else 0, kind=kind)
            metrics.set("tasks_failed", failed, kind=kind)
