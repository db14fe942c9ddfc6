"""A gateway that refuses what is in a batch, and claims that go on paper."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from claims.clients import GatewayAway, GatewayRefused, Page
from claims.domain.claimfile import Batch as ClaimBatch
from claims.domain.leg import State
from claims.domain.returns import PayerReturn, ReturnKind
from claims.models import Batch, BatchState, Leg, Submission
from claims.usecases.returns_files import import_lines
from support.claims import NIR, PATIENT, PRACTITIONER, STARTS, STRANGER, SUPPORT, Facts, keyed, returned

COVERED = {"nir": NIR, "birth_date": "1985-05-14"}
REASON = {"reason": "no-file-reaches-the-fund"}


class Gateway:
    """Takes every batch without the claims of some appointments, and remembers what it took."""

    def __init__(self, *refused: UUID, content: bool = True) -> None:
        self.refused = set(refused)
        self.content = content
        self.taken: list[set[UUID]] = []
        self.asked = 0

    async def send(self, batch: ClaimBatch) -> None:
        self.asked += 1
        of = {claim.appointment_id for claim in batch.claims}
        if of & self.refused:
            raise GatewayRefused("status 422", content=self.content)
        self.taken.append(of)

    async def returns(self, *, after: str | None) -> Page:
        return Page(items=[], unreadable=0, cursor=after or "0", more=False)


async def given_ready(world, given_coverage, count: int) -> list[Facts]:
    """Claims of one biller to the fund that may all leave together."""
    first = Facts()
    ready = [first, *(Facts(biller_id=first.biller_id) for _ in range(count - 1))]
    for facts in ready:
        await given_coverage(facts, **COVERED)
        await world.hear(facts.requested(), facts.completed())
    return ready


def served_by(world, gateway: Any) -> None:
    world.resources = type(world.resources)(world.config, gateway)


async def states(world) -> dict[UUID, tuple[str, int]]:
    async with world.sessions() as session:
        legs = (await session.scalars(select(Leg))).all()
    return {leg.appointment_id: (leg.state.value, leg.attempt) for leg in legs}


@pytest.mark.parametrize("at_fault", range(5))
async def test_one_claim_at_fault_keeps_no_other_from_leaving(world, given_coverage, at_fault) -> None:
    ready = await given_ready(world, given_coverage, 5)
    bad = ready[at_fault].appointment_id
    gateway = Gateway(bad)
    served_by(world, gateway)

    await world.work(rounds=6)

    good = {facts.appointment_id for facts in ready} - {bad}
    assert set().union(*gateway.taken) == good
    assert sum(map(len, gateway.taken)) == len(good)  # each of them once
    assert await states(world) == dict.fromkeys(good, ("sent", 1)) | {bad: ("batched", 1)}
    async with world.sessions() as session:
        batches = (await session.scalars(select(Batch))).all()
        submissions = (await session.scalars(select(Submission))).all()
    assert {each.batch_id for each in submissions} == {each.id for each in batches}
    assert [each.state for each in batches].count(BatchState.MADE) == 1


async def test_what_the_gateway_takes_later_is_sent_then(world, given_coverage) -> None:
    ready = await given_ready(world, given_coverage, 2)
    gateway = Gateway(ready[0].appointment_id)
    served_by(world, gateway)
    await world.work(rounds=3)

    gateway.refused.clear()
    world.clock.shift += timedelta(minutes=15)
    await world.work(rounds=2)

    assert {state for state, _ in (await states(world)).values()} == {"sent"}


@pytest.mark.parametrize("failure", [GatewayAway("no answer"), GatewayRefused("status 401", content=False)])
async def test_a_refusal_of_the_sender_breaks_nothing_up(world, given_coverage, failure) -> None:
    await given_ready(world, given_coverage, 3)

    class Closed(Gateway):
        async def send(self, _: ClaimBatch) -> None:
            raise failure

    served_by(world, Closed())
    await world.work(rounds=2)

    async with world.sessions() as session:
        [batch] = (await session.scalars(select(Batch))).all()
        submissions = (await session.scalars(select(Submission))).all()
    assert batch.state is BatchState.MADE
    assert [each.batch_id for each in submissions] == [batch.id] * 3


async def test_the_claim_at_fault_goes_on_paper_and_its_money_is_taken(world, client, given_coverage) -> None:
    ready = await given_ready(world, given_coverage, 2)
    bad = ready[0]
    served_by(world, Gateway(bad.appointment_id))
    await world.work(rounds=4)
    leg = await the_leg(world, bad)
    url = f"/appointments/{bad.appointment_id}/legs/{leg.id}/paper"

    headers = keyed(PRACTITIONER, "on-paper")
    first = await client.post(url, json=REASON, headers=headers)
    replay = await client.post(url, json=REASON, headers=headers)
    again = await client.post(url, json=REASON, headers=keyed(PRACTITIONER))

    assert (first.status_code, replay.status_code, again.status_code) == (200, 200, 409)
    assert (first.json()["state"], replay.json()["state"]) == ("paper-fallback", "paper-fallback")
    assert again.json()["type"].endswith("leg-move-refused")
    owed = (await client.get("/ageing", headers=SUPPORT)).json()["items"]
    assert [(each["payer"], each["legs"]) for each in owed] == [("amo:general", 2)]
    world.clock.shift += timedelta(days=1)
    await world.work(rounds=2)
    assert (await states(world))[bad.appointment_id] == ("paper-fallback", 1)  # never sent again
    paid = await payment(world, leg)
    await import_lines(world.sessions, world.config, [paid], now=world.clock.now())
    assert (await states(world))[bad.appointment_id] == ("paid", 1)


async def test_a_claim_among_others_of_a_batch_does_not_leave_it(world, client, given_coverage) -> None:
    ready = await given_ready(world, given_coverage, 2)
    served_by(world, Gateway(ready[0].appointment_id, content=False))
    await world.work(rounds=2)
    leg = await the_leg(world, ready[0])

    url = f"/appointments/{ready[0].appointment_id}/legs/{leg.id}/paper"
    answer = await client.post(url, json=REASON, headers=keyed(SUPPORT))

    assert answer.status_code == 409
    assert (await states(world))[ready[0].appointment_id] == ("batched", 1)


async def test_a_file_that_is_refused_for_good_goes_on_paper(
    paying_world, payers, client, given_coverage
) -> None:
    [facts] = await given_ready(paying_world, given_coverage, 1)
    await payers.script(payer="amo", behaviour="negative-acknowledgement")
    await paying_world.work(rounds=12)
    leg = await the_leg(paying_world, facts)
    assert (leg.state, leg.attempt) == (State.NACKED, 3)

    url = f"/appointments/{facts.appointment_id}/legs/{leg.id}/paper"
    answer = await client.post(url, json=REASON, headers=keyed(SUPPORT))

    assert (answer.status_code, answer.json()["state"]) == (200, "paper-fallback")
    assert answer.json()["resend_by"] is None
    story = (await client.get(f"/appointments/{facts.appointment_id}/story", headers=SUPPORT)).json()["items"]
    assert (story[-1]["state"], story[-1]["reason"]) == ("paper-fallback", REASON["reason"])
    done = await client.post(url.replace("/paper", "/write-off"), json=REASON, headers=keyed(SUPPORT))
    assert done.json()["state"] == "written-off"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (PATIENT, REASON, 403),
        (STRANGER, REASON, 403),
        (PRACTITIONER, {"reason": "Free text of a person"}, 422),
        (PRACTITIONER, {}, 422),
    ],
    ids=["the patient", "a stranger", "no code", "no reason"],
)
async def test_who_may_not_and_what_is_no_reason(
    world, client, given_coverage, headers, body, status
) -> None:
    [facts] = await given_ready(world, given_coverage, 1)
    leg = await the_leg(world, facts)
    url = f"/appointments/{facts.appointment_id}/legs/{leg.id}/paper"

    answer = await client.post(url, json=body, headers=keyed(headers))

    assert answer.status_code == status
    assert (await states(world))[facts.appointment_id] == ("ready", 0)


async def test_the_patient_reads_until_when_a_paper_sheet_is_good(world, client, given_coverage) -> None:
    facts, covered = Facts(), Facts()
    await world.hear(facts.requested(), facts.completed())
    await given_coverage(covered, **COVERED)
    await world.hear(covered.requested(), covered.completed())

    assert STARTS.date() == date(2030, 6, 3)
    paper = await client.get(f"/appointments/{facts.appointment_id}/care-act", headers=SUPPORT)
    electronic = await client.get(f"/appointments/{covered.appointment_id}/care-act", headers=SUPPORT)

    assert paper.json()["patient_sheet_valid_until"] == "2032-06-30"
    assert electronic.json()["patient_sheet_valid_until"] is None


async def test_an_electronic_sheet_on_paper_is_the_patients_to_send(world, client, given_coverage) -> None:
    facts = Facts(asked={"third_party_payment": "none"})
    await given_coverage(facts, **COVERED)
    await world.hear(facts.requested(), facts.completed())
    leg = await the_leg(world, facts)

    url = f"/appointments/{facts.appointment_id}"
    await client.post(f"{url}/legs/{leg.id}/paper", json=REASON, headers=keyed(PRACTITIONER))
    await world.hear(facts.captured(2500))
    await world.work(rounds=2)

    care_act = (await client.get(f"{url}/care-act", headers=PATIENT)).json()
    assert [each["state"] for each in care_act["legs"]] == ["paper-fallback"]
    assert care_act["patient_sheet_valid_until"] == "2032-06-30"


async def the_leg(world, facts: Facts) -> Leg:
    async with world.sessions() as session:
        return (await session.scalars(select(Leg).where(Leg.appointment_id == facts.appointment_id))).one()


async def payment(world, leg: Leg) -> PayerReturn:
    async with world.sessions() as session:
        submission = (await session.scalars(select(Submission).where(Submission.leg_id == leg.id))).one()
    return returned(leg, submission, ReturnKind.PAYMENT, amount_cents=leg.amount_cents)
