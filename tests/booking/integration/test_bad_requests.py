import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from support.booking import (
    ACCOUNT,
    ADMINISTRATOR,
    ISSUER,
    OTHER_PRACTITIONER,
    PATIENT,
    PRACTITIONER,
    STRANGER,
    SUPPORT,
    keyed,
)
from support.tokens import elliptic_key


@pytest.fixture
async def booked(given_practitioner, given_offers, given_patient, request_time) -> dict[str, Any]:
    """An appointment of PATIENT with PRACTITIONER, and what it was made from."""
    practitioner, patient = await given_practitioner(), await given_patient()
    offers = await given_offers(practitioner)
    answer = await request_time(offers[0], patient)
    return {"practitioner": practitioner, "patient": patient, "offers": offers, "appointment": answer.json()}


@pytest.mark.parametrize("field", ["offer_id", "patient_id"])
async def test_an_unknown_offer_or_patient_is_not_found_and_leaves_nothing(
    booked, client, direct, field
) -> None:
    body = {
        "offer_id": booked["offers"][1]["id"],
        "patient_id": booked["patient"]["id"],
        "reason_code": "fever",
    } | {field: str(uuid4())}

    answer = await client.post("/appointments", json=body, headers=keyed(PATIENT))

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert await direct.fetchval("SELECT count(*) FROM appointment") == 1
    assert await direct.fetchval("SELECT count(*) FROM offer WHERE taken_by IS NOT NULL") == 1


async def test_somebody_elses_patient_answers_as_one_that_never_was(booked, request_time) -> None:
    offer = booked["offers"][1]

    foreign = await request_time(offer, booked["patient"], headers=STRANGER)
    unknown = await request_time(offer, {"id": str(uuid4())}, headers=STRANGER)

    assert foreign.status_code == unknown.status_code == 404
    told = ("type", "title", "detail", "status")
    assert [foreign.json()[name] for name in told] == [unknown.json()[name] for name in told]


FOREIGN = [
    ("GET", ""),
    ("GET", "/events"),
    ("POST", "/cancellation"),
    ("POST", "/start"),
    ("POST", "/unsuitable"),
    ("POST", "/technical-failure"),
    ("POST", "/patient-absence"),
    ("POST", "/practitioner-absence"),
]


@pytest.mark.parametrize("who", [STRANGER, OTHER_PRACTITIONER])
async def test_a_foreign_appointment_answers_as_one_that_never_was(booked, client, direct, who) -> None:
    own = f"/appointments/{booked['appointment']['id']}"
    foreign = [await client.request(method, f"{own}{path}", headers=who) for method, path in FOREIGN]
    unknown = [
        await client.request(method, f"/appointments/{uuid4()}{path}", headers=who)
        for method, path in FOREIGN
    ]

    refusals = [(each.status_code, each.json()["type"]) for each in foreign]
    assert refusals == [(each.status_code, each.json()["type"]) for each in unknown]
    # what only a practitioner does is refused to a patient before anybody looks for the appointment
    by_role = (403, "urn:problem:role-missing")
    assert {status for status, code in refusals if (status, code) != by_role} == {404}
    assert refusals.count(by_role) == (3 if who is STRANGER else 0)
    assert await direct.fetchval("SELECT status FROM appointment") == "requested"


async def test_a_foreign_patient_answers_as_one_that_never_was(booked, client) -> None:
    for path in ("", "/access-log", "/consents"):
        foreign = await client.get(f"/patients/{booked['patient']['id']}{path}", headers=STRANGER)
        unknown = await client.get(f"/patients/{uuid4()}{path}", headers=STRANGER)

        assert foreign.status_code == unknown.status_code == 404
        assert foreign.json()["type"] == unknown.json()["type"]


async def test_a_body_that_does_not_fit_is_named_and_not_repeated(booked, request_time) -> None:
    for field, value in [
        ("reason_code", "Fever!"),
        ("offer_id", "tomorrow"),
        ("pathway", "shortcut"),
        ("exemption_related", "truly"),
        ("colour", "blueish"),
    ]:
        answer = await request_time(booked["offers"][1], booked["patient"], **{field: value})

        assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:invalid-request")
        assert [each["pointer"] for each in answer.json()["errors"]] == [f"/body/{field}"]
        assert value not in answer.text


async def test_an_unknown_reason_is_refused(booked, request_time) -> None:
    answer = await request_time(booked["offers"][1], booked["patient"], reason_code="boredom")

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:reason-unknown")


async def test_what_is_no_json_or_too_much_of_it_is_refused(client) -> None:
    headers = keyed(PATIENT) | {"Content-Type": "application/json"}

    malformed = await client.post("/appointments", content=b'{"offer_id": ', headers=headers)
    large = await client.post("/appointments", content=b" " * (256 * 1024 + 1), headers=headers)

    assert (malformed.status_code, large.status_code) == (400, 413)
    assert large.headers["content-type"] == "application/problem+json"


IMPOSSIBLE = [
    ("birth_date", "1985-05-14T10:00:00", "invalid-request"),
    ("birth_date", "2130-01-01", "birth-date-invalid"),
    ("birth_date", 485000000, "invalid-request"),
    ("sex", "perhaps", "invalid-request"),
    ("first_names", "", "invalid-request"),
    ("first_names", "张伟", "invalid-request"),
    ("birth_name", "A\0B", "invalid-request"),
    ("used_name", "   ", "invalid-request"),
    ("used_name", "a\nb", "invalid-request"),
    ("address", {"street": "1\x07", "postal_code": "75001", "city": "Paris"}, "invalid-request"),
    ("email", "nobody", "invalid-request"),
    ("nir", "185057800608491", "invalid-request"),
]


async def test_a_person_that_cannot_be_is_refused_without_repeating_their_data(client) -> None:
    body = {
        "relation": "self",
        "first_names": "Camille",
        "birth_name": "Le Goff",
        "birth_date": "1985-05-14",
        "sex": "female",
    }

    for field, value, problem in IMPOSSIBLE:
        answer = await client.post("/patients", json=body | {field: value}, headers=keyed(PATIENT))

        assert (answer.status_code, answer.json()["type"]) == (422, f"urn:problem:{problem}")
        assert not value or str(value) not in answer.text
        assert "Le Goff" not in answer.text


async def test_a_fee_is_a_positive_whole_number_of_cents(client) -> None:
    for fee in (-1, 0, 25.0, "2500"):
        answer = await client.post("/practitioners", json={"fee_cents": fee}, headers=keyed(ADMINISTRATOR))

        assert answer.status_code == 422
        assert "/body/fee_cents" in [each["pointer"] for each in answer.json()["errors"]]


async def test_specialty_and_sector_belong_to_physicians(client, given_practitioner) -> None:
    known = await given_practitioner()
    body = {name: value for name, value in known.items() if name not in {"id", "physician", "biller_id"}}

    for profession, specialty, sector in [
        ("physician", "00", "s1"),
        ("physician", "01", "none"),
        ("psychologist", "33", "none"),
    ]:
        wrong = {"profession": profession, "specialty": specialty, "sector": sector}
        answer = await client.post("/practitioners", json=body | wrong, headers=keyed(ADMINISTRATOR))

        assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:invalid-request")
        assert _named(answer) == [("/body", "not-of-physicians")]


@pytest.mark.parametrize("specialty", ["99", "06", "10"])
async def test_a_specialty_without_a_price_is_refused_at_its_field(
    client, given_practitioner, specialty
) -> None:
    known = await given_practitioner()
    body = {name: value for name, value in known.items() if name not in {"id", "physician", "biller_id"}}

    wrong = body | {"specialty": specialty}
    answer = await client.post("/practitioners", json=wrong, headers=keyed(ADMINISTRATOR))

    assert answer.status_code == 422
    assert _named(answer) == [("/body/specialty", "specialty-without-price")]


async def test_a_rule_that_no_schema_says_has_a_code_of_its_own(client, given_practitioner) -> None:
    known = await given_practitioner()
    body = {name: value for name, value in known.items() if name not in {"id", "physician", "biller_id"}}
    person = {"relation": "self", "first_names": "Camille", "birth_name": "Le Goff", "sex": "female"}

    lost = await client.post(
        "/practitioners", json=body | {"time_zone": "Europe/Ys"}, headers=keyed(ADMINISTRATOR)
    )
    keyless = await client.post(
        "/practitioners", json=body | {"billing_number": "296991103"}, headers=keyed(ADMINISTRATOR)
    )
    old = await client.post("/patients", json=person | {"birth_date": "1879-12-31"}, headers=keyed(PATIENT))

    assert _named(lost) == [("/body/time_zone", "unknown-time-zone")]
    assert _named(keyless) == [("/body/billing_number", "billing-number-key")]
    assert _named(old) == [("/body/birth_date", "too-long-ago")]


@pytest.mark.parametrize("name", ["Anaïs", "d'Arc", "\u2019t Hooft", "Đặng Thị", "N'Guyen-Müller", "É"])
async def test_a_name_of_civil_status_is_taken(client, name) -> None:
    person = {"relation": "self", "first_names": "Camille", "birth_name": name, "sex": "female"}

    answer = await client.post(
        "/patients", json=person | {"birth_date": "1985-05-14"}, headers=keyed(PATIENT)
    )

    assert (answer.status_code, answer.json()["birth_name"]) == (201, name), answer.text


def _named(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 422
    return [(each["pointer"], each["code"]) for each in answer.json()["errors"]]


async def test_a_naive_time_is_refused(client) -> None:
    answer = await client.get("/offers", params={"profession": "physician", "from": "2030-06-01T09:00:00"})

    assert answer.status_code == 422


async def test_a_cursor_of_another_list_or_of_nobody_is_refused(client, booked) -> None:
    url = f"/practitioners/{booked['practitioner']['id']}/offers"
    cursor = (await client.get(url, params={"limit": 1})).json()["next_cursor"]
    made_up = base64.urlsafe_b64encode(b"0" * 16 + json.dumps(["2030"]).encode()).decode()

    refused = [
        await client.get("/offers", params={"profession": "physician", "cursor": cursor}),
        await client.get(url, params={"cursor": made_up}),
        await client.get(url, params={"cursor": "é"}),
    ]

    assert [each.status_code for each in refused] == [422, 422, 422]
    assert refused[0].json()["type"] == "urn:problem:cursor-invalid"


REFUSED = [
    ({}, "token-missing"),
    ({"Authorization": "Basic abc"}, "token-missing"),
    ({"Authorization": "Bearer abc"}, "token-invalid"),
    (ISSUER.bearer("patient", subject=ACCOUNT, exp=1), "token-expired"),
    (ISSUER.bearer("patient", subject=ACCOUNT, key=elliptic_key("first")), "token-invalid"),
    (ISSUER.bearer("patient", subject=ACCOUNT, aud="elsewhere"), "token-invalid"),
]


async def test_a_token_that_is_missing_expired_or_of_another_signer_is_refused(client) -> None:
    for headers, problem in REFUSED:
        answer = await client.get("/appointments", headers=headers)

        assert (answer.status_code, answer.json()["type"]) == (401, f"urn:problem:{problem}")
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_only_an_administrator_creates_practitioners(client) -> None:
    for who in (PATIENT, PRACTITIONER, SUPPORT):
        answer = await client.post("/practitioners", json={}, headers=keyed(who))

        assert (answer.status_code, answer.json()["type"]) == (403, "urn:problem:role-missing")


async def test_people_do_not_read_what_is_between_services(client, booked) -> None:
    identity = f"/internal/appointments/{booked['appointment']['id']}/identity"

    for who in (PATIENT, SUPPORT, ADMINISTRATOR):
        permissions = await client.get("/internal/rights", params={"subject": str(ACCOUNT)}, headers=who)
        read = await client.get(identity, params={"purpose": "curiosity"}, headers=who)

        assert (permissions.status_code, read.status_code) == (403, 403)


async def test_a_request_without_a_key_is_refused(client) -> None:
    answer = await client.post("/appointments", json={}, headers=PATIENT)

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:problem:idempotency-key-missing")


async def test_a_wrong_path_and_a_wrong_method_are_problems_too(client) -> None:
    path, method = await client.get("/appointment"), await client.delete("/reasons")

    assert (path.status_code, method.status_code) == (404, 405)
    assert {each.headers["content-type"] for each in (path, method)} == {"application/problem+json"}


@pytest.mark.parametrize(
    "path", ["/practitioners?available_before={}", "/offers?profession=physician&from={}"]
)
@pytest.mark.parametrize("number", ["0", "0.5", "1763805600"])
async def test_a_time_in_a_query_is_text_and_never_a_number(client, path, number) -> None:
    answer = await client.get(path.format(number))

    assert answer.status_code == 422
    assert [each["code"] for each in answer.json()["errors"]] == ["time-as-number"]


@pytest.mark.parametrize("character", ["\u0085", "\u001e", "\ufeff"])
async def test_an_address_of_mail_holds_nothing_that_languages_read_differently(client, character) -> None:
    body = {
        "relation": "self",
        "first_names": "Camille",
        "birth_name": "Lorrain",
        "birth_date": "1985-06-15",
        "sex": "female",
        "email": f"a{character}b@patients.example",
    }

    answer = await client.post("/patients", json=body, headers=keyed(PATIENT))

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/body/email"]
