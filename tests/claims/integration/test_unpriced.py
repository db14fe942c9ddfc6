"""Care that no rule gives a price: kept with the reason, seen, and priced once something is corrected."""

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from claims.consumers import routes_of
from claims.domain.tables import Tables, load_tables
from claims.models import Balance, UnpricedCare
from claims.tasks import Resources
from claims.usecases import unpriced
from common.messaging.records import APPLIED, waiting
from support.claims import NIR, PATIENT, PRACTITIONER, STRANGER, SUPPORT, Facts, keyed

COVERED = {"nir": NIR, "birth_date": "1985-05-14"}


async def given_unpriced(world, given_coverage, **completed: Any) -> Facts:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    outcomes = await world.hear(facts.requested(), facts.started(), facts.completed(**completed))
    assert outcomes == [APPLIED] * 3
    return facts


async def test_care_without_a_price_is_kept_with_the_refusal_and_is_no_dead_letter(
    world, client, given_coverage
) -> None:
    facts = await given_unpriced(world, given_coverage, acts=("XYZ",))

    assert [kind for kind, _ in await world.published(facts.appointment_id)] == ["quote-issued"]
    url = f"/appointments/{facts.appointment_id}/unpriced-care"
    for reader in (PRACTITIONER, SUPPORT):
        answer = await client.get(url, headers=reader)
        assert answer.status_code == 200, answer.text
        refusal = answer.json()["refusal"]
        assert (refusal["code"], refusal["field"]) == ("no-tariff", "acts")
        assert refusal["rule"]
        listed = await client.get("/unpriced-care", headers=reader)
        assert [each["appointment_id"] for each in listed.json()["items"]] == [str(facts.appointment_id)]
    assert (await client.get(url, headers=PATIENT)).status_code == 403
    assert (await client.get("/unpriced-care", headers=STRANGER)).status_code == 403


async def test_a_corrected_coding_prices_the_care_and_opens_its_claims(world, client, given_coverage) -> None:
    facts = await given_unpriced(world, given_coverage, acts=("XYZ",))
    url = f"/appointments/{facts.appointment_id}/unpriced-care/coding"
    headers = keyed(PRACTITIONER, "coded-anew")

    worse = await client.post(url, json={"acts": ["ZZZ"]}, headers=keyed(PRACTITIONER))
    dearer = await client.post(url, json={"acts": [], "fee_cents": 2600}, headers=keyed(PRACTITIONER))
    by_patient = await client.post(url, json={"acts": ["TCG"]}, headers=keyed(PATIENT))
    priced = await client.post(url, json={"acts": ["TCG"]}, headers=headers)
    replayed = await client.post(url, json={"acts": ["TCG"]}, headers=headers)

    assert (worse.status_code, worse.json()["type"]) == (422, "urn:problem:no-tariff")
    assert worse.json()["errors"][0]["pointer"] == "/body/acts"
    assert (dearer.status_code, dearer.json()["type"]) == (422, "urn:problem:fee-above-agreed")
    assert by_patient.status_code == 403
    assert (priced.status_code, replayed.json()) == (200, priced.json()), priced.text
    kinds = [kind for kind, _ in await world.published(facts.appointment_id)]
    assert kinds == ["quote-issued", "care-priced", "leg-opened"]
    assert (await client.get("/unpriced-care", headers=SUPPORT)).json()["items"] == []
    gone = await client.get(f"/appointments/{facts.appointment_id}/unpriced-care", headers=SUPPORT)
    assert (gone.status_code, gone.json()["type"]) == (404, "urn:problem:unpriced-care-not-found")


async def test_a_fee_above_the_tariff_is_mended_by_its_qualifier(world, client, given_coverage) -> None:
    facts = await given_unpriced(world, given_coverage, fee_cents=4000)
    url = f"/appointments/{facts.appointment_id}/unpriced-care/coding"

    answer = await client.post(url, json={"acts": [], "overrun_qualifier": "DE"}, headers=keyed(PRACTITIONER))

    assert answer.status_code == 200, answer.text
    priced = (await world.published(facts.appointment_id))[1][1]
    assert (priced["fee_cents"], priced["advance_cents"]) == (4000, 1500 + 750)


async def test_corrected_tables_price_what_the_old_ones_refused(world, given_coverage, tmp_path) -> None:
    facts = await given_unpriced(world, given_coverage, acts=("TCZ",))
    await unpriced.plan_after_new_tables(world.sessions, world.config, now=world.clock.now())
    assert not [each for each in await world.work() if each.kind == "price-unpriced"]

    world.config = replace(world.config, tables=_tables_with_act("TCZ", tmp_path))
    world.routes, world.resources = routes_of(world.config), Resources(world.config, None)
    await unpriced.plan_after_new_tables(world.sessions, world.config, now=world.clock.now())
    await world.work()

    kinds = [kind for kind, _ in await world.published(facts.appointment_id)]
    assert kinds == ["quote-issued", "care-priced", "leg-opened"]


def _tables_with_act(code: str, directory: Path) -> Tables:
    """A copy of the tables where the act stands beside the one that it resembles."""
    source = resources.files("claims") / "data"
    for each in source.iterdir():
        text = each.read_text("utf-8")
        if each.name in {"acts.csv", "tariffs.csv"}:
            added = [line.replace("TCG", code) for line in text.splitlines() if line.startswith("TCG,")]
            text = text.rstrip("\n") + "\n" + "\n".join(added) + "\n"
        (directory / each.name).write_text(text, "utf-8")
    return load_tables(directory)


async def test_a_shortfall_that_came_before_the_price_is_found_by_it(world, client, given_coverage) -> None:
    facts = await given_unpriced(world, given_coverage, acts=("XYZ",))
    [outcome] = await world.hear(facts.short(750))
    assert outcome == waiting("consultation-completed")

    url = f"/appointments/{facts.appointment_id}/unpriced-care/coding"
    await client.post(url, json={"acts": ["TCG"]}, headers=keyed(PRACTITIONER))

    async with world.sessions() as session:
        [balance] = await session.scalars(select(Balance))
        assert (balance.amount_cents, balance.reason) == (750, "captured-less-than-due")
        assert (await session.scalars(select(UnpricedCare))).all() == []


@pytest.mark.parametrize("end", ["cancelled", "not_billed", "patient_absent"])
async def test_care_that_waits_for_its_price_is_not_ended_by_a_late_fact(world, given_coverage, end) -> None:
    facts = await given_unpriced(world, given_coverage, acts=("XYZ",))

    [outcome] = await world.hear(getattr(facts, end)(sequence=9))

    assert (outcome.ending.value, outcome.code) == ("ignored", "care-performed")


async def test_support_asks_for_a_price_again_and_is_told_why_there_is_none(
    world, client, given_coverage, tmp_path
) -> None:
    facts = await given_unpriced(world, given_coverage, acts=("TCZ",))
    url = f"/appointments/{facts.appointment_id}/unpriced-care/pricing"

    refused = await client.post(url, headers=keyed(SUPPORT))
    object.__setattr__(world.config, "tables", _tables_with_act("TCZ", tmp_path))
    priced = await client.post(url, headers=keyed(SUPPORT))

    assert (refused.status_code, refused.json()["type"]) == (422, "urn:problem:no-tariff")
    assert (priced.status_code, priced.json()["state"]) == (200, "priced"), priced.text
