"""Signs and delivers the simulated provider's webhooks, again and again until they are answered 2xx."""

import asyncio
import hashlib
import hmac
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import httpx

from simulators.card_provider_books import Books

HEADER: Final = "Provider-Signature"
_LONGEST: Final = timedelta(hours=1)
_COMPANY: Final = timedelta(seconds=2)  # how long an event waits for a newer one to go before it
_PAUSE: Final = 0.1  # seconds between two looks at the books
_log: Final = logging.getLogger(__name__)


def signature(secret: str, body: bytes, *, at: datetime) -> str:
    """`t=...,v1=...`: HMAC-SHA256 over the timestamp, a dot and the raw body."""
    stamp = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


@dataclass(slots=True)
class Deliverer:
    books: Books
    client: httpx.AsyncClient
    url: str
    secret: str
    # an event may be due while its own answer sends it: only one of the two does
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.books.let_time_pass()
                sent = await self.send_due()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                _log.warning("webhooks wait: %s", type(error).__name__)
                sent = 0
            if not sent:
                try:
                    await asyncio.wait_for(stop.wait(), _PAUSE)
                except TimeoutError:
                    continue

    async def send_due(self) -> int:
        """One pass over what is due; returns how many events were tried."""
        scenario = await self.books.scenario()
        if scenario.muted:
            return 0
        now = self.books.wall.now()
        rows = await self.books.pool.fetch(
            "SELECT * FROM card_event WHERE delivered_at IS NULL AND next_at <= $1 ORDER BY seq LIMIT 20", now
        )
        if scenario.newest_first and len(rows) == 1 and now < rows[0]["next_at"] + _COMPANY:
            return 0
        for row in reversed(rows) if scenario.newest_first else rows:
            await self._send(row["seq"])
        return len(rows)

    async def send(self, event_id: str) -> None:
        """Out of turn: before the answer that it belongs to."""
        seq = await self.books.pool.fetchval("SELECT seq FROM card_event WHERE id = $1", event_id)
        await self._send(seq)

    async def _send(self, seq: int) -> None:
        async with self.one_at_a_time:
            row = await self.books.pool.fetchrow(
                "SELECT * FROM card_event WHERE seq = $1 AND delivered_at IS NULL", seq
            )
            if row is not None:
                await self._send_copies(row)

    async def _send_copies(self, row: asyncpg.Record) -> None:
        taken = all([await self._post(row["body"].encode()) for _ in range(1 + row["copies"])])
        now = self.books.wall.now()
        wait = min(timedelta(milliseconds=200) * 2 ** min(row["attempts"], 20), _LONGEST)
        await self.books.pool.execute(
            "UPDATE card_event SET attempts = attempts + 1, next_at = $2, delivered_at = $3 WHERE seq = $1",
            row["seq"],
            now + wait,
            now if taken else None,
        )

    async def _post(self, body: bytes) -> bool:
        headers = {
            HEADER: signature(self.secret, body, at=self.books.wall.now()),
            "Content-Type": "application/json",
        }
        try:
            response = await self.client.post(self.url, content=body, headers=headers)
        except httpx.HTTPError:
            return False
        return response.is_success
