"""An erasure as booking publishes it, word for word, and what it does in payment."""

from uuid import uuid4

import httpx
from sqlalchemy import select, text

from booking.api.app import create_app
from common.clock import Clock
from common.db import Sessions
from common.messaging.delivery import deliver
from common.messaging.records import Record
from common.messaging.tables import OutboxRow, TaskRow
from common.wake import LocalWake
from payment.consumers import routes
from payment.models import CardRow, CardStatus
from support.booking import ISSUER, keyed, settings_for
from support.records import NOW

PROFILE = {
    "relation": "self",
    "first_names": "Camille",
    "birth_name": "Le Goff",
    "birth_date": "1985-05-14",
    "sex": "female",
}


async def test_the_last_patient_of_an_account_takes_its_cards_along(database, sessions_on) -> None:
    ours, theirs = await database("booking"), sessions_on(await database("payment"))
    account, card_id = uuid4(), uuid4()
    async with theirs.begin() as session:
        card = CardRow(
            id=card_id,
            account_id=account,
            provider_token="tok_1",
            status=CardStatus.ACTIVE,
            network="visa",
            last4="4242",
            created_at=NOW,
        )
        session.add(card)
    person = ISSUER.bearer("patient", subject=account)
    app = create_app(settings_for(ours), clock=Clock(read=lambda: NOW), wake=LocalWake())
    app.state.verifier = ISSUER.verifier()
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://booking/booking/v1") as client,
    ):
        made = [
            await client.post("/patients", json=PROFILE | changed, headers=keyed(person))
            for changed in ({}, {"relation": "child", "first_names": "Lou"})
        ]
        assert [each.status_code for each in made] == [201, 201]
        first, second = (each.json()["id"] for each in made)

        await client.delete(f"/patients/{first}", headers=person)
        await hear(theirs, sessions_on(ours))
        after_the_first = await status_of(theirs)
        await client.delete(f"/patients/{second}", headers=person)
        await hear(theirs, sessions_on(ours))

    assert after_the_first == CardStatus.ACTIVE
    assert await status_of(theirs) == CardStatus.REMOVED
    async with theirs() as session:
        written = {(each.kind, each.key) for each in await session.scalars(select(TaskRow))}
        assert written == {("forget-card", str(card_id)), ("review-scheduled-holds", str(card_id))}
        assert await session.scalar(text("SELECT last4 FROM card")) is None
    async with sessions_on(ours)() as session:
        assert await session.scalar(text("SELECT count(*) FROM data_key")) == 0


async def hear(theirs: Sessions, ours: Sessions) -> None:
    """Everything booking has published so far, from the beginning, in its order."""
    async with ours() as session:
        rows = (await session.scalars(select(OutboxRow).order_by(OutboxRow.id))).all()
    for row in rows:
        record = Record(row.topic, row.key, f"0@{row.id}", row.headers, row.body)
        await deliver(record, routes, theirs, now=NOW)


async def status_of(theirs: Sessions) -> CardStatus:
    async with theirs() as session:
        return (await session.scalars(select(CardRow.status))).one()
