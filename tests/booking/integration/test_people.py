import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from booking.api.schemas import PatientUpdate, PractitionerUpdate
from booking.usecases.patients import IDENTITY
from support.booking import (
    ACCOUNT,
    ADMINISTRATOR,
    OTHER_PRACTITIONER,
    PATIENT,
    PRACTITIONER,
    RPPS,
    SERVICE,
    STRANGER,
    SUPPORT,
    keyed,
)

CHILD = {"relation": "child", "first_names": "Noé", "birth_date": "2020-02-29", "sex": "male"}


async def test_who_a_patient_is_is_sealed_and_in_no_event(direct, given_patient) -> None:
    patient = await given_patient(
        consent=False,
        phone="+33 6 12 34 56 78",
        address={"street": "1 rue Haute", "postal_code": "29200", "city": "Brest"},
    )

    kept = await direct.fetchrow("SELECT * FROM patient")
    [event] = await direct.fetch("SELECT convert_from(body, 'utf8') AS body, topic FROM outbox")
    secrets = [b"Camille", b"Goff", b"1985", b"camille@", b"34 56", b"Haute"]
    stored = b"".join(value for value in kept.values() if isinstance(value, bytes))
    assert not any(secret in stored for secret in secrets)
    assert event["topic"] == "booking.patient"
    assert json.loads(event["body"]) == {"patient_id": patient["id"], "account_id": str(ACCOUNT)}
    assert await direct.fetchval("SELECT count(*) FROM data_key WHERE master_key = 'one'") == 1


async def test_an_account_has_one_own_profile_and_knows_each_person_once(client, given_patient) -> None:
    await given_patient(consent=False)
    body = {
        "relation": "self",
        "first_names": "Somebody",
        "birth_name": "Else",
        "birth_date": "1990-01-01",
        "sex": "male",
    }
    same = body | {"relation": "other", "first_names": "CAMILLE  Anne", "birth_name": "le goff"}

    second_self = await client.post("/patients", json=body, headers=keyed(PATIENT))
    again = await client.post("/patients", json=same | {"birth_date": "1985-05-14"}, headers=keyed(PATIENT))

    assert (second_self.status_code, second_self.json()["type"]) == (409, "urn:problem:self-exists")
    assert (again.status_code, again.json()["type"]) == (409, "urn:problem:patient-known")


async def test_a_relative_belongs_to_the_account_and_to_nobody_else(client, given_patient) -> None:
    own = await given_patient(consent=False)
    child = await given_patient(consent=False, **CHILD)
    await given_patient(STRANGER, consent=False)

    listed = (await client.get("/patients", headers=PATIENT)).json()["items"]

    assert {each["id"]: (each["relation"], each["birth_date"]) for each in listed} == {
        own["id"]: ("self", "1985-05-14"),
        child["id"]: ("child", "2020-02-29"),
    }


async def test_a_profile_is_changed_with_the_version_one_has_read(client, direct, given_patient) -> None:
    patient = await given_patient(consent=False)
    url = f"/patients/{patient['id']}"
    read = await client.get(url, headers=PATIENT)
    etag = read.headers["etag"]
    change = {"used_name": "Martin", "email": None}

    changed = await client.patch(url, json=change, headers=PATIENT | {"If-Match": etag})
    stale = await client.patch(url, json=change, headers=PATIENT | {"If-Match": etag})
    unnamed = await client.patch(url, json=change, headers=PATIENT)
    foreign = await client.patch(url, json=change, headers=STRANGER | {"If-Match": "*"})

    assert changed.status_code == 200, changed.text
    assert (changed.json()["used_name"], changed.json()["email"]) == ("Martin", None)
    assert changed.json()["first_names"] == "Camille Anne"
    assert changed.headers["etag"] != etag
    assert [each.status_code for each in (stale, unnamed, foreign)] == [412, 428, 404]
    assert await direct.fetchval("SELECT revision FROM patient") == 2


async def test_a_practitioner_sees_the_patients_of_their_appointments_only(
    client, given_practitioner, given_offers, given_patient, request_time
) -> None:
    patient = await given_patient()
    url = f"/patients/{patient['id']}"
    [offer, *_] = await given_offers(await given_practitioner())
    before = await client.get(url, headers=PRACTITIONER)
    await request_time(offer, patient)

    treating = await client.get(url, headers=PRACTITIONER)
    other = await client.get(url, headers=OTHER_PRACTITIONER)
    support = await client.get(url, headers=SUPPORT)

    assert [each.status_code for each in (before, treating, other, support)] == [404, 200, 404, 404]
    assert (treating.json()["birth_name"], treating.json()["relation"]) == ("Le Goff", None)


async def test_the_patient_reads_who_read_what_and_who_was_refused(
    client, given_practitioner, given_offers, given_patient, request_time
) -> None:
    patient = await given_patient()
    [offer, *_] = await given_offers(await given_practitioner())
    appointment = (await request_time(offer, patient)).json()
    await client.get(f"/patients/{patient['id']}", headers=PRACTITIONER)
    await client.get(f"/appointments/{appointment['id']}", headers=OTHER_PRACTITIONER)
    await client.get(
        f"/internal/appointments/{appointment['id']}/identity",
        params={"purpose": "care-sheet"},
        headers=SERVICE,
    )

    page = await client.get(f"/patients/{patient['id']}/access-log", params={"limit": 2}, headers=PATIENT)
    rest = await client.get(
        f"/patients/{patient['id']}/access-log",
        params={"limit": 2, "cursor": page.json()["next_cursor"]},
        headers=PATIENT,
    )

    items = page.json()["items"] + rest.json()["items"]
    assert [(each["role"], each["what"], each["purpose"], each["allowed"]) for each in items] == [
        ("service", "identity", "care-sheet", True),
        ("practitioner", "appointment", "care", False),
        ("practitioner", "identity", "care", True),
    ]
    assert items[0]["client"] == "documents"


async def test_an_erased_patient_is_gone_and_their_key_with_them(
    client, direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    patient = await given_patient()
    [offer, *_] = await given_offers(await given_practitioner())
    appointment = (await request_time(offer, patient)).json()
    open_one = await client.delete(f"/patients/{patient['id']}", headers=PATIENT)
    await client.post(f"/appointments/{appointment['id']}/cancellation", headers=PATIENT)

    erased = await client.delete(f"/patients/{patient['id']}", headers=PATIENT)

    assert (open_one.status_code, open_one.json()["type"]) == (409, "urn:problem:patient-has-appointments")
    assert erased.status_code == 204
    kept = await direct.fetchrow("SELECT identity, born_on, identity_hash FROM patient")
    assert tuple(kept) == (None, None, None)
    assert await direct.fetchval("SELECT count(*) FROM data_key") == 0
    assert await direct.fetchval("SELECT reason FROM appointment") is None
    rows = await direct.fetch(
        "SELECT sequence, headers::jsonb->>'ce_type' FROM outbox WHERE topic = 'booking.patient' ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [
        (1, "booking.patient-linked"),
        (2, "booking.patient-erased"),
        (3, "booking.patient-unlinked"),
    ]
    assert (await client.get(f"/patients/{patient['id']}", headers=PATIENT)).status_code == 404
    assert (await request_time(offer, patient)).status_code == 404


async def test_consents_are_kept_with_text_time_and_channel(client, given_patient) -> None:
    patient = await given_patient()
    url = f"/patients/{patient['id']}/consents"

    replayed = [
        await client.post(
            url, json={"text_version": "2026-02", "channel": "phone"}, headers=keyed(PATIENT, "one")
        )
        for _ in range(2)
    ]

    listed = (await client.get(url, headers=PATIENT)).json()["items"]
    assert replayed[0].json() == replayed[1].json()
    assert sorted((each["text_version"], each["channel"]) for each in listed) == [
        ("2026-01", "app"),
        ("2026-02", "phone"),
    ]


async def test_other_services_ask_who_may_see_whom(
    client, given_practitioner, given_offers, given_patient, request_time
) -> None:
    patient = await given_patient()
    [offer, *_] = await given_offers(await given_practitioner())
    appointment = (await request_time(offer, patient)).json()

    async def allowed(**asked: str) -> bool:
        answer = await client.get("/internal/rights", params=asked, headers=SERVICE)
        found: bool = answer.json()["allowed"]
        return found

    nobody, about = str(UUID(int=99)), {"patient_id": patient["id"]}
    participants = {"appointment_id": appointment["id"]}
    assert await allowed(subject=str(ACCOUNT), **about)
    assert await allowed(subject=str(ACCOUNT), **about, **participants)
    assert await allowed(subject=nobody, rpps=RPPS, **participants)
    assert not await allowed(subject=nobody, **about)
    assert not await allowed(subject=nobody, rpps="10000000001", **participants)
    assert not await allowed(subject=str(ACCOUNT), appointment_id=str(uuid4()))
    assert not await allowed(subject=str(ACCOUNT))


async def test_documents_are_told_who_met_whom(
    client, given_practitioner, given_offers, given_patient, request_time
) -> None:
    patient, practitioner = await given_patient(), await given_practitioner()
    [offer, *_] = await given_offers(practitioner)
    appointment = (await request_time(offer, patient)).json()

    answer = await client.get(
        f"/internal/appointments/{appointment['id']}/identity",
        params={"purpose": "prescription"},
        headers=SERVICE,
    )

    body = answer.json()
    assert body["patient"] == {name: value for name, value in patient.items() if name != "relation"}
    assert body["practitioner"] == practitioner | {"billing_number": "296991102"}
    assert (body["reason"]["code"], body["starts_at"]) == ("fever", offer["starts_at"])


async def test_every_change_publishes_a_practitioner_again(client, direct, given_practitioner) -> None:
    practitioner = await given_practitioner()
    url = f"/practitioners/{practitioner['id']}"
    etag = (await client.get(url)).headers["etag"]

    changed = await client.patch(url, json={"fee_cents": 3000}, headers=ADMINISTRATOR | {"If-Match": etag})
    stale = await client.patch(url, json={"fee_cents": 3500}, headers=ADMINISTRATOR | {"If-Match": etag})

    assert (changed.json()["fee_cents"], stale.status_code) == (3000, 412)
    rows = await direct.fetch(
        "SELECT sequence, convert_from(body, 'utf8')::jsonb->>'fee_cents' FROM outbox"
        " WHERE topic = 'booking.practitioner' ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [(1, "2500"), (2, "3000")]


async def test_a_permanent_right_is_kept_told_and_published(client, direct, given_practitioner) -> None:
    practitioner = await given_practitioner(permanent_overrun=True)
    url = f"/practitioners/{practitioner['id']}"

    given_up = await client.patch(
        url, json={"permanent_overrun": False}, headers=ADMINISTRATOR | {"If-Match": "*"}
    )

    told = [practitioner["permanent_overrun"], given_up.json()["permanent_overrun"]]
    rows = await direct.fetch(
        "SELECT convert_from(body, 'utf8')::jsonb->'permanent_overrun' AS told FROM outbox"
        " WHERE topic = 'booking.practitioner' ORDER BY id"
    )
    assert (told, [row["told"] for row in rows]) == ([True, False], ["true", "false"])
    assert (await client.get(url)).json()["permanent_overrun"] is False


@pytest.mark.parametrize(
    ("first", "change", "pointer"),
    [
        ({"sector": "s2"}, {"permanent_overrun": True}, "/body/permanent_overrun"),
        ({"sector": "s1", "permanent_overrun": True}, {"sector": "optam"}, "/body/sector"),
        (
            {"sector": "s1"},
            {"sector": "optam", "permanent_overrun": True},
            "/body/permanent_overrun",
        ),
    ],
)
async def test_no_change_leaves_a_permanent_right_outside_sector_1(
    client, given_practitioner, first, change, pointer
) -> None:
    url = f"/practitioners/{(await given_practitioner(**first))['id']}"
    before = (await client.get(url)).json()

    answer = await client.patch(url, json=change, headers=ADMINISTRATOR | {"If-Match": "*"})

    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "urn:problem:permanent-overrun-not-possible")
    assert [each["pointer"] for each in problem["errors"]] == [pointer]
    assert (await client.get(url)).json() == before


async def test_a_permanent_right_leaves_with_its_sector(client, given_practitioner) -> None:
    url = f"/practitioners/{(await given_practitioner(permanent_overrun=True))['id']}"
    change = {"sector": "optam", "permanent_overrun": False}

    answer = await client.patch(url, json=change, headers=ADMINISTRATOR | {"If-Match": "*"})

    assert (answer.status_code, answer.json()["sector"]) == (200, "optam")


async def test_nobody_outside_sector_1_is_registered_with_a_permanent_right(
    client, given_practitioner
) -> None:
    known = await given_practitioner()
    body = {name: value for name, value in known.items() if name not in {"id", "physician"}}
    body |= {"rpps": "10000000001", "sector": "optam", "permanent_overrun": True}

    answer = await client.post("/practitioners", json=body, headers=keyed(ADMINISTRATOR))

    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "urn:problem:permanent-overrun-not-possible")
    assert [each["pointer"] for each in problem["errors"]] == ["/body/permanent_overrun"]


async def test_what_was_booked_keeps_its_terms(
    client, given_practitioner, given_offers, given_patient, request_time
) -> None:
    practitioner = await given_practitioner()
    [offer, *_] = await given_offers(practitioner)
    appointment = (await request_time(offer, await given_patient())).json()
    url = f"/practitioners/{practitioner['id']}"

    await client.patch(url, json={"fee_cents": 9900}, headers=ADMINISTRATOR | {"If-Match": "*"})

    read = await client.get(f"/appointments/{appointment['id']}", headers=PATIENT)
    assert read.json()["fee_cents"] == 2500


async def test_an_rpps_number_is_registered_once(client, given_practitioner) -> None:
    known = await given_practitioner()
    body = {name: value for name, value in known.items() if name not in {"id", "physician"}}

    again = await client.post("/practitioners", json=body, headers=keyed(ADMINISTRATOR))

    assert (again.status_code, again.json()["type"]) == (409, "urn:problem:rpps-known")


async def test_a_withdrawn_practitioner_offers_nothing(
    client, direct, given_practitioner, given_offers, given_patient, request_time
) -> None:
    practitioner = await given_practitioner()
    [offer, *_] = await given_offers(practitioner)

    gone = await client.delete(f"/practitioners/{practitioner['id']}", headers=ADMINISTRATOR)

    assert gone.status_code == 204
    assert (await client.get(f"/practitioners/{practitioner['id']}")).status_code == 404
    assert (await request_time(offer, await given_patient())).status_code == 404
    assert await direct.fetchval("SELECT count(*) FROM offer") == 0


async def test_practitioners_are_found_by_words_specialty_and_free_time(
    client, given_practitioner, given_offers
) -> None:
    durand = await given_practitioner()
    other = await given_practitioner(
        rpps="10000000001",
        specialty="33",
        first_name="Paul",
        last_name="Martin",
        display_name="Dr Paul Martin",
    )
    offers = await given_offers(durand)

    async def found(**asked: str) -> list[str]:
        items = (await client.get("/practitioners", params=asked)).json()["items"]
        return [each["id"] for each in items]

    soon = offers[0]["starts_at"]
    assert await found() == [durand["id"], other["id"]]
    assert await found(q="eloise DURAND") == [durand["id"]]
    assert await found(q="dura bre") == [durand["id"]]  # the beginnings of a name and of a city
    assert await found(q="rand") == []
    assert await found(q="durand | ' & !") == [durand["id"]]
    assert await found(profession="physician", specialty="33") == [other["id"]]
    assert await found(profession="psychologist") == []
    assert await found(available_before=soon) == []
    assert await found(available_before=offers[1]["starts_at"]) == [durand["id"]]
    first = (await client.get("/practitioners", params={"limit": 1})).json()
    assert first["items"][0]["next_available_at"] == soon
    second = await client.get("/practitioners", params={"limit": 1, "cursor": first["next_cursor"]})
    assert [each["id"] for each in second.json()["items"]] == [other["id"]]
    assert second.json()["next_cursor"] is None


@pytest.mark.parametrize(
    ("name", "city", "typed"),
    [
        ("Œuvray", "Brest", "oeuvray"),
        ("Weiß", "Straßburg", "weiss strassb"),
        ("Sørensen", "Łódź", "sorensen lodz"),
        ("Þórsson", "Plœmeur", "THORSSON ploemeur"),
    ],
)
async def test_a_name_is_found_however_its_letters_are_written(
    client, given_practitioner, name, city, typed
) -> None:
    address = {"street": "3 rue du Port", "postal_code": "29200", "city": city}
    sought = await given_practitioner(last_name=name, display_name=f"Dr {name}", address=address)
    await given_practitioner(rpps="10000000001")

    for asked in (typed, f"{name} {city}"):
        items = (await client.get("/practitioners", params={"q": asked})).json()["items"]
        assert [each["id"] for each in items] == [sought["id"]]


async def test_a_person_is_known_however_their_letters_are_written(client, given_patient) -> None:
    await given_patient(birth_name="Œuvray", consent=False)
    body = {
        "relation": "other",
        "first_names": "camille anne",
        "birth_name": "OEUVRAY",
        "birth_date": "1985-05-14",
        "sex": "female",
    }

    again = await client.post("/patients", json=body, headers=keyed(PATIENT))

    assert (again.status_code, again.json()["type"]) == (409, "urn:problem:patient-known")


async def test_a_person_kept_before_letters_were_folded_is_known(app, client, direct, given_patient) -> None:
    patient = await given_patient(birth_name="Œuvray", consent=False)
    former = app.state.resources.keyring.blind_index("œuvray|camille anne|1985-05-14", field=IDENTITY)
    await direct.execute("UPDATE patient SET identity_hash = $1 WHERE id = $2", former, UUID(patient["id"]))
    body = {
        "relation": "other",
        "first_names": "Camille Anne",
        "birth_name": "Œuvray",
        "birth_date": "1985-05-14",
        "sex": "female",
    }

    again = await client.post("/patients", json=body, headers=keyed(PATIENT))

    assert (again.status_code, again.json()["type"]) == (409, "urn:problem:patient-known")


async def test_the_clock_of_the_process_dates_the_links(direct, clock, given_patient) -> None:
    clock.shift = timedelta(days=3)

    await given_patient(consent=False)

    assert await direct.fetchval("SELECT since FROM link") == clock.now()


PRACTITIONER_CLEARS = {"biller_id", "billing_number", "time_zone"}
PATIENT_CLEARS = {"used_name", "address", "phone", "email"}


async def refused_nulls(client, url: str, fields: set[str], headers: dict[str, str]) -> set[str]:
    """The fields where a PATCH refuses null with their pointer; each is sent alone."""
    refused = set()
    for name in fields:
        answer = await client.patch(url, json={name: None}, headers=headers | {"If-Match": "*"})
        if answer.status_code == 422:
            assert [each["pointer"] for each in answer.json()["errors"]] == [f"/body/{name}"]
            refused.add(name)
        else:
            assert answer.status_code == 200, answer.text
    return refused


async def test_null_clears_what_a_patient_need_not_have_and_is_refused_elsewhere(
    client, given_patient
) -> None:
    patient = await given_patient(
        consent=False,
        phone="+33 6 12 34 56 78",
        used_name="Martin",
        address={"street": "1 rue Haute", "postal_code": "29200", "city": "Brest"},
    )
    url, fields = f"/patients/{patient['id']}", set(PatientUpdate.model_fields)

    everything = await client.patch(url, json=dict.fromkeys(fields), headers=PATIENT | {"If-Match": 'W/"1"'})
    unchanged = (await client.get(url, headers=PATIENT)).json()
    refused = await refused_nulls(client, url, fields, PATIENT)
    cleared = (await client.get(url, headers=PATIENT)).json()

    assert everything.status_code == 422
    assert unchanged == patient
    assert refused == fields - PATIENT_CLEARS
    assert cleared == patient | dict.fromkeys(PATIENT_CLEARS)


async def test_null_clears_what_a_practitioner_need_not_have_and_is_refused_elsewhere(
    client, direct, given_practitioner
) -> None:
    practitioner = await given_practitioner(
        biller_id=str(uuid4()), zone="martinique", time_zone="Europe/Paris", permanent_overrun=True
    )
    url, fields = f"/practitioners/{practitioner['id']}", set(PractitionerUpdate.model_fields)

    everything = await client.patch(
        url, json=dict.fromkeys(fields), headers=ADMINISTRATOR | {"If-Match": "*"}
    )
    refused = await refused_nulls(client, url, fields, ADMINISTRATOR)
    kept = await direct.fetchrow("SELECT * FROM practitioner")

    assert everything.status_code == 422
    assert refused == fields - PRACTITIONER_CLEARS
    assert (str(kept["biller_id"]), kept["billing_number"]) == (practitioner["id"], None)
    assert kept["time_zone"] == "America/Martinique"
    assert kept["permanent_overrun"]


async def test_a_weak_etag_of_a_compressing_proxy_changes_a_profile(client, given_patient) -> None:
    patient = await given_patient(consent=False)
    url = f"/patients/{patient['id']}"
    etag = (await client.get(url, headers=PATIENT)).headers["etag"]

    changed = await client.patch(
        url, json={"phone": "0612345678"}, headers=PATIENT | {"If-Match": f"W/{etag}"}
    )

    assert changed.status_code == 200, changed.text
