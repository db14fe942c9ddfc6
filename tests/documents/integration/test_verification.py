"""Anyone with number and code verifies; a pharmacy hands out as often as prescribed."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from support.documents import DRUG, PATIENT, PHARMACIST, PRACTITIONER, Facts, keyed

RENEWED = {"folder": "drugs", "lines": [DRUG, DRUG | {"label": "DOLIPRANE 1 g", "renewals": 1}]}


@pytest.fixture
async def visit(world) -> Facts:
    facts = Facts()
    await world.hear(*facts.rights(), facts.requested(), facts.started())
    return facts


@pytest.fixture
async def document(world, client, visit) -> dict[str, Any]:
    url = f"/appointments/{visit.appointment_id}/prescriptions"
    asked = await client.post(url, json=RENEWED, headers=keyed(PRACTITIONER))
    await world.work()
    return (await client.get(f"/documents/{asked.json()['id']}", headers=PATIENT)).json()


def _code(document) -> str:
    return document["verification"]["url"].partition("code=")[2]


async def test_number_and_code_say_who_wrote_it_and_nothing_about_the_patient(client, document) -> None:
    answer = await client.get(f"/verifications/{document['number']}?code={_code(document)}")

    assert answer.json() == {
        "status": "authentic",
        "number": document["number"],
        "document_id": document["id"],
        "kind": "prescription",
        "issued_at": document["issued_at"],
        "practitioner_name": "Docteur Hélène LEFÈVRE",
        "practitioner_rpps": "10001234565",
    }
    assert "ratelimit" in answer.headers


async def test_a_number_typed_by_hand_is_understood(client, document) -> None:
    number, code = document["number"].lower().replace("-", " "), _code(document).lower()

    answer = await client.get(f"/verifications/{number}", params={"code": code})

    assert answer.json()["status"] == "authentic"


async def test_a_wrong_code_and_an_unknown_number_are_the_same(client, document) -> None:
    wrong = await client.get(f"/verifications/{document['number']}?code={'0' * 26}")
    unknown = await client.get(f"/verifications/ORD-2030-AAAAA-AAAAA?code={_code(document)}")

    assert wrong.json() == unknown.json()
    assert wrong.json()["status"] == "unknown"


@pytest.mark.parametrize("with_code", [True, False])
async def test_a_file_is_authentic_to_the_byte(client, document, with_code) -> None:
    file = (await client.get(f"/documents/{document['id']}/content", headers=PATIENT)).content
    flipped = bytes([*file[:1000], file[1000] ^ 1, *file[1001:]])
    code = {"code": _code(document)} if with_code else {}

    answers = [
        (
            await client.post(
                f"/verifications/{document['number']}",
                json={"sha256": hashlib.sha256(content).hexdigest(), **code},
            )
        ).json()
        for content in (file, flipped)
    ]

    assert [answer["status"] for answer in answers] == ["authentic", "invalid"]
    assert (answers[1]["practitioner_name"] is not None) == with_code


async def test_a_withdrawn_document_says_so(world, client, visit, document) -> None:
    await world.hear(visit.not_billed())

    answer = await client.get(f"/verifications/{document['number']}?code={_code(document)}")

    assert answer.json()["status"] == "withdrawn"


async def _dispense(
    client, document, *positions: int, headers=PHARMACIST, code=None, key=None
) -> httpx.Response:
    body = {"code": code or _code(document), "lines": [{"position": each} for each in positions]}
    return await client.post(
        f"/documents/{document['id']}/dispensations", json=body, headers=keyed(headers, key)
    )


async def test_each_line_is_handed_out_once_and_once_for_each_renewal(world, client, visit, document) -> None:
    first = await _dispense(client, document, 1, 2, key="first")
    replayed = await _dispense(client, document, 1, 2, key="first")
    second = await _dispense(client, document, 2)
    third = await _dispense(client, document, 1)

    assert [answer.status_code for answer in (first, replayed, second, third)] == [201, 201, 201, 409]
    assert replayed.json() == first.json()
    assert second.json()["lines"] == [
        {"position": 1, "dispensed": 1, "allowed": 1},
        {"position": 2, "dispensed": 2, "allowed": 2},
    ]
    assert third.json()["type"] == "urn:problem:nothing-left-to-dispense"
    facts = [fact for fact, _ in await world.published(visit.appointment_id)]
    assert facts == ["issued", "dispensed", "dispensed"]


async def test_only_a_pharmacist_with_the_code_hands_out(client, document) -> None:
    guessed = await _dispense(client, document, 1, code="0" * 26)
    patient = await _dispense(client, document, 1, headers=PATIENT)
    missing = await client.post(
        f"/documents/{uuid4()}/dispensations",
        json={"code": _code(document), "lines": [{"position": 1}]},
        headers=keyed(PHARMACIST),
    )
    beyond = await _dispense(client, document, 3)

    assert [answer.status_code for answer in (guessed, patient, missing, beyond)] == [404, 403, 404, 422]


async def test_an_old_prescription_is_not_handed_out(world, client, document) -> None:
    world.clock.shift += timedelta(days=91)

    answer = await _dispense(client, document, 1)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:prescription-expired")
