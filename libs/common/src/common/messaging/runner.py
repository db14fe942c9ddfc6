"""A service's worker: consumer, relay and tasks in one group, and how they end together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from common import outages
from common.clock import Clock
from common.db import Sessions
from common.messaging import deadletter, housekeeping
from common.messaging.consumer import Consumer, Limits
from common.messaging.failures import is_infrastructure, system_of
from common.messaging.housekeeping import House
from common.messaging.relay import Relay
from common.messaging.routes import Routes
from common.messaging.task_worker import TaskWorker
from common.messaging.tasks import FAILED, Tasks
from common.settings import KafkaSettings, PostgresSettings
from common.telemetry import Metrics
from common.wake import Wake

# What waits for a lane shares a commit, so few of them are fast under load; the second one goes on while a
# transaction of the first waits for a row.
_LANES: Final = 2
_DRAIN: Final = 25.0  # seconds from SIGTERM to the end
_MEASURE_EVERY: Final = 5.0
_KEEP_HOUSE_EVERY: Final = 3600.0

# What only one service can say of itself: it sets its own gauges.
Measure = Callable[[AsyncSession, Metrics, datetime], Awaitable[None]]

_BACKLOG: Final = text("""
    SELECT count(*), (SELECT CAST(headers->>'ce_time' AS timestamptz) FROM outbox ORDER BY id LIMIT 1)
    FROM outbox
""")
_TASKS: Final = text("""
    SELECT kind, count(*) FILTER (WHERE outcome IS NULL AND due_at <= :now),
        min(COALESCE(first_due_at, due_at))
            FILTER (WHERE outcome IS NULL AND COALESCE(first_due_at, due_at) <= :now),
        count(*) FILTER (WHERE outcome = :failed)
    FROM task WHERE outcome IS NULL OR outcome = :failed GROUP BY kind
""")

_log: Final = logging.getLogger(__name__)


class WorkerHealth:
    """What a worker's readiness asks. Made before the worker runs, and given to it."""

    def __init__(self) -> None:
        self._consumer: Consumer | None = None
        self._sessions: Sessions | None = None
        self._stopping: asyncio.Event | None = None
        self._checks: list[Callable[[], Awaitable[list[str]]]] = []

    def also(self, check: Callable[[], Awaitable[list[str]]]) -> None:
        """Adds a check of a service of its own: it answers the names of outside systems that are away."""
        self._checks.append(check)

    @property
    def sessions(self) -> Sessions | None:
        """Of the worker, once it runs."""
        return self._sessions

    def watch(self, consumer: Consumer, sessions: Sessions, stop: asyncio.Event) -> None:
        self._consumer, self._sessions, self._stopping = consumer, sessions, stop

    async def problems(self) -> list[str]:
        """Nothing means ready: all systems answer, and every position moves or has no lag."""
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
        for check in self._checks:
            problems += await check()
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
    house: House | None = None,
    measure: Measure | None = None,
) -> None:
    """Runs until `stop` is set and what is in hand is drained.

    Then handlers and leases have ended, offsets are committed, the group is left and the outbox sent once
    more, all within 25 s. A bug in the runtime itself ends it with an exception.
    """
    dsn = postgres.url
    # Half of the pool for the consumer, half for tasks: neither waits for the other's connections.
    share = max(1, postgres.worker_pool // 2)
    limits = Limits(lanes=min(_LANES, share))
    consumer = Consumer(service, routes, sessions, kafka, clock, limits=limits, metrics=metrics)
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
    house = house or House()
    relay = Relay(service, dsn, kafka, wake, clock, metrics=metrics, keep_archive=house.retention.archive)
    if health is not None:
        health.watch(consumer, sessions, stop)
    drained = asyncio.Event()
    try:
        async with asyncio.timeout(None) as deadline, wake.running(), asyncio.TaskGroup() as group:
            group.create_task(_bound(deadline, stop))
            group.create_task(relay.run(drained))
            beside = [group.create_task(_keep_house(house, sessions, clock))]
            if metrics is not None:
                beside.append(group.create_task(_keep_measuring(tasks, sessions, clock, metrics, measure)))
            async with asyncio.TaskGroup() as intake:
                intake.create_task(consumer.run(stop))
                intake.create_task(worker.run(stop))
            for each in beside:
                each.cancel()
            drained.set()
    except TimeoutError:
        _log.warning("the worker is not drained after %s s; what it had in hand comes again", _DRAIN)
    finally:
        if engine is not None:
            await engine.dispose()


async def _bound(deadline: asyncio.Timeout, stop: asyncio.Event) -> None:
    await stop.wait()
    deadline.reschedule(asyncio.get_running_loop().time() + _DRAIN)


async def _keep_house(house: House, sessions: Sessions, clock: Clock) -> None:
    """Once an hour. Whatever goes wrong is no reason to stop the work itself: the next hour tries again."""
    while True:
        try:
            await housekeeping.keep_house(house, sessions, now=clock.now())
        except housekeeping.AlreadyAtWork:
            _log.info("another worker keeps house")
        except Exception as error:  # noqa: BLE001  see above
            _report("the house is not kept", error)
        await asyncio.sleep(_KEEP_HOUSE_EVERY)


async def _keep_measuring(
    tasks: Tasks, sessions: Sessions, clock: Clock, metrics: Metrics, measure: Measure | None
) -> None:
    while True:
        try:
            await measure_backlog(tasks, sessions, clock, metrics)
            if measure is not None:
                async with sessions() as session:
                    await measure(session, metrics, clock.now())
        except Exception as error:  # noqa: BLE001  the work goes on unmeasured
            _report("not measured", error)
        await asyncio.sleep(_MEASURE_EVERY)


def _report(what: str, error: Exception) -> None:
    if is_infrastructure(error):
        outages.report(_log, system_of(error), error, what)
    else:
        _log.error(what, exc_info=error)


async def measure_backlog(tasks: Tasks, sessions: Sessions, clock: Clock, metrics: Metrics) -> None:
    """Sets the gauges of outbox, dead letters and tasks."""
    now = clock.now()
    async with sessions() as session:
        rows, oldest = (await session.execute(_BACKLOG)).one()
        metrics.set("outbox_rows", rows)
        metrics.set("outbox_oldest_seconds", max((now - oldest).total_seconds(), 0) if oldest else 0)
        metrics.set("parked_keys", await deadletter.count_parked(session))
        found = await session.execute(_TASKS, {"now": now, "failed": FAILED})
        by_kind = {kind: (due, since, failed) for kind, due, since, failed in found}
    for kind in {*tasks.by_kind, *by_kind}:  # a kind with nothing to do says so, not what it once had
        due, since, failed = by_kind.get(kind, (0, None, 0))
        metrics.set("tasks_due", due, kind=kind)
        metrics.set("tasks_oldest_seconds", (now - since).total_seconds() if since else 0, kind=kind)
        metrics.set("tasks_failed", failed, kind=kind)
