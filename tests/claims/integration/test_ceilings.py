"""Ceilings of the year and the day, caps of sponsors, sessions of the year: never exceeded, in any order."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from claims.consumers import routes_of
from claims.domain.policy import Policy
from support.claims import ADMINISTRATOR, COMPLETED, NIR, PATIENT, PRACTICE, SUPPORT, Facts, keyed

COVERED = {"nir": NIR, "birth_date": "1985-05-14"}
PSYCHOLOGIST = {"profession": "psychologist", "specialty": "00", "fee_cents": 5000}


def care_of_one_patient(count: int, *, one_practitioner: bool = False, **asked: Any) -> list[Facts]:
    first = Facts(asked=asked)
    practitioners = [first.practitioner_id if one_practitioner else uuid4() for _ in range(count)]
    return [Facts(patient_id=first.patient_id, practitioner_id=each, asked=asked) for each in practitioners]


async def price_of(client, facts: Facts) -> dict[str, Any]:
    answer = await client.get(f"/appointments/{facts.appointment_id}/care-act", headers=SUPPORT)
    assert answer.status_code == 200, answer.text
    return answer.json()["price"]


async def perform(world, care: list[Facts]) -> None:
    """Each is heard of in the order of the list; they were done one minute apart, the first one first."""
    for number, facts in enumerate(care):
        await world.hear(
            facts.requested(), facts.completed(completed_at=COMPLETED + timedelta(minutes=number))
        )


async def given_offer(client, **offer: Any) -> str:
    body = {"name": "School", "kind": "COPAYMENT", "valid_from": "2030-01-01"} | offer
    answer = await client.post("/sponsor-offers", json=body, headers=keyed(ADMINISTRATOR))
    assert answer.status_code == 201, answer.text
    return answer.json()["code"]


async def test_four_contributions_a_day_are_taken_with_one_practitioner(
    world, client, given_coverage
) -> None:
    care = care_of_one_patient(6, one_practitioner=True)
    await given_coverage(care[0], **COVERED)

    await perform(world, care)

    taken = [(await price_of(client, each))["flat_contribution_cents"] for each in care]
    assert taken == [200, 200, 200, 200, 0, 0]


async def test_contributions_of_a_year_end_at_its_ceiling(world, client, given_coverage) -> None:
    care = care_of_one_patient(26)
    await given_coverage(care[0], **COVERED)

    await perform(world, care)

    taken = [(await price_of(client, each))["flat_contribution_cents"] for each in care]
    assert taken == [200] * 25 + [0]  # 50 euros


async def test_a_sponsor_pays_a_person_no_more_than_its_monthly_cap(world, client, given_coverage) -> None:
    care = care_of_one_patient(3)
    code = await given_offer(client, monthly_cap_cents=1000)
    await given_coverage(care[0], **COVERED, sponsor_code=code)

    await perform(world, care)

    prices = [await price_of(client, each) for each in care]
    assert [(each["sponsor_cents"], each["advance_cents"]) for each in prices] == [
        (750, 0),
        (250, 500),
        (0, 750),
    ]


async def test_a_visit_that_was_done_later_and_heard_of_first_uses_the_cap_once(
    world, client, given_coverage
) -> None:
    first, second = care_of_one_patient(2, one_practitioner=True)
    code = await given_offer(client, monthly_cap_cents=1000)
    await given_coverage(first, **COVERED, sponsor_code=code)

    await world.hear(second.requested(), second.completed(completed_at=COMPLETED + timedelta(minutes=1)))
    await world.hear(first.requested(), first.completed(completed_at=COMPLETED))

    prices = [await price_of(client, each) for each in (second, first)]
    assert [each["sponsor_cents"] for each in prices] == [750, 250]


@pytest.mark.parametrize(
    ("specialties", "paid"), [(None, 750), (["gp"], 750), (["dermatologist", "psychologist"], 0)]
)
async def test_a_sponsor_pays_for_the_specialties_of_its_offer(
    world, client, given_coverage, specialties, paid
) -> None:
    facts = Facts()
    code = await given_offer(client, covered_specialties=specialties)
    await given_coverage(facts, **COVERED, sponsor_code=code)

    await perform(world, [facts])

    price = await price_of(client, facts)
    assert (price["sponsor_cents"], price["advance_cents"]) == (paid, 750 - paid)


async def test_an_offer_for_a_specialty_that_nobody_has_is_refused(client) -> None:
    offer = {"name": "School", "kind": "FULL", "valid_from": "2030-01-01", "covered_specialties": ["gp", "1"]}

    answer = await client.post("/sponsor-offers", json=offer, headers=keyed(ADMINISTRATOR))

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:specialty-unknown")
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/body/covered_specialties/1"]


async def test_twelve_sessions_a_year_with_partner_psychologists_are_reimbursed(
    world, client, given_coverage
) -> None:
    world.config = replace(world.config, policy=Policy(partner_psychologist=True))
    world.routes = routes_of(world.config)
    care = care_of_one_patient(13, **PSYCHOLOGIST)
    await given_coverage(care[0], **COVERED)

    await perform(world, care)

    paid = [(await price_of(client, each))["amo_cents"] for each in care]
    assert paid == [3000] * 12 + [0]


@pytest.mark.parametrize("named", [True, False], ids=["a patient", "nobody"])
async def test_a_preview_shows_what_is_left_of_the_cap(world, client, given_coverage, named) -> None:
    care = care_of_one_patient(2, one_practitioner=True)
    code = await given_offer(client, kind="FULL", monthly_cap_cents=1000)
    await given_coverage(care[0], **COVERED, sponsor_code=code)
    await perform(world, care[:1])
    whose: dict[str, Any] = {"coverage": {"insured": "no", "sponsor_code": code}}
    if named:
        whose = {"patient_id": str(care[0].patient_id)}
    asked = {"practice": PRACTICE, "care_on": COMPLETED.date().isoformat(), "pathway": "regular-doctor"}

    answer = await client.post("/previews", json=asked | whose, headers=PATIENT)

    assert answer.status_code == 201, answer.text
    # what the first visit left of the cap; or all of it, for a fee that nobody else pays
    assert answer.json()["price"]["sponsor_cents"] == (250 if named else 1000)
