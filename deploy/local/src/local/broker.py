"""The embedded broker: librdkafka's mock cluster in a child process that never outlives this one."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Self, cast

from local.errors import LocalError
from local.processes import dying_with

_START_SECONDS: Final = 15
_ANSWER_SECONDS: Final = 10
_END_SECONDS: Final = 5

# What aiokafka's clients are told on this broker. It rebalances a group only a session timeout minus one
# second after a change, and holds an empty fetch for all of fetch_max_wait_ms, whatever arrives meanwhile. A
# real broker refuses such a short session.
CONSUMER: Final[Mapping[str, Any]] = {
    "session_timeout_ms": 1100,
    "heartbeat_interval_ms": 100,
    "fetch_max_wait_ms": 20,
    "retry_backoff_ms": 20,
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
}
PRODUCER: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 0,
    "retry_backoff_ms": 20,
}


class Broker:
    """A running embedded broker, and the faults a test may ask it for."""

    bootstrap_servers: str
    cluster_id: str

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._calls = cast("asyncio.StreamWriter", process.stdin)
        self._answers = cast("asyncio.StreamReader", process.stdout)
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    async def start(cls, topics: Mapping[str, int], *, brokers: int = 1) -> Self:
        """Start one with `topics` (name to number of partitions); raises LocalError when it does not start.

        Call it from the thread that lives as long as the broker may: the kernel ends both together.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "local.mock_cluster",
            str(brokers),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us: the broker ends after its clients
            preexec_fn=dying_with(os.getpid()),
        )
        broker = cls(process)
        try:
            description = await broker._read(within=_START_SECONDS)
            broker.bootstrap_servers = description["bootstrap_servers"]
            broker.cluster_id = description["cluster_id"]
            await broker._call("topics", topics=dict(topics))
        except BaseException:
            await broker.stop()
            raise
        return broker

    @property
    def pid(self) -> int:
        return self._process.pid

    async def create_topic(self, name: str, partitions: int) -> None:
        await self._call("topics", topics={name: partitions})

    async def down(self, broker: int = 1) -> None:
        """Close the connections of one broker and refuse new ones."""
        await self._call("down", broker=broker)

    async def up(self, broker: int = 1) -> None:
        await self._call("up", broker=broker)

    async def fail(self, api: str, *codes: int) -> None:
        """Answer the next requests of `api` (produce, fetch, join_group, ...) with Kafka's error codes."""
        await self._call("fail", api=api, codes=list(codes))

    async def heal(self) -> None:
        """Forget the errors that `fail` asked for and nobody met."""
        await self._call("heal")

    async def round_trip(self, milliseconds: int) -> None:
        """Delay every answer by so much."""
        await self._call("round_trip", milliseconds=milliseconds)

    async def stop(self) -> None:
        """End it; what it held is gone."""
        self._calls.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _END_SECONDS)
            return
        self._process.kill()
        await self._process.wait()

    async def _call(self, do: str, **arguments: Any) -> None:
        async with self._one_at_a_time:
            self._calls.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            with suppress(ConnectionError):
                await self._calls.drain()
            await self._read(within=_ANSWER_SECONDS)

    async def _read(self, *, within: float) -> dict[str, Any]:
        try:
            line = await asyncio.wait_for(self._answers.readline(), within)
        except TimeoutError:
            raise LocalError(f"the embedded broker did not answer within {within} s") from None
        if not line:
            raise LocalError("the embedded broker ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LocalError(f"the embedded broker refused: {answer['error']}")
        return answer


@asynccontextmanager
async def running(topics: Mapping[str, int], *, brokers: int = 1) -> AsyncIterator[Broker]:
    """`Broker.start` with the same arguments, and its end."""
    broker = await Broker.start(topics, brokers=brokers)
    try:
        yield broker
    finally:
        await broker.stop()
