"""How this platform talks to Kafka: the options of its clients, and a log as the consumer sees it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError

from common.settings import KafkaSettings

# The embedded broker holds every empty fetch for the whole wait and lets nobody rejoin for a session's time.
_EMBEDDED: Final = {"session_timeout_ms": 1100, "heartbeat_interval_ms": 100, "fetch_max_wait_ms": 20}
_KAFKA: Final = {"session_timeout_ms": 45_000, "heartbeat_interval_ms": 3000, "fetch_max_wait_ms": 500}

# A batch is sent as one unit; it must hold a body of 256 KiB and stay below the broker's limit of 1 MiB.
_BATCH_BYTES: Final = 512 * 1024

_FIRST_UPDATE_PAUSE: Final = 0.05  # seconds
_LONGEST_UPDATE_PAUSE: Final = 2.0

Rebalanced = Callable[[Iterable[TopicPartition]], Awaitable[None]]


class LogRecord(Protocol):
    """What the consumer reads of a record; aiokafka's has more."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Log(Protocol):
    """What the consumer needs of a member of its group. The tests have one in memory."""

    async def start(self, topics: Sequence[str], *, revoked: Rebalanced, assigned: Rebalanced) -> None: ...
    async def stop(self) -> None: ...
    async def read(self, seconds: float) -> Mapping[TopicPartition, Sequence[LogRecord]]:
        """What has come on the partitions that are not paused; waits at most so long."""

    def pause(self, partition: TopicPartition) -> None: ...
    def resume(self, partition: TopicPartition) -> None: ...
    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None: ...
    async def lags(self) -> Mapping[TopicPartition, tuple[int, int]]:
        """Of every owned partition the next offset to read and the one after the last."""

    async def cluster_id(self) -> str: ...


class KafkaLog:
    """A member of a group, on aiokafka. Offsets are committed by hand and start at the earliest."""

    def __init__(self, group: str, kafka: KafkaSettings, **overrides: Any) -> None:
        self._connection = connection_options(kafka)
        # Range: partitions of one number go to one member on every topic. What concerns one appointment is
        # then applied by one process, in one lane, and its transactions do not wait for each other crosswise.
        options = {
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "metadata_max_age_ms": 30_000,  # how late a topic is seen that is created after the start
            "partition_assignment_strategy": (RangePartitionAssignor,),
            **(_EMBEDDED if kafka.profile == "embedded" else _KAFKA),
            **self._connection,
            **overrides,
        }
        self._bootstrap = options["bootstrap_servers"]
        self._consumer = AIOKafkaConsumer(**options)
        pace(self._consumer._client)  # noqa: SLF001

    async def start(self, topics: Sequence[str], *, revoked: Rebalanced, assigned: Rebalanced) -> None:
        self._consumer.subscribe(topics, listener=_Listener(revoked, assigned))
        await self._consumer.start()

    async def stop(self) -> None:
        await self._consumer.stop()

    async def read(self, seconds: float) -> Mapping[TopicPartition, Sequence[LogRecord]]:
        records: Mapping[TopicPartition, Sequence[LogRecord]] = await self._consumer.getmany(
            timeout_ms=int(seconds * 1000)
        )
        return records

    def pause(self, partition: TopicPartition) -> None:
        self._consumer.pause(partition)

    def resume(self, partition: TopicPartition) -> None:
        if partition in self._consumer.assignment():
            self._consumer.resume(partition)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        owned = self._consumer.assignment()
        mine = {partition: offset for partition, offset in offsets.items() if partition in owned}
        if mine:
            await self._consumer.commit(mine)

    async def lags(self) -> Mapping[TopicPartition, tuple[int, int]]:
        owned = self._consumer.assignment()
        ends = await self._consumer.end_offsets(owned) if owned else {}
        found = {}
        for partition, end in ends.items():
            try:
                found[partition] = (await self._consumer.position(partition), end)
            except IllegalStateError:
                continue  # revoked meanwhile
        return found

    async def cluster_id(self) -> str:
        admin = AIOKafkaAdminClient(**{**self._connection, "bootstrap_servers": self._bootstrap})
        await admin.start()
        try:
            return str((await admin.describe_cluster())["cluster_id"])
        finally:
            await admin.close()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, revoked: Rebalanced, assigned: Rebalanced) -> None:
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        await self._assigned(assigned)


def pace(client: Any) -> None:
    """Makes an aiokafka client wait between two updates of its metadata: 50 ms, after failures up to 2 s.

    aiokafka asks again at once for as long as a partition has no leader. A broker that shuts down leaves its
    partitions without one: then that is a loop that takes all of the processor and logs thousands of lines.
    """
    update, failures, ended_at = client._metadata_update, 0, -_FIRST_UPDATE_PAUSE  # noqa: SLF001

    async def paced(*arguments: Any) -> bool:
        nonlocal failures, ended_at
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(ended_at + _FIRST_UPDATE_PAUSE - loop.time(), 0))
        updated = await update(*arguments)
        ended_at = loop.time()
        if updated:
            failures = 0
            return True
        await asyncio.sleep(min(_FIRST_UPDATE_PAUSE * 2 ** min(failures, 10), _LONGEST_UPDATE_PAUSE))
        failures += 1
        return False

    client._metadata_update = paced  # noqa: SLF001


def connection_options(kafka: KafkaSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=kafka.ca_file)
        if kafka.cert_file is not None:
            context.load_cert_chain(kafka.cert_file, kafka.key_file)
        options["ssl_context"] = context
    if kafka.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password.get_secret_value() if kafka.sasl_password else None,
        }
    return options


def producer_options(kafka: KafkaSettings) -> dict[str, Any]:
    return {
        "acks": "all",
        "enable_idempotence": True,
        "linger_ms": 0,
        "max_batch_size": _BATCH_BYTES,
        **({"retry_backoff_ms": 20} if kafka.profile == "embedded" else {}),
        **connection_options(kafka),
    }
