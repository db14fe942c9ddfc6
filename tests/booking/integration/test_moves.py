import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from booking.consumers import routes
from common.events.documents import IssuedV1
from common.messaging.delivery import deliver
from support.booking import PATIENT, PRACTITIONER, SUPPORT
from support.records import NOW, record

COMPLETION = {
    "acts": [{"code": "TCG"}],
    "fee_cents": 2500,
    "overrun_qualifier": None,
    "outcome": "advice-given",
    "exemption_related": False,
    "pathway": None,
}


@pytest.fixture
async def booked(given_practitioner, given_offers, given_patient) -> dict[str, Any]:
    """Somebody to see, somebody to be seen, and times from this time tomorrow on."""
    practitioner, patient = await given_practitioner(), await given_patient()
    offers = await given_offers(practitioner)
    return {"practitioner": practitioner, "patient": patient, "offers": offers}


@pytest.fixture
def given_confirmed(booked, direct, request_time) -> Any:
    async def given_confirmed(status: str = "confirmed", offer: int = 0) -> dict[str, Any]:
        answer = await request_time(booked["offers"][offer], booked["patient"])
        assert answer.status_code == 201, answer.text
        appointment: dict[str, Any] = answer.json()
        await direct.execute("UPDATE appointment SET status = $1 WHERE id = $2", status, appointment["id"])
        return appointment

    return given_confirmed


@pytest.fixture
def given_booked(direct, given_practitioner, given_offers, given_patient, request_time) -> Any:
    async def given_booked(born: str, at: datetime, free_at: datetime) -> tuple[Any, Any]:
        """A confirmed appointment of somebody born then, and a free time of the same practitioner."""
        practitioner, patient = await given_practitioner(), await given_patient(birth_date=born)
        [taken] = await given_offers(practitioner, at=at, slots=1)
        appointment = (await request_time(taken, patient)).json()
        await direct.execute("UPDATE appointment SET status = 'confirmed'")
        [free] = await given_offers(practitioner, at=free_at, slots=1)
        return appointment, free

    return given_booked


@pytest.fixture
def move(client) -> Any:
    async def move(appointment: dict[str, Any], path: str, headers: dict[str, str], body: Any = None) -> Any:
        return await client.post(f"/appointments/{appointment['id']}/{path}", json=body, headers=headers)

    return move


@pytest.fixture
def published(direct) -> Any:
    async def published(appointment: dict[str, Any]) -> list[tuple[int, str, dict[str, Any]]]:
        """Sequence, fact and body of the events after the request."""
        query = """
            SELECT sequence, headers::jsonb->>'ce_type' AS type, convert_from(body, 'utf8') AS body
            FROM outbox WHERE topic = 'booking.appointment' AND key = $1 AND sequence > 1 ORDER BY sequence
        """
        rows = await direct.fetch(query, appointment["id"])
        return [(row["sequence"], row["type"], json.loads(row["body"])) for row in rows]

    return published


def prescribed(appointment: dict[str, Any]) -> IssuedV1:
    return IssuedV1(
        appointment_id=UUID(appointment["id"]),
        document_id=uuid4(),
        patient_id=UUID(appointment["patient_id"]),
        practitioner_id=UUID(appointment["practitioner_id"]),
        kind="prescription",
        folder="drugs",
    )


async def test_a_cancellation_two_hours_before_is_free_and_frees_the_time(
    client, clock, direct, booked, given_confirmed, move, published
) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1, hours=-2)

    answer = await move(appointment, "cancellation", PATIENT)

    body = answer.json()
    assert (body["status"], body["cancelled_by"], body["free_cancellation"]) == ("cancelled", "patient", True)
    assert [each["fact"] for each in body["progress"]] == [
        "booking.appointment-requested",
        "booking.appointment-cancelled",
    ]
    [(sequence, fact, event)] = await published(appointment)
    assert (sequence, fact, event["cancelled_by"]) == (2, "booking.appointment-cancelled", "patient")
    assert event["starts_at"] == appointment["starts_at"]
    assert await direct.fetchval("SELECT count(*) FROM strike") == 0
    offers = await client.get(f"/practitioners/{booked['practitioner']['id']}/offers")
    assert offers.json()["items"] == booked["offers"]


async def test_a_late_cancellation_is_allowed_and_counted(clock, direct, given_confirmed, move) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1, hours=-2, microseconds=1)

    answer = await move(appointment, "cancellation", PATIENT)

    assert (answer.status_code, answer.json()["free_cancellation"]) == (200, False)
    assert await direct.fetchval("SELECT kind FROM strike") == "late-cancellation"


async def test_a_patient_does_not_cancel_what_has_begun_and_a_practitioner_does(
    clock, direct, given_confirmed, move
) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1)

    late = await move(appointment, "cancellation", PATIENT)
    allowed = await move(appointment, "cancellation", PRACTITIONER)

    assert (late.status_code, late.json()["type"]) == (409, "urn:problem:too-late")
    assert (allowed.status_code, allowed.json()["cancelled_by"]) == (200, "practitioner")
    assert await direct.fetchval("SELECT count(*) FROM strike") == 0


async def test_support_cancels_for_the_platform(given_confirmed, move) -> None:
    answer = await move(await given_confirmed(), "cancellation", SUPPORT)

    assert (answer.status_code, answer.json()["cancelled_by"]) == (200, "platform")


@pytest.mark.parametrize(
    ("who", "other"), [(PATIENT, PRACTITIONER), (PRACTITIONER, SUPPORT), (SUPPORT, PATIENT)]
)
async def test_who_has_cancelled_may_repeat_it_and_nobody_else(
    clock, direct, given_confirmed, move, published, who, other
) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(hours=22, minutes=30)

    first = await move(appointment, "cancellation", who)
    clock.shift = timedelta(days=2)
    second = await move(appointment, "cancellation", who)
    third = await move(appointment, "cancellation", other)

    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json() == first.json()
    assert (third.status_code, third.json()["type"]) == (409, "urn:problem:appointment-move-refused")
    assert len(await published(appointment)) == 1
    assert await direct.fetchval("SELECT count(*) FROM strike") == (1 if who is PATIENT else 0)


async def test_a_patient_moves_nothing_once_its_time_has_come(
    clock, booked, given_confirmed, given_offers, move, published
) -> None:
    appointment = await given_confirmed()
    [later, *_] = await given_offers(booked["practitioner"], at=NOW + timedelta(days=3))
    clock.shift = timedelta(days=1, minutes=12)

    answer = await move(appointment, "move", PATIENT, {"offer_id": later["id"]})
    absent = await move(appointment, "patient-absence", PRACTITIONER)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:too-late")
    assert (absent.status_code, absent.json()["status"]) == (200, "patient-absent")
    assert [each[1] for each in await published(appointment)] == ["booking.patient-absent"]


@pytest.mark.parametrize(
    ("notice", "who", "strikes"),
    [
        (timedelta(hours=2), PATIENT, 0),
        (timedelta(hours=2) - timedelta(seconds=1), PATIENT, 1),
        (timedelta(minutes=5), PRACTITIONER, 0),
    ],
)
async def test_a_late_move_counts_as_a_late_cancellation_of_the_old_time(
    clock, direct, booked, given_confirmed, move, published, notice, who, strikes
) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1) - notice

    answer = await move(appointment, "move", who, {"offer_id": booked["offers"][3]["id"]})

    assert answer.status_code == 200, answer.text
    [(_, _, event)] = await published(appointment)
    by = "patient" if who is PATIENT else "practitioner"
    assert (event["moved_from"], event["moved_by"]) == (booked["offers"][0]["starts_at"], by)
    assert datetime.fromisoformat(event["moved_at"]) == NOW + clock.shift
    assert await direct.fetchval("SELECT count(*) FROM strike WHERE schedule_no = 1") == strikes


async def test_each_time_that_is_given_up_late_is_counted(
    clock, direct, booked, given_confirmed, move
) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(hours=23)

    moved = await move(appointment, "move", PATIENT, {"offer_id": booked["offers"][1]["id"]})
    again = await move(appointment, "move", PATIENT, {"offer_id": booked["offers"][2]["id"]})
    cancelled = await move(appointment, "cancellation", PATIENT)

    assert [each.status_code for each in (moved, again, cancelled)] == [200, 200, 200]
    counted = await direct.fetch("SELECT schedule_no, kind FROM strike ORDER BY schedule_no")
    assert [tuple(each) for each in counted] == [(each, "late-cancellation") for each in (1, 2, 3)]


async def test_a_move_claims_the_new_time_frees_the_old_one_and_raises_the_schedule(
    client, booked, given_confirmed, move, published
) -> None:
    appointment = await given_confirmed()
    one, two, *rest = booked["offers"]

    answer = await move(appointment, "move", PATIENT, {"offer_id": two["id"]})

    body = answer.json()
    assert (body["status"], body["schedule_no"], body["starts_at"]) == ("confirmed", 2, two["starts_at"])
    [(sequence, fact, event)] = await published(appointment)
    assert (sequence, fact) == (2, "booking.appointment-moved")
    assert (event["schedule_no"], event["starts_at"]) == (2, two["starts_at"])
    assert event["decide_by"] == body["decide_by"]
    offers = await client.get(f"/practitioners/{booked['practitioner']['id']}/offers")
    assert offers.json()["items"] == [one, *rest]


BEFORE, AFTER = datetime(2030, 6, 2, 9, tzinfo=UTC), datetime(2030, 6, 5, 9, tzinfo=UTC)
NEW_YEAR = (datetime(2030, 12, 30, 9, tzinfo=UTC), datetime(2031, 1, 2, 9, tzinfo=UTC))


@pytest.mark.parametrize(
    ("born", "times", "before", "since"),
    [
        pytest.param(
            "2014-06-04",
            (BEFORE, AFTER),
            (True, True, "6-to-15"),
            (False, True, "16-to-25"),
            id="sixteen",
        ),
        pytest.param(
            "2013-01-01",
            NEW_YEAR,
            (False, True, "16-to-25"),
            (False, False, "16-to-25"),
            id="eighteen on 1 January",
        ),
        pytest.param(
            "2024-06-04", (BEFORE, AFTER), (True, True, "3-to-5"), (True, True, "6-to-15"), id="six"
        ),
        pytest.param(
            "1950-06-04",
            (BEFORE, AFTER),
            (False, False, "26-to-79"),
            (False, False, "80-or-more"),
            id="eighty",
        ),
    ],
)
async def test_a_move_counts_the_ages_again_and_the_completion_carries_them(
    clock, direct, given_booked, move, published, born, times, before, since
) -> None:
    clock.shift = times[0] - timedelta(days=1) - NOW
    appointment, free = await given_booked(born, *times)
    kept = "SELECT under_16, minor_on_1_january, age_group FROM appointment"
    requested = tuple(await direct.fetchrow(kept))

    answer = await move(appointment, "move", PATIENT, {"offer_id": free["id"]})

    assert answer.status_code == 200, answer.text
    assert (requested, tuple(await direct.fetchrow(kept))) == (before, since)
    await direct.execute("UPDATE appointment SET status = 'started'")
    clock.shift = times[1] - NOW
    await move(appointment, "completion", PRACTITIONER, COMPLETION)
    events = [event for _, _, event in await published(appointment)]
    told = [(each["under_16"], each["minor_on_1_january"], each["age_group"]) for each in events]
    assert told == [since, since]
    assert born not in json.dumps(events)


async def test_a_move_counts_the_ages_of_who_was_requested_before_there_were_groups(
    direct, booked, given_confirmed, move, published
) -> None:
    appointment = await given_confirmed()
    await direct.execute("UPDATE appointment SET age_group = NULL")

    await move(appointment, "move", PATIENT, {"offer_id": booked["offers"][1]["id"]})

    [(_, _, event)] = await published(appointment)
    assert event["age_group"] == await direct.fetchval("SELECT age_group FROM appointment") == "26-to-79"


async def test_an_erased_patient_s_appointment_keeps_the_ages_it_had(
    direct, booked, given_confirmed, move, published
) -> None:
    """A race that an open appointment forbids; were it lost, the move would still not guess."""
    appointment = await given_confirmed()
    await direct.execute("DELETE FROM data_key")

    answer = await move(appointment, "move", PATIENT, {"offer_id": booked["offers"][1]["id"]})

    [(_, _, event)] = await published(appointment)
    assert (answer.status_code, event["age_group"]) == (200, "26-to-79")


async def test_a_request_is_not_moved_before_it_is_decided(booked, request_time, move) -> None:
    appointment = (await request_time(booked["offers"][0], booked["patient"])).json()

    answer = await move(appointment, "move", PATIENT, {"offer_id": booked["offers"][1]["id"]})

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:appointment-move-refused")


async def test_a_move_to_a_taken_time_changes_nothing_and_names_the_next_free_ones(
    direct, booked, given_confirmed, move, published
) -> None:
    appointment, _other = await given_confirmed(), await given_confirmed(offer=1)

    answer = await move(appointment, "move", PATIENT, {"offer_id": booked["offers"][1]["id"]})

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:time-taken")
    assert answer.json()["next_offers"] == booked["offers"][2:]
    assert await published(appointment) == []
    kept = await direct.fetchrow(
        "SELECT schedule_no, version, starts_at FROM appointment WHERE id = $1", appointment["id"]
    )
    assert tuple(kept) == (1, 1, NOW + timedelta(days=1))


async def test_a_move_takes_over_a_request_whose_decision_is_overdue(
    clock, direct, booked, given_confirmed, request_time, move
) -> None:
    appointment = await given_confirmed()
    overdue = (await request_time(booked["offers"][1], booked["patient"])).json()
    clock.shift = timedelta(minutes=15)

    answer = await move(appointment, "move", PATIENT, {"offer_id": booked["offers"][1]["id"]})

    assert (answer.status_code, answer.json()["schedule_no"]) == (200, 2)
    ended = await direct.fetchrow("SELECT status, end_reason FROM appointment WHERE id = $1", overdue["id"])
    assert tuple(ended) == ("abandoned", "taken-over")


async def test_of_a_move_and_requests_for_one_time_exactly_one_gets_it(
    direct, booked, given_confirmed, request_time, move
) -> None:
    movers = [await given_confirmed(offer=each) for each in (0, 1)]
    wanted = booked["offers"][2]

    answers = await asyncio.gather(
        *[move(each, "move", PATIENT, {"offer_id": wanted["id"]}) for each in movers],
        *[request_time(wanted, booked["patient"]) for _ in range(6)],
    )

    assert Counter(answer.status_code // 100 for answer in answers) == {2: 1, 4: 7}
    live = await direct.fetch("SELECT starts_at FROM appointment ORDER BY starts_at")
    assert len({row["starts_at"] for row in live}) == len(live)


async def test_an_appointment_moves_to_no_other_practitioner(
    given_practitioner, given_offers, given_confirmed, move
) -> None:
    appointment = await given_confirmed()
    other = await given_practitioner(rpps="10000000001")
    [elsewhere, *_] = await given_offers(other)

    answer = await move(appointment, "move", PATIENT, {"offer_id": elsewhere["id"]})
    unknown = await move(appointment, "move", PATIENT, {"offer_id": str(uuid4())})

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:another-practitioner")
    assert unknown.status_code == 404


async def test_a_consultation_is_started_and_completed_by_its_practitioner(
    clock, given_confirmed, move, published
) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1, minutes=-15)
    started = await move(appointment, "start", PRACTITIONER)
    clock.shift = timedelta(days=1, minutes=10)

    completed = await move(
        appointment, "completion", PRACTITIONER, COMPLETION | {"fee_cents": 3000, "pathway": "referred"}
    )

    assert (started.status_code, started.json()["status"]) == (200, "started")
    assert (completed.status_code, completed.json()["status"]) == (200, "completed")
    assert (completed.json()["fee_cents"], completed.json()["outcome"]) == (3000, "advice-given")
    [first, (sequence, fact, event)] = await published(appointment)
    assert first[:2] == (2, "booking.consultation-started")
    assert (sequence, fact) == (3, "booking.consultation-completed")
    assert event["acts"] == [{"code": "TCG"}]
    assert (event["fee_cents"], event["pathway"], event["outcome"]) == (3000, "referred", "advice-given")
    assert (event["sector"], event["third_party_payment"]) == ("s1", "full")


@pytest.mark.parametrize(
    ("stated", "qualifier", "seen"),
    [
        ({}, "DE", False),
        ({"overrun_qualifier": None, "seen_in_person": None}, "DE", False),
        ({"overrun_qualifier": "DP", "seen_in_person": True}, "DP", True),
    ],
)
async def test_what_a_completion_leaves_open_is_as_it_was_asked_for(
    direct, booked, request_time, move, published, stated, qualifier, seen
) -> None:
    asked = {"special_demand": True, "seen_in_person": False}
    appointment = (await request_time(booked["offers"][0], booked["patient"], **asked)).json()
    await direct.execute("UPDATE appointment SET status = 'started'")
    required = {name: value for name, value in COMPLETION.items() if name != "overrun_qualifier"}

    answer = await move(appointment, "completion", PRACTITIONER, required | stated)

    assert answer.status_code == 200, answer.text
    [(_, _, event)] = await published(appointment)
    assert (event["overrun_qualifier"], event["seen_in_person"]) == (qualifier, seen)


async def test_a_consultation_opens_fifteen_minutes_before_at_most(clock, given_confirmed, move) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1, minutes=-15, microseconds=-1)

    answer = await move(appointment, "start", PRACTITIONER)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:too-early")


async def test_a_patient_neither_opens_nor_completes_a_consultation(
    clock, direct, given_confirmed, move
) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1)

    answers = [
        await move(appointment, "start", PATIENT),
        await move(appointment, "completion", PATIENT, COMPLETION),
        await move(appointment, "unsuitable", PATIENT),
        await move(appointment, "patient-absence", PATIENT),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 403]
    # the document says so too: it names the roles that requires() names
    assert {answer.json()["type"] for answer in answers} == {"urn:problem:role-missing"}
    assert await direct.fetchval("SELECT status FROM appointment") == "confirmed"


async def test_what_is_not_started_is_not_completed(given_confirmed, move) -> None:
    answer = await move(await given_confirmed(), "completion", PRACTITIONER, COMPLETION)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:appointment-move-refused")


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"fee_cents": 0}, "/body/fee_cents"),
        ({"fee_cents": 25.0}, "/body/fee_cents"),
        ({"acts": [{"code": "tcg"}]}, "/body/acts/0/code"),
        ({"outcome": "cured"}, "/body/outcome"),
    ],
)
async def test_a_completion_that_does_not_fit_is_refused(given_confirmed, move, changed, pointer) -> None:
    appointment = await given_confirmed("started")

    answer = await move(appointment, "completion", PRACTITIONER, COMPLETION | changed)

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("path", "who", "reason"),
    [
        ("unsuitable", PRACTITIONER, "unsuitable"),
        ("technical-failure", PATIENT, "technical-failure"),
        ("practitioner-absence", PATIENT, "practitioner-absent"),
    ],
)
async def test_a_consultation_that_did_not_take_place_is_not_billed(
    clock, given_confirmed, move, published, path, who, reason
) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1, minutes=10)

    answer = await move(appointment, path, who)

    assert (answer.status_code, answer.json()["status"]) == (200, "not-billed")
    assert answer.json()["end_reason"] == reason
    [(sequence, fact, event)] = await published(appointment)
    assert (sequence, fact, event["reason"]) == (2, "booking.consultation-not-billed", reason)


@pytest.mark.parametrize("passed", [timedelta(seconds=2), timedelta(minutes=9, seconds=59)])
@pytest.mark.parametrize("path", ["practitioner-absence", "patient-absence"])
async def test_nobody_is_absent_before_ten_minutes_after_the_time(
    clock, given_confirmed, move, published, path, passed
) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1) + passed

    answer = await move(appointment, path, PATIENT if path == "practitioner-absence" else PRACTITIONER)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:too-early")
    assert await published(appointment) == []


async def test_a_practitioner_who_has_started_is_not_absent(clock, given_confirmed, move) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1)
    await move(appointment, "start", PRACTITIONER)
    clock.shift = timedelta(days=1, minutes=11)

    answer = await move(appointment, "practitioner-absence", PATIENT)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:appointment-move-refused")


@pytest.mark.parametrize(
    ("who", "minute", "issued", "expected"),
    [
        (PATIENT, 9, False, (200, None)),
        (PATIENT, 9, True, (409, "urn:problem:document-issued")),
        (PATIENT, 10, False, (409, "urn:problem:too-late")),
        (PATIENT, 14, True, (409, "urn:problem:document-issued")),
        (SUPPORT, 14, False, (409, "urn:problem:too-late")),
        (PRACTITIONER, 14, True, (200, None)),
    ],
)
async def test_after_the_start_a_failure_is_the_word_of_the_practitioner(
    app, clock, given_confirmed, move, who, minute, issued, expected
) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1)
    await move(appointment, "start", PRACTITIONER)
    if issued:
        await deliver(record(prescribed(appointment)), routes, app.state.sessions, now=NOW)
    clock.shift = timedelta(days=1, minutes=minute)

    answer = await move(appointment, "technical-failure", who)

    assert (answer.status_code, answer.json().get("type")) == expected


async def test_a_patient_with_a_document_was_there(app, clock, given_confirmed, move) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1)
    await move(appointment, "start", PRACTITIONER)
    await deliver(record(prescribed(appointment)), routes, app.state.sessions, now=NOW)
    clock.shift = timedelta(days=1, minutes=14)

    answer = await move(appointment, "patient-absence", PRACTITIONER)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:document-issued")


async def test_a_patient_who_does_not_come_is_counted(
    clock, direct, given_confirmed, move, published
) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1, minutes=10)

    absent = await move(appointment, "patient-absence", PRACTITIONER)

    assert absent.json()["status"] == "patient-absent"
    assert await direct.fetchval("SELECT kind FROM strike") == "patient-absent"
    assert [each[:2] for each in await published(appointment)] == [(2, "booking.patient-absent")]


async def test_a_practitioner_cancels_instead_of_being_absent(clock, given_confirmed, move) -> None:
    appointment = await given_confirmed()
    clock.shift = timedelta(days=1)

    answer = await move(appointment, "practitioner-absence", PRACTITIONER)

    assert (answer.status_code, answer.json()["type"]) == (403, "urn:problem:not-your-move")
