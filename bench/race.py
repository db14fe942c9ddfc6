"""(g) Two hundred people want ten times at the same moment: ten get one, and everybody is told."""

from collections import Counter
from contextlib import AsyncExitStack
from itertools import cycle, islice
from time import perf_counter
from typing import Final

from bench import client
from bench.ground import Ground, Scale
from bench.measure import interleaved
from bench.report import CountsDiffer, Part
from bench.servers import Server, bare_booking, bare_request, our_booking, our_request

_PEOPLE: Final = 200
_TIMES: Final = 10
_WON, _LOST = 201, 409


async def measure(ground: Ground, scale: Scale) -> Part:
    part = Part("g", "race")
    people = cycle(ground.accounts)
    won = {"ours": 0, "baseline": 0}
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(our_booking(ground, "race-ours"))
        bare = await stack.enter_async_context(bare_booking(ground, "race-bare"))
        mine = await stack.enter_async_context(client.connected(ours.port, _PEOPLE))
        theirs = await stack.enter_async_context(client.connected(bare.port, _PEOPLE))

        async def race(side: str, server: Server, connections: list[client.Connection]) -> float:
            times = list(islice(server.offers, _TIMES))
            wanting = zip(islice(people, _PEOPLE), cycle(times), strict=False)
            requests = [
                our_request(ground, who, offer) if side == "ours" else bare_request(who, offer)
                for who, offer in wanting
            ]
            await client.revive(connections)
            began = perf_counter()
            exchanges = await client.send_all(connections, requests)
            seconds = perf_counter() - began
            answers = Counter(each.answer.status for each in exchanges)
            if answers != {_WON: _TIMES, _LOST: _PEOPLE - _TIMES}:
                raise CountsDiffer(f"({part.letter}) {side}: {dict(answers)} for {_TIMES} times")
            won[side] += answers[_WON]
            return 1000 * seconds

        until = await interleaved(
            lambda: race("ours", ours, list(mine)),
            lambda: race("baseline", bare, list(theirs)),
            repetitions=scale.repetitions,
        )
        part.compare(f"until {_PEOPLE} racing for {_TIMES} times are answered", "ms", *until)
        rows = await ours.rows()
        expected = _TIMES * (scale.repetitions + 1)
        part.same(
            times=expected,
            winners=won["ours"],
            appointments=rows["appointments"],
            outbox_and_archive=rows["outbox"] + rows["archive"],
            idempotency=rows["idempotency"],
        )
    return part
