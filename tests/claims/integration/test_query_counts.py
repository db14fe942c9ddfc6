"""How often the hot paths go to the database: a round trip more is a decision, not an accident."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, select

from claims.domain.returns import PayerReturn, ReturnKind
from claims.models import Leg, Submission
from claims.usecases import legs, returns
from common.money import Cents
from support.claims import NIR, PRACTITIONER, STARTS, Facts

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
        gathered = await legs.gather(session, world.means, leg.id, now=world.clock.now())
    async with world.sessions.begin() as session:
        await legs.mark_sent(session, world.means, gathered.batch_id, now=world.clock.now())
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
        paid = PayerReturn(
            payer=leg.payer,
            return_id=uuid4(),
            line=1,
            kind=ReturnKind.PAYMENT,
            batch_id=submission.batch_id,
            biller_id=leg.biller_id,
            invoice_no=leg.invoice_no,
            attempt=1,
            accepted=None,
            amount_cents=Cents(1750),
            code=None,
        )
        with statements() as seen:
            async with world.sessions.begin() as session:
                await returns.import_return(session, world.means, paid, now=world.clock.now())
        counts.append(len(seen))

    assert counts[0] == counts[1] <= PAYMENT


async def test_a_statement_reads_as_often_for_three_consultations_as_for_one(
    world, client, given_coverage, statements
) -> None:
    first = Facts()
    url = f"/practitioners/{first.practitioner_id}/statement"
    period = {"from": STARTS.date().isoformat(), "to": STARTS.date().isoformat()}
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
QUOTE = 16
FINAL_PRICE = 26
PAYMENT = 26  # with the acknowledgement that it implies
