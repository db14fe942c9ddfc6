"""A batch of claims is the same as its records claimed one by one."""

import asyncio
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from common.messaging import inbox
from common.messaging.inbox import Claim

BATCH: Final = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(1, 6)), min_size=1, max_size=12)
DUPLICATE: Final = Claim(new=False, hole=False)


@given(batches=st.lists(BATCH, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_batches_mark_and_answer_what_single_claims_do(sessions, batches) -> None:
    applied: dict[str, set[int]] = {}
    async with sessions() as session, session.begin():
        await session.execute(text("DELETE FROM inbox"))
        for batch in batches:
            claims = await inbox.claim_all(session, topic="t", records=batch)

            fresh = []
            for key, sequence in batch:
                fresh.append(sequence not in applied.setdefault(key, set()))
                applied[key].add(sequence)
            assert [claim.new for claim in claims] == fresh
            holes = {key for (key, _), claim in zip(batch, claims, strict=True) if claim.hole}
            touched = {key for (key, _), new in zip(batch, fresh, strict=True) if new}
            assert holes == {key for key in touched if len(applied[key]) != max(applied[key])}
        rows = await session.execute(
            text("SELECT key, generate_series(lower(r), upper(r) - 1) FROM inbox, unnest(applied) AS r")
        )
        marked: dict[str, set[int]] = {}
        for key, sequence in rows:
            marked.setdefault(key, set()).add(sequence)
    assert marked == applied


async def test_of_two_members_that_claim_the_same_each_sequence_is_new_once(pool) -> None:
    async def claim(numbers: range) -> list[int]:
        async with pool.begin() as session:
            records = [(key, number) for number in numbers for key in ("k", "l")]
            claims = await inbox.claim_all(session, topic="t", records=records)
            await asyncio.sleep(0)
        return [number for (_, number), each in zip(records, claims, strict=True) if each.new]

    taken = await asyncio.gather(*[claim(range(start, start + 20)) for start in (1, 5, 1, 10, 7)])

    assert sorted(number for each in taken for number in each) == sorted([*range(1, 30)] * 2)


async def test_a_claim_that_is_rolled_back_was_none(pool) -> None:
    async with pool() as session:
        await inbox.claim_all(session, topic="t", records=[("k", 1)])
        await session.rollback()

    async with pool.begin() as session:
        assert await inbox.claim_all(session, topic="t", records=[("k", 1)]) == [Claim(new=True, hole=False)]
        assert await inbox.claim_all(session, topic="t", records=[("k", 1)]) == [DUPLICATE]
