"""(b) From a request to its confirmation by way of claims and payment, against three times a bare hop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import cycle
from time import perf_counter
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import httpx

from bench import client
from bench.baselines.hop import Hop
from bench.ground import PATIENTS, Account, Ground, Scale, add_people, keys_of
from bench.measure import Goal, interleaved, percentile
from bench.platforms import Started, apart, one_process
from bench.report import CountsDiffer, Part
from bench.servers import PATH, wanted
from common import vault
from common.clock import wall
from common.ids import uuid7
from local.configuration import AUDIENCE, ISSUER
from local.journeys.api import Api

_PER_SECOND: Final = 50
_SECONDS: Final = 3.0
_INSURED: Final = 100  # of the 10,000 patients, who book in turn
_AT_ONCE: Final = 32
_HOPS: Final = 3  # requested, quoted, waived
_LOOK: Final = 0.004
_WITHIN: Final = 60.0
_CREATED: Final = 201
_GOAL: Final = Goal(2, at_least=False)

_CONFIRMED: Final = "SELECT id FROM appointment WHERE id = ANY ($1) AND status = 'confirmed'"
_STUCK: Final = "SELECT fact, count(*) FROM history WHERE appointment_id = ANY ($1) GROUP BY fact"
_FREE: Final = "SELECT id FROM offer WHERE taken_by IS NULL AND starts_at > $1 ORDER BY starts_at, id"
_COUNT: Final = """
    SELECT (SELECT count(*) FROM appointment) AS appointments,
        (SELECT count(*) FROM appointment WHERE status = 'confirmed') AS confirmed,
        (SELECT count(*) FROM idempotency
            WHERE reference IN (SELECT id::text FROM appointment)) AS idempotency,
        (SELECT count(*)
            FROM (SELECT headers FROM outbox UNION ALL SELECT headers FROM outbox_archive) AS event
            WHERE headers->>'ce_type' = 'booking.appointment-requested') AS outbox_and_archive
"""
Start = Callable[[Any], AbstractAsyncContextManager[Started]]


async def measure(ground: Ground, scale: Scale) -> Part:
    part = Part("b", "request to confirmation")
    dsn = await ground.clone("hop")
    for what, start in (("in one process", one_process), ("API and worker apart", apart)):
        name = start.__name__
        async with start(ground.directory / name) as platform:
            number = scale.of(int(_PER_SECOND * _SECONDS))
            pool = await asyncpg.create_pool(platform.booking_dsn, min_size=2, max_size=4)
            requests = await _prepared(platform, pool, number * (scale.repetitions + 1))
            async with Hop.running(dsn, ground.broker, topic=f"bench.hop.{name}") as hop:
                await _compare(part, platform, pool, requests, hop, scale, what=what)
            await pool.close()
    await ground.drop("hop")
    return part


async def _compare(
    part: Part,
    platform: Started,
    pool: Any,
    requests: Sequence[bytes],
    hop: Hop,
    scale: Scale,
    *,
    what: str,
) -> None:
    number = len(requests) // (scale.repetitions + 1)
    port = platform.ports["booking"]
    async with client.connected(port, _AT_ONCE) as connections:
        taken = 0

        reached: list[float] = []

        async def book() -> list[float]:
            nonlocal taken
            await client.revive(connections)
            some = requests[taken : taken + number]
            taken += number
            began = perf_counter()
            seconds = await _until_confirmed(pool, connections, some)
            reached.append(number / (perf_counter() - began))
            return seconds

        def three_hops() -> Awaitable[list[float]]:
            return hop.send(number, per_second=_PER_SECOND)

        ours, bare = await interleaved(book, three_hops, repetitions=scale.repetitions)
    for percent, goal in ((50, _GOAL), (99, None)):
        mine = [1000 * percentile(each, percent) for each in ours]
        theirs = [_HOPS * 1000 * percentile(each, percent) for each in bare]
        name = f"p{percent} at {_PER_SECOND}/s, {what}, to 3 hops"
        part.compare(name, "ms", mine, theirs, goal=goal)
    part.state(f"confirmations, {what}, {_PER_SECOND}/s asked", "/s", reached[1:])
    rows = dict(await pool.fetchrow(_COUNT))
    part.same(**{f"{name}_{what.replace(' ', '_')}": each for name, each in rows.items()})


async def _until_confirmed(
    pool: Any, connections: Sequence[client.Connection], requests: Sequence[bytes]
) -> list[float]:
    """Seconds from before each request until another connection sees that it is confirmed."""
    waiting: dict[UUID, float] = {}
    seconds: list[float] = []

    def asked(_: int, exchange: client.Exchange) -> None:
        if exchange.answer.status != _CREATED:
            raise CountsDiffer(f"(b) a request answered {exchange.answer}")
        waiting[UUID(exchange.answer.json()["id"])] = perf_counter() - exchange.seconds

    async def look() -> None:
        # one connection that is kept: giving it back after each look would cost a second statement
        async with pool.acquire() as connection:
            while len(seconds) < len(requests):
                if waiting:
                    found = await connection.fetch(_CONFIRMED, list(waiting))
                    now = perf_counter()
                    seconds.extend(now - waiting.pop(row["id"]) for row in found)
                await asyncio.sleep(_LOOK)

    try:
        async with asyncio.timeout(len(requests) / _PER_SECOND + _WITHIN), asyncio.TaskGroup() as group:
            group.create_task(look())
            await client.send_paced(connections, requests, per_second=_PER_SECOND, each=asked)
    except TimeoutError:
        left = len(requests) - len(seconds)
        facts = await pool.fetch(_STUCK, list(waiting))
        told = ", ".join(f"{row['fact']} {row['count']}" for row in facts)
        raise CountsDiffer(
            f"(b) after {_WITHIN:.0f} s {left} of {len(requests)} are not confirmed; known: {told}"
        ) from None
    return seconds


async def _prepared(platform: Started, pool: Any, number: int) -> list[bytes]:
    """10,000 patients, of whom some are insured so that they advance nothing; a request for each time."""
    now = wall()
    people = [Account(uuid4(), uuid7(now)) for _ in range(PATIENTS)]
    keyring = vault.keyring_of(keys_of(platform.kept), service="booking")
    async with pool.acquire() as connection:
        await add_people(connection, keyring, people, now=now)
    api = Api(platform.addresses)
    try:
        await _add_practitioner(api)
        amc = await _contracted(api, people[0])
        insured = people[:_INSURED]
        tokens = [await _insure(api, each, order, amc) for order, each in enumerate(insured)]
    finally:
        await api.aclose()
    offers = [row["id"] for row in await pool.fetch(_FREE, now)][
        -number:
    ]  # the latest: none begins meanwhile
    return [
        client.post(PATH, wanted(who, offer), token=token, key=str(uuid4()))
        for offer, (who, token) in zip(offers, cycle(zip(insured, tokens, strict=True)), strict=False)
    ]


async def _add_practitioner(api: Api) -> None:
    body = {
        "rpps": "10001234565",
        "profession": "physician",
        "specialty": "01",
        "sector": "s1",
        "zone": "metropole",
        "agreed_company": False,
        "third_party_payment": "full",
        "currency": "EUR",
        "fee_cents": 2500,
        "biller_id": None,
        "billing_number": "296991102",
        "title": "Docteur",
        "first_name": "Claire",
        "last_name": "Morel",
        "display_name": "Dr Claire Morel",
        "address": {"street": "3 place du Marché", "postal_code": "75004", "city": "Paris"},
        "phone": "+33 1 23 45 67 89",
        "languages": ["fr"],
        "time_zone": "Europe/Paris",
    }
    admin = api.administrator(str(uuid4()))
    made = await admin.post("/booking/v1/practitioners", body, key=str(uuid4()))
    whole_day = {"from_time": "00:00", "to_time": "00:00", "slot_minutes": 15, "mode": "video"}
    rules = [{"weekday": day, **whole_day, "valid_from": None, "valid_to": None} for day in range(1, 8)]
    await admin.put(f"/booking/v1/practitioners/{made['id']}/agenda", {"rules": rules, "exceptions": []})


async def _contracted(api: Api, who: Account) -> str:
    listed = await api.patient(str(who.id)).get("/claims/v1/amc-directory", q="99100")
    return str(next(each["number"] for each in listed["items"] if each["contracted"]))


async def _insure(api: Api, who: Account, order: int, amc: str) -> str:
    """Both insurers pay the practitioner: nothing to hold. Answers with a token of the account."""
    body = f"2850575056{order + 1:03d}"
    coverage: dict[str, Any] = {
        "nir": f"{body}{97 - int(body) % 97:02d}",
        "birth_date": "1985-05-14",
        "insured": "yes",
        "amc": {"number": amc, "member_number": f"{order:08d}"},
        "amc_status_declared": "none",
        "exemptions": [],
        "scheme": "general",
        "sponsor_code": None,
    }
    await api.patient(str(who.id)).put(f"/claims/v1/patients/{who.patient_id}/coverage", coverage)
    form = {
        "grant_type": "urn:dev:person",
        "audience": AUDIENCE,
        "role": "patient",
        "subject": str(who.id),
    }
    answer: httpx.Response = await api.http.post(f"{api.addresses.front}{ISSUER}/token", data=form)
    answer.raise_for_status()
    return str(answer.json()["access_token"])
