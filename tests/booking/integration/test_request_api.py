import json
from datetime import UTC, datetime, timedelta

import pytest

from support.booking import ACCOUNT, PATIENT, SUPPORT
from support.records import NOW


async def test_a_request_claims_the_time_and_says_so_to_the_other_services(
    direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    practitioner, patient = await given_practitioner(), await given_patient(birth_date="2011-01-02")
    [offer, *_] = await given_offers(practitioner)

    answer = await request_time(
        offer, patient, pathway="regular-doctor", territory="near", exemption_related=True
    )

    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["status"], body["schedule_no"], body["reason_code"]) == ("requested", 1, "fever")
    assert (body["starts_at"], body["patient_id"]) == (offer["starts_at"], patient["id"])
    assert datetime.fromisoformat(body["decide_by"]) == NOW + timedelta(minutes=15)
    assert [each["fact"] for each in body["progress"]] == ["booking.appointment-requested"]
    assert body["action"] is None
    [row] = await direct.fetch("SELECT * FROM outbox WHERE topic = 'booking.appointment'")
    assert (row["key"], row["sequence"]) == (body["id"], 1)
    assert json.loads(row["body"]) == {
        "appointment_id": body["id"],
        "patient_id": patient["id"],
        "account_id": str(ACCOUNT),
        "practitioner_id": practitioner["id"],
        "schedule_no": 1,
        "starts_at": offer["starts_at"],
        "ends_at": offer["ends_at"],
        "decide_by": body["decide_by"],
        "biller_id": practitioner["id"],
        "preview_id": None,
        "profession": "physician",
        "specialty": "01",
        "sector": "s1",
        "zone": "metropole",
        "agreed_company": False,
        "third_party_payment": "full",
        "currency": "EUR",
        "fee_cents": 2500,
        "pathway": "regular-doctor",
        "territory": "near",
        "exemption_related": True,
        "under_16": False,  # NOW is in 2030: nineteen
        "minor_on_1_january": False,
        "age_group": "16-to-25",
        "time_zone": "Europe/Paris",
        "overrun_qualifier": None,
        "seen_in_person": None,
    }


async def test_a_request_leaves_one_row_of_each_kind_and_a_timer(
    direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())

    answer = await request_time(offer, await given_patient())

    appointment_id = answer.json()["id"]
    kept = await direct.fetchrow("SELECT * FROM appointment")
    assert (str(kept["id"]), kept["version"], b"fever" in kept["reason"]) == (appointment_id, 1, False)
    timer = await direct.fetchrow("SELECT * FROM task WHERE kind = 'decide-by'")
    assert (timer["key"], timer["due_at"]) == (appointment_id, NOW + timedelta(minutes=15))
    noted = await direct.fetchrow("SELECT * FROM history")
    assert (str(noted["appointment_id"]), noted["sequence"]) == (appointment_id, 1)
    assert (
        str(await direct.fetchval("SELECT taken_by FROM offer WHERE id = $1", offer["id"])) == appointment_id
    )
    assert await direct.fetchval("SELECT count(*) FROM idempotency WHERE reference = $1", appointment_id) == 1


async def test_the_reason_is_in_no_event_and_not_told_to_support(
    client, direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    appointment = (await request_time(offer, await given_patient(), reason_code="contraception")).json()

    seen = await client.get(f"/appointments/{appointment['id']}", headers=PATIENT)
    by_support = await client.get(f"/appointments/{appointment['id']}", headers=SUPPORT)

    assert seen.json()["reason_code"] == "contraception"
    assert (by_support.json()["status"], by_support.json()["reason_code"]) == ("requested", None)
    bodies = await direct.fetch("SELECT convert_from(body, 'utf8') || headers::text AS all FROM outbox")
    assert bodies
    assert not any("contraception" in row["all"] for row in bodies)


async def test_a_red_flag_answers_with_whom_to_call_and_holds_nothing(
    direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())

    answer = await request_time(offer, await given_patient(), reason_code="chest-pain")

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:emergency")
    assert [each["number"] for each in answer.json()["numbers"]] == ["15", "112", "114"]
    assert await direct.fetchval("SELECT count(*) FROM appointment") == 0
    assert await direct.fetchval("SELECT count(*) FROM idempotency WHERE reference LIKE $1", offer["id"]) == 0


async def test_nobody_is_booked_without_consent(
    direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())

    answer = await request_time(offer, await given_patient(consent=False))

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:consent-missing")
    assert await direct.fetchval("SELECT count(*) FROM appointment") == 0


async def test_a_time_that_is_over_is_refused(
    clock, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    patient = await given_patient()
    clock.shift = timedelta(days=1)

    answer = await request_time(offer, patient)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:time-passed")


@pytest.mark.parametrize(
    ("born", "under_16", "minor", "group"),
    [
        ("2014-06-03", True, True, "6-to-15"),
        ("2014-06-01", False, True, "16-to-25"),
        ("2012-01-01", False, False, "16-to-25"),
        ("1950-06-02", False, False, "80-or-more"),
    ],
)
async def test_the_ages_of_the_day_of_care_travel_and_the_birth_date_does_not(
    direct, given_practitioner, given_offers, given_patient, request_time, born, under_16, minor, group
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())  # on 2 June 2030

    await request_time(offer, await given_patient(birth_date=born))

    body = await direct.fetchval(
        "SELECT convert_from(body, 'utf8') FROM outbox WHERE topic = 'booking.appointment'"
    )
    told = json.loads(body)
    assert (told["under_16"], told["minor_on_1_january"], told["age_group"]) == (under_16, minor, group)
    assert born not in body


@pytest.mark.parametrize(("zone", "under_16"), [("metropole", True), ("reunion", False)])
async def test_ages_are_those_of_the_day_where_the_practitioner_works(
    direct, given_practitioner, given_offers, given_patient, request_time, zone, under_16
) -> None:
    practitioner = await given_practitioner(zone=zone, time_zone=None)
    at = datetime(2030, 6, 2, 20, 30, tzinfo=UTC)  # 22:30 in Paris, 0:30 of the next day in Réunion
    offers = await given_offers(practitioner, at=at, slots=2)

    await request_time(offers[0], await given_patient(birth_date="2014-06-03"))

    body = await direct.fetchval(
        "SELECT convert_from(body, 'utf8') FROM outbox WHERE topic = 'booking.appointment'"
    )
    told = json.loads(body)
    assert (told["under_16"], told["time_zone"]) == (under_16, practitioner["time_zone"])


@pytest.mark.parametrize(
    ("permanent", "asked", "qualifier", "seen"),
    [
        (False, {}, None, None),
        (False, {"special_demand": True, "seen_in_person": True}, "DE", True),
        (True, {"special_demand": False, "seen_in_person": False}, "DP", False),
        (True, {"special_demand": True, "seen_in_person": None}, "DP", None),  # the right goes first
    ],
)
async def test_what_a_price_rests_on_travels_with_the_request(
    direct, given_practitioner, given_offers, given_patient, request_time, permanent, asked, qualifier, seen
) -> None:
    [offer, *_] = await given_offers(await given_practitioner(permanent_overrun=permanent))

    answer = await request_time(offer, await given_patient(), **asked)

    assert answer.status_code == 201, answer.text
    body = await direct.fetchval(
        "SELECT convert_from(body, 'utf8') FROM outbox WHERE topic = 'booking.appointment'"
    )
    told = json.loads(body)
    assert (told["overrun_qualifier"], told["seen_in_person"]) == (qualifier, seen)


@pytest.mark.parametrize("field", ["special_demand", "seen_in_person"])
async def test_an_answer_is_yes_or_no(
    given_practitioner, given_offers, given_patient, request_time, field
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())

    answer = await request_time(offer, await given_patient(), **{field: "yes"})

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [f"/body/{field}"]


async def test_a_request_that_is_not_decided_in_time_answers_as_requested(
    given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())

    answer = await request_time(offer, await given_patient(), prefer="wait=0.1, wait=1")

    assert (answer.status_code, answer.json()["status"]) == (201, "requested")
    assert answer.headers["retry-after"] == "1"


async def test_a_backlog_of_events_pauses_new_bookings_only(
    app, client, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    patient = await given_patient()
    app.state.backlog.most = 1
    await app.state.backlog.look(app.state.direct)

    paused = await request_time(offer, patient)
    other = await client.get("/appointments", headers=PATIENT)
    app.state.backlog.most = 100
    await app.state.backlog.look(app.state.direct)
    again = await request_time(offer, patient)

    assert (paused.status_code, paused.json()["type"]) == (503, "urn:problem:bookings-paused")
    assert (other.status_code, again.status_code) == (200, 201)
