"""A lean HTTP client: requests are bytes made beforehand, so that a measurement is about the server."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, NamedTuple, Self

from local.errors import LocalError
from local.processes import Child


class Answer(NamedTuple):
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Exchange(NamedTuple):
    answer: Answer
    seconds: float


def get(path: str, *, token: str | None = None) -> bytes:
    return _request("GET", path, {} if token is None else {"Authorization": f"Bearer {token}"}, b"")


def post(
    path: str, body: Mapping[str, Any], *, token: str | None = None, key: str | None = None, wait: int = 0
) -> bytes:
    """`wait`: seconds of `Prefer: wait`."""
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if key is not None:
        headers["Idempotency-Key"] = key
    if wait:
        headers["Prefer"] = f"wait={wait}"
    return _request("POST", path, headers, json.dumps(body).encode())


def _request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    told = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


class ServerAway(Exception):
    """It closed the connection, or answered what this client does not read."""


class Connection(asyncio.Protocol):
    """One request at a time on a connection that stays open; answers must carry their length."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._buffer = b""
        self._transport: Any = None
        self._waiting: asyncio.Future[Answer] | None = None

    @classmethod
    async def open(cls, port: int) -> Self:
        connection = cls(port)
        await connection.revive()
        return connection

    async def revive(self) -> None:
        """A server closes what was idle for some seconds; to be called before a measurement."""
        if self._transport is None or self._transport.is_closing():
            self._buffer = b""
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    def close(self) -> None:
        self._transport.close()

    async def exchange(self, request: bytes) -> Exchange:
        await self.revive()
        began = perf_counter()
        try:
            answer = await self._ask(request)
        except ServerAway:
            if self._buffer:
                raise
            await self.revive()  # the server closed what was idle in the moment of writing
            answer = await self._ask(request)
        return Exchange(answer, perf_counter() - began)

    async def _ask(self, request: bytes) -> Answer:
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ServerAway(str(exc)))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._waiting is None or self._waiting.done():
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        if at < 0:
            self._waiting.set_exception(ServerAway(head.decode("latin-1")))
            return
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) >= end + 4 + length:
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._waiting.set_result(Answer(int(head[9:12]), body))


@asynccontextmanager
async def connected(port: int, number: int) -> AsyncIterator[Sequence[Connection]]:
    connections = [await Connection.open(port) for _ in range(number)]
    try:
        yield connections
    finally:
        for each in connections:
            each.close()


async def revive(connections: Iterable[Connection]) -> None:
    for each in connections:
        await each.revive()


async def send_all(connections: Sequence[Connection], requests: Iterable[bytes]) -> list[Exchange]:
    """Every request, as soon as one of the connections is free. Raises ServerAway."""
    waiting = deque(requests)
    exchanges: list[Exchange] = []

    async def work(connection: Connection) -> None:
        while waiting:
            exchanges.append(await connection.exchange(waiting.popleft()))

    async with asyncio.TaskGroup() as group:
        for each in connections:
            group.create_task(work(each))
    return exchanges


async def send_paced(
    connections: Sequence[Connection],
    requests: Sequence[bytes],
    *,
    per_second: float,
    each: Callable[[int, Exchange], None],
) -> None:
    """Request number n leaves n / `per_second` after the start, whatever became of the others."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)
    began = perf_counter()

    async def send(number: int, connection: Connection, request: bytes) -> None:
        each(number, await connection.exchange(request))
        free.put_nowait(connection)

    async with asyncio.TaskGroup() as group:
        for number, request in enumerate(requests):
            await asyncio.sleep(max(began + number / per_second - perf_counter(), 0))
            group.create_task(send(number, await free.get(), request))


async def until_ready(port: int, path: str, children: Sequence[Child], *, seconds: float = 90) -> None:
    """Raises LocalError when `path` does not answer 200 in time, or one of the processes ends."""
    deadline = perf_counter() + seconds
    while await _status(port, path) != 200:  # noqa: PLR2004
        ended = [each for each in children if each.returncode is not None]
        if ended or perf_counter() > deadline:
            said = "; ".join(f"{each.name}: {each.last_lines()}" for each in ended or children)
            raise LocalError(f"{path} does not get ready. {said}")
        await asyncio.sleep(0.01)


async def _status(port: int, path: str) -> int:
    try:
        connection = await Connection.open(port)
        try:
            return (await connection.exchange(get(path))).answer.status
        finally:
            connection.close()
    except (OSError, ServerAway):
        return 0
