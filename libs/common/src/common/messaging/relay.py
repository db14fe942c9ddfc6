"""Takes the outbox to Kafka and then to the archive: one active relay per service, oldest first.

Lock, reading and archiving share one direct connection, so whoever lost the lock archives nothing. What was
sent and not archived is sent again; readers know its sequence. A position is never remembered: identities are
given before they are committed, and a row that commits late would be passed by.
"""

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import Any, Final

from aiokafka.errors import KafkaError

from common import outages
from common.clock import Clock
from common.messaging import connections
from common.messaging.archive import Archive
from common.messaging.failures import system_of
from common.messaging.kafka import producer_options
from common.messaging.publishing import Published, Publisher
from common.settings import KafkaSettings, RetentionSettings
from common.telemetry import Metrics
from common.wake import Wake

KEEP_ARCHIVE: Final = RetentionSettings().archive

_LOCK: Final = 7_352_002  # any number, the same in every relay; each service has a database of its own
_POLL: Final = 0.25  # seconds: what a lost wake-up costs at most
_STANDBY: Final = 1.0
_BACKOFF: Final = 0.5  # doubled after each failure in a row
_LONGEST_BACKOFF: Final = 10.0
_LAST_PASS: Final = 10.0

_OLDEST: Final = "SELECT id, topic, key, headers, body FROM outbox ORDER BY id LIMIT $1"

_log: Final = logging.getLogger(__name__)


class LeadershipLost(Exception):
    """The connection that holds the lock is gone: another relay may have begun."""


class Relay:
    def __init__(
        self,
        service: str,
        dsn: str,
        kafka: KafkaSettings,
        wake: Wake,
        clock: Clock,
        *,
        metrics: Metrics | None = None,
        batch: int = 1000,
        keep_archive: timedelta = KEEP_ARCHIVE,
    ) -> None:
        self._name = f"{service} relay"
        self._dsn = dsn
        self._options = producer_options(kafka)
        self._wake = wake
        self._clock = clock
        self._metrics = metrics
        self._batch = batch
        self._keep_archive = keep_archive
        self._failures = 0  # since the last event that was published
        self._published_at: float | None = None  # by the loop's time

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then whatever is in the outbox is sent once more, if Kafka answers in time."""
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._compete(stop)
            except (*connections.LOST, KafkaError, LeadershipLost) as error:
                outages.report(_log, system_of(error), error, "the relay begins again")
            if stop.is_set():
                return
            if self._published_at is not None and self._published_at > began:
                self._failures = 0
            pause = min(_BACKOFF * 2 ** min(self._failures, 10), _LONGEST_BACKOFF)
            self._failures += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stop.wait()

    async def _compete(self, stop: asyncio.Event) -> None:
        # The oldest rows are always read by the index, whatever the statistics of a busy queue say.
        connection = await connections.connect(self._dsn, name=self._name, enable_seqscan="off")
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_STANDBY):
                        await stop.wait()
                if stop.is_set():
                    return
            await self._lead(connection, stop)
        finally:
            await connections.close(connection)

    async def _lead(self, connection: Any, stop: asyncio.Event) -> None:
        archive = Archive(connection, keep=self._keep_archive)
        publisher = Publisher(self._options)
        try:
            await publisher.start()
            while not stop.is_set():
                if await self._pass(connection, archive, publisher) < self._batch:
                    await self._wake.wait("outbox", _POLL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_PASS):
                    while await self._pass(connection, archive, publisher) == self._batch:
                        pass
        finally:
            await publisher.close()

    async def _pass(self, connection: Any, archive: Archive, publisher: Publisher) -> int:
        rows = await connection.fetch(_OLDEST, self._batch)
        if not rows:
            return 0
        published = await _unless_lost(connection, publisher, rows)
        if published.acknowledged:
            self._published_at = asyncio.get_running_loop().time()
            await archive.move(published.acknowledged, now=self._clock.now())
        self._count(rows, published)
        if published.error is not None:
            raise published.error
        return len(rows)

    def _count(self, rows: list[Any], published: Published) -> None:
        if self._metrics is None:
            return
        acknowledged = set(published.acknowledged)
        sent: dict[str, int] = {}
        for row in rows:
            if row["id"] in acknowledged:
                sent[row["topic"]] = sent.get(row["topic"], 0) + 1
        for topic, number in sent.items():
            self._metrics.count("relay_published_total", number, topic=topic)


async def _unless_lost(connection: Any, publisher: Publisher, rows: list[Any]) -> Published:
    """Publishes, and gives up as soon as the connection is gone. Raises LeadershipLost."""
    lost = asyncio.get_running_loop().create_future()

    def terminated(_: object) -> None:
        if not lost.done():
            lost.set_result(None)

    connection.add_termination_listener(terminated)
    publishing = asyncio.ensure_future(publisher.publish(rows))
    try:
        if connection.is_closed():
            raise LeadershipLost
        await asyncio.wait({publishing, lost}, return_when=asyncio.FIRST_COMPLETED)
        if not publishing.done():
            raise LeadershipLost
        return publishing.result()
    finally:
        connection.remove_termination_listener(terminated)
        if not publishing.done():
            publishing.cancel()
            await asyncio.wait({publishing})
