"""Two at once, on connections of their own: commits are real."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import URL, func, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from claims import store
from claims.consumers import routes_of
from claims.domain.asking import AmcDeclared
from claims.domain.leg import State
from claims.models import Batch, Leg, Quote
from claims.usecases import batches, coverage
from claims.usecases.config import ClaimsConfig, Terms, config_of
from claims.usecases.statements import Statement
from common.clock import Clock
from common.db import Sessions
from common.messaging.delivery import deliver
from common.messaging.records import Ending
from common.messaging.tables import TaskRow
from support.claims import ACCOUNT, NIR, Facts, settings_for
from support.records import NOW

STATED = Statement(
    nir=NIR,
    nia=None,
    ame_number=None,
    born_on=None,
    insured=None,
    amc=None,
    amc_declared=AmcDeclared.NONE,
    exemptions=[],
    scheme="general",
    sponsor_code=None,
    holder_name=None,
)


@pytest.fixture
async def real(committed: URL) -> AsyncIterator[Sessions]:
    engine = create_async_engine(committed, pool_size=10)
    yield async_sessionmaker(engine, expire_on_commit=False)
    await engine.dispose()


@pytest.fixture
def config(committed: URL) -> ClaimsConfig:
    return config_of(settings_for(committed).keys, Terms(gather_for=timedelta()))


async def state_coverage(sessions: Sessions, config: ClaimsConfig, facts: Facts) -> None:
    async with sessions.begin() as session:
        head = await store.lock_coverage(session, facts.patient_id)
        await coverage.put_coverage(
            session, config, facts.patient_id, STATED, head=head, stated_by=ACCOUNT, now=NOW
        )


async def test_a_coverage_stated_while_the_request_is_priced_is_never_missed(real, config) -> None:
    routes = routes_of(config)
    many = [Facts() for _ in range(8)]

    await asyncio.gather(
        *(deliver(facts.requested(), routes, real, now=NOW) for facts in many),
        *(state_coverage(real, config, facts) for facts in many),
    )

    async with real() as session:
        for facts in many:
            quote = await store.get_latest_quote(session, facts.appointment_id)
            again = await session.get(TaskRow, ("price-again", f"{facts.appointment_id}:1"))
            assert quote.coverage_version == 1 or again is not None


async def test_versions_stated_at_once_are_numbered_without_a_gap(real, config) -> None:
    facts = Facts()

    await asyncio.gather(*(state_coverage(real, config, facts) for _ in range(5)))

    async with real() as session:
        assert (await store.lock_coverage(session, facts.patient_id)).version == 5


async def test_one_record_delivered_five_times_at_once_is_applied_once(real, config) -> None:
    routes, facts = routes_of(config), Facts()

    outcomes = await asyncio.gather(*(deliver(facts.requested(), routes, real, now=NOW) for _ in range(5)))

    endings = sorted(outcome.ending for outcome in outcomes)
    assert endings == [Ending.APPLIED, *[Ending.DUPLICATE] * 4]
    async with real() as session:
        assert await session.scalar(select(func.count()).select_from(Quote)) == 1


async def test_workers_that_gather_at_once_never_take_a_claim_twice(real, config) -> None:
    routes, first = routes_of(config), Facts()
    many = [first, *(Facts(biller_id=first.biller_id) for _ in range(5))]
    for facts in many:
        await state_coverage(real, config, facts)
        for each in (facts.requested(), facts.completed()):
            await deliver(each, routes, real, now=Clock(read=lambda: NOW).now())
    async with real() as session:
        waiting = (await session.scalars(select(Leg.id))).all()

    async def gather(leg_id) -> list[str]:
        async with real.begin() as session:
            gathered = await batches.gather(session, config, leg_id, now=NOW)
        return [claim.invoice_no for claim in gathered.file.claims] if gathered else []

    taken = await asyncio.gather(*(gather(leg_id) for leg_id in waiting))

    numbers = [number for each in taken for number in each]
    assert sorted(numbers) == [f"{number:09d}" for number in range(1, 7)]
    async with real() as session:
        assert set(await session.scalars(select(Leg.state))) == {State.BATCHED}
        made = await session.scalar(select(func.count()).select_from(Batch))
    assert made == len([each for each in taken if each])
