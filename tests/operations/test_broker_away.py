"""Without Kafka: requests are answered, events wait, and only new bookings pause once too many do."""

from uuid import uuid4

import httpx
from sqlalchemy import text

from support.eventually import eventually
from support.services import ISSUER, answers, get

MOST = 3


async def test_bookings_wait_in_the_outbox_and_pause_above_the_limit(installed, trusted, sessions_on) -> None:
    told = trusted | {"BOOKING_MOST_UNSENT": str(MOST)}
    booking = await installed("booking", told=told)
    sessions = sessions_on(booking.database)

    async with (
        booking.process("api"),
        booking.process("worker"),
        httpx.AsyncClient(base_url=f"{booking.api}/v1", timeout=10) as client,
    ):
        await eventually(lambda: answers(f"{booking.api}/health/ready", 200), within=40)
        await eventually(lambda: answers(f"{booking.ops}/health/live", 200), within=40)
        person = ISSUER.bearer("patient", subject=uuid4())

        open_for_bookings = await client.post("/appointments", json=wanted(), headers=keyed(person))
        for _ in range(MOST + 1):
            answer = await client.post("/patients", json=profile(), headers=keyed(person))
            assert answer.status_code == 201, answer.text

        async def paused() -> bool:
            answer = await client.post("/appointments", json=wanted(), headers=keyed(person))
            assert (answer.status_code, answer.headers.get("retry-after")) == (503, "5")
            return answer.json()["type"] == "urn:problem:bookings-paused"

        await eventually(paused, within=10)
        others = [
            (await client.get("/appointments", headers=person)).status_code,
            (await client.post("/patients", json=profile(), headers=keyed(person))).status_code,
        ]
        ready = await get(f"{booking.api}/health/ready")

        async def says_kafka() -> bool:
            worker = await get(f"{booking.ops}/health/ready")
            assert worker.status_code == 503
            return worker.json()["detail"] == "kafka-unreachable"

        await eventually(says_kafka, within=20)

        async def measured() -> bool:
            exposed = (await get(f"{booking.ops}/metrics")).text
            lines = dict(line.rsplit(" ", 1) for line in exposed.splitlines() if not line.startswith("#"))
            assert float(lines['outbox_rows{service="booking"}']) == MOST + 2
            return float(lines['outbox_oldest_seconds{service="booking"}']) > 0

        await eventually(measured, within=20)

    assert open_for_bookings.status_code == 404  # such a time is not offered: it was looked for
    assert others == [200, 201]
    assert ready.status_code == 200
    async with sessions() as session:
        assert await session.scalar(text("SELECT count(*) FROM outbox")) == MOST + 2


def keyed(headers: dict[str, str]) -> dict[str, str]:
    return headers | {"Idempotency-Key": uuid4().hex}


_LETTERS = str.maketrans("0123456789", "ghijklmnop")  # a name has no digits


def profile() -> dict[str, str]:
    return {
        "relation": "child",
        "first_names": f"Camille {uuid4().hex.translate(_LETTERS)}",  # each another child
        "birth_name": "Le Goff",
        "birth_date": "2015-05-14",
        "sex": "female",
    }


def wanted() -> dict[str, str]:
    return {"offer_id": str(uuid4()), "patient_id": str(uuid4()), "reason_code": "fever"}
