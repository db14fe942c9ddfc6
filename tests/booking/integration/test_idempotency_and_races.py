import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi import Response

from booking.usecases import requests
from common.web import idempotency
from support.booking import PATIENT, PRACTITIONER, keyed
from support.records import NOW


async def test_a_replayed_request_answers_again_and_books_nothing_more(
    direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    patient = await given_patient()

    first = await request_time(offer, patient, key="one")
    second = await request_time(offer, patient, key="one")

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    counts = await direct.fetchrow(
        "SELECT (SELECT count(*) FROM appointment),"
        " (SELECT count(*) FROM outbox WHERE topic = 'booking.appointment'),"
        " (SELECT count(*) FROM idempotency WHERE reference = $1)",
        first.json()["id"],
    )
    assert tuple(counts) == (1, 1, 1)


async def test_a_replay_reads_again(
    client, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    patient = await given_patient()
    first = await request_time(offer, patient, key="one")
    await client.post(f"/appointments/{first.json()['id']}/cancellation", headers=PATIENT)

    second = await request_time(offer, patient, key="one")

    assert (second.status_code, second.json()["status"]) == (201, "cancelled")


async def test_a_key_with_another_body_is_refused(
    direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    offers = await given_offers(await given_practitioner())
    patient = await given_patient()
    await request_time(offers[0], patient, key="one")

    other = await request_time(offers[1], patient, key="one")

    assert (other.status_code, other.json()["type"]) == (422, "urn:problem:idempotency-key-reused")
    assert await direct.fetchval("SELECT count(*) FROM appointment") == 1


async def test_a_refused_request_leaves_no_record_and_may_be_tried_again(
    given_practitioner, given_offers, given_patient, request_time, client
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    patient = await given_patient(consent=False)
    refused = await request_time(offer, patient, key="one")
    consent = {"text_version": "2026-01", "channel": "app"}
    await client.post(f"/patients/{patient['id']}/consents", json=consent, headers=keyed(PATIENT))

    again = await request_time(offer, patient, key="one")

    assert (refused.status_code, again.status_code) == (409, 201)


async def test_the_same_request_twenty_times_at_once_is_one_appointment(
    direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    patient = await given_patient()

    answers = await asyncio.gather(*[request_time(offer, patient, key="one") for _ in range(20)])

    statuses = Counter(answer.status_code for answer in answers)
    assert statuses.keys() <= {201, 409}
    assert {answer.json()["id"] for answer in answers if answer.status_code == 201} == {
        str(await direct.fetchval("SELECT id FROM appointment"))
    }
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["type"] == "urn:problem:request-in-flight"
            assert answer.headers["retry-after"] == "1"


async def test_a_request_in_flight_refuses_a_second_one(
    app, given_practitioner, given_offers, given_patient
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    patient = await given_patient()
    key = idempotency.Key(scope="ab" * 32, fingerprint=b"x", response=Response())
    wanted = requests.Wanted(
        offer_id=UUID(offer["id"]),
        patient_id=UUID(patient["id"]),
        account_id=UUID(int=1),
        reason_code="fever",
        preview_id=None,
        pathway="none",
        territory="near",
        exemption_related=False,
        special_demand=False,
        seen_in_person=None,
    )
    async with app.state.direct.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", key.lock)

        with pytest.raises(idempotency.InFlight):
            await requests.request(app.state.resources, wanted, key=key, now=NOW)

    requested = await requests.request(app.state.resources, wanted, key=key, now=NOW)
    assert requested.fields["id"] == requested.appointment_id


async def test_of_twenty_who_want_one_time_exactly_one_gets_it(
    direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    offers = await given_offers(await given_practitioner())
    patient = await given_patient()

    answers = await asyncio.gather(*[request_time(offers[0], patient) for _ in range(20)])

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["type"] == "urn:problem:time-taken"
    assert refused.json()["next_offers"] == offers[1:]
    assert await direct.fetchval("SELECT count(*) FROM outbox WHERE topic = 'booking.appointment'") == 1
    assert await direct.fetchval("SELECT count(*) FROM task WHERE kind = 'decide-by'") == 1


async def test_of_two_hundred_who_want_ten_times_exactly_ten_win(
    direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    offers = await given_offers(await given_practitioner(), slots=10)
    patient = await given_patient()

    answers = await asyncio.gather(*[request_time(offers[each % 10], patient) for each in range(200)])

    assert Counter(answer.status_code for answer in answers) == {201: 10, 409: 190}
    assert {answer.json()["starts_at"] for answer in answers if answer.status_code == 201} == {
        offer["starts_at"] for offer in offers
    }
    assert await direct.fetchval("SELECT count(DISTINCT taken_by) FROM offer") == 10


@pytest.fixture
def given_two_doctors(given_practitioner, given_offers) -> Any:
    async def given_two_doctors() -> list[list[dict[str, Any]]]:
        """The offers of two practitioners; their times are the same."""
        return [
            await given_offers(await given_practitioner(**more)) for more in ({}, {"rpps": "10000000001"})
        ]

    return given_two_doctors


async def test_a_patient_has_one_visit_at_a_time(
    client, given_two_doctors, given_patient, request_time
) -> None:
    [one, *_], [two, touching, *_] = await given_two_doctors()
    patient = await given_patient()
    first = (await request_time(one, patient)).json()

    busy = await request_time(two, patient)
    beside = await request_time(touching, patient)

    assert (busy.status_code, busy.json()["type"]) == (409, "urn:problem:patient-busy")
    assert busy.json()["busy_with"] == first["id"]
    assert beside.status_code == 201
    await client.post(f"/appointments/{first['id']}/cancellation", headers=PATIENT)
    assert (await request_time(two, patient)).status_code == 201


async def test_a_relative_is_another_patient(given_two_doctors, given_patient, request_time) -> None:
    [one, *_], [two, *_] = await given_two_doctors()
    patient = await given_patient()
    child = await given_patient(relation="child", first_names="Léo", birth_date="2019-04-12")

    assert [(await request_time(one, patient)).status_code, (await request_time(two, child)).status_code] == [
        201,
        201,
    ]


async def test_of_twenty_requests_of_one_patient_at_two_doctors_exactly_one_wins(
    direct, given_two_doctors, given_patient, request_time
) -> None:
    offers = await given_two_doctors()
    patient = await given_patient()

    answers = await asyncio.gather(*[request_time(offers[each % 2][0], patient) for each in range(20)])

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    refusals = {answer.json()["type"] for answer in answers if answer.status_code == 409}
    assert refusals <= {"urn:problem:patient-busy", "urn:problem:time-taken"}
    assert "urn:problem:patient-busy" in refusals
    assert await direct.fetchval("SELECT count(*) FROM offer WHERE taken_by IS NOT NULL") == 1
    assert await direct.fetchval("SELECT count(*) FROM outbox WHERE topic = 'booking.appointment'") == 1


async def test_a_visit_that_is_over_early_leaves_the_patient_free(
    direct, given_two_doctors, given_patient, request_time
) -> None:
    [one, *_], [two, *_] = await given_two_doctors()
    patient = await given_patient()
    await request_time(one, patient)
    await direct.execute("UPDATE appointment SET status = 'completed'")

    assert (await request_time(two, patient)).status_code == 201


async def test_an_overdue_request_of_the_patient_gives_way_to_the_next(
    direct, clock, given_two_doctors, given_patient, request_time
) -> None:
    [one, *_], [two, *_] = await given_two_doctors()
    patient = await given_patient()
    first = (await request_time(one, patient)).json()
    clock.shift = timedelta(minutes=15)

    second = await request_time(two, patient)

    assert second.status_code == 201, second.text
    ended = await direct.fetchrow("SELECT status, end_reason FROM appointment WHERE id = $1", first["id"])
    assert tuple(ended) == ("abandoned", "taken-over")


async def test_a_move_finds_the_patient_busy_and_changes_nothing(
    client, direct, given_two_doctors, given_patient, request_time
) -> None:
    [one, *_], [_, two, *_] = await given_two_doctors()
    patient = await given_patient()
    first, second = [(await request_time(each, patient)).json() for each in (one, two)]
    await direct.execute("UPDATE appointment SET status = 'confirmed'")
    there = await direct.fetchval(
        "SELECT id FROM offer WHERE practitioner_id = $1 AND starts_at = $2",
        UUID(first["practitioner_id"]),
        datetime.fromisoformat(second["starts_at"]),
    )

    answers = [
        await client.post(f"/appointments/{first['id']}/move", json={"offer_id": str(there)}, headers=who)
        for who in (PATIENT, PRACTITIONER)
    ]

    assert [(each.status_code, each.json()["type"]) for each in answers] == [
        (409, "urn:problem:patient-busy")
    ] * 2
    assert [each.json().get("busy_with") for each in answers] == [second["id"], None]
    kept = await direct.fetchrow("SELECT starts_at, schedule_no FROM appointment WHERE id = $1", first["id"])
    assert tuple(kept) == (datetime.fromisoformat(first["starts_at"]), 1)


async def test_of_two_moves_of_one_patient_to_one_time_one_wins(
    client, direct, given_two_doctors, given_patient, request_time
) -> None:
    ones, twos = await given_two_doctors()
    patient = await given_patient()
    visits = [(await request_time(each, patient)).json() for each in (ones[0], twos[1])]
    await direct.execute("UPDATE appointment SET status = 'confirmed'")

    answers = await asyncio.gather(
        *[
            client.post(f"/appointments/{visit['id']}/move", json={"offer_id": offer["id"]}, headers=PATIENT)
            for visit, offer in zip(visits, (ones[3], twos[3]), strict=True)
        ]
    )

    assert sorted(each.status_code for each in answers) == [200, 409]
    refused = next(each for each in answers if each.status_code == 409)
    assert refused.json()["type"] == "urn:problem:patient-busy"


async def test_times_that_touch_are_both_free(
    given_practitioner, given_offers, given_patient, request_time
) -> None:
    [one, two, *_] = await given_offers(await given_practitioner())
    patient = await given_patient()

    assert one["ends_at"] == two["starts_at"]
    assert [(await request_time(each, patient)).status_code for each in (one, two)] == [201, 201]


async def test_a_request_whose_decision_is_overdue_gives_its_time_to_the_next(
    direct, clock, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    patient = await given_patient()
    first = (await request_time(offer, patient)).json()
    clock.shift = timedelta(minutes=15)

    second = await request_time(offer, patient)

    assert second.status_code == 201, second.text
    rows = await direct.fetch("""
        SELECT key, sequence, headers::jsonb->>'ce_type', convert_from(body, 'utf8')::jsonb->>'reason'
        FROM outbox WHERE topic = 'booking.appointment' ORDER BY id
    """)
    assert [tuple(row) for row in rows] == [
        (first["id"], 1, "booking.appointment-requested", None),
        (first["id"], 2, "booking.appointment-abandoned", "taken-over"),
        (second.json()["id"], 1, "booking.appointment-requested", None),
    ]


async def test_a_request_that_may_still_be_decided_keeps_its_time(
    clock, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    patient = await given_patient()
    await request_time(offer, patient)
    clock.shift = timedelta(minutes=15) - timedelta(microseconds=1)

    assert (await request_time(offer, patient)).status_code == 409


async def test_an_offer_shown_free_by_mistake_is_corrected_by_the_refusal(
    client, direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    practitioner = await given_practitioner()
    [offer, *rest] = await given_offers(practitioner)
    patient = await given_patient()
    await request_time(offer, patient)
    await direct.execute("UPDATE offer SET taken_by = NULL")

    refused = await request_time(offer, patient)

    assert (refused.status_code, refused.json()["next_offers"]) == (409, rest)
    shown = await client.get(f"/practitioners/{practitioner['id']}/offers")
    assert shown.json()["items"] == rest
