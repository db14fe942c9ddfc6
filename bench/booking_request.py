"""(a) A request for a time, with token, rights, idempotency, claim and event, against the bare claim."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from itertools import cycle, islice
from time import perf_counter
from typing import Final

from bench import client
from bench.ground import Account, Ground, Scale
from bench.measure import Goal, interleaved, percentile
from bench.report import CountsDiffer, Part
from bench.servers import Server, bare_booking, bare_request, our_booking, our_request

_REQUESTS: Final = 600
_AT_ONCE: Final = 16
_CREATED: Final = 201
_GOAL: Final = Goal(0.5, at_least=True)


async def measure(ground: Ground, scale: Scale) -> Part:
    part = Part("a", "booking request")
    people = cycle(ground.accounts)  # whoever comes again comes after 10,000 others
    seen = ground.accounts[:_AT_ONCE]
    tokens = {each.id: ground.issuer.token(each.id) for each in seen}
    known = cycle(seen)
    number = scale.of(_REQUESTS)
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(our_booking(ground, "booking-ours"))
        bare = await stack.enter_async_context(bare_booking(ground, "booking-bare"))
        mine = await stack.enter_async_context(client.connected(ours.port, _AT_ONCE))
        theirs = await stack.enter_async_context(client.connected(bare.port, _AT_ONCE))
        late: list[list[float]] = []

        async def book(
            server: Server, connections: Sequence[client.Connection], requests: list[bytes]
        ) -> float:
            await client.revive(connections)
            began = perf_counter()
            exchanges = await client.send_all(connections, requests)
            seconds = perf_counter() - began
            refused = [each.answer for each in exchanges if each.answer.status != _CREATED]
            if refused:
                raise CountsDiffer(f"({part.letter}) {server.name} answered {refused[0]}")
            late.append([1000 * each.seconds for each in exchanges])
            return number / seconds

        def asked(make: Callable[[Account], bytes], who: "cycle[Account]") -> list[bytes]:
            return [make(each) for each in islice(who, number)]

        async def first() -> float:
            return await book(
                ours, mine, asked(lambda each: our_request(ground, each, next(ours.offers)), people)
            )

        async def again() -> float:
            make = lambda each: our_request(  # noqa: E731
                ground, each, next(ours.offers), token=tokens[each.id]
            )
            return await book(ours, mine, asked(make, known))

        async def plain() -> float:
            return await book(bare, theirs, asked(lambda each: bare_request(each, next(bare.offers)), people))

        for what, request in (("token new to the server", first), ("token known", again)):
            late.clear()
            rates = await interleaved(request, plain, repetitions=scale.repetitions)
            part.compare(f"bookings, {what}", "/s", *rates, goal=_GOAL)
            slowest = [percentile(each, 99) for each in late[2:]]  # without those of the warming up
            part.compare(f"  p99 of one, {_AT_ONCE} at once", "ms", slowest[::2], slowest[1::2])
        for server in (ours, bare):
            rows = await server.rows()
            side = "ours" if server is ours else "baseline"
            booked = 2 * number * (scale.repetitions + 1)
            sent = {f"{side}_outbox_and_archive": rows["outbox"] + rows["archive"]}
            answered = {"ours_idempotency": rows["idempotency"]} if server is ours else {}
            part.same(
                **{f"{side}_booked": booked, f"{side}_appointments": rows["appointments"]}, **sent, **answered
            )
    return part
