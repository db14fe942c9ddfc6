"""A new broker remembers nothing: what some reader has not applied yet is published to it again.

Readers know what they applied, so whatever is sent too often is absorbed by their inboxes.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from common.events.topics import TOPICS, topics_of
from common.messaging.kafka import producer_options
from common.messaging.publishing import Publisher
from common.settings import KafkaSettings
from local.configuration import SERVICES

# The embedded broker holds about 5 MiB a partition and drops the oldest without a word.
UNREAD: Final = 1_000
_POLL_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Archived:
    topic: str
    key: str
    sequence: int
    headers: Mapping[str, str]
    body: bytes


async def missing(dsns: Mapping[str, str]) -> list[Archived]:
    """What stands in an archive and not in the inbox of every declared reader, oldest first by key."""
    applied = {service: await _applied(dsns[service]) for service in SERVICES}
    found: list[Archived] = []
    for service in SERVICES:
        connection = await asyncpg.connect(dsns[service])
        try:
            rows = await connection.fetch(
                "SELECT topic, key, sequence, headers, body FROM outbox_archive ORDER BY topic, key, sequence"
            )
        finally:
            await connection.close()
        for row in rows:
            readers = TOPICS[row["topic"]].readers
            if all(
                row["sequence"] in applied[reader].get((row["topic"], row["key"]), ()) for reader in readers
            ):
                continue
            found.append(
                Archived(row["topic"], row["key"], row["sequence"], json.loads(row["headers"]), row["body"])
            )
    return found


async def _applied(dsn: str) -> dict[tuple[str, str], set[int]]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("""
            SELECT topic, key, lower(r) AS first, upper(r) AS past
            FROM inbox, unnest(applied) AS r
        """)
    finally:
        await connection.close()
    applied: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        applied.setdefault((row["topic"], row["key"]), set()).update(range(row["first"], row["past"]))
    return applied


async def republish(dsns: Mapping[str, str], bootstrap_servers: str) -> int:
    """Send `missing` in portions that no partition loses anything of; answers how many were sent."""
    sent = 0
    kafka = KafkaSettings(bootstrap_servers=bootstrap_servers, profile="embedded")
    publisher = Publisher(producer_options(kafka))
    await publisher.start()
    try:
        left = await missing(dsns)
        while left:
            portion = _portion(left)
            published = await publisher.publish([_row(number, each) for number, each in enumerate(portion)])
            if published.error is not None:
                raise published.error
            sent += len(portion)
            if len(portion) == len(left):
                break
            left = await _once_applied(dsns, portion)
    finally:
        await publisher.close()
    return sent


def _portion(left: Sequence[Archived]) -> list[Archived]:
    """At most UNREAD of a topic: in the worst case all of them share a partition."""
    count: Counter[str] = Counter()
    chosen: list[Archived] = []
    for each in left:
        count[each.topic] += 1
        if count[each.topic] <= UNREAD:
            chosen.append(each)
    return chosen


def _row(number: int, archived: Archived) -> dict[str, object]:
    """As the relay reads it from the outbox: the same code sends it, each key in its order."""
    return {
        "id": number,
        "topic": archived.topic,
        "key": archived.key,
        "headers": json.dumps(dict(archived.headers)),
        "body": archived.body,
    }


async def _once_applied(dsns: Mapping[str, str], portion: Sequence[Archived]) -> list[Archived]:
    """What is still missing once the readers have taken the portion, or have had a minute for it."""
    sent = {(row.topic, row.key, row.sequence) for row in portion}
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while True:
        left = await missing(dsns)
        waiting = [row for row in left if (row.topic, row.key, row.sequence) in sent]
        if not waiting or asyncio.get_running_loop().time() > deadline:
            return [row for row in left if (row.topic, row.key, row.sequence) not in sent]
        await asyncio.sleep(_POLL_SECONDS)


def topics_with_partitions() -> dict[str, int]:
    return {topic.name: topic.partitions for service in SERVICES for topic in topics_of(service)}
