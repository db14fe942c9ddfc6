"""A practitioner without third-party payment: the sheet leaves once the patient has paid (rule T0)."""

from datetime import date, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from claims.domain.calendar import end_of
from claims.domain.returns import ReturnKind
from claims.models import AppointmentRoot, Balance, EarlyFact, Leg, ReturnLine, Status, Submission
from claims.usecases import returns
from claims.usecases.returns_files import import_lines
from common.events.payment import BalanceChargedV1
from common.messaging.records import APPLIED, ignored, waiting
from support.claims import CONTRACTED, NIR, PATIENT, PRACTITIONER, STARTS, SUPPORT, Facts, keyed, returned
from support.records import record

COVERED = {"nir": NIR, "birth_date": "1985-05-14"}
DIRECT = {"third_party_payment": "none"}
ADVANCE = 2500
PAID = "paid-to-the-insured"


async def given_priced(world, given_coverage, **coverage: Any) -> Facts:
    facts = Facts(asked=DIRECT)
    await given_coverage(facts, **COVERED, **coverage)
    await world.hear(facts.requested(), facts.completed())
    return facts


async def read_sheet(client, facts: Facts) -> dict[str, Any]:
    answer = await client.get(f"/appointments/{facts.appointment_id}/care-act", headers=SUPPORT)
    assert answer.status_code == 200, answer.text
    [leg] = answer.json()["legs"]
    return leg


async def test_the_sheet_asks_the_fund_to_refund_the_insured_person_within_three_working_days(
    world, client, given_coverage
) -> None:
    facts = await given_priced(world, given_coverage, amc=CONTRACTED)

    kinds = dict(await world.published(facts.appointment_id))
    assert (kinds["care-priced"]["sheet_mode"], kinds["care-priced"]["advance_cents"]) == ("FSE", ADVANCE)
    assert kinds["care-priced"]["amo_claim_cents"] == 0
    opened = kinds["leg-opened"]
    assert (opened["payer_kind"], opened["paid_to"], opened["amount_cents"]) == ("amo", "insured", 1750)
    sheet = await read_sheet(client, facts)
    assert (sheet["payer_kind"], sheet["paid_to"], sheet["state"]) == ("amo", "insured", "ready")
    assert STARTS.date() == date(2030, 6, 3)  # a Monday before no holiday
    assert sheet["send_by"] == end_of(date(2030, 6, 6)).isoformat().replace("+00:00", "Z")


async def test_it_leaves_when_the_advance_is_captured_and_is_settled_without_us(
    paying_world, client, given_coverage
) -> None:
    facts = await given_priced(paying_world, given_coverage)
    await paying_world.work(rounds=3)
    assert (await read_sheet(client, facts))["state"] == "ready"

    assert await paying_world.hear(facts.captured(ADVANCE)) == [APPLIED]
    await paying_world.work(rounds=4)

    sheet = await read_sheet(client, facts)
    assert (sheet["state"], sheet["attempt"], sheet["pay_by"]) == ("acked", 1, None)
    kinds = [kind for kind, _ in await paying_world.published(facts.appointment_id)]
    assert kinds[2:] == ["leg-opened", "leg-sent", "leg-acknowledged"]
    async with paying_world.sessions() as session:
        assert not await returns.is_anything_outstanding(session)
    paying_world.clock.shift += timedelta(days=40)
    await paying_world.work(rounds=3)
    assert (await read_sheet(client, facts))["state"] == "acked"  # nobody waits for money


async def test_a_fact_of_the_capture_that_comes_first_waits_for_the_price(
    paying_world, client, given_coverage
) -> None:
    facts = Facts(asked=DIRECT)
    await given_coverage(facts, **COVERED)

    outcomes = await paying_world.hear(facts.captured(ADVANCE), facts.requested(), facts.completed())

    assert outcomes == [waiting("appointment-requested"), APPLIED, APPLIED]
    await paying_world.work(rounds=4)
    assert (await read_sheet(client, facts))["state"] == "acked"


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_every_order_of_capture_request_and_completion_sends_it_once(
    paying_world, client, given_coverage, order
) -> None:
    facts = Facts(asked=DIRECT)
    await given_coverage(facts, **COVERED)
    told = [facts.requested(), facts.completed(), facts.captured(ADVANCE)]

    for number in order:
        await paying_world.hear(told[number])
    await paying_world.work(rounds=4)

    sheet = await read_sheet(client, facts)
    assert (sheet["state"], sheet["attempt"]) == ("acked", 1)


@pytest.mark.parametrize("first", ["captured", "cancelled"])
async def test_what_a_late_cancellation_costs_leaves_no_fact_waiting(world, given_coverage, first) -> None:
    facts = Facts(asked=DIRECT)
    await given_coverage(facts, **COVERED)
    told = {"captured": facts.captured(1250), "cancelled": facts.cancelled()}

    await world.hear(facts.requested(), told.pop(first), *told.values())

    async with world.sessions() as session:
        root = (await session.scalars(select(AppointmentRoot))).one()
        assert (await session.scalars(select(EarlyFact))).all() == []
    assert (root.status, root.facts_wait) == (Status.ENDED, False)


async def test_a_part_that_the_provider_captured_by_itself_counts(
    paying_world, client, given_coverage
) -> None:
    facts = await given_priced(paying_world, given_coverage)

    assert await paying_world.hear(facts.captured(1500, total=ADVANCE)) == [APPLIED]
    await paying_world.work(rounds=4)

    assert (await read_sheet(client, facts))["state"] == "acked"


async def test_with_a_part_of_the_advance_it_waits_for_the_rest(paying_world, client, given_coverage) -> None:
    facts = await given_priced(paying_world, given_coverage)
    less = facts.captured(1000)
    short = facts.short(1500, sequence=3)
    assert await paying_world.hear(less, short) == [ignored("less-than-the-advance"), APPLIED]
    await paying_world.work(rounds=3)
    assert (await read_sheet(client, facts))["state"] == "ready"

    async with paying_world.sessions() as session:
        balance = (await session.scalars(select(Balance))).one()
    charged = BalanceChargedV1.model_validate(
        {
            "appointment_id": facts.appointment_id,
            "balance_id": balance.id,
            "currency": "EUR",
            "amount_cents": 1500,
        }
    )
    assert await paying_world.hear(record(charged, sequence=4)) == [APPLIED]
    await paying_world.work(rounds=4)

    assert (await read_sheet(client, facts))["state"] == "acked"


async def test_a_capture_means_nothing_to_a_claim_by_third_party_payment(world, given_coverage) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)

    outcomes = await world.hear(facts.requested(), facts.completed(), facts.captured(750))

    assert outcomes[2] == ignored("no-sheet-waits")


async def test_a_sheet_not_sent_in_time_is_noted(world, client, given_coverage) -> None:
    facts = await given_priced(world, given_coverage)
    url = f"/appointments/{facts.appointment_id}/history"
    async with world.sessions() as session:
        send_by = (await session.scalars(select(Leg.send_by))).one()

    world.clock.shift += send_by - world.clock.now() - timedelta(seconds=1)
    await world.work()
    before = (await client.get(url, headers=SUPPORT)).json()["items"]
    world.clock.shift += timedelta(seconds=2)
    await world.work()
    after = (await client.get(url, headers=SUPPORT)).json()["items"]

    assert [each["fact"] for each in after[len(before) :]] == ["claims.leg-send-overdue"]


async def test_nothing_of_it_is_owed_or_claimed_in_the_reports(paying_world, client, given_coverage) -> None:
    facts = await given_priced(paying_world, given_coverage)
    await paying_world.hear(facts.captured(ADVANCE))
    await paying_world.work(rounds=4)

    ageing = (await client.get("/ageing", headers=SUPPORT)).json()["items"]
    url = f"/practitioners/{facts.practitioner_id}/statement"
    day = STARTS.date()
    period = {"from": day.isoformat(), "to": (day + timedelta(days=1)).isoformat()}
    statement = (await client.get(url, params=period, headers=PRACTITIONER)).json()

    assert ageing == []
    assert (statement["fee_cents"], statement["claimed_cents"], statement["paid_cents"]) == (2500, 0, 0)


async def test_a_rejected_sheet_is_corrected_and_sent_again_and_opens_no_balance(
    paying_world, payers, client, given_coverage
) -> None:
    facts = await given_priced(paying_world, given_coverage)
    await payers.script(payer="amo", behaviour="reject", code="0250-050", times=1)
    await paying_world.hear(facts.captured(ADVANCE))
    await paying_world.work(rounds=4)
    sheet = await read_sheet(client, facts)
    assert (sheet["state"], sheet["reject_code"]) == ("rejected", "0250-050")

    url = f"/appointments/{facts.appointment_id}/legs/{sheet['id']}/correction"
    answer = await client.post(url, headers=keyed(PRACTITIONER))
    assert answer.status_code == 200, answer.text
    await paying_world.work(rounds=4)

    sheet = await read_sheet(client, facts)
    assert (sheet["state"], sheet["attempt"]) == ("acked", 2)
    async with paying_world.sessions() as session:
        assert (await session.scalars(select(Balance))).all() == []


@pytest.mark.parametrize("kind", [ReturnKind.PAYMENT, ReturnKind.TRANSFER, ReturnKind.REVERSAL])
async def test_money_for_a_sheet_is_refused(paying_world, client, given_coverage, kind) -> None:
    facts = await given_priced(paying_world, given_coverage)
    await paying_world.hear(facts.captured(ADVANCE))
    await paying_world.work(rounds=4)
    async with paying_world.sessions() as session:
        [(leg, submission)] = (
            await session.execute(select(Leg, Submission).join(Submission, Submission.leg_id == Leg.id))
        ).all()
    money = returned(leg, submission, kind, return_id=UUID(int=9), amount_cents=leg.amount_cents)

    await import_lines(paying_world.sessions, paying_world.config, [money], now=paying_world.clock.now())

    async with paying_world.sessions() as session:
        line = (await session.scalars(select(ReturnLine).where(ReturnLine.return_id == UUID(int=9)))).one()
    assert (line.state.value, line.reason) == ("refused", PAID)
    assert (await read_sheet(client, facts))["paid_cents"] == 0


async def test_sheets_and_claims_of_one_biller_leave_in_batches_of_their_own(
    paying_world, given_coverage
) -> None:
    direct = Facts(asked=DIRECT)
    by_third_party = Facts(biller_id=direct.biller_id)
    for facts in (direct, by_third_party):
        await given_coverage(facts, **COVERED)
        await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.hear(direct.captured(ADVANCE))

    await paying_world.work(rounds=4)

    async with paying_world.sessions() as session:
        rows = (
            await session.execute(
                select(Submission.batch_id, Leg.paid_to, Leg.state).join(Leg, Leg.id == Submission.leg_id)
            )
        ).all()
    assert len({row.batch_id for row in rows}) == 2
    assert {(row.paid_to, row.state.value) for row in rows} == {("insured", "acked"), ("provider", "paid")}


async def test_the_patient_sees_that_the_fund_was_told(paying_world, client, given_coverage) -> None:
    facts = await given_priced(paying_world, given_coverage)
    await paying_world.hear(facts.captured(ADVANCE))
    await paying_world.work(rounds=4)

    answer = await client.get(f"/appointments/{facts.appointment_id}/care-act", headers=PATIENT)

    [leg] = answer.json()["legs"]
    assert (leg["paid_to"], leg["state"], leg["amount_cents"]) == ("insured", "acked", 1750)
