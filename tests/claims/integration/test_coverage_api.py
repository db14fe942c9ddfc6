"""Coverage as people state it: every check, versions, masking, sealing, rights, and the log of readers."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from claims.models import CoverageVersion
from claims.usecases import encryption
from common.events.booking import PatientErasedV1
from common.vault import DataErased
from common.web.tables import AccessLogRow
from support.claims import (
    ADMINISTRATOR,
    COMPLETED,
    CONTRACTED,
    NIR,
    PATIENT,
    PRACTICE,
    PRACTITIONER,
    SERVICE,
    STRANGER,
    SUPPORT,
    Facts,
    keyed,
)
from support.records import record

COVERED = {"nir": NIR, "birth_date": "1985-05-14", "amc": CONTRACTED}


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({"nir": "255081416802512"}, "nir-key"),
        ({"nir": "185052A00412340"}, "nir-key"),
        ({"nir": "255081416802"}, "nir-length"),
        ({"nir": "25508141680253A"}, "nir-character"),
        ({"nir": "185052C00412356"}, "nir-character"),
        ({"nia": "7900799"}, "nia-length"),
        ({"ame_number": "1234567"}, "ame-number-length"),
        ({"ame_number": "12345678901AB"}, "ame-number-character"),
        ({"amc": {"number": "1234567", "member_number": "AA11BB22"}}, "amc-number-length"),
        ({"amc": {"number": "9910000X", "member_number": "AA11BB22"}}, "amc-number-character"),
        ({"amc": {"number": "99100001", "member_number": "A-1!"}}, "amc-member-number-character"),
    ],
)
async def test_a_bad_number_is_answered_with_the_check_that_failed(client, linked, stated, code) -> None:
    facts = Facts()
    await linked(facts)
    ame = {"exemptions": [{"kind": "ame", "from": "2030-01-01"}]} if "ame_number" in stated else {}

    answer = await client.put(f"/patients/{facts.patient_id}/coverage", json=stated | ame, headers=PATIENT)

    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:problem:{code}")
    assert [each["code"] for each in answer.json()["errors"]] == [code]
    given = next(iter(stated.values()))
    for number in given.values() if isinstance(given, dict) else [given]:
        assert number not in answer.text
    nothing = await client.get(f"/patients/{facts.patient_id}/coverage", headers=PATIENT)
    assert nothing.status_code == 404


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({"nir": NIR, "nia": NIR}, "several-numbers"),
        ({"birth_date": "2031-01-01"}, "born-in-the-future"),
        ({"ame_number": "1234567890123"}, "ame-number-needs-ame"),
        (
            {"exemptions": [{"kind": "ald", "from": "2030-02-01", "to": "2030-01-01"}]},
            "dates-reversed",
        ),
        (
            {"exemptions": [{"kind": "maternity", "from": "2030-06-01", "to": "2030-01-01"}]},
            "dates-reversed",
        ),
        ({"amc": CONTRACTED | {"valid_from": "2030-02-01", "valid_to": "2030-01-31"}}, "dates-reversed"),
        ({"exemptions": [{"kind": "maternity", "from": "2030-02-01"}]}, "maternity-needs-end"),
        ({"nir": NIR, "birth_date": "2020-03-04"}, "holder-missing"),
        (
            {"exemptions": [{"kind": "css", "from": "2030-02-01"}, {"kind": "css", "from": "2030-02-01"}]},
            "exemption-twice",
        ),
        (  # the last day of a period belongs to it
            {
                "exemptions": [
                    {"kind": "ald", "from": "2030-06-01", "to": "2030-12-31"},
                    {"kind": "ald", "from": "2029-01-01", "to": "2030-06-01"},
                ]
            },
            "exemption-twice",
        ),
        ({"amc": CONTRACTED, "amc_status_declared": "exists-not-given"}, "amc-given"),
        ({"sponsor_code": "nobody-knows-it"}, "sponsor-code-unknown"),
        ({"scheme": "moon"}, "scheme-unknown"),
        ({"nir": NIR, "colour": "blue"}, "invalid-request"),
        ({"nir": 185057800608491}, "invalid-request"),
        ({"birth_date": 19850514}, "invalid-request"),
        ({"exemptions": [{"kind": "rich", "from": "2030-02-01"}]}, "invalid-request"),
    ],
)
async def test_what_contradicts_itself_is_refused(client, linked, stated, code) -> None:
    facts = Facts()
    await linked(facts)

    answer = await client.put(f"/patients/{facts.patient_id}/coverage", json=stated, headers=PATIENT)

    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:problem:{code}")
    assert NIR not in answer.text


@pytest.mark.parametrize(
    ("nir", "verdict"),
    [
        ("1 85 05 78 006 084 91", "valid"),
        ("185052A00412356", "valid"),
        ("285052B03304517", "valid"),
        ("790079935101282", "valid-provisional"),
    ],
)
async def test_a_good_number_is_kept_in_its_canonical_form_and_shown_masked(
    given_coverage, nir, verdict
) -> None:
    facts = Facts()

    answer = await given_coverage(facts, nir=nir)

    canonical = nir.replace(" ", "")
    assert answer.json()["nir"] == "*" * 11 + canonical[-4:]
    assert answer.json()["nir_verdict"] == verdict


@pytest.mark.parametrize(
    ("birth_date", "holder"), [("2020-03-04", "Claire Morel"), ("2014-06-01", None), ("1985-05-14", None)]
)
async def test_a_child_is_covered_in_the_name_of_its_holder_and_who_is_16_in_their_own(
    given_coverage, birth_date, holder
) -> None:
    answer = await given_coverage(Facts(), nir=NIR, birth_date=birth_date, holder_name=holder)

    assert answer.json()["holder_name"] == holder


async def test_each_change_is_a_version_and_a_stale_one_is_refused(client, given_coverage) -> None:
    facts = Facts()
    url = f"/patients/{facts.patient_id}/coverage"
    first = await given_coverage(facts, **COVERED)

    without = await client.put(url, json=COVERED, headers=PATIENT)
    second = await client.put(url, json={"nir": NIR}, headers=PATIENT | {"If-Match": first.headers["ETag"]})
    stale = await client.put(url, json=COVERED, headers=PATIENT | {"If-Match": first.headers["ETag"]})

    assert (without.status_code, second.status_code, stale.status_code) == (428, 200, 412)
    assert (first.json()["version"], second.json()["version"]) == (1, 2)
    read = await client.get(url, headers=PATIENT)
    assert read.headers["ETag"] == second.headers["ETag"]
    assert (read.json()["version"], read.json()["amc"]) == (2, None)


async def test_numbers_are_sealed_in_the_database_and_found_by_their_hash(
    sessions, world, given_coverage
) -> None:
    facts, same = Facts(), Facts()
    for each in (facts, same):
        await given_coverage(each, **COVERED)

    async with sessions() as session:
        rows = (await session.scalars(select(CoverageVersion))).all()
        dump = await session.scalar(text("SELECT string_agg(c::text, ' ') FROM coverage_version AS c"))
    secrets = (NIR, "1985-05-14", CONTRACTED["member_number"])
    for secret in secrets:
        assert secret not in dump
        assert secret.encode().hex() not in dump
    assert rows[0].encrypted != rows[1].encrypted
    assert rows[0].nir_index == rows[1].nir_index == world.config.keyring.blind_index(NIR, field="nir")


AME = {"kind": "ame", "from": "2030-01-01", "to": None}


@pytest.mark.parametrize(
    ("stated", "typed"),
    [
        (
            {
                "nir": "1 85 05 78.006 084 91",
                "birth_date": "1985-05-14",
                "amc": {"number": "99 100 001", "member_number": "ab 12 34"},
            },
            {"nir": "1 85 05 78.006 084 91", "amc_number": "99 100 001", "amc_member_number": "ab 12 34"},
        ),
        ({"nia": "1 85 05 78.006 084 91"}, {"nia": "1 85 05 78.006 084 91"}),
        ({"ame_number": "123 456.789 0123", "exemptions": [AME]}, {"ame_number": "123 456.789 0123"}),
    ],
)
async def test_numbers_are_kept_as_they_were_typed_too_sealed_and_never_shown(
    sessions, world, client, given_coverage, stated, typed
) -> None:
    facts, plain = Facts(), Facts()
    written = await given_coverage(facts, **stated)
    await given_coverage(plain, **COVERED)

    async with sessions() as session:
        rows = {row.patient_id: row for row in await session.scalars(select(CoverageVersion))}
        assert await _typed(session, world, rows[facts.patient_id]) == typed
        assert await _typed(session, world, rows[plain.patient_id]) == {}
        everything = await _every_column(session)
    read = await client.get(f"/patients/{facts.patient_id}/coverage", headers=PATIENT)
    for value in typed.values():
        assert value not in everything
        assert value.encode().hex() not in everything
        assert value not in written.text + read.text

    await world.hear(record(PatientErasedV1(patient_id=facts.patient_id), sequence=2))
    async with sessions() as session:
        with pytest.raises(DataErased):
            await _typed(session, world, rows[facts.patient_id])


async def test_what_was_sealed_before_typed_numbers_were_kept_is_still_read(
    world, client, sessions, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    url = f"/patients/{facts.patient_id}/coverage"
    before = (await client.get(url, headers=PATIENT)).json()
    async with sessions.begin() as session:
        row = (await session.scalars(select(CoverageVersion))).one()
        owner = (session, world.config, facts.patient_id)
        encrypted = await encryption.decrypt_json(*owner, row.encrypted, field="coverage")
        del encrypted["typed"]
        row.encrypted = await encryption.encrypt_json(
            *owner, encrypted, field="coverage", now=world.clock.now()
        )

    answer = await client.get(url, headers=PATIENT)

    assert (answer.status_code, answer.json()) == (200, before)


async def _every_column(session) -> str:
    """Of every table, as text: bytes are hexadecimal digits in it."""
    tables = await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
    dumps = [
        await session.scalar(text(f'SELECT string_agg(t::text, chr(10)) FROM "{name}" AS t'))  # noqa: S608
        for name in tables.all()
    ]
    return "\n".join(each or "" for each in dumps)


async def _typed(session, world, row) -> dict[str, str]:
    facts = await encryption.decrypt_json(
        session, world.config, row.patient_id, row.encrypted, field="coverage"
    )
    return facts["typed"]


async def test_an_exemption_from_the_contribution_is_sealed_and_told(
    sessions, client, given_coverage
) -> None:
    facts, ordinary = Facts(), Facts()
    await given_coverage(facts, **COVERED, contribution_exempt=True)
    await given_coverage(ordinary, **COVERED)

    told = [
        (await client.get(f"/patients/{each.patient_id}/coverage", headers=PATIENT)).json()
        for each in (facts, ordinary)
    ]

    assert [each["contribution_exempt"] for each in told] == [True, False]
    async with sessions() as session:
        dump = await session.scalar(text("SELECT string_agg(c::text, ' ') FROM coverage_version AS c"))
    assert "contribution" not in dump
    assert b"contribution".hex() not in dump


async def test_what_was_sealed_before_anybody_was_asked_says_no_exemption(
    world, client, sessions, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    async with sessions.begin() as session:
        row = (await session.scalars(select(CoverageVersion))).one()
        owner = (session, world.config, facts.patient_id)
        encrypted = await encryption.decrypt_json(*owner, row.encrypted, field="coverage")
        del encrypted["contribution_exempt"]
        row.encrypted = await encryption.encrypt_json(
            *owner, encrypted, field="coverage", now=world.clock.now()
        )

    answer = await client.get(f"/patients/{facts.patient_id}/coverage", headers=PATIENT)

    assert (answer.status_code, answer.json()["contribution_exempt"]) == (200, False)


async def test_only_who_may_see_the_patient_reads_and_each_access_is_logged(
    client, sessions, world, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await world.hear(facts.requested())  # makes the practitioner theirs
    url = f"/patients/{facts.patient_id}/coverage"

    statuses = {
        name: (await client.get(url, headers=headers)).status_code
        for name, headers in {
            "patient": PATIENT,
            "practitioner": PRACTITIONER,
            "stranger": STRANGER,
            "support": SUPPORT,
        }.items()
    }
    by_stranger = await client.put(url, json=COVERED, headers=STRANGER)
    by_practitioner = await client.put(url, json=COVERED, headers=PRACTITIONER)

    assert statuses == {"patient": 200, "practitioner": 200, "stranger": 404, "support": 404}
    assert (by_stranger.status_code, by_practitioner.status_code) == (404, 403)
    async with sessions() as session:
        log = (await session.scalars(select(AccessLogRow).order_by(AccessLogRow.id))).all()
    assert [(row.role, row.purpose, row.allowed) for row in log] == [
        ("patient", "change", True),
        ("patient", "care", True),
        ("practitioner", "care", True),
        ("patient", "care", False),
        ("support", "care", False),
        ("patient", "change", False),
    ]
    own = await client.get(f"/patients/{facts.patient_id}/access-log", headers=PATIENT)
    assert len(own.json()["items"]) == 6


@pytest.mark.parametrize("path", ["quote", "quotes", "care-act", "history"])
async def test_another_patients_appointment_is_not_there(world, client, given_coverage, path) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await world.hear(facts.requested(), facts.completed())

    answers = [
        await client.get(f"/appointments/{appointment}/{path}", headers=headers)
        for appointment, headers in (
            (facts.appointment_id, STRANGER),
            (uuid4(), PATIENT),
            (facts.appointment_id, {}),
            (facts.appointment_id, PATIENT),
            (facts.appointment_id, PRACTITIONER),
            (facts.appointment_id, SUPPORT),
        )
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 401, 200, 200, 200]
    bodies = [{**answer.json(), "instance": "", "request_id": ""} for answer in answers[:2]]
    assert bodies[0] == bodies[1]


async def test_support_sees_amounts_and_states_but_no_reasons(world, client, given_coverage) -> None:
    facts = Facts(asked={"exemption_related": True})
    ald = [{"kind": "ald", "from": "2020-01-01"}]
    await given_coverage(facts, **COVERED, exemptions=ald)
    await world.hear(facts.requested(), facts.completed())
    url = f"/appointments/{facts.appointment_id}/care-act"

    seen, whole = [(await client.get(url, headers=headers)).json() for headers in (SUPPORT, PATIENT)]

    assert [leg["amount_cents"] for leg in seen["legs"]] == [2500]
    assert (seen["price"]["trace"], seen["price"]["exemption_code"]) == ([], None)
    assert whole["price"]["trace"]
    assert whole["price"]["exemption_code"] is not None
    assert NIR not in str(seen) + str(whole)


async def test_a_service_reads_the_insured_person_and_says_why(
    world, client, sessions, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED, holder_name="Jeanne Le Goff")
    await world.hear(facts.requested())
    url = f"/internal/appointments/{facts.appointment_id}/insured"

    refused = await client.get(url, params={"purpose": "care-sheet"}, headers=PATIENT)
    early = await client.get(
        f"/internal/appointments/{uuid4()}/insured", params={"purpose": "care-sheet"}, headers=SERVICE
    )
    answer = await client.get(url, params={"purpose": "care-sheet"}, headers=SERVICE)

    assert (refused.status_code, early.status_code, early.headers["Retry-After"]) == (403, 404, "1")
    assert answer.json() == {
        "appointment_id": str(facts.appointment_id),
        "patient_id": str(facts.patient_id),
        "coverage_version": 1,
        "born_on": "1985-05-14",
        "nir": NIR,
        "provisional": False,
        "nia": None,
        "ame_number": None,
        "holder_name": "Jeanne Le Goff",
        "scheme": "general",
        "amc": {
            "number": "99100001",
            "name": "Mutuelle Bleu Horizon",
            "contracted": True,
            "member_number": "A123456",
        },
    }
    async with sessions() as session:
        last = (await session.scalars(select(AccessLogRow).order_by(AccessLogRow.id.desc()).limit(1))).one()
    assert (last.what, last.purpose, last.client, last.allowed) == (
        "insured-number",
        "care-sheet",
        "documents",
        True,
    )


async def test_the_care_sheet_keeps_whom_it_was_priced_for(world, client, clock, given_coverage) -> None:
    facts = Facts()
    given = await given_coverage(facts, **COVERED)
    await world.hear(facts.requested(), facts.completed())
    clock.shift = COMPLETED - clock.read() + timedelta(hours=1)
    await given_coverage(facts, etag=given.headers["ETag"], nir="255081416802538")

    url = f"/internal/appointments/{facts.appointment_id}/insured"
    answer = await client.get(url, params={"purpose": "care-sheet"}, headers=SERVICE)

    assert (answer.json()["nir"], answer.json()["coverage_version"]) == (NIR, 1)


async def test_an_erased_patient_leaves_only_what_the_law_keeps(
    world, client, sessions, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await world.hear(facts.requested(), facts.completed())

    await world.hear(record(PatientErasedV1(patient_id=facts.patient_id), sequence=9))

    coverage = await client.get(f"/patients/{facts.patient_id}/coverage", headers=PATIENT)
    assert coverage.json()["nir"] is None
    async with sessions() as session:
        row = (await session.scalars(select(CoverageVersion))).one()
    assert (row.nir_index, row.member_index) == (None, None)
    care_act = await client.get(f"/appointments/{facts.appointment_id}/care-act", headers=PATIENT)
    assert care_act.json()["price"]["amo_cents"] == 1750


async def test_the_directory_is_searched_by_number_and_by_name(client) -> None:
    by_name = await client.get("/amc-directory", params={"q": "etoiles"}, headers=PATIENT)
    by_number = await client.get("/amc-directory", params={"q": "9910000"}, headers=PATIENT)
    nobody = await client.get("/amc-directory", params={"q": "etoiles"})

    assert by_name.json()["items"] == [
        {"number": "0991000102", "name": "Mutuelle des Étoiles", "contracted": False}
    ]
    assert {each["number"] for each in by_number.json()["items"]} >= {"99100001", "99100004"}
    assert nobody.status_code == 401


async def test_contracted_or_not_is_read_at_the_care_date(client) -> None:
    ended = [
        (await client.get("/amc-directory", params={"q": "991000086", "on": on}, headers=PATIENT)).json()[
            "items"
        ][0]["contracted"]
        for on in ("2024-06-01", "2026-06-01")
    ]

    assert ended == [True, False]


async def test_a_sponsor_pays_its_part_for_who_has_the_code(world, client, given_coverage) -> None:
    offer = {"name": "École du Port", "kind": "FIXED", "cents": 500, "valid_from": "2030-01-01"}
    made = await client.post("/sponsor-offers", json=offer, headers=keyed(ADMINISTRATOR, "one"))
    replay = await client.post("/sponsor-offers", json=offer, headers=keyed(ADMINISTRATOR, "one"))
    other = offer | {"cents": 600}
    reused = await client.post("/sponsor-offers", json=other, headers=keyed(ADMINISTRATOR, "one"))
    forbidden = await client.post("/sponsor-offers", json=offer, headers=keyed(PATIENT))
    facts = Facts()

    await given_coverage(facts, nir=NIR, sponsor_code=made.json()["code"])
    await world.hear(facts.requested())

    assert [each.status_code for each in (made, replay, reused, forbidden)] == [201, 201, 422, 403]
    assert (replay.json()["id"], replay.json()["code"]) == (made.json()["id"], None)
    [(_, quote)] = await world.published(facts.appointment_id)
    assert (quote["sponsor_cents"], quote["advance_cents"]) == (500, 250)


@pytest.mark.parametrize(
    ("changes", "coverage", "care_on", "refusal", "field"),
    [
        ({}, {}, "2015-01-01", "no-tariff", "/body"),
        (
            {"fee_cents": 4000},
            {"nir": NIR, "exemptions": [{"kind": "css", "from": "2020-01-01"}]},
            "2030-06-03",
            "overrun-forbidden",
            "/body/practice/fee_cents",
        ),
        ({"zone": "reunion"}, {}, "2030-06-03", "no-tariff", "/body"),
    ],
    ids=["before the tables", "CSS with an overrun", "zone without a row"],
)
async def test_a_question_without_a_price_is_refused_with_its_field_and_rule(
    client, changes, coverage, care_on, refusal, field
) -> None:
    asked = {
        "practice": PRACTICE | changes,
        "care_on": care_on,
        "coverage": coverage,
        "pathway": "regular-doctor",
        "territory": "near",
    }

    answer = await client.post("/previews", json=asked, headers=PATIENT)

    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:problem:{refusal}"), answer.text
    [wrong] = answer.json()["errors"]
    assert wrong["pointer"] == field
    assert wrong["code"]


@pytest.mark.parametrize(
    ("coverage", "pointer", "code"),
    [
        ({"nir": NIR[:-2] + "00"}, "/nir", "nir-key"),
        ({"amc": {"number": "991", "member_number": "1"}}, "/amc/number", "amc-number-length"),
        (
            {"amc": {"number": "99100001", "member_number": "é"}},
            "/amc/member_number",
            "amc-member-number-character",
        ),
        ({"amc": CONTRACTED, "amc_status_declared": "exists-not-given"}, "/amc_status_declared", "amc-given"),
        ({"scheme": "unknown"}, "/scheme", "scheme-unknown"),
    ],
)
async def test_a_refused_statement_names_the_field_where_it_was_written(
    client, linked, coverage, pointer, code
) -> None:
    asked = {"practice": PRACTICE, "care_on": "2030-06-03", "coverage": coverage}

    previewed = await client.post("/previews", json=asked, headers=PATIENT)
    facts = Facts()
    await linked(facts)
    kept = await client.put(f"/patients/{facts.patient_id}/coverage", json=coverage, headers=PATIENT)

    for answer, prefix in ((previewed, "/body/coverage"), (kept, "/body")):
        assert answer.status_code == 422, answer.text
        [wrong] = answer.json()["errors"]
        assert (wrong["pointer"], wrong["code"]) == (prefix + pointer, code)


async def test_nothing_stated_is_an_insurance_that_is_not_known(client) -> None:
    asked = {"practice": PRACTICE, "care_on": "2030-06-03", "coverage": {}, "pathway": "referred"}

    answer = await client.post("/previews", json=asked, headers=PATIENT)

    assert "insurance-unknown" in answer.json()["price"]["warnings"], answer.text


@pytest.mark.parametrize(
    ("offer", "field", "code"),
    [
        ({"kind": "FIXED"}, "cents", "sponsor-amount"),
        ({"kind": "FULL", "cents": 5}, "cents", "sponsor-amount"),
        ({"kind": "PERCENT"}, "percent", "sponsor-amount"),
        ({"kind": "COPAYMENT", "percent": 5}, "percent", "sponsor-amount"),
        ({"kind": "PERCENT", "percent": 5, "cents": 5}, "cents", "sponsor-amount"),
        ({"kind": "FULL", "valid_to": "2025-12-31"}, "valid_to", "dates-reversed"),
        ({"kind": "FULL", "name": "A\0B"}, "name", None),
    ],
)
async def test_an_offer_that_contradicts_itself_is_refused_with_its_field(client, offer, field, code) -> None:
    asked = {"name": "Ecole", "valid_from": "2026-01-01"} | offer

    answer = await client.post("/sponsor-offers", json=asked, headers=keyed(ADMINISTRATOR))

    assert answer.status_code == 422, answer.text
    [wrong] = answer.json()["errors"]
    assert (wrong["pointer"], answer.json()["type"].rpartition(":")[2]) == (
        f"/body/{field}",
        code or "invalid-request",
    )


@pytest.mark.parametrize("name", [" ", "A\0B", "\u200b", "张伟", "a\nb", "-", "x" * 65])
async def test_a_holder_has_a_name_that_can_be_written(client, linked, name) -> None:
    facts = Facts()
    await linked(facts)
    body = {"nir": NIR, "holder_name": name}

    answer = await client.put(f"/patients/{facts.patient_id}/coverage", json=body, headers=PATIENT)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/body/holder_name")


async def test_several_periods_of_one_exemption_stand_in_one_coverage(client, linked) -> None:
    facts = Facts()
    await linked(facts)
    stated = COVERED | {
        "exemptions": [
            {"kind": "css", "from": "2029-05-01", "to": "2030-04-30"},
            {"kind": "css", "from": "2030-05-01", "to": "2031-04-30"},
            {"kind": "maternity", "from": "2028-01-01", "to": "2028-05-20"},
            {"kind": "maternity", "from": "2030-01-01", "to": "2030-05-20"},
            {"kind": "ald", "from": "2020-01-01", "to": "2024-12-31"},
            {"kind": "ald", "from": "2030-01-01"},
        ]
    }

    answer = await client.put(f"/patients/{facts.patient_id}/coverage", json=stated, headers=PATIENT)

    assert answer.status_code in {200, 201}, answer.text
    shown = [{"kind": each["kind"], "from": each["from"]} for each in answer.json()["exemptions"]]
    assert shown == [{"kind": each["kind"], "from": each["from"]} for each in stated["exemptions"]]
