"""Who pays what at the request of an appointment, and how a change of the coverage changes it."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from claims import store
from claims.domain.ages import AGE_GROUPS
from claims.domain.situation import age_on
from claims.models import AppointmentRoot, Practitioner
from claims.settings import ClaimsRetention
from claims.store import PURGES
from claims.usecases import pricing
from common.events.booking import PractitionerWithdrawnV1
from common.messaging.housekeeping import House, keep_house
from common.messaging.records import APPLIED, Outcome, ignored
from support.claims import CONTRACTED, NIR, NOT_CONTRACTED, PATIENT, PRACTICE, PSYCHOLOGIST, STARTS, Facts
from support.records import record

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


def ages(group: str, *flags: str) -> dict[str, Any]:
    return {
        "under_16": "under 16" in flags,
        "minor_on_1_january": "minor" in flags,
        "age_group": group,
    }


@pytest.mark.parametrize(
    ("before", "since", "pathway", "amounts"),
    [
        pytest.param(
            ages("6-to-15", "under 16", "minor"),
            ages("16-to-25", "minor"),
            "none",
            [(750, 0, "TP+RECEIPT"), (2500, 0, "INVOICE")],  # out of the pathway from 16 on
            id="sixteen",
        ),
        pytest.param(
            ages("16-to-25", "minor"),
            ages("16-to-25"),
            "regular-doctor",
            [(750, 0, "TP+RECEIPT"), (750, 200, "TP+RECEIPT")],  # the flat contribution
            id="eighteen on 1 January",
        ),
        pytest.param(
            ages("3-to-5", "under 16", "minor"),
            ages("6-to-15", "under 16", "minor"),
            "regular-doctor",
            [(900, 0, "TP+RECEIPT"), (750, 0, "TP+RECEIPT")],  # the supplement for a child under 6
            id="six",
        ),
        pytest.param(
            ages("26-to-79"),
            ages("80-or-more"),
            "regular-doctor",
            [(750, 200, "TP+RECEIPT"), (750, 200, "TP+RECEIPT")],
            id="eighty",
        ),
        pytest.param(
            ages("26-to-79"),
            ages("80-or-more"),
            "referred",
            [(750, 200, "TP+RECEIPT"), (900, 200, "TP+RECEIPT")],  # by another than the regular doctor
            id="eighty and referred",
        ),
    ],
)
async def test_a_move_is_quoted_at_the_age_of_the_new_day(
    world, given_coverage, before, since, pathway, amounts
) -> None:
    facts = Facts(asked=before | {"pathway": pathway})
    await given_coverage(facts, nir=NIR)

    await world.hear(facts.requested(), facts.moved(to=STARTS + timedelta(days=8), **since))

    published = [quote for _, quote in await world.published(facts.appointment_id)]
    names = ("advance_cents", "deferred_deductions_cents", "sheet_mode")
    assert [tuple(quote[name] for name in names) for quote in published] == amounts
    async with world.sessions() as session:
        root = await session.get_one(AppointmentRoot, facts.appointment_id)
        quotes = await store.list_quotes(session, facts.appointment_id)
        asked = [
            await pricing.inputs_again(session, world.config, each, owner=facts.patient_id, kept=False)
            for each in quotes
        ]
    assert {name: root.request[name] for name in since} == since
    for inputs, told in zip(asked, (before, since), strict=True):
        first, last = AGE_GROUPS[told["age_group"]]
        assert first <= age_on(inputs.born_on, inputs.care_on) <= (last or 120)


async def test_a_move_that_says_nothing_of_the_ages_leaves_them(world, given_coverage) -> None:
    """As booking moved appointments before."""
    facts = Facts(asked=ages("3-to-5", "under 16", "minor") | {"pathway": "none"})
    await given_coverage(facts, nir=NIR)

    await world.hear(facts.requested(), facts.moved(to=STARTS + timedelta(days=8)))

    quotes = [quote for _, quote in await world.published(facts.appointment_id)]
    assert [each["advance_cents"] for each in quotes] == [900, 900]
    async with world.sessions() as session:
        root = await session.get_one(AppointmentRoot, facts.appointment_id)
    assert root.request["age_group"] == "3-to-5"


async def test_what_nobody_was_asked_is_not_kept_of_a_request(world) -> None:
    """So the release before, which knows no such answers, reads the requests of older events too."""
    facts = Facts()

    await world.hear(facts.requested())

    async with world.sessions() as session:
        root = await session.get_one(AppointmentRoot, facts.appointment_id)
    assert not {"age_group", "seen_in_person", "overrun_qualifier"} & root.request.keys()


@pytest.mark.parametrize("qualifier", ["DE", "DP"])
async def test_a_fee_above_the_tariff_of_sector_1_is_quoted_with_its_qualifier(
    world, given_coverage, qualifier
) -> None:
    facts = Facts(asked={"fee_cents": 4000})
    await given_coverage(facts, **COVERED)

    await world.hear(facts.requested(overrun_qualifier=qualifier))

    [(kind, quote)] = await world.published(facts.appointment_id)
    assert (kind, quote["base_cents"], quote["advance_cents"]) == ("quote-issued", 2500, 1500 + 750)


async def test_a_patient_not_seen_in_person_is_warned_and_pays_the_same(
    world, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)

    await world.hear(facts.requested(seen_in_person=False))

    answer = await client.get(f"/appointments/{facts.appointment_id}/quote", headers=PATIENT)
    price = answer.json()["price"]
    assert (price["advance_cents"], "alternation" in price["warnings"]) == (750, True)


MATERNITY = {"kind": "maternity", "from": "2030-09-01", "to": "2031-01-31"}
OVER = {"kind": "maternity", "from": "2029-09-01", "to": "2030-02-28"}


@pytest.mark.parametrize(
    ("exemption", "amo", "advance", "told"),
    [(MATERNITY, 2500, 0, True), (OVER, 1750, 750, False)],
    ids=["still to come", "over"],
)
async def test_an_act_of_the_maternity_list_is_asked_for_without_naming_a_pregnancy(
    world, client, given_coverage, exemption, amo, advance, told
) -> None:
    facts = Facts(asked={"exemption_related": True})
    await given_coverage(facts, **COVERED, exemptions=[exemption])

    await world.hear(facts.requested())

    [(_, quote)] = await world.published(facts.appointment_id)
    assert (quote["amo_cents"], quote["advance_cents"]) == (amo, advance)
    answer = await client.get(f"/appointments/{facts.appointment_id}/quote", headers=PATIENT)
    assert ("unconfirmed-rule" in answer.json()["price"]["warnings"]) is told


async def test_a_stated_exemption_from_the_contribution_gives_the_next_revision(
    world, given_coverage
) -> None:
    facts = Facts()
    given = await given_coverage(facts, **COVERED)
    await world.hear(facts.requested())

    await given_coverage(facts, etag=given.headers["ETag"], **COVERED, contribution_exempt=True)
    await world.work()

    quotes = [quote for _, quote in await world.published(facts.appointment_id)]
    assert [each["deferred_deductions_cents"] for each in quotes] == [200, 0]


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
    ("told", "advance"),
    [
        ({"practice": PRACTICE | {"fee_cents": 4000, "permanent_overrun": True}}, 1500 + 750),
        ({"practice": PRACTICE | {"fee_cents": 4000}, "special_demand": True}, 1500 + 750),
        ({"practice": PRACTICE | {"fee_cents": 4000}}, None),
    ],
)
async def test_a_preview_above_the_tariff_needs_a_right_or_a_demand(client, told, advance) -> None:
    asked = {"care_on": STARTS.date().isoformat(), "coverage": COVERED, "pathway": "regular-doctor"}

    answer = await client.post("/previews", json=asked | told, headers=PATIENT)

    if advance is None:
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:overrun-forbidden")
        assert [each["pointer"] for each in answer.json()["errors"]] == ["/body/practice/fee_cents"]
    else:
        assert answer.json()["price"]["advance_cents"] == advance


@pytest.mark.parametrize("permanent", [True, False])
async def test_a_preview_by_practitioner_knows_their_permanent_right(client, linked, permanent) -> None:
    facts = Facts()
    await linked(facts, fee_cents=4000, permanent_overrun=permanent)
    asked = {
        "practitioner_id": str(facts.practitioner_id),
        "care_on": STARTS.date().isoformat(),
        "coverage": COVERED,
        "pathway": "regular-doctor",
    }

    answer = await client.post("/previews", json=asked, headers=PATIENT)
    demanded = await client.post("/previews", json=asked | {"special_demand": True}, headers=PATIENT)

    assert answer.status_code == (201 if permanent else 422)
    assert demanded.json()["price"]["advance_cents"] == 1500 + 750


async def test_a_withdrawn_practitioner_keeps_the_permanent_right_in_the_books(world, linked) -> None:
    facts = Facts()
    await linked(facts, permanent_overrun=True)

    withdrawn = PractitionerWithdrawnV1(practitioner_id=facts.practitioner_id)
    await world.hear(record(withdrawn, sequence=2))

    async with world.sessions() as session:
        row = await session.get_one(Practitioner, facts.practitioner_id)
    assert (row.withdrawn, row.permanent_overrun) == (True, True)


@pytest.mark.parametrize(
    ("told", "code", "pointer"),
    [
        (
            {"age_group": "under-3", "under_16": False},
            "age-group-contradicted",
            "/body/under_16",
        ),
        (
            {"age_group": "26-to-79", "minor_on_1_january": True},
            "age-group-contradicted",
            "/body/minor_on_1_january",
        ),
        ({"age_group": "3-to-6"}, "invalid-request", "/body/age_group"),
        ({"seen_in_person": "no"}, "invalid-request", "/body/seen_in_person"),
        (
            {"practice": PRACTICE | {"sector": "optam", "permanent_overrun": True}},
            "permanent-overrun-not-possible",
            "/body/practice/permanent_overrun",
        ),
    ],
)
async def test_a_preview_that_contradicts_itself_names_the_field(client, told, code, pointer) -> None:
    asked = {"practice": PRACTICE, "care_on": STARTS.date().isoformat()}

    answer = await client.post("/previews", json=asked | told, headers=PATIENT)

    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:problem:{code}")
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("told", "contribution"),
    [
        ({"age_group": "3-to-5"}, 0),  # and the flags that follow from it may be left out
        ({"age_group": "16-to-25", "under_16": False, "minor_on_1_january": True}, 0),
        ({"age_group": "16-to-25"}, 200),
        ({"age_group": "80-or-more", "coverage": {"nir": NIR, "birth_date": "2013-05-14"}}, 0),
    ],
)
async def test_a_preview_takes_an_age_group_where_no_birth_date_is_known(client, told, contribution) -> None:
    asked = {
        "practice": PRACTICE,
        "care_on": STARTS.date().isoformat(),
        "coverage": {"nir": NIR},
        "pathway": "regular-doctor",
    }

    answer = await client.post("/previews", json=asked | told, headers=PATIENT)

    assert answer.json()["price"]["flat_contribution_cents"] == contribution


async def test_a_preview_of_before_warns_whom_nobody_saw_in_person(client) -> None:
    asked = {
        "practice": PRACTICE,
        "care_on": "2019-06-03",
        "coverage": COVERED,
        "pathway": "regular-doctor",
        "seen_in_person": False,
    }

    price = (await client.post("/previews", json=asked, headers=PATIENT)).json()["price"]

    assert (price["reimbursable"], price["advance_cents"], price["sheet_mode"]) == (False, 2500, "INVOICE")
    assert ("E4", "known-patient") in [(step["rule"], step["reason"]) for step in price["trace"]]


@pytest.mark.parametrize(
    ("care_on", "code"),
    [
        ("2015-01-01", "no-tariff"),
        ("1800-01-01", "no-tariff"),
        ("9999-12-31", "invalid-request"),
        ("0001-04-02", "invalid-request"),
    ],
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


PREVIEWED = {
    "practice": PRACTICE,
    "coverage": {"nir": NIR, "birth_date": "1985-05-14"},
    "pathway": "referred",
    "territory": "near",
}


@pytest.mark.parametrize(
    ("changes", "codes", "advance"),
    [
        ({"care_on": "2030-06-04"}, ["TCG"], 750),
        ({"care_on": "2030-06-09"}, ["TCG", "MHP"], 900),  # a Sunday
        ({"starts_at": "2030-06-04T19:00:00Z"}, ["TCG", "MHP"], 900),  # 21:00 in Paris
        ({"care_on": "2030-06-04", "starts_at": "2030-06-04T10:00:00+02:00"}, ["TCG"], 750),
        (
            {"care_on": "2030-06-04", "coverage": {"nir": NIR, "birth_date": "1945-05-14"}},
            ["TCG", "MOP"],
            900,
        ),
        ({"care_on": "2030-06-09", "acts": ["TCG"]}, ["TCG"], 750),
        (
            {"care_on": "2030-06-04", "acts": ["TCG", "MHP"], "practice": PRACTICE | {"fee_cents": 3000}},
            ["TCG", "MHP"],
            900,
        ),
    ],
)
async def test_a_preview_has_the_supplements_that_the_visit_will_have(
    client, changes, codes, advance
) -> None:
    answer = await client.post("/previews", json=PREVIEWED | changes, headers=PATIENT)

    assert answer.status_code == 201, answer.text
    price = answer.json()["price"]
    assert [each["code"] for each in price["lines"]] == codes
    assert price["advance_cents"] == advance


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({}, "/body/care_on", "one-of-two"),
        (
            {"care_on": "2030-06-05", "starts_at": "2030-06-04T10:00:00Z"},
            "/body/care_on",
            "care-date-contradicted",
        ),
        ({"starts_at": "0001-01-01T00:00:00+14:00"}, "/body/starts_at", None),
        ({"starts_at": "9999-12-31T23:59:59-12:00"}, "/body/starts_at", None),
        ({"care_on": "2030-06-04", "acts": ["TCG", "TCG"]}, "/body/acts", "an-act-stands-once"),
        ({"care_on": "2030-06-04", "acts": ["MOP"]}, "/body/acts", None),
    ],
)
async def test_a_preview_says_which_field_stands_in_its_way(client, changes, pointer, code) -> None:
    answer = await client.post("/previews", json=PREVIEWED | changes, headers=PATIENT)

    assert answer.status_code == 422, answer.text
    [wrong] = answer.json()["errors"]
    assert wrong["pointer"] == pointer
    assert code is None or wrong["code"] == code


async def test_the_hour_of_a_preview_is_that_of_the_practitioner(client, world) -> None:
    practitioner_id = uuid4()
    async with world.sessions.begin() as session:
        session.add(
            Practitioner(
                id=practitioner_id,
                sequence=1,
                withdrawn=False,
                profession="physician",
                specialty="01",
                sector="s1",
                zone="metropole",
                agreed_company=False,
                third_party_payment="full",
                fee_cents=2500,
                time_zone="Indian/Reunion",
            )
        )
    asked = {name: value for name, value in PREVIEWED.items() if name != "practice"}
    asked |= {"practitioner_id": str(practitioner_id), "starts_at": "2030-06-04T17:00:00Z"}  # 21:00 there

    answer = await client.post("/previews", json=asked, headers=PATIENT)

    assert answer.status_code == 201, answer.text
    assert [each["code"] for each in answer.json()["price"]["lines"]] == ["TCG", "MHP"]
