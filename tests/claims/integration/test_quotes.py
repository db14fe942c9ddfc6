"""Who pays what at the request of an appointment, and how a change of the coverage changes it."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from claims.settings import ClaimsRetention
from claims.store import PURGES
from common.messaging.housekeeping import House, keep_house
from common.messaging.records import APPLIED, Outcome, ignored
from support.claims import CONTRACTED, NIR, NOT_CONTRACTED, PATIENT, PSYCHOLOGIST, STARTS, Facts

COVERED = {"nir": NIR, "birth_date": "1985-05-14"}
ALD = COVERED | {"exemptions": [{"kind": "ald", "from": "2020-01-01", "to": None}]}


@pytest.mark.parametrize(
    ("coverage", "asked", "amounts"),
    [
        pytest.param(COVERED | {"amc": CONTRACTED}, {}, (2500, 1750, 750, 0, "TP"), id="contracted AMC"),
        pytest.param(
            COVERED | {"amc": NOT_CONTRACTED},
            {},
            (2500, 1750, 750, 750, "TP+RECEIPT"),
            id="AMC not contracted",
        ),
        pytest.param(COVERED, {}, (2500, 1750, 0, 750, "TP+RECEIPT"), id="NIR alone"),
        pytest.param(None, {}, (2500, 1750, 0, 2500, "PAPER"), id="nothing known"),
        pytest.param(
            {"birth_date": "1985-05-14"}, {}, (2500, 1750, 0, 2500, "PAPER"), id="neither NIR nor AMC"
        ),
        pytest.param(COVERED, PSYCHOLOGIST, (6000, 0, 0, 6000, "INVOICE"), id="psychologist"),
        pytest.param(ALD, {"exemption_related": True}, (2500, 2500, 0, 0, "TP"), id="ALD-related"),
        pytest.param(
            ALD, {"exemption_related": False}, (2500, 1750, 0, 750, "TP+RECEIPT"), id="ALD, unrelated care"
        ),
    ],
)
async def test_a_request_gets_its_quote(world, given_coverage, coverage, asked, amounts) -> None:
    facts = Facts(asked=asked)
    if coverage is not None:
        await given_coverage(facts, **coverage)

    [outcome] = await world.hear(facts.requested())

    [(kind, quote)] = await world.published(facts.appointment_id)
    assert (outcome, kind) == (APPLIED, "quote-issued")
    names = ("fee_cents", "amo_cents", "amc_cents", "advance_cents", "sheet_mode")
    assert tuple(quote[name] for name in names) == amounts
    assert (quote["revision"], quote["schedule_no"]) == (1, 1)
    assert quote["amo_claim_cents"] + quote["amc_claim_cents"] + quote["advance_cents"] == quote["fee_cents"]


async def test_the_flat_contribution_is_told_and_never_advanced(world, given_coverage) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)

    await world.hear(facts.requested())

    [(_, quote)] = await world.published(facts.appointment_id)
    assert (quote["deferred_deductions_cents"], quote["advance_cents"]) == (200, 0)


async def test_a_number_added_before_the_visit_gives_the_next_revision(world, client, given_coverage) -> None:
    facts = Facts()
    await world.hear(facts.requested())

    await given_coverage(facts, **COVERED)
    await world.work()

    [(_, first), (kind, second)] = await world.published(facts.appointment_id)
    assert kind == "quote-issued"
    assert [(each["revision"], each["advance_cents"]) for each in (first, second)] == [(1, 2500), (2, 750)]
    assert (first["coverage_version"], second["coverage_version"]) == (0, 1)
    answer = await client.get(f"/appointments/{facts.appointment_id}/quotes", headers=PATIENT)
    assert [(each["revision"], each["state"]) for each in answer.json()["items"]] == [
        (1, "superseded"),
        (2, "issued"),
    ]


async def test_a_change_that_no_price_depends_on_gives_no_revision(world, given_coverage) -> None:
    facts = Facts()
    given = await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await world.hear(facts.requested())

    other_member = CONTRACTED | {"member_number": "Z999"}
    await given_coverage(facts, etag=given.headers["ETag"], **COVERED, amc=other_member)
    await world.work()

    assert [kind for kind, _ in await world.published(facts.appointment_id)] == ["quote-issued"]


async def test_a_started_consultation_is_not_quoted_again(world, given_coverage) -> None:
    facts = Facts()
    await world.hear(facts.requested(), facts.started())

    await given_coverage(facts, **COVERED)
    await world.work()

    assert [kind for kind, _ in await world.published(facts.appointment_id)] == ["quote-issued"]


async def test_a_move_is_quoted_under_its_new_schedule(world) -> None:
    facts = Facts()
    later = STARTS + timedelta(days=7)

    outcomes = await world.hear(facts.requested(), facts.moved(to=later), facts.moved(to=later, sequence=4))

    assert outcomes == [APPLIED, APPLIED, ignored("older-schedule")]
    published = await world.published(facts.appointment_id)
    assert [(each["revision"], each["schedule_no"]) for _, each in published] == [(1, 1), (2, 2)]
    assert published[1][1]["starts_at"] == later.isoformat().replace("+00:00", "Z")


async def test_what_has_no_price_is_refused_with_its_reason(world) -> None:
    facts = Facts(asked={"fee_cents": 4000})  # above the tariff of sector 1, without a qualifier

    [outcome] = await world.hear(facts.requested())

    assert outcome == Outcome(APPLIED.ending)
    [(kind, voided)] = await world.published(facts.appointment_id)
    assert (kind, voided["reason"], voided["refusal"]) == ("quote-voided", "refused", "overrun-forbidden")


async def test_the_advance_of_the_accepted_preview_travels_with_the_quote(
    world, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    asked = {
        "practitioner_id": str(facts.practitioner_id),
        "care_on": STARTS.date().isoformat(),
        "patient_id": str(facts.patient_id),
        "pathway": "regular-doctor",
        "territory": "near",
    }
    preview = (await client.post("/previews", json=asked, headers=PATIENT)).json()
    facts.preview_id = UUID(preview["id"])
    mine, somebody_elses = facts, Facts(preview_id=facts.preview_id)

    await world.hear(mine.requested(), somebody_elses.requested())

    [(_, quote)] = await world.published(mine.appointment_id)
    [(_, other)] = await world.published(somebody_elses.appointment_id)
    assert preview["price"]["advance_cents"] == 750
    assert (quote["accepted_advance_cents"], other["accepted_advance_cents"]) == (750, None)


async def test_a_preview_explains_each_amount_in_both_languages(client) -> None:
    asked = {
        "practice": {
            "profession": "physician",
            "specialty": "01",
            "sector": "s1",
            "third_party_payment": "full",
            "fee_cents": 2500,
        },
        "care_on": STARTS.date().isoformat(),
        "coverage": COVERED | {"amc": NOT_CONTRACTED},
        "pathway": "regular-doctor",
    }

    answer = await client.post("/previews", json=asked, headers=PATIENT)

    assert answer.status_code == 201, answer.text
    price = answer.json()["price"]
    assert (price["amo_cents"], price["amc_cents"], price["advance_cents"]) == (1750, 750, 750)
    assert "A2" in [step["rule"] for step in price["trace"]]
    assert all(step["sentence_fr"] and step["sentence_en"] for step in price["trace"])
    assert price["warnings"] == []
    again = await client.get(f"/previews/{answer.json()['id']}", headers=PATIENT)
    assert again.json() == answer.json()


async def test_old_previews_are_forgotten_and_new_ones_kept(world, client) -> None:
    asked = {
        "practice": {
            "profession": "osteopath",
            "sector": "none",
            "third_party_payment": "none",
            "fee_cents": 6000,
        },
        "care_on": STARTS.date().isoformat(),
    }
    old = (await client.post("/previews", json=asked, headers=PATIENT)).json()
    world.clock.shift += timedelta(days=91)
    new = (await client.post("/previews", json=asked, headers=PATIENT)).json()

    removed = await keep_house(House(PURGES, ClaimsRetention()), world.sessions, now=world.clock.now())

    assert removed["preview"] == 1
    statuses = [
        (await client.get(f"/previews/{each['id']}", headers=PATIENT)).status_code for each in (old, new)
    ]
    assert statuses == [404, 200]


@pytest.mark.parametrize(
    ("care_on", "code"),
    [("2015-01-01", "no-tariff"), ("9999-12-31", "no-tariff"), ("0001-04-02", "invalid-input")],
)
async def test_a_refused_preview_names_the_field_and_the_rule(client, care_on, code) -> None:
    asked = {
        "practice": {
            "profession": "physician",
            "specialty": "05",
            "sector": "s2",
            "third_party_payment": "full",
            "fee_cents": 6000,
        },
        "care_on": care_on,
    }

    answer = await client.post("/previews", json=asked, headers=PATIENT)

    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:problem:{code}")


async def test_a_quote_gives_the_same_cents_when_asked_again(world, client, given_coverage) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await world.hear(facts.requested())

    url = f"/appointments/{facts.appointment_id}/quotes/1/recomputation"
    answer = (await client.get(url, headers=PATIENT)).json()

    assert (answer["same"], answer["same_tables"], answer["same_engine"]) == (True, True, True)
    assert answer["stored"] == answer["again"]


@pytest.mark.parametrize("revision", [-1, 0, 2, 2**31, -(2**63), 10**30])
async def test_a_revision_that_is_not_there_is_not_found(world, client, given_coverage, revision) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await world.hear(facts.requested())

    url = f"/appointments/{facts.appointment_id}/quotes/{revision}/recomputation"
    answer = await client.get(url, headers=PATIENT)

    assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem:quote-not-found")


async def test_a_quote_nobody_knows_yet_asks_to_come_again(client) -> None:
    answer = await client.get(f"/appointments/{uuid4()}/quote", headers=PATIENT)

    assert answer.status_code == 404
