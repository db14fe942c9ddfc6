"""The story of a care act, ageing, statements, disputes and write-offs, ceilings and caps."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from claims.consumers import routes_of
from claims.models import Leg
from common.events.booking import PractitionerWithdrawnV1
from common.events.payment import BalanceChargedV1, BalanceChargeFailedV1
from common.messaging.records import APPLIED, ignored
from support.claims import (
    ADMINISTRATOR,
    CONTRACTED,
    NIR,
    PATIENT,
    PRACTITIONER,
    STARTS,
    STRANGER,
    SUPPORT,
    Facts,
    keyed,
)
from support.records import record

COVERED = {"nir": NIR, "birth_date": "1985-05-14"}


async def read_all(client, url: str, headers: dict[str, str], **asked: Any) -> list[dict[str, Any]]:
    """Every item, one page at a time."""
    items, cursor = [], None
    while True:
        params = asked | ({"cursor": cursor} if cursor else {})
        answer = await client.get(url, params=params, headers=headers)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return items


async def test_support_reads_every_state_amount_reason_and_date_of_a_care_act(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await payers.script(payer="amc", behaviour="reject", code="7001-001")
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=6)
    url = f"/appointments/{facts.appointment_id}/story"

    told = await read_all(client, url, SUPPORT, limit=3)

    assert [(e["about"], e["payer_kind"], e["state"], e["amount_cents"], e["reason"]) for e in told] == [
        ("care-act", None, "priced", 2500, None),
        ("leg", "amo", "ready", 1750, "prepare"),
        ("leg", "amc", "ready", 750, "prepare"),
        ("leg", "amo", "batched", 1750, "batch"),
        ("leg", "amo", "sent", 1750, "send"),
        ("leg", "amo", "acked", 1750, "acknowledge"),
        ("leg", "amo", "paid", 1750, "pay"),
        ("leg", "amc", "batched", 750, "batch"),
        ("leg", "amc", "sent", 750, "send"),
        ("leg", "amc", "acked", 750, "acknowledge"),
        ("leg", "amc", "rejected", 750, "7001-001"),
        ("balance", "amc", "open", 750, "leg-rejected"),
    ]
    assert [each["at"] for each in told] == sorted(each["at"] for each in told)
    assert (await client.get(url, headers=PRACTITIONER)).status_code == 200
    assert (await client.get(url, headers=PATIENT)).status_code == 403


async def test_a_part_payment_is_disputed_and_then_written_off(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await payers.script(behaviour="partial", cents=1000)
    await paying_world.hear(facts.requested(), facts.completed())
    async with paying_world.sessions() as session:
        leg = (await session.scalars(select(Leg))).one()
    url = f"/appointments/{facts.appointment_id}/legs/{leg.id}"
    early = await client.post(f"{url}/dispute", json={"reason": "paid-too-little"}, headers=keyed(SUPPORT))
    assert (early.status_code, early.json()["type"]) == (409, "urn:problem:leg-move-refused")
    await paying_world.work(rounds=4)

    by_patient = await client.post(f"{url}/dispute", json={"reason": "no-reason"}, headers=keyed(PATIENT))
    unworded = await client.post(f"{url}/dispute", json={"reason": "Mrs X!"}, headers=keyed(SUPPORT))
    disputed = await client.post(f"{url}/dispute", json={"reason": "paid-too-little"}, headers=keyed(SUPPORT))
    written = await client.post(f"{url}/write-off", json={"reason": "too-old"}, headers=keyed(PRACTITIONER))

    assert (by_patient.status_code, unworded.status_code) == (403, 422)
    assert (disputed.status_code, disputed.json()["state"]) == (200, "disputed")
    assert (written.status_code, written.json()["state"]) == (200, "written-off")
    told = await read_all(client, f"/appointments/{facts.appointment_id}/story", SUPPORT)
    assert [(each["state"], each["reason"]) for each in told][-2:] == [
        ("disputed", "paid-too-little"),
        ("written-off", "too-old"),
    ]


async def test_ageing_tells_per_payer_what_is_owed_and_how_late(
    paying_world, payers, client, given_coverage
) -> None:
    await payers.script(payer="amo", behaviour="late", delay_seconds=90 * 86_400)
    await payers.script(payer="amc", behaviour="late", delay_seconds=90 * 86_400)
    care = [Facts(), Facts()]
    for facts in care:
        await given_coverage(facts, **COVERED, amc=CONTRACTED)
    for facts in care:
        await paying_world.hear(facts.requested(), facts.completed())
        await paying_world.work(rounds=4)
        paying_world.clock.shift += timedelta(days=20)

    rows = await read_all(client, "/ageing", SUPPORT, limit=1)

    assert [(row["payer"], row["legs"], row["owed_cents"], row["late_cents"]) for row in rows] == [
        ("amc:99100001", 2, 1500, 1500),
        ("amo:general", 2, 3500, 3500),
    ]
    assert [(s["from_days"], s["to_days"], s["legs"], s["owed_cents"]) for s in rows[1]["spans"]] == [
        (0, 7, 0, 0),
        (7, 30, 1, 1750),
        (30, 60, 1, 1750),
        (60, 90, 0, 0),
        (90, None, 0, 0),
    ]
    assert (await client.get("/ageing", headers=PRACTITIONER)).status_code == 403


async def test_a_practitioner_reads_a_statement_of_their_own_care(
    paying_world, payers, client, given_coverage
) -> None:
    first = Facts()
    care = [first, *(Facts(practitioner_id=first.practitioner_id, biller_id=first.biller_id) for _ in "ab")]
    await payers.script(behaviour="partial", cents=1000, times=1)
    for facts in care:
        await given_coverage(facts, **COVERED)
        await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=5)
    url = f"/practitioners/{first.practitioner_id}/statement"
    day, next_day = STARTS.date(), STARTS.date() + timedelta(days=1)
    period = {"from": day.isoformat(), "to": next_day.isoformat()}
    before = {"from": "2020-01-01", "to": day.isoformat()}
    after = {"from": next_day.isoformat(), "to": "2199-12-31"}

    page = (await client.get(url, params=period | {"limit": 2}, headers=PRACTITIONER)).json()
    items = await read_all(client, url, PRACTITIONER, **period, limit=2)

    assert (page["fee_cents"], page["claimed_cents"], page["paid_cents"]) == (7500, 5250, 4500)
    assert {item["appointment_id"] for item in items} == {str(facts.appointment_id) for facts in care}
    assert sorted(leg["paid_cents"] for item in items for leg in item["legs"]) == [1000, 1750, 1750]
    assert all(set(item).isdisjoint({"patient_id", "nir"}) for item in items)
    for outside in (before, after, {"from": period["from"], "to": period["from"]}):
        assert await read_all(client, url, PRACTITIONER, **outside) == []
    other = await client.get(f"/practitioners/{UUID(int=77)}/statement", params=period, headers=PRACTITIONER)
    reversed_ = {"from": "2029-12-31", "to": "2029-01-01"}
    refused = await client.get(url, params=reversed_, headers=PRACTITIONER)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/query/to")
    assert (other.status_code, other.json()["type"]) == (404, "urn:problem:practitioner-not-found")
    for caller in (SUPPORT, ADMINISTRATOR):
        unknown = await client.get(f"/practitioners/{UUID(int=77)}/statement", params=period, headers=caller)
        assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:problem:practitioner-not-found")
    assert (await client.get(url, params=period, headers=STRANGER)).status_code == 403
    left = PractitionerWithdrawnV1(practitioner_id=first.practitioner_id)
    await paying_world.hear(record(left, sequence=2))
    for caller in (PRACTITIONER, SUPPORT, ADMINISTRATOR):
        assert await read_all(client, url, caller, **period) == items
    empty = {"from": "2029-01-01", "to": "2029-12-31"}
    assert await read_all(client, url, ADMINISTRATOR, **empty) == []


async def test_a_charge_that_failed_is_shown_and_the_balance_stays_open(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    terms = paying_world.config.terms
    object.__setattr__(terms, "collect_balances", True)
    paying_world.routes = routes_of(paying_world.config)
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await payers.script(payer="amc", behaviour="reject")
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=6)
    url = f"/appointments/{facts.appointment_id}/care-act"
    [balance] = (await client.get(url, headers=PATIENT)).json()["balances"]
    told = {
        "appointment_id": facts.appointment_id,
        "balance_id": UUID(balance["id"]),
        "currency": "EUR",
        "amount_cents": 750,
    }
    failed = BalanceChargeFailedV1.model_validate(told | {"reason": "above-ceiling"})
    charged = BalanceChargedV1.model_validate(told)

    opened = [e for kind, e in await paying_world.published(facts.appointment_id) if kind == "balance-opened"]
    assert [each["collect"] for each in opened] == [True]
    assert await paying_world.hear(record(failed, sequence=1)) == [APPLIED]
    [shown] = (await client.get(url, headers=PATIENT)).json()["balances"]
    assert (shown["state"], shown["charge_failure"]) == ("open", "above-ceiling")
    assert await paying_world.hear(record(charged, sequence=2)) == [APPLIED]
    assert await paying_world.hear(record(failed, sequence=3)) == [ignored("already-settled")]
    [settled] = (await client.get(url, headers=PATIENT)).json()["balances"]
    assert (settled["state"], settled["settled_by"]) == ("settled", "charge")
