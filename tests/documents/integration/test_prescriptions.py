"""Writing a prescription: who may, when, what is refused, and that it is done once."""

from datetime import timedelta

import httpx
import obstore
import pytest
from obstore.exceptions import GenericError
from sqlalchemy import update

from common.messaging.tables import TaskRow
from documents.domain.assembly import SignerDiffers
from documents.rendering import renderer
from documents.rendering.render import render
from documents.rendering.samples import samples
from support.documents import (
    COLLEAGUE,
    DRUG,
    PATIENT,
    PRACTITIONER,
    PRESCRIPTION,
    REPORT,
    STRANGER,
    SUPPORT,
    Facts,
    keyed,
)


@pytest.fixture
async def visit(world) -> Facts:
    facts = Facts()
    await world.hear(*facts.rights(), facts.requested(), facts.started())
    return facts


async def _post(client, facts, body, headers=PRACTITIONER, *, what="prescriptions") -> httpx.Response:
    return await client.post(
        f"/appointments/{facts.appointment_id}/{what}", json=body, headers=keyed(headers)
    )


async def test_a_prescription_is_drawn_and_found_in_its_folder(world, client, visit) -> None:
    asked = await _post(client, visit, PRESCRIPTION)
    before = await client.get(f"/documents/{asked.json()['id']}/content", headers=PATIENT)
    await world.work()

    assert (asked.status_code, asked.json()["status"], asked.headers["retry-after"]) == (
        201,
        "requested",
        "1",
    )
    assert (before.status_code, before.json()["type"]) == (409, "urn:problem:document-not-ready")
    for folder, found in (("drugs", 1), ("biology", 0)):
        page = await client.get(f"/patients/{visit.patient_id}/documents?folder={folder}", headers=PATIENT)
        assert len(page.json()["items"]) == found
    [(fact, event)] = await world.published(visit.appointment_id)
    assert (fact, event["kind"], event["folder"]) == ("issued", "prescription", "drugs")
    file = await client.get(f"/documents/{asked.json()['id']}/content", headers=PRACTITIONER)
    assert file.content.startswith(b"%PDF")


async def test_a_repeated_request_gives_the_same_prescription(world, client, visit) -> None:
    url, headers = f"/appointments/{visit.appointment_id}/prescriptions", keyed(PRACTITIONER, "once")

    first = await client.post(url, json=PRESCRIPTION, headers=headers)
    again = await client.post(url, json=PRESCRIPTION, headers=headers)
    other = await client.post(url, json=PRESCRIPTION | {"weight_grams": 61_000}, headers=headers)

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert len(await world.work()) == 1


@pytest.mark.parametrize(
    ("headers", "status"), [(COLLEAGUE, 404), (PATIENT, 403), (STRANGER, 403), (SUPPORT, 403), ({}, 401)]
)
async def test_nobody_else_prescribes(client, visit, headers, status) -> None:
    answer = await _post(client, visit, PRESCRIPTION, headers)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"folder": "biology", "lines": [DRUG]}, "invalid-prescription-line"),
        ({"folder": "drugs", "lines": [DRUG | {"label": "TRAMADOL 50 mg"}]}, "secure-prescription-required"),
        ({"folder": "drugs", "lines": [DRUG | {"duration_days": None}]}, "invalid-prescription-line"),
        ({"folder": "drugs", "lines": []}, "invalid-request"),
        ({"folder": "drugs", "lines": [DRUG | {"colour": "red"}]}, "invalid-request"),
        ({"folder": "drugs", "lines": [DRUG | {"duration_days": "6"}]}, "invalid-request"),
        ({"folder": "sweets", "lines": [DRUG]}, "invalid-request"),
    ],
)
async def test_what_a_pharmacist_could_not_use_is_refused(world, client, visit, body, code) -> None:
    answer = await _post(client, visit, body)

    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:problem:{code}")
    assert "AMOXICILLINE" not in answer.text
    assert await world.work() == []


@pytest.mark.parametrize(
    ("text", "character"),
    [
        ("1\ufe0f\u20e3 comprimé", "U+FE0F (VARIATION SELECTOR-16)"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "U+1F468 (MAN)"),
        ("\u202e01 comprimés", "U+202E (RIGHT-TO-LEFT OVERRIDE)"),
        ("1 comprimé\x00", "U+0000"),
        ("1 comprimé\x1b[2J", "U+001B"),
        ("mor\u00adphine", "U+00AD (SOFT HYPHEN)"),
        ("1\u200bcomprimé", "U+200B (ZERO WIDTH SPACE)"),
        ("1 片", "U+7247 (CJK UNIFIED IDEOGRAPH-7247)"),
        ("\ue000", "U+E000"),
    ],
)
@pytest.mark.parametrize("field", ["label", "dosage", "inn"])
async def test_a_character_that_no_paper_shows_is_refused_with_its_field(
    world, client, visit, field, text, character
) -> None:
    answer = await _post(client, visit, {"folder": "drugs", "lines": [DRUG | {field: text}]})

    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (422, "character-not-printable")
    assert error["pointer"] == f"/body/lines/0/{field}"
    assert character in error["detail"]
    assert await world.work() == []


async def test_letters_come_composed_and_line_ends_of_one_kind(world, client, visit) -> None:
    lines = [DRUG | {"dosage": "1 comprime\u0301 le matin\r\n2 le soir\tau coucher"}]
    asked = await _post(client, visit, {"folder": "drugs", "lines": lines})

    [performed] = await world.work()

    read = await client.get(f"/documents/{asked.json()['id']}", headers=PATIENT)
    assert (performed.outcome, read.json()["status"], read.json()["failure"]) == ("done", "issued", None)


async def test_a_paper_that_would_say_something_else_fails_with_its_reason(
    world, client, visit, monkeypatch
) -> None:
    asked = await _post(client, visit, PRESCRIPTION)
    other = samples()["prescription-other"]
    monkeypatch.setattr(renderer, "render", lambda *_: render(other))

    [performed] = await world.work()

    read = (await client.get(f"/documents/{asked.json()['id']}", headers=PATIENT)).json()
    assert (read["status"], read["failure"]) == ("failed", "text-differs-from-data")
    assert performed.outcome == "text-differs-from-data"
    assert await world.published(visit.appointment_id) == []


async def test_a_document_that_is_given_up_says_so(world, client, visit, monkeypatch) -> None:
    asked = await _post(client, visit, PRESCRIPTION)

    def broken(*_: object) -> bytes:
        raise RuntimeError("a bug")

    monkeypatch.setattr(renderer, "render", broken)
    async with world.sessions.begin() as session:
        await session.execute(update(TaskRow).values(attempt=299))
    [performed] = await world.work()

    read = (await client.get(f"/documents/{asked.json()['id']}", headers=PATIENT)).json()
    assert (read["status"], read["failure"]) == ("failed", "given-up")
    assert performed.outcome == "failed"


async def test_a_storage_that_is_away_answers_503_and_is_degraded_not_lost(
    app, world, client, visit, monkeypatch
) -> None:
    drawn = (await _post(client, visit, PRESCRIPTION)).json()
    await world.work()
    waiting = (await _post(client, visit, PRESCRIPTION)).json()

    async def away(*_: object, **__: object) -> None:
        raise GenericError("no answer")

    for name in ("get_async", "put_async", "head_async"):
        monkeypatch.setattr(obstore, name, away)
    read = await client.get(f"/documents/{drawn['id']}/content", headers=PATIENT)
    [performed] = await world.work()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as public:
        ready = await public.get("/documents/health/ready")
    monkeypatch.undo()
    world.clock.shift += timedelta(minutes=1)
    await world.work()
    after = await client.get(f"/documents/{waiting['id']}", headers=PATIENT)

    assert (read.status_code, read.json()["type"]) == (503, "urn:problem:storage-away")
    assert read.headers["retry-after"] == "5"
    assert performed.outcome == "retry"
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "degraded": ["storage"]})
    assert after.json()["status"] == "issued"


async def test_a_psychologist_prescribes_nothing_and_reports(world, client) -> None:
    facts = Facts(profession="psychologist")
    await world.hear(*facts.rights(), facts.requested(), facts.started())

    refused = await _post(client, facts, PRESCRIPTION)
    report = await _post(client, facts, REPORT, what="report")

    assert (refused.status_code, refused.json()["type"]) == (403, "urn:problem:cannot-prescribe")
    assert (report.status_code, report.json()["kind"]) == (201, "consultation-report")


async def test_nothing_is_written_before_the_visit(world, client) -> None:
    facts = Facts()
    await world.hear(*facts.rights(), facts.requested())

    answer = await _post(client, facts, PRESCRIPTION)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:consultation-not-started")
    assert answer.headers["retry-after"] == "1"


async def test_a_visit_that_breaks_off_withdraws_what_was_written(world, client, visit) -> None:
    drawn, waiting = await _post(client, visit, PRESCRIPTION), None
    await world.work()
    waiting = await _post(client, visit, REPORT, what="report")

    await world.hear(visit.not_billed())
    await world.work()

    first = await client.get(f"/documents/{drawn.json()['id']}", headers=PATIENT)
    second = await client.get(f"/documents/{waiting.json()['id']}", headers=PATIENT)
    assert (first.json()["status"], second.json()["status"]) == ("withdrawn", "withdrawn")
    assert [fact for fact, _ in await world.published(visit.appointment_id)] == ["issued", "withdrawn"]
    refused = await _post(client, visit, PRESCRIPTION)
    assert refused.status_code == 409


async def test_somebody_elses_number_signs_nothing(world, client, visit) -> None:
    asked = await _post(client, visit, PRESCRIPTION)
    world.others.rpps = "10009876548"

    [performed] = await world.work()

    answer = await client.get(f"/documents/{asked.json()['id']}", headers=PATIENT)
    assert (performed.outcome, answer.json()["status"]) == (SignerDiffers.code, "failed")
    assert answer.json()["failure"] == SignerDiffers.code
    assert await world.published(visit.appointment_id) == []


async def test_a_stranger_sees_nothing(world, client, visit) -> None:
    asked = await _post(client, visit, PRESCRIPTION)
    await world.work()
    document = f"/documents/{asked.json()['id']}"

    for path in (document, f"{document}/content", f"/patients/{visit.patient_id}/documents"):
        for headers in (STRANGER, SUPPORT, COLLEAGUE):
            answer = await client.get(path, headers=headers)
            assert answer.status_code == 404, path


async def test_pages_follow_each_other_newest_first(world, client, visit) -> None:
    for _ in range(3):
        await _post(client, visit, PRESCRIPTION)
        await world.work()
    url = f"/patients/{visit.patient_id}/documents?limit=2"

    first = (await client.get(url, headers=PATIENT)).json()
    second = (await client.get(f"{url}&cursor={first['next_cursor']}", headers=PATIENT)).json()

    created = [each["created_at"] for each in first["items"] + second["items"]]
    assert (len(first["items"]), len(second["items"]), second["next_cursor"]) == (2, 1, None)
    assert created == sorted(created, reverse=True)


async def test_every_look_at_a_document_is_in_the_patients_log(world, client, visit) -> None:
    asked = await _post(client, visit, PRESCRIPTION)
    await world.work()
    await client.get(f"/documents/{asked.json()['id']}/content", headers=PRACTITIONER)
    await client.get(f"/documents/{asked.json()['id']}/content", headers=STRANGER)

    log = (await client.get(f"/patients/{visit.patient_id}/access-log", headers=PATIENT)).json()["items"]

    assert [(each["what"], each["allowed"]) for each in log] == [
        ("file:prescription", False),
        ("file:prescription", True),
        ("prescription", True),
    ]
