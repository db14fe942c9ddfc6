"""The final price, its legs, and what each payer answers, up to the money or the reject."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from claims.clients import GatewayAway, Page
from claims.domain.leg import State
from claims.domain.returns import PayerReturn, ReturnKind
from claims.models import CareAct, Invoice, Leg, LineState, Posting, Quote, Submission, UnpricedCare
from claims.usecases import batches, pricing, returns
from common.events.payment import BalanceChargedV1
from common.messaging.records import APPLIED, ignored
from common.money import Cents
from support.claims import (
    CONTRACTED,
    NIR,
    NOT_CONTRACTED,
    PATIENT,
    PRACTITIONER,
    PSYCHOLOGIST,
    SUPPORT,
    Facts,
    keyed,
    returned,
)
from support.records import record

COVERED = {"nir": NIR, "birth_date": "1985-05-14"}
ALD = COVERED | {"exemptions": [{"kind": "ald", "from": "2020-01-01", "to": None}]}
CSS = COVERED | {"exemptions": [{"kind": "css", "from": "2020-01-01", "to": None}]}


def shown_legs(care_act) -> list[tuple[str, int, str]]:
    return [(leg["payer_kind"], leg["amount_cents"], leg["state"]) for leg in care_act["legs"]]


async def read_care_act(client, facts, headers=PATIENT) -> dict[str, Any]:
    answer = await client.get(f"/appointments/{facts.appointment_id}/care-act", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("group", "act", "kind"),
    [
        ("3-to-5", "MEG", "care-priced"),
        ("6-to-15", "MEG", None),  # unpriced: the act is not allowed
        ("80-or-more", "MOP", "care-priced"),
        ("26-to-79", "MOP", None),
    ],
)
async def test_a_completion_is_priced_at_the_age_that_it_carries(
    world, given_coverage, group, act, kind
) -> None:
    facts = Facts(asked={"pathway": "referred", "fee_cents": 3000})
    await given_coverage(facts, nir=NIR)
    young = group in {"3-to-5", "6-to-15"}
    told = {"age_group": group, "under_16": young, "minor_on_1_january": young}

    completed = facts.completed(sequence=2, acts=("TCG", act), **told)
    outcomes = await world.hear(facts.requested(overrun_qualifier="DE"), completed)

    published = [name for name, _ in await world.published(facts.appointment_id)]
    assert outcomes == [APPLIED, APPLIED]
    assert published[1:2] == ([kind] if kind else [])


async def test_what_the_practitioner_says_of_earlier_visits_counts_at_the_end(
    world, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)

    await world.hear(facts.requested(seen_in_person=True), facts.completed(seen_in_person=False))

    price = (await read_care_act(client, facts))["price"]
    assert ("alternation" in price["warnings"], price["amo_cents"]) == (True, 1750)


@pytest.mark.parametrize(
    ("coverage", "asked", "sheet", "advance", "claims"),
    [
        pytest.param(
            COVERED | {"amc": CONTRACTED}, {}, "TP", 0, [("amo", 1750), ("amc", 750)], id="contracted AMC"
        ),
        pytest.param(
            COVERED | {"amc": NOT_CONTRACTED}, {}, "TP+RECEIPT", 750, [("amo", 1750)], id="not contracted"
        ),
        pytest.param(None, {}, "PAPER", 2500, [], id="nothing known"),
        pytest.param(COVERED, PSYCHOLOGIST, "INVOICE", 6000, [], id="psychologist"),
        pytest.param(ALD, {"exemption_related": True}, "TP", 0, [("amo", 2500)], id="ALD-related"),
        pytest.param(CSS, {}, "TP", 0, [("amo", 2500)], id="CSS: one claim with two benefit lines"),
    ],
)
async def test_a_completed_consultation_is_priced_and_claimed(
    world, client, given_coverage, coverage, asked, sheet, advance, claims
) -> None:
    facts = Facts(asked=asked)
    if coverage is not None:
        await given_coverage(facts, **coverage)

    outcomes = await world.hear(facts.requested(), facts.started(), facts.completed())

    assert outcomes == [APPLIED] * 3
    published = await world.published(facts.appointment_id)
    assert [kind for kind, _ in published] == ["quote-issued", "care-priced"] + ["leg-opened"] * len(claims)
    priced = published[1][1]
    assert (priced["sheet_mode"], priced["advance_cents"], priced["revision"]) == (sheet, advance, 2)
    assert priced["amo_claim_cents"] + priced["amc_claim_cents"] + advance == priced["fee_cents"]
    assert [(leg["payer_kind"], leg["amount_cents"]) for _, leg in published[2:]] == claims
    care_act = await read_care_act(client, facts, SUPPORT)
    assert shown_legs(care_act) == [(kind, amount, "ready") for kind, amount in claims]


async def test_css_claims_both_benefits_from_the_fund(world, given_coverage) -> None:
    facts = Facts()
    await given_coverage(facts, **CSS)

    await world.hear(facts.requested(), facts.completed())

    async with world.sessions() as session:
        [leg] = await session.scalars(select(Leg))
    lines = [(line["benefit"], line["amount_cents"]) for line in leg.lines["lines"]]
    assert lines == [("base", 1750), ("copayment-css", 750)]


async def test_both_payers_pay(paying_world, client, given_coverage) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await paying_world.hear(facts.requested(), facts.completed())

    await paying_world.work(rounds=6)

    care_act = await read_care_act(client, facts)
    assert shown_legs(care_act) == [("amo", 1750, "paid"), ("amc", 750, "paid")]
    kinds = [kind for kind, _ in await paying_world.published(facts.appointment_id)]
    assert kinds[2:] == [
        "leg-opened",
        "leg-opened",
        "leg-sent",
        "leg-acknowledged",
        "leg-paid",
        "leg-sent",
        "leg-acknowledged",
        "leg-paid",
    ]
    assert [leg["paid_cents"] for leg in care_act["legs"]] == [1750, 750]


async def test_the_amc_is_asked_after_the_fund_has_acknowledged(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await payers.script(payer="amo", behaviour="silence")
    await paying_world.hear(facts.requested(), facts.completed())

    await paying_world.work(rounds=6)

    assert shown_legs(await read_care_act(client, facts)) == [("amo", 1750, "sent"), ("amc", 750, "ready")]


async def test_a_leg_the_amc_rejects_leaves_an_open_balance_and_charges_nothing(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await payers.script(payer=f"amc:{CONTRACTED['number']}", behaviour="reject", code="7001-001")
    await paying_world.hear(facts.requested(), facts.completed())

    await paying_world.work(rounds=6)

    care_act = await read_care_act(client, facts)
    assert shown_legs(care_act) == [("amo", 1750, "paid"), ("amc", 750, "rejected")]
    rejected = care_act["legs"][1]
    assert (rejected["reject_code"], rejected["reject_family"]) == ("7001-001", "amc")
    [balance] = care_act["balances"]
    assert (balance["amount_cents"], balance["state"], balance["collect"]) == (750, "open", False)
    [opened] = [
        e for kind, e in await paying_world.published(facts.appointment_id) if kind == "balance-opened"
    ]
    assert (opened["reason"], opened["payer_kind"], opened["collect"]) == ("leg-rejected", "amc", False)


async def test_an_unknown_insured_is_corrected_and_sent_again_under_the_same_invoice(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    given = await given_coverage(facts, **COVERED)
    await payers.script(payer="amo", member=NIR, behaviour="reject", code="0250-050")
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=4)
    [leg] = (await read_care_act(client, facts))["legs"]
    assert (leg["state"], leg["reject_family"]) == ("rejected", "rights")

    await given_coverage(facts, etag=given.headers["ETag"], nir="255081416802538", birth_date="1985-05-14")
    url = f"/appointments/{facts.appointment_id}/legs/{leg['id']}/correction"
    headers = keyed(PRACTITIONER, "correct-it")
    first, replay = await client.post(url, headers=headers), await client.post(url, headers=headers)
    await paying_world.work(rounds=4)

    assert (first.status_code, replay.status_code) == (200, 200)
    assert replay.headers["Idempotency-Replayed"] == "true"
    [paid] = (await read_care_act(client, facts))["legs"]
    assert (paid["state"], paid["attempt"], paid["reject_code"]) == ("paid", 2, None)
    assert len({attempt["invoice_no"] for attempt in paid["attempts"]}) == 1
    assert paid["attempts"][0]["reject_code"] == "0250-050"
    assert (await read_care_act(client, facts))["balances"] == []


async def test_what_the_payer_has_settled_is_never_sent_again(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await payers.script(payer="amo", behaviour="reject", code="2900-005")
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=4)
    [leg] = (await read_care_act(client, facts))["legs"]

    url = f"/appointments/{facts.appointment_id}/legs/{leg['id']}/correction"
    answer = await client.post(url, headers=keyed(PRACTITIONER))

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:leg-never-sent-again")


async def test_a_refused_file_is_sent_again_by_itself(paying_world, payers, client, given_coverage) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await payers.script(behaviour="negative-acknowledgement", times=1)
    await paying_world.hear(facts.requested(), facts.completed())

    await paying_world.work(rounds=6)

    [leg] = (await read_care_act(client, facts))["legs"]
    assert (leg["state"], leg["attempt"]) == ("paid", 2)
    assert [attempt["accepted"] for attempt in leg["attempts"]] == [False, True]


async def test_a_silent_payer_gets_the_file_again_after_two_working_days(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await payers.script(behaviour="silence", times=1)
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=2)
    [leg] = (await read_care_act(client, facts))["legs"]
    assert leg["state"] == "sent"

    paying_world.clock.shift += timedelta(days=5)
    await paying_world.work(rounds=6)

    [leg] = (await read_care_act(client, facts))["legs"]
    assert (leg["state"], leg["attempt"]) == ("paid", 2)


async def test_a_file_whose_acknowledgement_is_late_leaves_again_and_is_paid_once(
    paying_world, payers, client, given_coverage
) -> None:
    """The second sending earns "already paid", before the money of the first one: no balance comes of it."""
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    for payer in ("amo", "amc"):
        # days after any deadline, whatever weekend or holiday lies between
        late = {"behaviour": "late-acknowledgement", "delay_seconds": 8 * 86_400}
        await payers.script(payer=payer, times=1, **late)
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=2)
    seen = []
    for _ in range(20):
        paying_world.clock.shift += timedelta(days=1)
        await paying_world.work(rounds=3)
        care_act = await read_care_act(client, facts)
        assert care_act["balances"] == []
        seen.append({leg["payer_kind"]: leg["state"] for leg in care_act["legs"]})

    assert [leg[1:] for leg in shown_legs(care_act)] == [(1750, "paid"), (750, "paid")]
    assert [leg["attempt"] for leg in care_act["legs"]] == [2, 2]
    for payer in ("amo", "amc"):
        assert "rejected" in [each[payer] for each in seen]
    async with paying_world.sessions() as session:
        posted = (await session.scalars(select(Posting.amount_cents).order_by(Posting.id))).all()
    assert list(posted) == [1750, 750]
    story = await client.get(f"/appointments/{facts.appointment_id}/story?limit=100", headers=SUPPORT)
    assert "ack-timeout" in [each["state"] for each in story.json()["items"]]


@pytest.mark.parametrize(
    "body", [b"{{{", b"\xff\xfe", b"[" * 90_000, b"9" * 5000, b'{"a": 1}'], ids=lambda body: repr(body[:5])
)
async def test_what_is_sent_where_no_body_belongs_is_ignored(world, client, given_coverage, body) -> None:
    leg, _ = await given_sent_leg(world, given_coverage, Facts())
    url = f"/appointments/{leg.appointment_id}/legs/{leg.id}/correction"

    answer = await client.post(url, headers=keyed(SUPPORT), content=body)

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:leg-move-refused")


async def test_an_invoice_that_the_amc_calls_paid_is_nobodys_balance_and_can_be_enquired_about(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await payers.script(payer="amc", behaviour="reject", code="7001-003")
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=6)
    care_act = await read_care_act(client, facts)
    leg = care_act["legs"][1]
    url = f"/appointments/{facts.appointment_id}/legs/{leg['id']}"

    again = await client.post(f"{url}/correction", headers=keyed(PRACTITIONER))
    asked = await client.post(f"{url}/dispute", json={"reason": "not-paid"}, headers=keyed(SUPPORT))

    assert (leg["state"], leg["reject_code"], care_act["balances"]) == ("rejected", "7001-003", [])
    assert (again.status_code, again.json()["type"]) == (409, "urn:problem:leg-never-sent-again")
    assert (asked.status_code, asked.json()["state"]) == (200, "disputed")


async def test_a_late_payer_is_marked_late_and_then_paid(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await payers.script(behaviour="late")
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=3)

    paying_world.clock.shift += timedelta(days=12)
    await paying_world.work(rounds=2)
    [late] = (await read_care_act(client, facts))["legs"]
    paying_world.clock.shift += timedelta(days=5)
    await paying_world.work(rounds=2)
    [paid] = (await read_care_act(client, facts))["legs"]

    assert (late["state"], paid["state"]) == ("payment-late", "paid")


async def test_parts_of_a_payment_add_up(paying_world, payers, client, given_coverage) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await payers.script(behaviour="partial", cents=1000)
    await paying_world.hear(facts.requested(), facts.completed())

    await paying_world.work(rounds=4)

    [leg] = (await read_care_act(client, facts))["legs"]
    assert (leg["state"], leg["paid_cents"]) == ("partially-paid", 1000)


@pytest.mark.parametrize("behaviour", ["duplicate", "accept"])
async def test_a_return_that_comes_again_changes_nothing(
    paying_world, payers, client, given_coverage, behaviour
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await payers.script(behaviour=behaviour)
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=4)
    before = await paying_world.published(facts.appointment_id)

    page = await paying_world.resources.gateway.returns(after=None)
    for item in (*reversed(page.items), *page.items, *page.items):
        async with paying_world.sessions.begin() as session:
            again = await returns.import_returns(
                session, paying_world.config, [item], now=paying_world.clock.now()
            )
        assert again == [None]

    assert await paying_world.published(facts.appointment_id) == before
    async with paying_world.sessions() as session:
        assert await session.scalar(select(func.sum(Posting.amount_cents))) == 1750
    [leg] = (await read_care_act(client, facts))["legs"]
    assert (leg["state"], leg["paid_cents"]) == ("paid", 1750)


async def test_a_polled_line_that_comes_again_with_other_content_is_logged_by_its_ids(
    paying_world, client, given_coverage, caplog
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=4)
    before = await paying_world.published(facts.appointment_id)
    page = await paying_world.resources.gateway.returns(after=None)
    paid = next(each for each in page.items if each.kind is ReturnKind.PAYMENT)
    same = [each for each in page.items if each is not paid]

    class Revising:
        async def returns(self, *, after: str | None) -> Page:
            assert after == page.cursor
            return replace(page, items=[*same, replace(paid, amount_cents=Cents(1000))], more=False)

    paying_world.resources = type(paying_world.resources)(paying_world.config, Revising())
    paying_world.clock.shift += timedelta(days=1)
    with caplog.at_level("WARNING", logger="claims.tasks"):
        await paying_world.work()

    told = [each.getMessage() for each in caplog.records if each.name == "claims.tasks"]
    assert told == [f"return {paid.return_id} line {paid.line} came again with another cents"]
    assert await paying_world.published(facts.appointment_id) == before
    [leg] = (await read_care_act(client, facts))["legs"]
    assert (leg["state"], leg["paid_cents"]) == ("paid", 1750)


async def test_money_taken_back_after_the_payment(paying_world, payers, client, given_coverage) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await payers.script(behaviour="reversal")
    await paying_world.hear(facts.requested(), facts.completed())

    await paying_world.work(rounds=4)

    [leg] = (await read_care_act(client, facts))["legs"]
    assert (leg["state"], leg["paid_cents"], leg["reversed_cents"]) == ("reversed", 0, 1750)
    kinds = [kind for kind, _ in await paying_world.published(facts.appointment_id)]
    assert kinds[-2:] == ["leg-paid", "leg-reversed"]


@pytest.mark.parametrize(("cents", "left", "state"), [(None, 0, "reversed"), (500, 1250, "partially-paid")])
async def test_money_taken_back_long_after_the_payment(
    paying_world, payers, client, given_coverage, cents, left, state
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=4)
    [paid] = (await read_care_act(client, facts))["legs"]
    paying_world.clock.shift += timedelta(days=90)

    back = {"payer": "amo:general", "invoice_no": paid["attempts"][0]["invoice_no"], "cents": cents}
    taken = await payers.controls.post("/reversals", json=back)
    await paying_world.work(rounds=2)

    assert (paid["state"], taken.status_code) == ("paid", 202)
    [leg] = (await read_care_act(client, facts))["legs"]
    assert (leg["state"], leg["paid_cents"], leg["reversed_cents"]) == (state, left, 1750 - left)
    kind, told = (await paying_world.published(facts.appointment_id))[-1]
    assert (kind, told["reversed_cents"]) == ("leg-reversed", 1750 - left)


async def given_sent_leg(world, given_coverage, facts) -> tuple[Leg, Submission]:
    """A leg on its way, without payers: its batch was made and handed over."""
    await given_coverage(facts, **COVERED)
    await world.hear(facts.requested(), facts.completed())
    async with world.sessions.begin() as session:
        leg = (await session.scalars(select(Leg))).one()
        gathered = await batches.gather(session, world.config, leg.id, now=world.clock.now())
        assert gathered is not None
    async with world.sessions.begin() as session:
        await batches.mark_sent(session, world.config, gathered.batch_id, now=world.clock.now())
    async with world.sessions() as session:
        return (await session.scalars(select(Leg))).one(), (await session.scalars(select(Submission))).one()


def answer_to(
    leg: Leg, submission: Submission, kind: ReturnKind, *, number: int = 1, **said: Any
) -> PayerReturn:
    """The only line of the return of this number."""
    return returned(leg, submission, kind, return_id=UUID(int=number), **said)


async def imported(world, *items: PayerReturn) -> list[LineState | None]:
    states = []
    for item in items:
        async with world.sessions.begin() as session:
            states += await returns.import_returns(session, world.config, [item], now=world.clock.now())
    return states


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
async def test_returns_in_any_order_end_in_the_same_books(world, given_coverage, order) -> None:
    leg, submission = await given_sent_leg(world, given_coverage, Facts())
    items = [
        answer_to(leg, submission, ReturnKind.ACKNOWLEDGEMENT, number=1, accepted=True),
        answer_to(leg, submission, ReturnKind.PAYMENT, number=2, amount_cents=Cents(1750)),
        answer_to(leg, submission, ReturnKind.REVERSAL, number=3, amount_cents=Cents(1750)),
    ]

    await imported(world, *(items[each] for each in order))

    async with world.sessions() as session:
        after = await session.get_one(Leg, leg.id)
        postings = (await session.execute(select(Posting.kind, Posting.amount_cents))).all()
    assert (after.state, after.paid_cents, after.reversed_cents) == (State.REVERSED, 0, 1750)
    assert sorted(tuple(row) for row in postings) == [("payment", 1750), ("reversal", 1750)]


async def test_what_does_not_add_up_is_refused_and_posts_nothing(world, given_coverage) -> None:
    leg, submission = await given_sent_leg(world, given_coverage, Facts())

    states = await imported(
        world,
        answer_to(leg, submission, ReturnKind.REVERSAL, number=1, amount_cents=Cents(0)),
        answer_to(leg, submission, ReturnKind.PAYMENT, number=2, amount_cents=Cents(-1)),
        answer_to(leg, submission, ReturnKind.PAYMENT, number=3, invoice_no="999999999"),
        answer_to(leg, submission, ReturnKind.REJECT, number=4, code="oops"),
        answer_to(leg, submission, ReturnKind.ACKNOWLEDGEMENT, number=5, batch_id=UUID(int=9), accepted=True),
        answer_to(leg, submission, ReturnKind.PAYMENT, number=6, amount_cents=Cents(1750)),
    )

    assert states == [LineState.REFUSED] * 5 + [LineState.APPLIED]
    async with world.sessions() as session:
        assert (await session.get_one(Leg, leg.id)).state is State.PAID
        assert await session.scalar(select(func.count()).select_from(Posting)) == 1


async def test_claims_of_one_biller_travel_in_one_batch_with_their_own_numbers(
    paying_world, given_coverage
) -> None:
    first = Facts()
    second, third = Facts(biller_id=first.biller_id), Facts(biller_id=first.biller_id)
    for facts in (first, second, third):
        await given_coverage(facts, **COVERED)
        await paying_world.hear(facts.requested(), facts.completed())

    await paying_world.work(rounds=4)

    async with paying_world.sessions() as session:
        batches = (await session.scalars(select(Submission.batch_id).distinct())).all()
        numbers = (await session.scalars(select(Invoice.invoice_no).order_by(Invoice.invoice_no))).all()
        states = (await session.scalars(select(Leg.state))).all()
    assert len(batches) == 1
    assert list(numbers) == ["000000001", "000000002", "000000003"]
    assert list(states) == [State.PAID] * 3


@pytest.mark.parametrize("answered", [True, False])
async def test_a_worker_that_died_after_sending_claims_once(
    paying_world, client, given_coverage, answered
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED)
    await paying_world.hear(facts.requested(), facts.completed())
    gateway = paying_world.resources.gateway
    sent = []

    class Dying:
        async def send(self, batch) -> None:
            sent.append(batch.id)
            await gateway.send(batch)
            if len(sent) == 1:
                raise ConnectionError("killed before it could write that down")

        async def returns(self, *, after: str | None) -> Page:
            if not answered and len(sent) == 1:
                raise GatewayAway
            return await gateway.returns(after=after)

    paying_world.resources = type(paying_world.resources)(paying_world.config, Dying())
    await paying_world.work(rounds=2)  # the payment may be there before we know that we have sent
    paying_world.clock.shift += timedelta(minutes=1)
    await paying_world.work(rounds=3)

    assert len(sent) == (1 if answered else 2)
    assert len(set(sent)) == 1
    [leg] = (await read_care_act(client, facts))["legs"]
    assert (leg["state"], leg["attempt"]) == ("paid", 1)
    kinds = [kind for kind, _ in await paying_world.published(facts.appointment_id)]
    assert kinds[-3:] == ["leg-sent", "leg-acknowledged", "leg-paid"]


async def test_a_shortfall_becomes_a_balance_once(world, client, linked) -> None:
    facts = Facts()
    await linked(facts)
    await world.hear(facts.requested(), facts.completed())

    outcomes = await world.hear(facts.short(1750), facts.short(1750, sequence=3))

    assert outcomes == [APPLIED, ignored("already-open")]
    [balance] = (await read_care_act(client, facts))["balances"]
    assert (balance["reason"], balance["amount_cents"]) == ("captured-less-than-due", 1750)


async def test_a_balance_that_is_charged_is_settled_and_the_leg_is_paid_by_the_patient(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await payers.script(payer="amc", behaviour="reject")
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=6)
    [balance] = (await read_care_act(client, facts))["balances"]
    charged = BalanceChargedV1.model_validate(
        {
            "appointment_id": facts.appointment_id,
            "balance_id": UUID(balance["id"]),
            "currency": "EUR",
            "amount_cents": 750,
        }
    )

    outcomes = await paying_world.hear(record(charged, sequence=1), record(charged, sequence=2))

    assert outcomes == [APPLIED, ignored("already-settled")]
    care_act = await read_care_act(client, facts)
    assert shown_legs(care_act)[1] == ("amc", 750, "patient-paid")
    assert [(each["state"], each["settled_by"]) for each in care_act["balances"]] == [("settled", "charge")]
    kind, settled = (await paying_world.published(facts.appointment_id))[-1]
    assert (kind, settled["settled_by"], settled["amount_cents"]) == ("balance-settled", "charge", 750)


async def test_an_amc_that_pays_after_a_correction_settles_the_balance(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    given = await given_coverage(facts, **COVERED, amc=CONTRACTED)
    await payers.script(payer="amc", member=CONTRACTED["member_number"], behaviour="reject")
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=6)
    [_, leg] = (await read_care_act(client, facts))["legs"]
    other = CONTRACTED | {"member_number": "RIGHT1"}
    await given_coverage(facts, etag=given.headers["ETag"], **COVERED, amc=other)

    url = f"/appointments/{facts.appointment_id}/legs/{leg['id']}/correction"
    answer = await client.post(url, headers=keyed(PATIENT))
    await paying_world.work(rounds=4)

    assert answer.status_code == 200, answer.text
    care_act = await read_care_act(client, facts)
    assert shown_legs(care_act)[1] == ("amc", 750, "paid")
    assert [(each["state"], each["settled_by"]) for each in care_act["balances"]] == [("settled", "payer")]


async def test_a_correction_that_would_change_the_amounts_is_refused(
    paying_world, payers, client, given_coverage
) -> None:
    facts = Facts()
    given = await given_coverage(facts, **COVERED)
    await payers.script(payer="amo", behaviour="reject")
    await paying_world.hear(facts.requested(), facts.completed())
    await paying_world.work(rounds=4)
    [leg] = (await read_care_act(client, facts))["legs"]
    css = [{"kind": "css", "from": "2020-01-01"}]
    await given_coverage(facts, etag=given.headers["ETag"], **COVERED, exemptions=css)

    url = f"/appointments/{facts.appointment_id}/legs/{leg['id']}/correction"
    answer = await client.post(url, headers=keyed(PRACTITIONER))

    assert (answer.status_code, answer.json()["type"]) == (409, "urn:problem:price-would-change")
    assert shown_legs(await read_care_act(client, facts)) == [("amo", 1750, "rejected")]


@pytest.mark.parametrize(
    ("place", "starts_at", "care_on"),
    [
        ({"zone": "martinique"}, "2030-06-05T01:00:00Z", "2030-06-04"),  # 21:00 there
        ({"zone": "martinique"}, "2030-06-05T04:00:00Z", "2030-06-05"),
        ({"zone": "reunion", "time_zone": "Indian/Reunion"}, "2030-06-04T21:00:00Z", "2030-06-05"),
        ({"time_zone": "America/Guadeloupe"}, "2030-06-05T01:00:00Z", "2030-06-04"),
        ({}, "2030-06-04T22:30:00Z", "2030-06-05"),
    ],
)
async def test_care_is_dated_where_the_practitioner_works(
    world, given_coverage, place, starts_at, care_on
) -> None:
    facts, at = Facts(asked=PSYCHOLOGIST | place), datetime.fromisoformat(starts_at)
    await given_coverage(facts, **COVERED)
    told = {name: value for name, value in place.items() if name == "time_zone"}

    await world.hear(
        facts.requested(),
        facts.moved(to=at, sequence=2, **told),
        facts.completed(sequence=3, starts_at=at, ends_at=at + timedelta(minutes=15)),
    )

    async with world.sessions() as session:
        act = (await session.scalars(select(CareAct))).one()
        quotes = (await session.scalars(select(Quote).order_by(Quote.revision))).all()
        asked = await pricing.inputs_again(
            session, world.config, quotes[-1], owner=facts.patient_id, kept=False
        )
    assert (act.care_on.isoformat(), asked.care_on.isoformat()) == (care_on, care_on)


async def test_care_without_a_price_is_dated_where_the_practitioner_works(world, given_coverage) -> None:
    facts, at = Facts(asked={"zone": "martinique"}), datetime.fromisoformat("2030-06-05T01:00:00Z")
    await given_coverage(facts, **COVERED)

    await world.hear(facts.requested(), facts.completed(sequence=2, starts_at=at))

    async with world.sessions() as session:
        assert (await session.scalars(select(UnpricedCare.care_on))).one().isoformat() == "2030-06-04"
