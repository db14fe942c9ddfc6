"""Payers' rights services: asked outside of transactions, believed, and survived when they are down."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from claims.models import CareAct, Leg, RightsAnswer
from support.claims import (
    COMPLETED,
    CONTRACTED,
    NIR,
    NOT_CONTRACTED,
    PATIENT,
    PRACTITIONER,
    STARTS,
    SUPPORT,
    Facts,
    keyed,
)

COVERED = {"nir": NIR, "birth_date": "1985-05-14"}
OTHER_NIR = "255081416802538"


async def quotes_of(world, facts) -> list[tuple[int, int, str]]:
    published = await world.published(facts.appointment_id)
    return [
        (each["revision"], each["advance_cents"], each["sheet_mode"])
        for kind, each in published
        if kind == "quote-issued"
    ]


async def legs_of(client, facts) -> list[tuple[str, int, str]]:
    answer = await client.get(f"/appointments/{facts.appointment_id}/care-act", headers=PATIENT)
    assert answer.status_code == 200, answer.text
    return [(leg["payer_kind"], leg["amount_cents"], leg["state"]) for leg in answer.json()["legs"]]


async def read_coverage(client, facts) -> dict[str, Any]:
    answer = await client.get(f"/patients/{facts.patient_id}/coverage", headers=PATIENT)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def until_completed(world, facts) -> None:
    """The visit takes place: time passes, and rights are asked again before it."""
    world.clock.shift += STARTS - world.clock.now() - timedelta(hours=1)
    await world.work()
    world.clock.shift += COMPLETED - world.clock.now()
    await world.hear(facts.started(), facts.completed())


async def test_open_rights_are_kept_sealed_with_their_period_and_shown(
    verifying_world, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await verifying_world.hear(facts.requested())

    await verifying_world.work()

    shown = await read_coverage(client, facts)
    assert {(each["payer_kind"], each["status"]) for each in shown["rights"]} == {
        ("amo", "open"),
        ("amc", "open"),
    }
    assert all(each["valid_from"] and each["valid_to"] for each in shown["rights"])
    assert shown["warnings"] == []
    assert await quotes_of(verifying_world, facts) == [(1, 0, "TP")]
    async with verifying_world.sessions() as session:
        stored = (await session.scalars(select(RightsAnswer))).all()
    assert len(stored) == 2
    assert all(b"exemptions" not in each.encrypted for each in stored)


@pytest.mark.parametrize(
    ("exemptions", "asked", "advance"),
    [
        ([{"kind": "ald", "valid_from": "2020-01-01"}], {"exemption_related": True}, 0),
        ([{"kind": "css", "valid_from": "2020-01-01"}], {}, 0),
        ([{"kind": "maternity", "valid_from": "2030-01-01", "valid_to": "2030-12-31"}], {}, 0),
        ([], {}, 750),
    ],
    ids=["ALD", "CSS", "maternity", "none"],
)
async def test_exemptions_that_the_fund_returns_price_the_next_revision(
    verifying_world, payers, given_coverage, exemptions, asked, advance
) -> None:
    await payers.script_rights(service="amo", behaviour="open", exemptions=exemptions)
    facts = Facts(asked=asked)
    await given_coverage(facts, **COVERED)
    await verifying_world.hear(facts.requested())

    await verifying_world.work(rounds=2)

    quoted = await quotes_of(verifying_world, facts)
    assert quoted[0] == (1, 750, "TP+RECEIPT")
    assert quoted[-1][1] == advance
    assert len(quoted) == (2 if exemptions else 1)


@pytest.mark.parametrize("behaviour", ["unknown", "closed"])
async def test_a_number_the_fund_refuses_is_priced_as_no_number_before_the_visit(
    verifying_world, payers, client, given_coverage, behaviour
) -> None:
    await payers.script_rights(service="amo", behaviour=behaviour)
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await verifying_world.hear(facts.requested())

    await verifying_world.work(rounds=2)

    assert await quotes_of(verifying_world, facts) == [(1, 0, "TP"), (2, 2500, "PAPER")]
    quote = await client.get(f"/appointments/{facts.appointment_id}/quote", headers=PATIENT)
    assert "nir-failed" in quote.json()["price"]["warnings"]
    await until_completed(verifying_world, facts)
    priced = (await verifying_world.published(facts.appointment_id))[-1][1]
    assert (priced["advance_cents"], priced["sheet_mode"], priced["rights_pending"]) == (2500, "PAPER", False)


async def test_an_amc_whose_rights_are_closed_pays_nothing_any_more(
    verifying_world, payers, given_coverage
) -> None:
    await payers.script_rights(service="amc", behaviour="closed")
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await verifying_world.hear(facts.requested())

    await verifying_world.work(rounds=2)

    assert await quotes_of(verifying_world, facts) == [(1, 0, "TP"), (2, 750, "TP+RECEIPT")]


@pytest.mark.parametrize("behaviour", ["down", "slow"])
async def test_a_service_that_does_not_answer_leaves_the_declared_coverage_with_a_warning(
    verifying_world, payers, client, given_coverage, behaviour
) -> None:
    await payers.script_rights(behaviour=behaviour, delay_seconds=3)
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await verifying_world.work()

    shown = await read_coverage(client, facts)
    assert [each["status"] for each in shown["rights"]] == ["unavailable"]
    assert shown["warnings"] == ["rights-unverified"]
    await verifying_world.hear(facts.requested())
    assert await quotes_of(verifying_world, facts) == [(1, 750, "TP+RECEIPT")]
    quote = (await client.get(f"/appointments/{facts.appointment_id}/quote", headers=PATIENT)).json()
    assert "rights-unverified" in quote["price"]["warnings"]
    assert "warning/rights-unverified" in [each["code"] for each in quote["price"]["explanations"]]


async def test_a_claim_waits_for_a_service_that_is_down_and_leaves_when_it_is_back(
    verifying_world, payers, client, given_coverage
) -> None:
    await payers.script_rights(behaviour="down")
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await verifying_world.work()
    await verifying_world.hear(facts.requested())
    await until_completed(verifying_world, facts)

    assert await legs_of(client, facts) == [
        ("amo", 1750, "rights-pending"),
        ("amc", 750, "rights-pending"),
    ]
    priced = next(e for k, e in await verifying_world.published(facts.appointment_id) if k == "care-priced")
    assert (priced["rights_pending"], priced["advance_cents"]) == (True, 0)

    await payers.script_rights(behaviour="open")
    verifying_world.clock.shift += timedelta(minutes=11)
    await verifying_world.work(rounds=8)

    assert await legs_of(client, facts) == [("amo", 1750, "paid"), ("amc", 750, "paid")]
    async with verifying_world.sessions() as session:
        assert (await session.scalars(select(CareAct.rights_pending))).all() == [False]


async def test_a_service_that_stays_silent_until_the_deadline_gets_a_degraded_claim_in_time(
    verifying_world, payers, client, given_coverage
) -> None:
    await payers.script_rights(behaviour="down")
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await verifying_world.work()
    await verifying_world.hear(facts.requested())
    await until_completed(verifying_world, facts)
    async with verifying_world.sessions() as session:
        send_by = (await session.scalars(select(Leg.send_by))).one()

    verifying_world.clock.shift += send_by - timedelta(hours=12) - verifying_world.clock.now()
    await verifying_world.work(rounds=6)

    assert await legs_of(client, facts) == [("amo", 1750, "paid")]
    facts_told = await client.get(f"/appointments/{facts.appointment_id}/history?limit=100", headers=PATIENT)
    assert "claims.leg-sent-degraded" in [each["fact"] for each in facts_told.json()["items"]]


async def given_failing_at_the_visit(
    world, payers, given_coverage, *, amc: dict[str, str] = CONTRACTED, **completed: Any
) -> tuple[Facts, str]:
    """Priced with an AMC, and at the visit the fund does not know the number."""
    facts = Facts()
    given = await given_coverage(facts, **COVERED, amc=amc)
    await world.work()
    await world.hear(facts.requested(), facts.started())
    await payers.script_rights(service="amo", behaviour="unknown")
    world.clock.shift += STARTS - timedelta(minutes=5) - world.clock.now()
    await world.work()
    world.clock.shift += COMPLETED - world.clock.now()
    await world.hear(facts.completed(**completed))
    return facts, given.headers["ETag"]


async def test_a_lookup_that_fails_at_the_visit_parks_the_claim_and_charges_nothing(
    verifying_world, payers, client, given_coverage
) -> None:
    facts, etag = await given_failing_at_the_visit(verifying_world, payers, given_coverage)

    care_act = (await client.get(f"/appointments/{facts.appointment_id}/care-act", headers=PATIENT)).json()
    assert await legs_of(client, facts) == [
        ("amo", 1750, "rights-pending"),
        ("amc", 750, "rights-pending"),
    ]
    assert (care_act["rights_pending"], care_act["price"]["advance_cents"]) == (True, 0)
    assert care_act["balances"] == []

    await payers.script_rights(behaviour="open")
    await given_coverage(facts, etag=etag, nir=OTHER_NIR, birth_date="1985-05-14", amc=CONTRACTED)
    await verifying_world.work(rounds=8)

    assert await legs_of(client, facts) == [("amo", 1750, "paid"), ("amc", 750, "paid")]


async def test_the_fund_is_billed_when_only_the_rights_of_the_amc_prove_closed(
    verifying_world, payers, client, given_coverage
) -> None:
    facts, etag = await given_failing_at_the_visit(verifying_world, payers, given_coverage)
    await payers.script_rights(service="amc", behaviour="closed")

    await given_coverage(facts, etag=etag, nir=OTHER_NIR, birth_date="1985-05-14", amc=CONTRACTED)
    await verifying_world.work(rounds=8)

    assert await legs_of(client, facts) == [("amo", 1750, "paid"), ("amc", 750, "rights-pending")]
    verifying_world.clock.shift += timedelta(days=15)
    await verifying_world.work(rounds=4)
    assert await legs_of(client, facts) == [("amo", 1750, "paid"), ("amc", 750, "fallback-patient")]


@pytest.mark.parametrize(
    ("stated", "exemptions", "claimed", "legs"),
    [
        # both benefits are asked of the fund: nothing is left for the complementary insurer
        (
            {},
            [{"kind": "css", "valid_from": "2029-01-01"}],
            (1750, 750),
            [("amo", 2500, "paid"), ("amc", 750, "abandoned")],
        ),
        ({"scheme": "alsace-moselle"}, None, (2250, 250), [("amo", 2250, "paid"), ("amc", 250, "paid")]),
    ],
)
async def test_care_whose_claims_wait_is_priced_again_with_the_rights_that_prove_open(
    verifying_world, payers, client, given_coverage, stated, exemptions, claimed, legs
) -> None:
    facts, etag = await given_failing_at_the_visit(verifying_world, payers, given_coverage)
    await payers.script_rights(service="amo", behaviour="open", exemptions=exemptions)

    await given_coverage(facts, etag=etag, nir=OTHER_NIR, birth_date="1985-05-14", amc=CONTRACTED, **stated)
    await verifying_world.work(rounds=8)

    assert await legs_of(client, facts) == legs
    url = f"/appointments/{facts.appointment_id}"
    care_act = (await client.get(f"{url}/care-act", headers=PATIENT)).json()
    price = care_act["price"]
    assert (price["amo_claim_cents"], price["amc_claim_cents"], price["advance_cents"]) == (*claimed, 0)
    assert (care_act["revision"], care_act["rights_pending"], care_act["balances"]) == (3, False, [])
    story = (await client.get(f"{url}/story", headers=SUPPORT)).json()["items"]
    assert ("care-act", "priced", "rights-proven") in {
        (each["about"], each["state"], each["reason"]) for each in story
    }
    published = await verifying_world.published(facts.appointment_id)
    assert [each["revision"] for kind, each in published if kind == "care-priced"] == [2, 3]


async def test_rights_proven_later_price_the_care_as_the_practitioner_told_it(
    verifying_world, payers, client, given_coverage
) -> None:
    """The patient did not say at the booking that the visit is for the long-term illness; the doctor did."""
    facts, etag = await given_failing_at_the_visit(
        verifying_world, payers, given_coverage, exemption_related=True
    )
    ald = [{"kind": "ald", "valid_from": "2020-01-01"}]
    await payers.script_rights(service="amo", behaviour="open", exemptions=ald)

    await given_coverage(facts, etag=etag, nir=OTHER_NIR, birth_date="1985-05-14", amc=CONTRACTED)
    await verifying_world.work(rounds=8)

    assert await legs_of(client, facts) == [("amo", 2500, "paid"), ("amc", 750, "abandoned")]


@pytest.mark.parametrize(
    ("before", "after", "stated", "advance"),
    [
        (NOT_CONTRACTED, NOT_CONTRACTED, {"scheme": "alsace-moselle"}, 250),  # 7.50 was captured
        (CONTRACTED, NOT_CONTRACTED, {"scheme": "alsace-moselle"}, 250),  # nothing was
    ],
    ids=["less is due", "more is due"],
)
async def test_rights_that_change_the_advance_move_no_money_and_are_left_to_support(
    verifying_world, payers, client, given_coverage, before, after, stated, advance
) -> None:
    facts, etag = await given_failing_at_the_visit(verifying_world, payers, given_coverage, amc=before)
    awaiting_rights = [each[:2] for each in await legs_of(client, facts)]
    told = await verifying_world.published(facts.appointment_id)
    await payers.script_rights(behaviour="open")

    await given_coverage(facts, etag=etag, nir=OTHER_NIR, birth_date="1985-05-14", amc=after, **stated)
    await verifying_world.work(rounds=8)
    verifying_world.clock.shift += timedelta(days=15)
    await verifying_world.work(rounds=4)

    url = f"/appointments/{facts.appointment_id}"
    assert await legs_of(client, facts) == [(*each, "rights-pending") for each in awaiting_rights]
    assert await verifying_world.published(facts.appointment_id) == told
    story = (await client.get(f"{url}/story", headers=SUPPORT)).json()["items"]
    seen = [
        (each["about"], each["payer_kind"], each["state"], each["amount_cents"])
        for each in story
        if each["reason"] == "price-with-rights-differs"
    ]
    assert seen[0] == ("care-act", None, "not-priced-again", advance)
    assert set(seen[1:]) == {("leg", payer, "rights-pending", cents) for payer, cents in awaiting_rights}
    ageing = (await client.get("/ageing", headers=SUPPORT)).json()["items"]
    assert {each["payer"]: each["owed_cents"] for each in ageing}["amo:general"] == 1750
    care_act = (await client.get(f"{url}/care-act", headers=PATIENT)).json()
    assert (care_act["rights_pending"], care_act["balances"]) == (True, [])

    for leg in care_act["legs"]:
        given_up = f"{url}/legs/{leg['id']}/write-off"
        answer = await client.post(given_up, json={"reason": "refunded"}, headers=keyed(PRACTITIONER))
        assert (answer.status_code, answer.json()["state"]) == (200, "abandoned"), answer.text
    assert (await client.get(f"{url}/care-act", headers=PATIENT)).json()["rights_pending"] is False


async def test_rights_that_are_never_proven_become_receivables_and_no_charge(
    verifying_world, payers, client, given_coverage
) -> None:
    facts, _ = await given_failing_at_the_visit(verifying_world, payers, given_coverage)

    verifying_world.clock.shift += timedelta(days=15)
    await verifying_world.work(rounds=4)

    assert await legs_of(client, facts) == [
        ("amo", 1750, "fallback-patient"),
        ("amc", 750, "fallback-patient"),
    ]
    care_act = (await client.get(f"/appointments/{facts.appointment_id}/care-act", headers=PATIENT)).json()
    balances = sorted(care_act["balances"], key=lambda each: -each["amount_cents"])
    assert [
        (each["reason"], each["payer_kind"], each["amount_cents"], each["collect"], each["state"])
        for each in balances
    ] == [
        ("rights-never-proven", "amo", 1750, False, "open"),
        ("rights-never-proven", "amc", 750, False, "open"),
    ]
    balance = balances[1]["id"]
    url = f"/appointments/{facts.appointment_id}/balances/{balance}/write-off"
    written = await client.post(url, json={"reason": "goodwill"}, headers=keyed(PRACTITIONER))
    again = await client.post(url, json={"reason": "goodwill"}, headers=keyed(PRACTITIONER))
    assert (written.status_code, written.json()["settled_by"]) == (200, "write-off"), written.text
    assert (again.status_code, again.json()["type"]) == (409, "urn:problem:balance-not-open")
    assert (await legs_of(client, facts))[1] == ("amc", 750, "written-off")


async def test_an_answer_after_the_visit_never_changes_its_price(
    verifying_world, payers, given_coverage
) -> None:
    """What was known when the consultation ended prices it, however late that is processed."""
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await verifying_world.work()
    await verifying_world.hear(facts.requested())
    css = [{"kind": "css", "valid_from": "2020-01-01"}]
    verifying_world.clock.shift += COMPLETED - verifying_world.clock.now() + timedelta(minutes=1)
    await payers.script_rights(service="amo", behaviour="open", exemptions=css)
    await verifying_world.work(rounds=1)
    await verifying_world.hear(facts.started(), facts.completed())

    priced = next(e for k, e in await verifying_world.published(facts.appointment_id) if k == "care-priced")
    assert priced["advance_cents"] == 750
