"""(f) How late the slowest searches answer among ten thousand offers, and among a million."""

import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

import asyncpg

from bench import client
from bench.ground import OFFERS, PRACTITIONERS, SPECIALTIES, Ground, Scale, add_offers
from bench.measure import Goal, interleaved, percentile
from bench.report import CountsDiffer, Part
from bench.servers import our_booking
from common.clock import wall

_MANY: Final = 1_000_000
_SEARCHES: Final = 300
_DAYS: Final = 14
_OK: Final = 200
_GOAL: Final = Goal(1.5, at_least=False)
_MEASURES: Final = ((50, None), (99, _GOAL))


async def measure(ground: Ground, scale: Scale) -> Part:
    part = Part("f", "offer search")
    async with AsyncExitStack() as stack:
        few = await stack.enter_async_context(our_booking(ground, "offers-few"))
        many = await stack.enter_async_context(our_booking(ground, "offers-many"))
        wanted = scale.of(_MANY)
        connection = await asyncpg.connect(ground.dsn("offers-many"))
        await add_offers(connection, wanted - OFFERS, first=OFFERS // PRACTITIONERS)
        await connection.execute("VACUUM ANALYZE offer", timeout=120)
        await connection.close()
        [one] = await stack.enter_async_context(client.connected(few.port, 1))
        [other] = await stack.enter_async_context(client.connected(many.port, 1))
        draw = random.Random(7)

        async def search(connection: client.Connection, searches: Sequence[bytes]) -> list[float]:
            await connection.revive()
            exchanges = await client.send_all([connection], searches)
            wrong = [each.answer for each in exchanges if each.answer.status != _OK]
            if wrong:
                raise CountsDiffer(f"({part.letter}) a search answered {wrong[0]}")
            return [1000 * each.seconds for each in exchanges]

        searches: list[bytes] = []

        async def among_many() -> list[float]:
            searches[:] = [_search(draw) for _ in range(scale.of(_SEARCHES))]
            return await search(other, searches)

        async def among_few() -> list[float]:
            return await search(one, searches)

        slow, quick = await interleaved(among_many, among_few, repetitions=scale.repetitions)
        for percent, goal in _MEASURES:
            sides = [[percentile(each, percent) for each in side] for side in (slow, quick)]
            part.compare(f"search p{percent}, {wanted:,} offers to {OFFERS:,}", "ms", *sides, goal=goal)
        for name, server in (("few", few), ("many", many)):
            part.counts[f"offers_{name}"] = await server.pool.fetchval("SELECT count(*) FROM offer")
    return part


def _search(draw: random.Random) -> bytes:
    """A page of a specialty or of all physicians, from some moment of the next two weeks on."""
    when = wall() + timedelta(minutes=draw.randrange(_DAYS * 24 * 60))
    asked = {"profession": "physician", "from": when.isoformat(), "limit": "20"}
    if draw.random() < 0.8:  # noqa: PLR2004
        asked["specialty"] = draw.choice(SPECIALTIES)
    return client.get(f"/booking/v1/offers?{urlencode(asked)}")
