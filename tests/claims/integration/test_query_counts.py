"""How often the hot paths go to the database: a round trip more is a decision, not an accident."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, select

from claims.domain.returns import PayerReturn, ReturnKind
from claims.models import Leg, LineState, Submission
from claims.usecases import batches, returns
from claims.usecases.returns_files import find_differing
from common.messaging.delivery import deliver_batch
from common.messaging.records import APPLIED, Record
from common.money import Cents
from support.claims import NIR, PATIENT, PRACTITIONER, STARTS, SUPPORT, Facts, returned

COVERED = {"nir": NIR, "birth_date": "1985-05-14"}


@pytest.fixture
def statements(app) -> Any:
    @contextmanager
    def statements() -> Iterator[list[str]]:
        seen: list[str] = []

        def remember(_c: Any, _k: Any, statement: str, *_: Any) -> None:
            if not statement.startswith(("SAVEPOINT", "RELEASE")):
                seen.append(statement)

        engine = app.state.sessions.kw["bind"].sync_engine
        event.listen(engine, "before_cursor_execute", remember)
        yield seen
        event.remove(engine, "before_cursor_execute", remember)

    return statements


async def test_a_quote_and_a_final_price_take_a_bounded_number_of_statements(
    world, given_coverage, statements
) -> None:
    first, second = Facts(), Facts()
    for facts in (first, second):
        await given_coverage(facts, **COVERED)
    second.patient_id = first.patient_id

    counts = []
    for facts in (first, second):
        with statements() as quoted:
            await world.hear(facts.requested())
        with statements() as priced:
            await world.hear(facts.completed(sequence=2))
        counts.append((len(quoted), len(priced)))

    assert counts[0][0] >= counts[1][0]
    assert counts[0][1] >= counts[1][1]  # earlier care of the person costs no statement more
    assert counts[0][0] <= QUOTE
    assert counts[0][1] <= FINAL_PRICE


async def given_sent(world, given_coverage, count: int) -> list[tuple[Leg, Submission]]:
    first = Facts()
    for facts in (first, *(Facts(biller_id=first.biller_id) for _ in range(count - 1))):
        await given_coverage(facts, **COVERED)
        await world.hear(facts.requested(), facts.completed())
    async with world.sessions.begin() as session:
        leg = (await session.scalars(select(Leg).where(Leg.biller_id == first.biller_id))).first()
        gathered = await batches.gather(session, world.config, leg.id, now=world.clock.now())
    async with world.sessions.begin() as session:
        await batches.mark_sent(session, world.config, gathered.batch_id, now=world.clock.now())
    async with world.sessions() as session:
        query = select(Leg, Submission).join(Submission, Submission.leg_id == Leg.id)
        rows = await session.execute(query.where(Leg.biller_id == first.biller_id))
        return [tuple(row) for row in rows.all()]


async def test_a_payment_takes_as_many_statements_beside_many_claims_as_beside_one(
    world, given_coverage, statements
) -> None:
    counts = []
    for count in (1, 4):
        leg, submission = (await given_sent(world, given_coverage, count))[0]
        with statements() as seen:
            async with world.sessions.begin() as session:
                lines = [paid(count, leg, submission)]
                await returns.import_returns(session, world.config, lines, now=world.clock.now())
        counts.append(len(seen))

    assert counts[0] == counts[1] <= PAYMENT


def paid(number: int, leg: Leg, submission: Submission) -> PayerReturn:
    return returned(
        leg,
        submission,
        ReturnKind.PAYMENT,
        return_id=UUID(int=number),
        line=number,
        amount_cents=Cents(1750),
    )


async def test_lines_of_a_return_take_as_many_statements_together_as_one_alone(
    world, given_coverage, statements
) -> None:
    counts = []
    for count in (1, 6):
        sent = await given_sent(world, given_coverage, count)
        lines = [paid(number, *each) for number, each in enumerate(sent, start=10 * count)]
        with statements() as seen:
            async with world.sessions.begin() as session:
                states = await returns.import_returns(session, world.config, lines, now=world.clock.now())
        assert states == [LineState.APPLIED] * count
        counts.append(len(seen))

    assert counts[0] == counts[1] <= PAYMENT


async def test_only_lines_that_came_before_are_looked_up_and_all_in_one_statement(
    world, given_coverage, statements
) -> None:
    sent = await given_sent(world, given_coverage, 3)
    lines = [paid(number, *each) for number, each in enumerate(sent, start=1)]
    async with world.sessions.begin() as session:
        states = await returns.import_returns(session, world.config, lines, now=world.clock.now())
    again = [replace(each, amount_cents=Cents(1)) for each in lines[:2]]

    with statements() as new:
        assert await find_differing(world.sessions, lines, states) == []
    with statements() as repeated:
        told = await find_differing(world.sessions, [*again, lines[2]], [None] * 3)

    assert told == [(each, "cents") for each in again]
    # beside the end of the savepoint in which the test reads
    assert (len(new), [each.split()[0] for each in repeated]) == (0, ["SELECT", "ROLLBACK"])


async def test_a_batch_of_claims_is_gathered_and_sent_in_as_many_statements_as_one_claim(
    world, given_coverage, statements
) -> None:
    counts = []
    for count in (1, 6):
        first = Facts()
        for facts in (first, *(Facts(biller_id=first.biller_id) for _ in range(count - 1))):
            await given_coverage(facts, **COVERED)
            await world.hear(facts.requested(), facts.completed())
        async with world.sessions() as session:
            legs_of_biller = await session.scalars(select(Leg).where(Leg.biller_id == first.biller_id))
            leg = legs_of_biller.first()
        with statements() as gathering:
            async with world.sessions.begin() as session:
                gathered = await batches.gather(session, world.config, leg.id, now=world.clock.now())
        with statements() as sending:
            async with world.sessions.begin() as session:
                await batches.mark_sent(session, world.config, gathered.batch_id, now=world.clock.now())
        assert len(gathered.file.claims) == count
        counts.append((len(gathering), len(sending)))

    assert counts[0] == counts[1]
    assert counts[0][0] <= GATHERED
    assert counts[0][1] <= SENT


async def test_facts_applied_together_share_what_can_be_shared(world, given_coverage, statements) -> None:
    counts = []
    for count in (2, 6):
        care = [Facts() for _ in range(count)]
        for facts in care:
            await given_coverage(facts, **COVERED)
        with statements() as quoted:
            await together(world, [facts.requested() for facts in care])
        with statements() as priced:
            await together(world, [facts.completed(sequence=2) for facts in care])
        taken = [
            number for number, each in enumerate(priced) if each.startswith("INSERT INTO invoice_counter")
        ]
        worked = [number for number, each in enumerate(priced) if each.startswith("INSERT INTO care_act")]
        assert len(taken) == 1
        assert max(worked) < taken[0]  # nobody waits for the counter while care is priced
        counts.append((len(quoted), len(priced)))

    assert counts[1][0] - counts[0][0] <= 4 * QUOTE_MORE
    assert counts[1][1] - counts[0][1] <= 4 * FINAL_PRICE_MORE


async def together(world, records: list[Record]) -> None:
    outcomes = await deliver_batch(records, world.routes, world.sessions, now=world.clock.now())
    assert outcomes == [APPLIED] * len(records)


async def test_a_preview_and_a_coverage_take_a_bounded_number_of_statements(
    client, linked, statements
) -> None:
    facts = Facts()
    await linked(facts)
    url = f"/patients/{facts.patient_id}/coverage"
    with statements() as stated:
        assert (await client.put(url, json=COVERED, headers=PATIENT)).status_code == 200
    with statements() as read:
        assert (await client.get(url, headers=PATIENT)).status_code == 200
    asked = {
        "practitioner_id": str(facts.practitioner_id),
        "care_on": STARTS.date().isoformat(),
        "patient_id": str(facts.patient_id),
        "pathway": "regular-doctor",
    }
    with statements() as previewed:
        answer = await client.post("/previews", json=asked, headers=PATIENT)

    assert answer.status_code == 201, answer.text
    assert len(stated) <= COVERAGE_STATED
    assert len(read) <= COVERAGE_READ
    assert len(previewed) <= PREVIEW


async def test_ageing_reads_as_often_for_many_claims_as_for_one(
    world, client, given_coverage, statements
) -> None:
    counts = []
    for count in (1, 4):
        await given_sent(world, given_coverage, count)
        with statements() as seen:
            assert (await client.get("/ageing", headers=SUPPORT)).status_code == 200
        counts.append(len(seen))

    assert counts[0] == counts[1] <= AGEING


async def test_a_statement_reads_as_often_for_three_consultations_as_for_one(
    world, client, given_coverage, statements
) -> None:
    first = Facts()
    url = f"/practitioners/{first.practitioner_id}/statement"
    day = STARTS.date()
    period = {"from": day.isoformat(), "to": (day + timedelta(days=1)).isoformat()}
    care = [first, *(Facts(practitioner_id=first.practitioner_id, biller_id=first.biller_id) for _ in "ab")]
    counts = []
    for facts in care:
        await given_coverage(facts, **COVERED)
        await world.hear(facts.requested(), facts.completed())
        with statements() as seen:
            answer = await client.get(url, params=period, headers=PRACTITIONER)
        counts.append((len(answer.json()["items"]), len(seen)))

    assert [number for number, _ in counts] == [1, 2, 3]
    assert len({number for _, number in counts}) == 1


# Round trips of one record, its inbox row, outbox and history included.
QUOTE = 11
FINAL_PRICE = 21
QUOTE_MORE = 2  # of one more in a batch
FINAL_PRICE_MORE = 3
GATHERED = 11  # of a batch of claims, however many
SENT = 12
COVERAGE_STATED = 9
COVERAGE_READ = 4
PREVIEW = 6
AGEING = 2
PAYMENT = 17  # with the acknowledgement that it implies
