import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from booking.tasks import tasks
from booking.usecases.practitioners import EXTEND_AGENDA
from booking.usecases.requests import DECIDE_BY
from common.db import Sessions, sessions_of
from common.messaging.tasks import TaskContext
from support.booking import ADMINISTRATOR, OTHER_PRACTITIONER, PATIENT, PRACTITIONER
from support.records import NOW

EVERY_MORNING = {
    "rules": [
        {"weekday": day, "from_time": "09:00", "to_time": "10:00", "slot_minutes": 20} for day in range(1, 8)
    ]
}


@pytest.fixture
async def own_sessions(committed) -> AsyncIterator[Sessions]:
    engine: AsyncEngine = create_async_engine(committed)
    yield sessions_of(engine, None)
    await engine.dispose()


@pytest.fixture
def run_task(own_sessions, clock, direct) -> Any:
    async def run_task(kind: str, key: str) -> None:
        """As the worker would, once the task is due."""
        token = UUID(int=5)
        lease = """
            UPDATE task SET lease_token = $1, lease_until = $2, lease_worker = 1
            WHERE kind = $3 AND key = $4
        """
        await direct.execute(lease, token, clock.now(), kind, key)
        context = TaskContext(
            kind=kind,
            key=key,
            payload={},
            attempt=1,
            sessions=own_sessions,
            direct=None,
            clock=clock,
            resources=None,
            token=token,
        )
        await tasks.by_kind[kind].handler(context)

    return run_task


async def write(client, practitioner, body, headers=ADMINISTRATOR, if_match="*") -> httpx.Response:
    sent = headers | ({"If-Match": if_match} if if_match else {})
    return await client.put(f"/practitioners/{practitioner['id']}/agenda", json=body, headers=sent)


async def test_an_agenda_becomes_sixty_days_of_offers(client, direct, given_practitioner) -> None:
    practitioner = await given_practitioner()

    written = await write(client, practitioner, EVERY_MORNING)

    assert (written.status_code, len(written.json()["rules"])) == (200, 7)
    rows = await direct.fetchrow("SELECT count(*), min(starts_at), max(ends_at) FROM offer")
    # It is 11 o'clock in Paris on 1 June: the first morning is tomorrow's, the last one of 31 July.
    assert tuple(rows) == (180, datetime(2030, 6, 2, 7, tzinfo=UTC), datetime(2030, 7, 31, 8, tzinfo=UTC))


async def test_written_again_it_changes_nothing_and_offers_keep_their_ids(
    client, direct, given_practitioner
) -> None:
    practitioner = await given_practitioner()
    await write(client, practitioner, EVERY_MORNING)
    before = await direct.fetch("SELECT id, starts_at, ends_at FROM offer ORDER BY starts_at")

    await write(client, practitioner, EVERY_MORNING)

    assert await direct.fetch("SELECT id, starts_at, ends_at FROM offer ORDER BY starts_at") == before


async def test_an_agenda_is_replaced_with_the_version_one_has_read(client, given_practitioner) -> None:
    practitioner = await given_practitioner()
    url = f"/practitioners/{practitioner['id']}/agenda"

    first = await write(client, practitioner, EVERY_MORNING, if_match=None)
    again = await write(client, practitioner, EVERY_MORNING, if_match=None)
    unnamed = await write(client, practitioner, {"rules": []}, if_match=None)
    by_practitioner = await write(
        client, practitioner, EVERY_MORNING, headers=PRACTITIONER, if_match=first.headers["etag"]
    )
    stale = await write(client, practitioner, EVERY_MORNING, if_match=first.headers["etag"])
    foreign = await write(client, practitioner, EVERY_MORNING, headers=OTHER_PRACTITIONER)
    forbidden = await write(client, practitioner, EVERY_MORNING, headers=PATIENT)

    answers = (first, again, unnamed, by_practitioner, stale, foreign, forbidden)
    assert [each.status_code for each in answers] == [200, 200, 428, 200, 412, 404, 403]
    assert again.headers["etag"] == first.headers["etag"]
    assert (await client.get(url, headers=PRACTITIONER)).headers["etag"] == by_practitioner.headers["etag"]


async def test_what_is_taken_stays_taken_when_the_agenda_changes(
    client, direct, given_practitioner, given_patient, request_time
) -> None:
    practitioner = await given_practitioner()
    await write(client, practitioner, EVERY_MORNING)
    url = f"/practitioners/{practitioner['id']}/offers"
    [first, *_] = (await client.get(url)).json()["items"]
    appointment = (await request_time(first, await given_patient())).json()
    half_hours = {
        "rules": [{**each, "slot_minutes": 30} for each in EVERY_MORNING["rules"]],
        "exceptions": [{"on": "2030-06-03", "kind": "closed"}],
    }

    await write(client, practitioner, half_hours)

    shown = (await client.get(url)).json()["items"]
    assert [each["starts_at"] for each in shown[:2]] == ["2030-06-02T07:30:00Z", "2030-06-04T07:00:00Z"]
    await client.post(f"/appointments/{appointment['id']}/cancellation", headers=PATIENT)
    freed = (await client.get(url)).json()["items"]
    assert freed[0]["starts_at"] == "2030-06-02T07:00:00Z"
    assert await direct.fetchval("SELECT count(*) FROM offer WHERE taken_by IS NOT NULL") == 0


async def test_every_offer_shown_can_be_booked_until_none_is_left(
    client, given_practitioner, given_offers, given_patient, request_time
) -> None:
    practitioner, patient = await given_practitioner(), await given_patient()
    await given_offers(practitioner, slots=6)
    url = f"/practitioners/{practitioner['id']}/offers"

    booked = []
    while shown := (await client.get(url, params={"limit": 1})).json()["items"]:
        answer = await request_time(shown[0], patient)
        assert answer.status_code == 201
        booked.append(answer.json()["starts_at"])

    assert len(set(booked)) == 6


async def test_the_agenda_grows_by_a_day_each_day(
    client, clock, direct, given_practitioner, run_task
) -> None:
    practitioner = await given_practitioner()
    await write(client, practitioner, EVERY_MORNING)
    due = await direct.fetchrow("SELECT key, due_at FROM task WHERE kind = $1", EXTEND_AGENDA)
    clock.shift = timedelta(days=1)

    await run_task(EXTEND_AGENDA, practitioner["id"])

    assert tuple(due) == (practitioner["id"], NOW + timedelta(days=1))
    assert await direct.fetchval("SELECT max(ends_at) FROM offer") == datetime(2030, 8, 1, 8, tzinfo=UTC)
    again = await direct.fetchrow("SELECT due_at, outcome FROM task WHERE kind = $1", EXTEND_AGENDA)
    assert tuple(again) == (NOW + timedelta(days=2), None)


async def test_the_agenda_of_who_has_left_grows_no_more(client, direct, given_practitioner, run_task) -> None:
    practitioner = await given_practitioner()
    await write(client, practitioner, EVERY_MORNING)
    await client.delete(f"/practitioners/{practitioner['id']}", headers=ADMINISTRATOR)

    await run_task(EXTEND_AGENDA, practitioner["id"])

    ended = await direct.fetchval("SELECT outcome FROM task WHERE kind = $1", EXTEND_AGENDA)
    assert (ended, await direct.fetchval("SELECT count(*) FROM offer")) == ("done", 0)


async def test_a_request_that_nobody_decided_lapses_when_its_time_is_up(
    client, clock, direct, given_practitioner, given_offers, given_patient, request_time, run_task
) -> None:
    practitioner = await given_practitioner()
    [offer, *_] = await given_offers(practitioner)
    appointment = (await request_time(offer, await given_patient())).json()
    clock.shift = timedelta(minutes=15)

    await run_task(DECIDE_BY, appointment["id"])

    row = await direct.fetchrow("SELECT status, end_reason, version FROM appointment")
    assert tuple(row) == ("abandoned", "decide-by-passed", 2)
    assert await direct.fetchval("SELECT outcome FROM task WHERE kind = $1", DECIDE_BY) == "done"
    shown = await client.get(f"/practitioners/{practitioner['id']}/offers", params={"limit": 1})
    assert shown.json()["items"] == [offer]


async def test_a_decided_request_does_not_lapse(
    clock, direct, given_practitioner, given_offers, given_patient, request_time, run_task
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    appointment = (await request_time(offer, await given_patient())).json()
    await direct.execute("UPDATE appointment SET status = 'confirmed'")
    clock.shift = timedelta(minutes=15)

    await run_task(DECIDE_BY, appointment["id"])

    assert await direct.fetchval("SELECT status FROM appointment") == "confirmed"


@pytest.mark.parametrize(
    ("time_zone", "first"),
    [
        ("Indian/Reunion", "2030-06-02T05:00:00Z"),
        ("America/Guadeloupe", "2030-06-01T13:00:00Z"),
        ("Pacific/Noumea", "2030-06-01T22:00:00Z"),
    ],
)
async def test_nine_o_clock_is_the_practitioners(client, given_practitioner, time_zone, first) -> None:
    practitioner = await given_practitioner(time_zone=time_zone)

    await write(client, practitioner, EVERY_MORNING)

    [offer] = (await client.get(f"/practitioners/{practitioner['id']}/offers?limit=1")).json()["items"]
    assert offer["starts_at"] == first


@pytest.mark.parametrize(
    ("now", "before", "after"),
    [
        # In Paris the clock goes forward in the night of 29 March 2026 and back in that of 25 October.
        (datetime(2026, 3, 27, tzinfo=UTC), "2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"),
        (datetime(2026, 10, 23, tzinfo=UTC), "2026-10-24T07:00:00Z", "2026-10-25T08:00:00Z"),
    ],
)
async def test_nine_o_clock_stays_nine_o_clock_when_the_clocks_change(
    client, clock, given_practitioner, now, before, after
) -> None:
    clock.read = lambda: now
    practitioner = await given_practitioner()

    await write(client, practitioner, EVERY_MORNING)

    found = await client.get(f"/practitioners/{practitioner['id']}/offers", params={"limit": 100})
    starts = [each["starts_at"] for each in found.json()["items"]]
    assert before in starts
    assert after in starts
    assert len(starts) == len(set(starts))


async def test_offers_are_searched_across_practitioners_in_pages(
    client, given_practitioner, given_offers
) -> None:
    one = await given_practitioner()
    two = await given_practitioner(rpps="10000000001")
    psychologist = await given_practitioner(
        rpps="10000000002", profession="psychologist", specialty="00", sector="none", title=""
    )
    for each in (one, two, psychologist):
        await given_offers(each, slots=5)
    asked = {"profession": "physician", "specialty": "01", "limit": 3}

    found, cursor = [], None
    while True:
        page = (await client.get("/offers", params=asked | ({"cursor": cursor} if cursor else {}))).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert len({each["id"] for each in found}) == len(found) == 10
    assert [each["starts_at"] for each in found] == sorted(each["starts_at"] for each in found)
    window = {"profession": "physician", "from": found[1]["starts_at"], "to": found[-1]["starts_at"]}
    inside = (await client.get("/offers", params=window)).json()["items"]
    assert {each["starts_at"] for each in inside} == {each["starts_at"] for each in found[:-2]}
    soonest = (await client.get("/offers/next", params={"profession": "psychologist"})).json()["offer"]
    assert (soonest["practitioner_id"], soonest["starts_at"]) == (psychologist["id"], found[0]["starts_at"])
    assert (await client.get("/offers/next", params={"profession": "nurse"})).json() == {"offer": None}
    assert (await client.get("/offers")).status_code == 422


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_range_of_times_includes_its_beginning_and_excludes_its_end(
    client, given_practitioner, given_offers, everywhere
) -> None:
    practitioner = await given_practitioner()
    offers = await given_offers(practitioner, slots=3)
    path = "/offers" if everywhere else f"/practitioners/{practitioner['id']}/offers"
    whose = {"profession": "physician"} if everywhere else {}

    for offer in offers:
        asked = whose | {"from": offer["starts_at"], "to": offer["ends_at"]}
        assert (await client.get(path, params=asked)).json()["items"] == [offer]
    nothing = whose | {"from": offers[0]["starts_at"], "to": offers[0]["starts_at"]}
    assert (await client.get(path, params=nothing)).json()["items"] == []


async def test_nobody_is_offered_a_time_that_has_begun(
    client, clock, given_practitioner, given_offers
) -> None:
    practitioner = await given_practitioner()
    [first, *rest] = await given_offers(practitioner, slots=3)
    clock.shift = timedelta(days=1)

    shown = await client.get(
        f"/practitioners/{practitioner['id']}/offers", params={"from": first["starts_at"]}
    )

    assert shown.json()["items"] == rest


@pytest.fixture
def given_visits(client, direct, given_practitioner, given_patient, request_time) -> Any:
    async def given_visits(count: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A practitioner of every morning, and confirmed visits: one a day from tomorrow on."""
        practitioner, patient = await given_practitioner(), await given_patient()
        await write(client, practitioner, EVERY_MORNING)
        found = await client.get(f"/practitioners/{practitioner['id']}/offers", params={"limit": 100})
        mornings = [each for each in found.json()["items"] if "T07:00" in each["starts_at"]]
        visits = [(await request_time(each, patient)).json() for each in mornings[:count]]
        await direct.execute("UPDATE appointment SET status = 'confirmed'")
        return practitioner, visits

    return given_visits


async def test_closing_days_lists_the_visits_in_the_way_and_one_call_cancels_them(
    client, direct, given_visits
) -> None:
    practitioner, [kept, *closed] = await given_visits(3)
    url = f"/practitioners/{practitioner['id']}"
    away = {"on": "2030-06-03", "last_on": "2030-06-10", "kind": "closed"}

    written = await write(client, practitioner, EVERY_MORNING | {"exceptions": [away]})
    listed = written.json()["conflicts"]
    ids = [each["appointment_id"] for each in listed]
    wanted = {"appointment_ids": ids, "reason": "practitioner-unavailable"}
    cancelled = await client.post(f"{url}/cancellations", json=wanted, headers=PRACTITIONER)
    again = await client.post(f"{url}/cancellations", json=wanted, headers=PRACTITIONER)

    assert written.json()["exceptions"][0]["last_on"] == "2030-06-10"
    assert ids == [each["id"] for each in closed]
    assert {each["status"] for each in listed} == {"confirmed"}
    assert (cancelled.status_code, again.json()) == (200, cancelled.json())
    for visit in closed:
        told = (await client.get(f"/appointments/{visit['id']}", headers=PATIENT)).json()
        assert (told["status"], told["cancelled_by"]) == ("cancelled", "practitioner")
        assert (told["end_reason"], told["free_cancellation"]) == ("practitioner-unavailable", True)
    events = await direct.fetch("""
        SELECT key, convert_from(body, 'utf8')::jsonb AS event FROM outbox
        WHERE headers::jsonb->>'ce_type' = 'booking.appointment-cancelled' ORDER BY id
    """)
    assert [each["key"] for each in events] == ids
    for each in events:
        event = json.loads(each["event"])
        assert (event["reason"], event["cancelled_by"]) == ("practitioner-unavailable", "practitioner")
    assert await direct.fetchval("SELECT count(*) FROM strike") == 0
    assert (await client.get(f"{url}/conflicts", headers=PRACTITIONER)).json() == {"items": []}
    stays = await client.get(f"/appointments/{kept['id']}", headers=PATIENT)
    assert stays.json()["status"] == "confirmed"


async def test_visits_are_cancelled_together_or_not_at_all(client, direct, given_visits) -> None:
    practitioner, [first, second] = await given_visits(2)
    url = f"/practitioners/{practitioner['id']}/cancellations"
    await direct.execute("UPDATE appointment SET status = 'completed' WHERE id = $1", UUID(second["id"]))

    def wanted(*ids: str) -> dict[str, Any]:
        return {"appointment_ids": list(ids), "reason": "agenda-changed"}

    ended = await client.post(url, json=wanted(first["id"], second["id"]), headers=ADMINISTRATOR)
    unknown = await client.post(url, json=wanted(first["id"], str(UUID(int=9))), headers=ADMINISTRATOR)
    foreign = await client.post(url, json=wanted(first["id"]), headers=OTHER_PRACTITIONER)
    uncoded = await client.post(url, json=wanted(first["id"]) | {"reason": "ski"}, headers=ADMINISTRATOR)

    assert [each.status_code for each in (ended, unknown, foreign, uncoded)] == [409, 404, 404, 422]
    status = "SELECT status FROM appointment WHERE id = $1"
    assert await direct.fetchval(status, UUID(first["id"])) == "confirmed"


async def test_every_visit_of_a_practitioner_who_left_is_in_the_way(client, given_visits) -> None:
    practitioner, visits = await given_visits(2)
    url = f"/practitioners/{practitioner['id']}"
    before = (await client.get(f"{url}/conflicts", headers=ADMINISTRATOR)).json()["items"]

    await client.delete(url, headers=ADMINISTRATOR)

    listed = (await client.get(f"{url}/conflicts", headers=ADMINISTRATOR)).json()["items"]
    ids = [each["appointment_id"] for each in listed]
    assert (before, ids) == ([], [each["id"] for each in visits])
    wanted = {"appointment_ids": ids, "reason": "practitioner-left"}
    cancelled = await client.post(f"{url}/cancellations", json=wanted, headers=ADMINISTRATOR)
    assert {each["cancelled_by"] for each in cancelled.json()["items"]} == {"platform"}


async def test_overlapping_rules_written_again_change_no_id(
    client, clock, direct, given_practitioner
) -> None:
    """The clock stands at 11:00 in Paris, on a Saturday."""
    practitioner = await given_practitioner()
    one = {"weekday": 6, "from_time": "12:00", "to_time": "16:00", "slot_minutes": 60}
    two = one | {"from_time": "12:30", "to_time": "16:30"}
    kept = "SELECT id, starts_at FROM offer WHERE starts_at >= $1 AND starts_at < $2 ORDER BY starts_at"
    clock.shift = timedelta(hours=1)
    await write(client, practitioner, {"rules": [one, two]})
    noon, evening = clock.now(), clock.now() + timedelta(days=50)
    clock.shift = timedelta(hours=1, minutes=10)
    since = clock.now()
    before = await direct.fetch(kept, since, evening)

    await write(client, practitioner, {"rules": [one, two]})

    assert await direct.fetch(kept, since, evening) == before
    today = await direct.fetch(kept, noon, noon + timedelta(hours=12))
    assert [each["starts_at"].hour for each in today] == [10, 11, 12, 13]


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
@pytest.mark.parametrize("field", ["on", "last_on"])
async def test_a_day_out_of_reach_is_refused_with_its_field(client, given_practitioner, day, field) -> None:
    practitioner = await given_practitioner()
    exception = {"on": "2030-06-03", "kind": "closed"} | {field: day}

    answer = await write(client, practitioner, {"rules": [], "exceptions": [exception]})

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [f"/body/exceptions/0/{field}"]


MANY_OFFERS = """
    INSERT INTO offer (id, practitioner_id, practitioner_no, profession, specialty, starts_at, ends_at, mode)
    SELECT gen_random_uuid(), md5((n % 100)::text)::uuid, n % 100, 'physician',
           CASE WHEN n % 100 < 50 THEN '01' ELSE '33' END,
           $1::timestamptz + n * interval '15 minutes',
           $1::timestamptz + (n + 1) * interval '15 minutes',
           'video'
    FROM generate_series(1, 50000) AS n
"""


@pytest.mark.parametrize(
    "filters",
    [
        "profession = 'physician'",
        "profession = 'physician' AND specialty = '33'",
        "practitioner_id = md5('7')::uuid",
    ],
)
async def test_a_search_walks_an_index_however_many_offers_there_are(direct, filters) -> None:
    await direct.execute(MANY_OFFERS, NOW)
    await direct.execute("ANALYZE offer")

    plan = await direct.fetch(
        f"EXPLAIN SELECT * FROM offer WHERE taken_by IS NULL AND starts_at > $1 AND {filters}"  # noqa: S608
        " ORDER BY starts_at, id LIMIT 21",
        NOW,
    )

    steps = "\n".join(row[0] for row in plan)
    assert "Index Scan using ix_offer_free_of" in steps
    assert "Sort" not in steps


async def test_an_agenda_that_cannot_be_leaves_the_old_one(client, direct, given_practitioner) -> None:
    practitioner = await given_practitioner()
    await write(client, practitioner, EVERY_MORNING)
    rule = EVERY_MORNING["rules"][0]

    answers = [
        await write(client, practitioner, {"rules": [rule | {"slot_minutes": 0}]}),
        await write(client, practitioner, {"rules": [rule | {"from_time": "9h"}]}),
        await write(client, practitioner, {"rules": [rule | {"weekday": 8}]}),
        await write(
            client, practitioner, {"rules": [], "exceptions": [{"on": "2030-06-03", "kind": "open"}]}
        ),
    ]

    assert [each.status_code for each in answers] == [422, 422, 422, 422]
    assert answers[-1].json()["type"] == "urn:problem:agenda-invalid"
    assert await direct.fetchval("SELECT count(*) FROM offer") == 180


async def test_the_clock_of_a_practitioner_is_that_of_the_tariff_zone_unless_another_is_given(
    client, given_practitioner
) -> None:
    there = await given_practitioner(zone="martinique", time_zone=None)
    url = f"/practitioners/{there['id']}"

    moved = await client.patch(url, json={"zone": "reunion"}, headers=await versioned(client, url))
    chosen = await client.patch(url, json={"time_zone": "Europe/Paris"}, headers=await versioned(client, url))
    kept = await client.patch(url, json={"zone": "mayotte"}, headers=await versioned(client, url))

    assert there["time_zone"] == "America/Martinique"
    zones = [each.json()["time_zone"] for each in (moved, chosen, kept)]
    assert zones == ["Indian/Reunion", "Europe/Paris", "Europe/Paris"]


async def versioned(client, url: str) -> dict[str, str]:
    return ADMINISTRATOR | {"If-Match": (await client.get(url, headers=ADMINISTRATOR)).headers["etag"]}
