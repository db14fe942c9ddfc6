"""Our booking API and the bare one, each a process of its own on a database of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from bench import client
from bench.ground import CONNECTIONS, Account, Ground
from local.platform import free_ports

PATH: Final = "/booking/v1/appointments"
_BARE_PATH: Final = "/appointments"
_FREE: Final = "SELECT id FROM offer WHERE taken_by IS NULL ORDER BY starts_at, id"
_COUNT: Final = """
    SELECT (SELECT count(*) FROM appointment) AS appointments, (SELECT count(*) FROM outbox) AS outbox,
        (SELECT count(*) FROM outbox_archive) AS archive, (SELECT count(*) FROM idempotency) AS idempotency
"""


@dataclass(frozen=True, slots=True)
class Server:
    """`offers`: times nobody has, each given out once."""

    port: int
    name: str
    pool: Any
    offers: Iterator[UUID]

    async def rows(self) -> dict[str, int]:
        return dict(await self.pool.fetchrow(_COUNT))


@asynccontextmanager
async def our_booking(ground: Ground, name: str) -> AsyncIterator[Server]:
    """`python -m booking api`, without its worker: nothing but requests runs on this database."""
    dsn = await ground.clone(name)
    [port] = free_ports(1)
    child = await ground.start(name, "-m", "booking", "api", told=ground.booking(dsn, port=port))
    try:
        await client.until_ready(port, "/booking/health/ready", [child])
        async with _looked_into(dsn) as (pool, offers):
            yield Server(port, name, pool, offers)
    finally:
        await child.kill()
        await ground.drop(name)


@asynccontextmanager
async def bare_booking(ground: Ground, name: str) -> AsyncIterator[Server]:
    dsn = await ground.clone(name)
    [port] = free_ports(1)
    arguments = ("-m", "bench.baselines.bare_booking", str(port), str(CONNECTIONS), dsn)
    child = await ground.start(name, *arguments, told={})
    try:
        await client.until_ready(port, "/ready", [child])
        async with _looked_into(dsn) as (pool, offers):
            yield Server(port, name, pool, offers)
    finally:
        await child.kill()
        await ground.drop(name)


@asynccontextmanager
async def _looked_into(dsn: str) -> AsyncIterator[tuple[Any, Iterator[UUID]]]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        free = [row["id"] for row in await pool.fetch(_FREE)]
        yield pool, iter(free)


def wanted(account: Account, offer_id: UUID) -> dict[str, Any]:
    return {
        "offer_id": str(offer_id),
        "patient_id": str(account.patient_id),
        "reason_code": "fever",
        "pathway": "regular-doctor",
        "territory": "near",
        "exemption_related": False,
    }


def our_request(ground: Ground, account: Account, offer_id: UUID, *, token: str | None = None) -> bytes:
    """A booking under a key that nobody has used."""
    token = token or ground.issuer.token(account.id)
    return client.post(PATH, wanted(account, offer_id), token=token, key=str(uuid4()))


def bare_request(account: Account, offer_id: UUID) -> bytes:
    return client.post(_BARE_PATH, wanted(account, offer_id) | {"account_id": str(account.id)})
