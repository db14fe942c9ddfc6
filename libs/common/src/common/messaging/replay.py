"""Publishes again what the archive holds: the same bytes and headers; readers know their sequence."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from common.messaging import connections
from common.messaging.kafka import producer_options
from common.messaging.publishing import Publisher
from common.settings import KafkaSettings

_BATCH: Final = 500

_OF_KEY: Final = """
    SELECT archived_at, id, topic, key, headers, body FROM outbox_archive
    WHERE key = $1 AND ($2::text IS NULL OR topic = $2) ORDER BY topic, sequence
"""
# In the order of the first time; a page at a time, so that no long transaction holds a partition.
_PAGE: Final = """
    SELECT archived_at, id, topic, key, headers, body FROM outbox_archive
    WHERE (archived_at, id) > ($1, $2) AND ($3::text IS NULL OR topic = $3)
    ORDER BY archived_at, id LIMIT $4
"""
_FIRST: Final = "SELECT min(archived_at) FROM outbox_archive"


async def replay(
    dsn: str,
    kafka: KafkaSettings,
    *,
    topic: str | None = None,
    key: str | None = None,
    everything: bool = False,
) -> int:
    """Sends one key, one topic or everything again, oldest first; returns how many events that were.

    A key may be narrowed by its topic. Harmless at any time: what a reader applied is a duplicate to it.
    Raises ValueError when nothing is chosen, and what Kafka answers when it refuses one.
    """
    if everything == (topic is not None or key is not None):
        raise ValueError("choose a key, a topic, or everything")
    connection = await connections.connect(dsn, name="replay")
    publisher = Publisher(producer_options(kafka))
    count = 0
    try:
        await publisher.start()
        async for rows in _pages(connection, topic, key):
            published = await publisher.publish(rows)
            if published.error is not None:
                raise published.error
            count += len(rows)
    finally:
        await publisher.close()
        await connections.close(connection)
    return count


async def _pages(
    connection: Any, topic: str | None, key: str | None
) -> AsyncIterator[list[Mapping[str, Any]]]:
    if key is not None:
        rows = await connection.fetch(_OF_KEY, key, topic)
        if rows:
            yield rows
        return
    after, after_id = await connection.fetchval(_FIRST), 0
    while after is not None:
        rows = await connection.fetch(_PAGE, after, after_id, topic, _BATCH)
        if not rows:
            return
        yield rows
        after, after_id = rows[-1]["archived_at"], rows[-1]["id"]
