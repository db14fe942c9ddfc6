import asyncio
import json
from datetime import timedelta

from booking.consumers import routes
from common.events.payment import HoldActionRequiredV1, HoldWaivedV1
from common.messaging.delivery import deliver
from support.booking import PATIENT, PRACTITIONER, SUPPORT
from support.eventually import eventually
from support.records import NOW, record


def waived(appointment: dict[str, object]) -> HoldWaivedV1:
    return HoldWaivedV1.model_validate_json(
        json.dumps({"appointment_id": appointment["id"], "revision": 1, "schedule_no": 1})
    )


async def test_a_request_that_prefers_to_wait_answers_confirmed(
    app, direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    patient = await given_patient()

    async def decide() -> None:
        found = await eventually(lambda: direct.fetchval("SELECT id FROM appointment"))
        await deliver(record(waived({"id": str(found)})), routes, app.state.sessions, now=NOW)

    answer, _ = await asyncio.gather(request_time(offer, patient, prefer="wait=10"), decide())

    assert (answer.status_code, answer.json()["status"]) == (201, "confirmed")
    assert "retry-after" not in answer.headers
    assert [each["fact"] for each in answer.json()["progress"]] == [
        "booking.appointment-requested",
        "payment.hold-waived",
        "booking.appointment-confirmed",
    ]


async def test_what_the_patient_must_do_ends_the_waiting_and_is_told(
    app, client, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    appointment = (await request_time(offer, await given_patient())).json()
    asked = HoldActionRequiredV1.model_validate_json(
        json.dumps(
            {
                "appointment_id": appointment["id"],
                "revision": 1,
                "schedule_no": 1,
                "action": "card-missing",
                "expires_at": appointment["decide_by"],
            }
        )
    )
    await deliver(record(asked), routes, app.state.sessions, now=NOW)

    read = await client.get(f"/appointments/{appointment['id']}", headers=PATIENT | {"Prefer": "wait=10"})
    await deliver(record(waived(appointment), sequence=2), routes, app.state.sessions, now=NOW)
    after = await client.get(f"/appointments/{appointment['id']}", headers=PATIENT)

    assert read.json()["action"] == {"kind": "card-missing", "expires_at": appointment["decide_by"]}
    assert (after.json()["status"], after.json()["action"]) == ("confirmed", None)


async def test_the_stream_goes_on_after_the_last_event_one_has(
    app, client, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    appointment = (await request_time(offer, await given_patient())).json()
    url = f"/appointments/{appointment['id']}/events"
    await deliver(record(waived(appointment)), routes, app.state.sessions, now=NOW)
    [first, *_] = appointment["progress"]

    async def read(last: dict[str, str]) -> tuple[str, str]:
        async def stop_soon() -> None:
            await asyncio.sleep(0.3)  # the stream itself has no end: the process says that it stops
            app.state.stopping.set()

        answer, _ = await asyncio.gather(client.get(url, headers=PATIENT | last), stop_soon())
        app.state.stopping.clear()
        return answer.headers["content-type"], answer.text

    media_type, everything = await read({})
    _, rest = await read({"Last-Event-ID": str(first["id"])})

    assert media_type.startswith("text/event-stream")
    facts = ["booking.appointment-requested", "payment.hold-waived", "booking.appointment-confirmed"]
    assert [line[7:] for line in everything.splitlines() if line.startswith("event: ")] == facts
    assert [line[7:] for line in rest.splitlines() if line.startswith("event: ")] == facts[1:]
    [requested, *_] = [json.loads(line[6:]) for line in everything.splitlines() if line.startswith("data: ")]
    assert requested == {
        "id": first["id"],
        "fact": facts[0],
        "sequence": 1,
        "about_id": None,
        "at": "2030-06-01T09:00:00Z",
    }


async def test_a_stream_that_will_bring_nothing_more_tells_the_client_to_stop(
    client, given_practitioner, given_offers, given_patient, request_time, clock
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    appointment = (await request_time(offer, await given_patient())).json()
    cancelled = await client.post(f"/appointments/{appointment['id']}/cancellation", headers=PATIENT)
    facts = [str(each["id"]) for each in cancelled.json()["progress"]]
    clock.advance(timedelta(hours=2))

    answer = await client.get(
        f"/appointments/{appointment['id']}/events", headers=PATIENT | {"Last-Event-ID": facts[-1]}
    )

    assert cancelled.status_code == 200
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_last_event_id_that_was_never_sent_is_refused(
    client, given_practitioner, given_offers, given_patient, request_time
) -> None:
    [offer, *_] = await given_offers(await given_practitioner())
    appointment = (await request_time(offer, await given_patient())).json()

    answer = await client.get(
        f"/appointments/{appointment['id']}/events", headers=PATIENT | {"Last-Event-ID": "first"}
    )

    assert answer.status_code == 422


async def test_lists_show_the_newest_request_first_and_everybody_their_own(
    client, given_practitioner, given_offers, given_patient, request_time, clock
) -> None:
    offers = await given_offers(await given_practitioner())
    patient = await given_patient()
    made = []
    for offer in offers[:3]:
        clock.shift += timedelta(seconds=1)
        made.append((await request_time(offer, patient)).json()["id"])

    page = (await client.get("/appointments", params={"limit": 2}, headers=PATIENT)).json()
    rest = await client.get(
        "/appointments", params={"limit": 2, "cursor": page["next_cursor"]}, headers=PATIENT
    )
    theirs = (await client.get("/appointments", headers=PRACTITIONER)).json()["items"]
    supports = (await client.get("/appointments", headers=SUPPORT)).json()["items"]

    listed = [*page["items"], *rest.json()["items"]]
    assert [each["id"] for each in listed] == made[::-1]
    assert {each["reason_code"] for each in listed} == {None}
    assert [each["id"] for each in theirs] == made[::-1]
    assert supports == []


async def test_the_reasons_are_listed_with_their_red_flags(client) -> None:
    body = (await client.get("/reasons")).json()

    flags = {each["code"] for each in body["items"] if each["red_flag"]}
    assert {"chest-pain", "stroke-signs"} < flags
    assert [each["number"] for each in body["emergency_numbers"]] == ["15", "112", "114"]
