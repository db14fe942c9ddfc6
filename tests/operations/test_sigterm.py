"""SIGTERM in the middle of the work: the process drains and ends in time, and the next one loses nothing."""

import asyncio
import time
from uuid import UUID, uuid4

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy import text

from common.clock import Clock
from common.events.topics import SERVICES
from support.broker import producer_settings
from support.claims import Facts
from support.eventually import eventually
from support.records import NOW
from support.services import ISSUER, answers, get

WITHIN = 25.0
GAUGES = {
    "booking": (),
    "payment": ('holds{service="payment",state="held"}',),
    "claims": ('claims_oldest_seconds{payer="amo",service="claims",state="sent"}',),
    "documents": (),
}


@pytest.mark.slow
async def test_a_worker_ends_drained_and_the_next_one_goes_on_where_it_was(
    installed, own_broker, sessions_on
) -> None:
    shift = int((NOW - Clock().now()).total_seconds())
    claims = await installed(
        "claims",
        bootstrap_servers=own_broker.bootstrap_servers,
        told={"CLAIMS_CLOCK_SHIFT": f"PT{shift}S"},
    )
    sessions = sessions_on(claims.database)
    facts = [Facts().requested() for _ in range(800)]
    early, late = facts[:600], facts[600:]

    async def count(what: str) -> int:
        async with sessions() as session:
            return int(await session.scalar(text(f"SELECT count(*) FROM {what}")))  # noqa: S608

    async with AIOKafkaProducer(**producer_settings(own_broker)) as producer:

        async def send(records: list) -> None:
            for each in records:
                headers = [(name, value.encode()) for name, value in each.headers.items()]
                await producer.send(each.topic, each.body, key=each.key.encode(), headers=headers)
            await producer.flush()

        await send(early)
        async with claims.process("worker") as first:

            async def at_work() -> bool:
                return await count("inbox WHERE topic = 'booking.appointment'") >= 50

            await eventually(at_work, within=60)
            began = time.monotonic()
            status = await first.stop(within=WITHIN + 5)
            took = time.monotonic() - began
        applied, quotes, unsent, leased = (
            await count("inbox WHERE topic = 'booking.appointment'"),
            await count("quote"),
            await count("outbox"),
            await count("task WHERE lease_token IS NOT NULL"),
        )
        await send(late)
        async with claims.process("worker") as second:

            async def all_published() -> bool:
                return await count("outbox_archive") >= len(facts) and await count("outbox") == 0

            await eventually(all_published, within=90)
            await second.stop(within=WITHIN + 5)

    assert (status, took < WITHIN) == (0, True), first.last_lines(5)
    assert 50 <= applied == quotes < len(facts), "stopped in the middle, and no event half applied"
    assert (unsent, leased) == (0, 0)
    async with sessions() as session:
        published = await session.scalars(text("SELECT key FROM outbox_archive WHERE sequence = 1"))
        assert sorted(published) == sorted(each.key for each in facts)
    assert await count("quote") == len(facts)
    assert await count("dead_letter") == 0


@pytest.mark.slow
async def test_an_api_ends_after_its_requests_and_none_is_lost_or_done_twice(
    installed, trusted, sessions_on
) -> None:
    booking = await installed("booking", told=trusted)
    sessions = sessions_on(booking.database)
    answered: list[UUID] = []
    done = asyncio.Event()

    async def keep_asking(client: httpx.AsyncClient) -> None:
        """One new account after the other, each repeated under its key until it is answered."""
        while not done.is_set():
            account = uuid4()
            headers = ISSUER.bearer("patient", subject=account) | {"Idempotency-Key": uuid4().hex}
            while True:
                try:
                    answer = await client.post("/patients", json=PROFILE, headers=headers)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)  # nobody there, or gone before the answer: the same again
                    continue
                if answer.status_code == 201:
                    answered.append(account)
                    break
                assert answer.status_code in {409, 503}, answer.text
                await asyncio.sleep(0.1)

    async with (
        httpx.AsyncClient(base_url=f"{booking.api}/v1", timeout=20) as client,
        asyncio.TaskGroup() as clients,
    ):
        async with booking.process("api") as first:
            await eventually(lambda: answers(f"{booking.api}/health/ready", 200), within=40)
            for _ in range(8):
                clients.create_task(keep_asking(client))
            await eventually(lambda: len(answered) >= 40, within=30)
            began = time.monotonic()
            first.process.terminate()
            while_stopping = await eventually(lambda: status_of(f"{booking.api}/health/ready"), within=5)
            status = await first.wait()
            took = time.monotonic() - began
        before = len(answered)
        async with booking.process("api"):
            await eventually(lambda: len(answered) >= before + 40, within=40)
            done.set()
            await eventually(lambda: len(clients._tasks) == 0, within=20)  # noqa: SLF001

    assert (status, took < WITHIN) == (0, True), first.last_lines(5)
    assert while_stopping == 503
    async with sessions() as session:
        accounts = list(await session.scalars(text("SELECT account_id FROM link")))
        assert sorted(accounts) == sorted(answered)
        assert await session.scalar(text("SELECT count(*) FROM outbox")) == len(answered)


async def status_of(url: str) -> int:
    """Of the first answer that is not 200 any more; 0 before it."""
    status = (await get(url)).status_code
    return 0 if status == 200 else status


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES)
async def test_every_worker_becomes_ready_shows_its_measures_and_ends(
    installed, own_broker, service: str
) -> None:
    ours = await installed(service, bootstrap_servers=own_broker.bootstrap_servers)
    shown = (
        f'outbox_rows{{service="{service}"}} 0.0',
        f'outbox_oldest_seconds{{service="{service}"}} 0.0',
        f'parked_keys{{service="{service}"}} 0.0',
        "consumer_lag_records{",
        *GAUGES[service],
    )

    async with ours.process("worker") as worker:
        await eventually(lambda: answers(f"{ours.ops}/health/ready", 200), within=60)

        async def measured() -> bool:
            exposed = (await get(f"{ours.ops}/metrics")).text
            missing = [each for each in shown if each not in exposed]
            assert missing == []
            return True

        await eventually(measured, within=20)
        began = time.monotonic()
        status = await worker.stop(within=WITHIN + 5)

    assert (status, time.monotonic() - began < WITHIN) == (0, True), worker.last_lines(5)


PROFILE = {
    "relation": "self",
    "first_names": "Camille",
    "birth_name": "Le Goff",
    "birth_date": "1985-05-14",
    "sex": "female",
}
