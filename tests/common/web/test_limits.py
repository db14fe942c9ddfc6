"""Rate limits of public routes, as all processes of a service count them together."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from common.clock import Clock
from common.db import Sessions, sessions_of
from common.web.limits import RateLimit
from support.records import NOW
from support.small_app import client_of, small_app
from support.tokens import Issuer

ADDRESS = "203.0.113.7"


@pytest.fixture
def clock() -> Clock:
    """It stands still until the test moves it."""
    return Clock(read=lambda: NOW)


@pytest.fixture
async def processes(committed) -> AsyncIterator[list[Sessions]]:
    """The connections of two processes to one database."""
    engines = [create_async_engine(committed, pool_size=5) for _ in range(2)]
    yield [sessions_of(each, None) for each in engines]
    for each in engines:
        await each.dispose()


async def asked(sessions, clock, address=ADDRESS, times=1) -> list[httpx.Response]:
    """The answers of the route that takes 3 requests in 60 seconds, asked at once."""
    app = small_app(sessions, verifier=Issuer().verifier(), clock=clock)
    async with client_of(app, client=(address, 1)) as client:
        return await asyncio.gather(*(client.get("/small/v1/public") for _ in range(times)))


async def test_a_bucket_empties_and_fills_and_the_answers_say_so(sessions, clock) -> None:
    answers = [(await asked(sessions, clock))[0] for _ in range(4)]
    neighbour = (await asked(sessions, clock, "203.0.113.8"))[0]
    clock.advance(timedelta(seconds=19))
    still = (await asked(sessions, clock))[0]
    clock.advance(timedelta(seconds=39))
    later = [(await asked(sessions, clock))[0].status_code for _ in range(2)]
    clock.advance(timedelta(seconds=239))
    full = (await asked(sessions, clock))[0]

    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    assert [each.headers["ratelimit"] for each in answers] == [
        '"public";r=2;t=0',
        '"public";r=1;t=0',
        '"public";r=0;t=20',
        '"public";r=0;t=20',
    ]
    assert {each.headers["ratelimit-policy"] for each in answers} == {'"public";q=3;w=60'}
    assert answers[3].json()["type"] == "urn:problem:too-many-requests"
    assert (answers[3].headers["retry-after"], still.headers["retry-after"]) == ("20", "1")
    assert (neighbour.status_code, still.status_code, later) == (200, 429, [200, 429])
    assert full.headers["ratelimit"] == '"public";r=2;t=0'


async def test_two_processes_that_are_asked_at_once_grant_no_more_than_one(processes, clock) -> None:
    answers = await asyncio.gather(*(asked(each, clock, times=10) for each in processes))

    statuses = sorted(each.status_code for some in answers for each in some)
    assert statuses == [200] * 3 + [429] * 17


async def test_the_addresses_of_one_ipv6_network_are_one_and_no_address_is_kept(processes, clock) -> None:
    one, other = processes
    same = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:DB8:1:2:0:0:0:3", "2001:db8:1:2::4"]
    statuses = [(await asked(one, clock, each))[0].status_code for each in same]
    beside = (await asked(other, clock, "2001:db8:1:3::1"))[0].status_code
    mapped = [
        (await asked(one, clock, each))[0].headers["ratelimit"]
        for each in ("::ffff:203.0.113.9", "203.0.113.9")
    ]
    async with one() as session:
        rows = (await session.execute(text("SELECT rate_limit::text FROM rate_limit"))).scalars().all()

    assert (statuses, beside) == ([200, 200, 200, 429], 200)
    assert mapped == ['"public";r=2;t=0', '"public";r=1;t=0']
    assert len(rows) == 3
    assert not any("2001" in row or "203.0.113" in row for row in rows)


async def test_a_time_from_a_wrong_clock_locks_nobody_out(processes, clock) -> None:
    fast = Clock(shift=timedelta(days=2), read=lambda: NOW)
    await asked(processes[0], fast, times=3)

    answer = (await asked(processes[1], clock))[0]

    assert (answer.status_code, answer.headers["ratelimit"]) == (200, '"public";r=2;t=0')


@pytest.mark.parametrize(("requests", "seconds"), [(7, 60), (240, 60), (1, 1), (3, 1)])
async def test_a_bucket_holds_as_many_requests_as_its_policy_says(sessions, clock, requests, seconds) -> None:
    limit = RateLimit("any", requests, seconds)

    granted = [(await limit.take(sessions, b"key", clock.now()))[0] for _ in range(requests + 1)]

    assert granted == [True] * requests + [False]
