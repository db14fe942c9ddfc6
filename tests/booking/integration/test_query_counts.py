"""How often the hot paths go to the database: a round trip more is a decision, not an accident."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from support.booking import PATIENT

MOVE = 12  # savepoint and release among them


class Counted:
    """A pool that remembers what it was asked."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.asked: list[str] = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        async with self._pool.acquire() as connection:
            connection.add_query_logger(lambda record: self.asked.append(record.query))
            yield connection


@pytest.fixture
def statements(app) -> Any:
    @contextmanager
    def statements() -> Iterator[list[str]]:
        seen: list[str] = []

        def remember(_c: Any, _k: Any, statement: str, *_: Any) -> None:
            seen.append(statement)

        engine = app.state.sessions.kw["bind"].sync_engine
        event.listen(engine, "before_cursor_execute", remember)
        yield seen
        event.remove(engine, "before_cursor_execute", remember)

    return statements


async def test_a_request_is_two_round_trips(
    app, statements, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    patient = await given_patient()
    resources = app.state.resources
    counted = Counted(resources.direct)
    app.state.resources = type(resources)(
        counted, resources.sessions, resources.keyring, resources.wake, resources.decide_within
    )

    with statements() as seen:
        answer = await request_time(offer, patient)

    assert answer.status_code == 201
    assert (len(counted.asked), seen) == (2, [])


async def test_a_move_reads_the_birth_date_with_the_appointment(
    app, client, direct, statements, given_practitioner, given_offers, given_patient, request_time
) -> None:
    one, two, *_ = await given_offers(await given_practitioner())
    patient = await given_patient()
    appointment = (await request_time(one, patient)).json()
    await direct.execute("UPDATE appointment SET status = 'confirmed'")
    app.state.resources.keyring.opened.forget((UUID(patient["id"]), "erasable"))

    with statements() as seen:
        answer = await client.post(
            f"/appointments/{appointment['id']}/move", json={"offer_id": two["id"]}, headers=PATIENT
        )

    assert answer.status_code == 200, answer.text
    [read] = [each for each in seen if "data_key" in each]
    assert "FOR UPDATE OF appointment" in read
    assert len(seen) == MOVE, seen


async def test_a_list_reads_as_often_for_one_as_for_four(
    client, statements, given_practitioner, given_offers, given_patient, request_time
) -> None:
    offers = await given_offers(await given_practitioner())
    patient = await given_patient()
    await request_time(offers[0], patient)
    with statements() as one:
        await client.get("/appointments", headers=PATIENT)
    for offer in offers[1:]:
        await request_time(offer, patient)

    with statements() as four:
        answer = await client.get("/appointments", headers=PATIENT)

    assert len(answer.json()["items"]) == 4
    assert len(four) == len(one) == 2


async def test_searches_are_one_query(client, statements, given_practitioner, given_offers) -> None:
    await given_offers(await given_practitioner())

    with statements() as offers:
        await client.get("/offers", params={"profession": "physician"})
    with statements() as practitioners:
        await client.get("/practitioners", params={"q": "durand"})

    assert (len(offers), len(practitioners)) == (1, 1)
