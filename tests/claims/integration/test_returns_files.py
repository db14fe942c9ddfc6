"""Files of payers' answers and bank lines: imported once, line by line, or refused with a reason."""

import base64
import json
import random
from collections import Counter
from dataclasses import replace
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from claims.domain.return_file import MOST_BYTES, write
from claims.domain.returns import PayerReturn, ReturnKind
from claims.models import Balance, CareAct, Leg, LineState, Posting, ReturnLine, Submission
from claims.usecases import batches
from claims.usecases.returns_files import import_lines
from common.messaging.tables import OutboxRow
from common.money import Cents
from support.claims import (
    ADMINISTRATOR,
    CONTRACTED,
    NIR,
    PATIENT,
    PRACTITIONER,
    SUPPORT,
    Facts,
    keyed,
    returned,
)

COVERED = {"nir": NIR, "birth_date": "1985-05-14"}
FUND = "amo:general"
AMC = f"amc:{CONTRACTED['number']}"


async def given_sent(world, given_coverage, count: int = 1) -> list[tuple[Leg, Submission]]:
    """Claims of one biller on their way to the fund in one batch, oldest invoice first."""
    first = Facts()
    for facts in (first, *(Facts(biller_id=first.biller_id) for _ in range(count - 1))):
        await given_coverage(facts, **COVERED)
        await world.hear(facts.requested(), facts.completed())
    async with world.sessions.begin() as session:
        leg = (await session.scalars(select(Leg).order_by(Leg.invoice_no))).first()
        gathered = await batches.gather(session, world.config, leg.id, now=world.clock.now())
    async with world.sessions.begin() as session:
        await batches.mark_sent(session, world.config, gathered.batch_id, now=world.clock.now())
    async with world.sessions() as session:
        query = select(Leg, Submission).join(Submission, Submission.leg_id == Leg.id)
        return [tuple(row) for row in (await session.execute(query.order_by(Leg.invoice_no))).all()]


def line(number: int, kind: ReturnKind, sent: tuple[Leg, Submission], **said: Any) -> PayerReturn:
    return returned(*sent, kind, line=number, **said)


def acknowledged(number: int, sent: tuple[Leg, Submission]) -> PayerReturn:
    return line(number, ReturnKind.ACKNOWLEDGEMENT, sent, invoice_no=None, accepted=True)


async def upload(client, text: str, headers=ADMINISTRATOR) -> httpx.Response:
    return await client.post("/returns-files", json={"text": text}, headers=headers)


async def ledger_of(world) -> list[tuple[str, str, int]]:
    async with world.sessions() as session:
        rows = await session.execute(select(Leg.invoice_no, Posting.kind, Posting.amount_cents).join(Leg))
        return sorted(tuple(row) for row in rows.all())


async def states_of(world) -> list[tuple[str, int, int]]:
    async with world.sessions() as session:
        rows = await session.scalars(select(Leg).order_by(Leg.invoice_no))
        return [(leg.state.value, leg.paid_cents, leg.reversed_cents) for leg in rows]


async def leg_shown(client, sent: tuple[Leg, Submission]) -> dict[str, Any]:
    answer = await client.get(f"/appointments/{sent[0].appointment_id}/care-act", headers=SUPPORT)
    [leg] = answer.json()["legs"]
    return leg


async def given_sent_to_both(world, given_coverage) -> dict[str, list[tuple[Leg, Submission]]]:
    """Five claims to the fund and the same to one AMC, each five in one batch; by payer, oldest first."""
    first = Facts()
    for facts in (first, *(Facts(biller_id=first.biller_id) for _ in range(4))):
        await given_coverage(facts, **COVERED, amc=CONTRACTED)
        await world.hear(facts.requested(), facts.completed())
    async with world.sessions.begin() as session:
        for leg in await session.scalars(select(Leg)):
            leg.free_to_leave = True
    sent = {}
    for payer in (FUND, AMC):
        query = select(Leg).where(Leg.payer == payer).order_by(Leg.invoice_no)
        async with world.sessions.begin() as session:
            leg = (await session.scalars(query)).first()
            gathered = await batches.gather(session, world.config, leg.id, now=world.clock.now())
        async with world.sessions.begin() as session:
            await batches.mark_sent(session, world.config, gathered.batch_id, now=world.clock.now())
        async with world.sessions() as session:
            both = select(Leg, Submission).join(Submission, Submission.leg_id == Leg.id)
            rows = await session.execute(both.where(Leg.payer == payer).order_by(Leg.invoice_no))
            sent[payer] = [tuple(row) for row in rows.all()]
    return sent


def files_of(sent: dict[str, list[tuple[Leg, Submission]]]) -> list[tuple[str, UUID, list[PayerReturn]]]:
    """Four files, two of each payer: what one takes back, completes or waits for came with another."""
    whole, parts, taken_back, again, rejected = sent[FUND]
    amc = sent[AMC]
    money = [
        line(1, ReturnKind.PAYMENT, whole, amount_cents=Cents(1750)),
        line(2, ReturnKind.PAYMENT, parts, amount_cents=Cents(1000)),
        line(3, ReturnKind.PAYMENT, taken_back, amount_cents=Cents(1750)),
        line(4, ReturnKind.PAYMENT, again, amount_cents=Cents(1750)),
        line(5, ReturnKind.REVERSAL, again, amount_cents=Cents(1750)),
        acknowledged(6, whole),
    ]
    corrected = [
        line(1, ReturnKind.PAYMENT, parts, amount_cents=Cents(700)),
        line(2, ReturnKind.REVERSAL, taken_back, amount_cents=Cents(500)),
        line(3, ReturnKind.PAYMENT, again, amount_cents=Cents(1750)),
        line(4, ReturnKind.REJECT, rejected, code="0250-050"),
        line(5, ReturnKind.REVERSAL, parts, amount_cents=Cents(200)),
    ]
    complementary = [
        line(
            1, ReturnKind.TRANSFER, amc[0], invoice_no=None, amount_cents=Cents(750)
        ),  # what the rest leaves
        line(2, ReturnKind.PAYMENT, amc[1], amount_cents=Cents(250)),
        line(3, ReturnKind.REJECT, amc[2], code="7001-001"),
        line(4, ReturnKind.PAYMENT, amc[3], amount_cents=Cents(750)),
        line(5, ReturnKind.REJECT, amc[4], code="7001-001"),
    ]
    rest = [
        line(1, ReturnKind.PAYMENT, amc[1], amount_cents=Cents(500)),
        line(2, ReturnKind.REVERSAL, amc[3], amount_cents=Cents(750)),
        acknowledged(3, amc[0]),
    ]
    return [
        (FUND, uuid4(), money),
        (FUND, uuid4(), corrected),
        (AMC, uuid4(), complementary),
        (AMC, uuid4(), rest),
    ]


async def everything_of(world) -> dict[str, Any]:
    """Ledger, legs, balances and lines, and which facts were told of which invoice how often."""
    async with world.sessions() as session:
        found = (await session.scalars(select(Leg).order_by(Leg.payer, Leg.invoice_no))).all()
        balances = (await session.scalars(select(Balance))).all()
        lines = (await session.scalars(select(ReturnLine))).all()
        events = (await session.scalars(select(OutboxRow))).all()
    numbers = {str(leg.id): leg.invoice_no for leg in found}
    told = Counter(
        (row.headers["ce_type"], numbers.get(json.loads(row.body).get("leg_id", ""), "")) for row in events
    )
    return {
        "ledger": await ledger_of(world),
        "legs": [
            (leg.invoice_no, leg.state.value, leg.paid_cents, leg.reversed_cents, leg.reject_code)
            for leg in found
        ],
        "balances": sorted(
            (numbers[str(each.leg_id)], each.reason, each.amount_cents, each.state.value) for each in balances
        ),
        "lines": sorted(
            (str(each.return_id), each.line, each.reason)
            for each in lines
            if each.kind != ReturnKind.ACKNOWLEDGEMENT.value  # one that money overtook tells nothing new
        ),
        "told": told,
    }


@pytest.mark.parametrize("seed", range(8))
async def test_files_replayed_three_times_in_random_order_end_in_the_same_books(
    world, client, given_coverage, connection, seed
) -> None:
    files = files_of(await given_sent_to_both(world, given_coverage))
    async with connection.begin_nested() as right_order:
        for payer, identifier, items in files:
            answer = await upload(client, write(identifier, payer, items))
            assert (answer.status_code, answer.json()["refused"]) == (200, 0), answer.text
            await world.work()
        expected = await everything_of(world)
        await right_order.rollback()
    assert await ledger_of(world) == []
    order = random.Random(seed)

    for _ in range(3):
        order.shuffle(files)
        for payer, identifier, items in files:
            order.shuffle(items)
            answer = await upload(client, write(identifier, payer, items))
            assert (answer.status_code, answer.json()["refused"]) == (200, 0), answer.text
            await world.work()
        assert await everything_of(world) == expected

    assert all(each["repeated"] for each in answer.json()["lines"])


async def test_the_books_that_files_of_two_payers_end_in(world, client, given_coverage) -> None:
    """What the random orders are compared with, in cents."""
    for payer, identifier, items in files_of(await given_sent_to_both(world, given_coverage)):
        await upload(client, write(identifier, payer, items))
        await world.work()

    books = await everything_of(world)

    assert [row[1:] for row in books["legs"]] == [
        ("paid", 750, 0, None),
        ("paid", 750, 0, None),
        ("rejected", 0, 0, "7001-001"),
        ("reversed", 0, 750, None),
        ("rejected", 0, 0, "7001-001"),
        ("paid", 1750, 0, None),
        ("partially-paid", 1500, 200, None),
        ("partially-paid", 1250, 500, None),
        ("paid", 1750, 1750, None),
        ("rejected", 0, 0, "0250-050"),
    ]
    assert [row[1:] for row in books["balances"]] == [("leg-rejected", 750, "open")] * 2
    posted = {"payment": 0, "reversal": 0}
    for _, kind, cents in books["ledger"]:
        posted[kind] += cents
    assert posted["payment"] - posted["reversal"] == sum(row[2] for row in books["legs"])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount_cents": Cents(1000)}, "cents"),
        ({"kind": ReturnKind.REVERSAL}, "kind"),
        ({"batch_id": UUID(int=4)}, "batch_id"),
        ({"invoice_no": "000000099"}, "invoice_no"),
        ({"attempt": 2}, "attempt"),
        ({"code": "7001-001"}, "code"),
        ({"biller_id": UUID(int=5)}, "biller_id"),
    ],
)
async def test_a_line_that_comes_again_with_other_content_is_refused_and_changes_nothing(
    world, client, given_coverage, changes, field
) -> None:
    [sent] = await given_sent(world, given_coverage)
    first = line(1, ReturnKind.PAYMENT, sent, amount_cents=Cents(1750))
    await upload(client, write(UUID(int=7), FUND, [first]))
    before = await everything_of(world)

    answer = await upload(client, write(UUID(int=7), FUND, [replace(first, **changes)]))
    same = await upload(client, write(UUID(int=7), FUND, [first]))

    [told] = answer.json()["lines"]
    assert (told["outcome"], told["repeated"]) == ("refused", True)
    assert (told["field"], told["rule"]) == (field, "differs-from-first")
    assert [(each["outcome"], each["rule"]) for each in same.json()["lines"]] == [("applied", None)]
    assert await everything_of(world) == before


async def test_a_file_refused_under_the_line_that_accepted_it_is_told(world, client, given_coverage) -> None:
    [sent] = await given_sent(world, given_coverage)
    first = acknowledged(1, sent)
    await upload(client, write(UUID(int=7), FUND, [first]))
    before = await states_of(world)

    answer = await upload(client, write(UUID(int=7), FUND, [replace(first, accepted=False)]))

    [told] = answer.json()["lines"]
    assert (told["outcome"], told["repeated"]) == ("refused", True)
    assert (told["field"], told["rule"]) == ("accepted", "differs-from-first")
    assert await states_of(world) == before == [("acked", 0, 0)]


async def test_a_line_kept_without_biller_and_answer_is_compared_by_the_rest(
    world, client, given_coverage
) -> None:
    [sent] = await given_sent(world, given_coverage)
    first = line(1, ReturnKind.PAYMENT, sent, amount_cents=Cents(1750))
    await upload(client, write(UUID(int=7), FUND, [first]))
    async with world.sessions.begin() as session:
        row = (await session.scalars(select(ReturnLine))).one()
        row.biller_id = row.accepted = None

    same = await upload(client, write(UUID(int=7), FUND, [first]))
    other = await upload(client, write(UUID(int=7), FUND, [replace(first, amount_cents=Cents(1))]))

    assert [(each["outcome"], each["rule"]) for each in same.json()["lines"]] == [("applied", None)]
    assert [each["field"] for each in other.json()["lines"]] == ["cents"]


async def test_a_second_payment_is_owed_back_until_the_first_is_taken_back(
    world, client, given_coverage
) -> None:
    [sent] = await given_sent(world, given_coverage)
    files = [
        write(uuid4(), FUND, [line(1, kind, sent, amount_cents=Cents(1750))])
        for kind in (ReturnKind.PAYMENT, ReturnKind.PAYMENT, ReturnKind.REVERSAL)
    ]

    answers = [(await upload(client, each)).json() for each in files[:2]]

    assert [each["lines"][0]["outcome"] for each in answers] == ["applied", "applied"]
    assert await states_of(world) == [("paid", 1750, 0)]
    assert (await leg_shown(client, sent))["owed_back_cents"] == 1750
    story = await client.get(f"/appointments/{sent[0].appointment_id}/story", headers=SUPPORT)
    told = [(each["state"], each["amount_cents"], each["reason"]) for each in story.json()["items"]]
    assert told[-1] == ("paid", 1750, "owed-back-to-the-payer")
    await upload(client, files[2])
    assert await states_of(world) == [("paid", 1750, 1750)]
    assert (await leg_shown(client, sent))["owed_back_cents"] == 0
    assert [kind for _, kind, _ in await ledger_of(world)] == ["payment", "payment", "reversal"]


async def test_a_payment_above_the_claim_pays_it_and_the_rest_is_owed_back(
    world, client, given_coverage
) -> None:
    [sent] = await given_sent(world, given_coverage)
    part = line(1, ReturnKind.PAYMENT, sent, amount_cents=Cents(1000))
    more = line(2, ReturnKind.PAYMENT, sent, amount_cents=Cents(751))

    answer = await upload(client, write(uuid4(), FUND, [part, more]))

    assert answer.json()["applied"] == 2, answer.text
    leg = await leg_shown(client, sent)
    assert (leg["state"], leg["paid_cents"], leg["owed_back_cents"]) == ("paid", 1750, 1)
    period = {"from": "2029-01-01", "to": "2031-12-31"}
    async with world.sessions() as session:
        act = await session.get_one(CareAct, sent[0].care_act_id)
    url = f"/practitioners/{act.practitioner_id}/statement"
    statement = (await client.get(url, params=period, headers=ADMINISTRATOR)).json()
    assert (statement["paid_cents"], statement["owed_back_cents"]) == (1750, 1)


async def test_one_cent_too_much_leaves_no_claim_unpaid(world, client, given_coverage) -> None:
    [sent] = await given_sent(world, given_coverage)
    payment = line(1, ReturnKind.PAYMENT, sent, amount_cents=Cents(1751))

    await upload(client, write(uuid4(), FUND, [payment]))

    leg = await leg_shown(client, sent)
    assert (leg["state"], leg["paid_cents"], leg["owed_back_cents"]) == ("paid", 1750, 1)


async def test_a_bank_line_above_the_only_claim_of_its_batch_pays_it(world, client, given_coverage) -> None:
    [sent] = await given_sent(world, given_coverage)
    bank = line(1, ReturnKind.TRANSFER, sent, invoice_no=None, amount_cents=Cents(1751))

    await upload(client, write(uuid4(), FUND, [bank]))

    leg = await leg_shown(client, sent)
    assert (leg["state"], leg["paid_cents"], leg["owed_back_cents"]) == ("paid", 1750, 1)


async def test_a_payment_of_nothing_says_why(world, client, given_coverage) -> None:
    [sent] = await given_sent(world, given_coverage)
    nothing = line(1, ReturnKind.PAYMENT, sent, amount_cents=Cents(0), code="0450-072")

    answer = await upload(client, write(uuid4(), FUND, [nothing]))

    assert answer.json()["applied"] == 1, answer.text
    leg = await leg_shown(client, sent)
    shown = (leg["state"], leg["paid_cents"], leg["paid_less_code"])
    assert shown == ("partially-paid", 0, "0450-072")
    assert await ledger_of(world) == []
    rest = line(1, ReturnKind.PAYMENT, sent, amount_cents=Cents(1750))
    await upload(client, write(uuid4(), FUND, [rest]))
    leg = await leg_shown(client, sent)
    assert (leg["state"], leg["paid_cents"], leg["paid_less_code"]) == ("paid", 1750, None)


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_paid_taken_back_and_paid_again_with_less_is_a_part_payment(
    world, client, given_coverage, order
) -> None:
    [sent] = await given_sent(world, given_coverage)
    items = [
        line(1, ReturnKind.PAYMENT, sent, amount_cents=Cents(1750)),
        line(2, ReturnKind.REVERSAL, sent, amount_cents=Cents(1750)),
        line(3, ReturnKind.PAYMENT, sent, amount_cents=Cents(1700)),
    ]

    for position in order:
        await upload(client, write(uuid4(), FUND, [items[position]]))

    assert await states_of(world) == [("partially-paid", 1700, 1750)]


async def test_money_that_a_payer_took_back_is_in_the_ageing_until_it_is_given_up(
    world, client, given_coverage
) -> None:
    [sent] = await given_sent(world, given_coverage)
    items = [
        line(1, ReturnKind.PAYMENT, sent, amount_cents=Cents(1750)),
        line(2, ReturnKind.REVERSAL, sent, amount_cents=Cents(1750)),
    ]
    await upload(client, write(uuid4(), FUND, items))

    aged = (await client.get("/ageing", headers=SUPPORT)).json()["items"]
    url = f"/appointments/{sent[0].appointment_id}/legs/{sent[0].id}/write-off"
    given_up = await client.post(url, json={"reason": "below-threshold"}, headers=keyed(PRACTITIONER))

    assert [(each["payer"], each["owed_cents"]) for each in aged] == [(FUND, 1750)]
    assert (given_up.status_code, given_up.json()["state"]) == (200, "written-off")
    assert (await client.get("/ageing", headers=SUPPORT)).json()["items"] == []


async def test_a_line_that_fails_leaves_those_beside_it_alone(world, given_coverage) -> None:
    sent = await given_sent(world, given_coverage, 2)
    fine = line(1, ReturnKind.PAYMENT, sent[0], amount_cents=Cents(1750))
    impossible = line(2, ReturnKind.PAYMENT, sent[1], amount_cents=Cents(2**70))
    after_it = line(3, ReturnKind.PAYMENT, sent[1], amount_cents=Cents(1750))

    with pytest.raises(DBAPIError):
        await import_lines(world.sessions, world.config, [fine, impossible, after_it], now=world.clock.now())

    assert [(kind, cents) for _, kind, cents in await ledger_of(world)] == [("payment", 1750)] * 2


async def test_a_bank_line_pays_every_claim_of_its_batch_or_none(world, client, given_coverage) -> None:
    sent = await given_sent(world, given_coverage, count=3)
    bank = [
        line(number, ReturnKind.TRANSFER, sent[0], invoice_no=None, amount_cents=Cents(cents))
        for number, cents in ((1, 5251), (2, 5250), (3, 5250))
    ]

    answer = await upload(client, write(uuid4(), FUND, bank))

    assert [(each["outcome"], each["field"], each["rule"]) for each in answer.json()["lines"]] == [
        ("refused", "cents", "amount-is-not-what-the-batch-is-owed"),
        ("applied", None, None),
        ("refused", "batch_id", "nothing-is-due"),
    ]
    assert await ledger_of(world) == [(f"00000000{number}", "payment", 1750) for number in (1, 2, 3)]
    assert await states_of(world) == [("paid", 1750, 0)] * 3


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("together", [True, False], ids=["in one file", "a file each"])
async def test_a_bank_line_pays_what_other_lines_left_in_every_order(
    world, client, given_coverage, order, together
) -> None:
    sent = await given_sent(world, given_coverage, count=3)
    items = [
        line(1, ReturnKind.TRANSFER, sent[0], amount_cents=Cents(1000)),
        line(2, ReturnKind.REJECT, sent[1], code="0250-050"),
        line(3, ReturnKind.TRANSFER, sent[0], invoice_no=None, amount_cents=Cents(2500)),
    ]
    ordered = [items[position] for position in order]

    for file in [ordered] if together else [[each] for each in ordered]:
        answer = await upload(client, write(uuid4(), FUND, file))
        assert answer.json()["refused"] == 0, answer.text
        if not together:
            await world.work()

    assert await states_of(world) == [("paid", 1750, 0), ("rejected", 0, 0), ("paid", 1750, 0)]
    assert sum(cents for _, _, cents in await ledger_of(world)) == 3500
    async with world.sessions() as session:
        states = await session.scalars(select(ReturnLine.state))
        assert set(states) == {LineState.APPLIED}


async def test_a_bank_line_below_what_is_due_waits_in_sight_until_support_gives_the_rest_up(
    world, client, given_coverage
) -> None:
    sent = await given_sent(world, given_coverage, count=2)
    part = line(1, ReturnKind.PAYMENT, sent[0], amount_cents=Cents(1000))
    bank = line(2, ReturnKind.TRANSFER, sent[0], invoice_no=None, amount_cents=Cents(1750))

    answer = await upload(client, write(uuid4(), FUND, [part, bank]))

    [_, waits] = answer.json()["lines"]
    assert (waits["outcome"], waits["field"], waits["rule"]) == ("waiting", "cents", "rest-of-the-batch")
    for leg, _ in sent:
        story = await client.get(f"/appointments/{leg.appointment_id}/story", headers=SUPPORT)
        told = [
            (each["about"], each["state"], each["amount_cents"], each["reason"])
            for each in story.json()["items"]
        ]
        assert told[-1] == ("return", "waiting", 1750, "rest-of-the-batch")
    url = f"/appointments/{sent[0][0].appointment_id}/legs/{sent[0][0].id}/write-off"
    given_up = await client.post(url, json={"reason": "below-threshold"}, headers=keyed(PRACTITIONER))
    assert given_up.status_code == 200, given_up.text
    await world.work()
    assert await states_of(world) == [("written-off", 1000, 0), ("paid", 1750, 0)]


async def test_a_bad_line_is_refused_with_field_and_rule_and_the_rest_is_processed(
    world, client, given_coverage
) -> None:
    [sent] = await given_sent(world, given_coverage)
    good = line(20, ReturnKind.PAYMENT, sent, amount_cents=Cents(1750))
    items = [
        line(1, ReturnKind.PAYMENT, sent, batch_id=uuid4(), amount_cents=Cents(1750)),
        acknowledged(2, (sent[0], Submission(batch_id=uuid4()))),
        line(3, ReturnKind.PAYMENT, sent, amount_cents=None),
        line(4, ReturnKind.PAYMENT, sent, invoice_no="999999999", amount_cents=Cents(1)),
        line(5, ReturnKind.REJECT, sent, code="oops"),
        line(6, ReturnKind.PAYMENT, sent, attempt=7, amount_cents=Cents(1)),
        good,
    ]
    whole = write(uuid4(), FUND, items)
    broken = ["8;payment;what", "x;payment", "9;refund;;;;;;;", "10;payment;;;000000001;;;1x;", "11;;;;;;;;"]
    header, *rest = whole.splitlines()
    end = f"end;{len(items) + len(broken)};{rest[-1].split(';')[2]}"
    text = "\n".join([header, *rest[:-1], *broken, end, ""])

    answer = await upload(client, text)

    assert answer.status_code == 200, answer.text
    assert [(each["line"], each["field"], each["rule"]) for each in answer.json()["lines"]] == [
        (1, "batch_id", "unknown-batch"),
        (2, "batch_id", "unknown-batch"),
        (3, "cents", "is-there-for-payment"),
        (4, "invoice_no", "unknown-invoice"),
        (5, "code", "no-reject-code"),
        (6, "attempt", "unknown-attempt"),
        (20, None, None),
        (8, "line", "has-9-fields"),
        (-9, "line", "is-numbered-from-1"),
        (9, "kind", "is-a-known-word"),
        (10, "cents", "is-whole-cents-above-0"),
        (11, "kind", "is-a-known-word"),
    ]
    assert await ledger_of(world) == [("000000001", "payment", 1750)]


@pytest.mark.parametrize(
    ("said", "field", "rule"),
    [
        ({"code": "A\0B"}, "code", "is-short-and-printable"),
        ({"code": "9" * 41}, "code", "is-short-and-printable"),
        ({"invoice_no": "0000\0"}, "invoice_no", "is-short-and-printable"),
        ({"attempt": "000001999999999999999"}, "attempt", "is-a-number-from-1"),
        ({"cents": "0" * 19 + "1" + "9" * 25}, "cents", "is-whole-cents-above-0"),
        ({"cents": "9" * 3999}, "cents", "is-whole-cents-above-0"),
        ({"batch_id": str(uuid4())}, "batch_id", "unknown-batch"),
    ],
)
async def test_nothing_that_a_line_says_stops_the_others(
    world, client, given_coverage, said, field, rule
) -> None:
    first, second = await given_sent(world, given_coverage, count=2)
    told = {
        "line": "2",
        "kind": "payment",
        "batch_id": str(first[1].batch_id),
        "biller_id": str(first[0].biller_id),
        "invoice_no": first[0].invoice_no,
        "attempt": "1",
        "accepted": "",
        "cents": "1",
        "code": "",
    } | said
    good = write(uuid4(), FUND, [line(3, ReturnKind.PAYMENT, second, amount_cents=Cents(1750))])
    header, fine, _ = good.splitlines()
    end = f"end;2;{1750 + int(told['cents'])}"

    answer = await upload(client, "\n".join([header, ";".join(told.values()), fine, end, ""]))

    assert answer.status_code == 200, answer.text
    assert [(each["outcome"], each["field"], each["rule"]) for each in answer.json()["lines"]] == [
        ("refused", field, rule),
        ("applied", None, None),
    ]
    assert await ledger_of(world) == [("000000002", "payment", 1750)]


async def test_a_line_names_the_batch_that_its_invoice_was_sent_in(world, client, given_coverage) -> None:
    sent = await given_sent_to_both(world, given_coverage)
    here, elsewhere = sent[FUND][0], sent[AMC][0][1].batch_id
    items = [
        line(1, ReturnKind.PAYMENT, here, batch_id=elsewhere, amount_cents=Cents(1750)),
        line(2, ReturnKind.PAYMENT, here, attempt=None, amount_cents=Cents(1750)),
    ]

    answer = await upload(client, write(uuid4(), FUND, items))

    assert [(each["field"], each["rule"]) for each in answer.json()["lines"]] == [
        ("batch_id", "invoice-is-not-of-this-batch"),
        (None, None),
    ]


@pytest.mark.parametrize("payer", ["amo:" + "x" * 41, "amo:a\0", "amo:", "amo"])
async def test_a_payer_is_a_short_word(client, payer) -> None:
    answer = await upload(client, f"returns-1;{uuid4()};{payer}\nend;0;0\n")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "is-amo-or-amc-and-its-number")


async def whole_file(world, given_coverage) -> str:
    [sent] = await given_sent(world, given_coverage)
    return write(
        uuid4(),
        FUND,
        [acknowledged(1, sent), line(2, ReturnKind.PAYMENT, sent, amount_cents=Cents(1750))],
    )


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        (lambda text: text[:-2], "end", "adds-the-amounts-up"),
        (lambda text: text[: text.index("end;")], "end", "the-last-line-counts-the-file"),
        (lambda text: text[: text.index("2;payment")], "end", "the-last-line-counts-the-file"),
        (lambda text: text.replace("end;2;1750", "end;3;1750"), "end", "counts-the-lines"),
        (lambda text: text.replace("end;2;1750", "end;2;1751"), "end", "adds-the-amounts-up"),
        (lambda text: text.replace("returns-1", "returns-2"), "version", "is-returns-1"),
        (lambda text: text.replace("amo:general", "bank"), "payer", "is-amo-or-amc-and-its-number"),
        (lambda text: text.replace("\n2;", "\n1;"), "line", "a-number-stands-once"),
        (lambda _: "\n", "version", "is-returns-1"),
    ],
    ids=[
        "last line cut",
        "end missing",
        "cut in the middle",
        "a line missing",
        "amounts wrong",
        "other version",
        "no payer",
        "number twice",
        "empty",
    ],
)
async def test_a_file_that_was_cut_or_does_not_add_up_is_refused_whole(
    world, client, given_coverage, change, field, rule
) -> None:
    text = await whole_file(world, given_coverage)

    answer = await upload(client, change(text))

    assert (answer.status_code, answer.json()["type"]) == (422, "urn:problem:returns-file-refused")
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [("/body/text", rule)]
    assert answer.json()["errors"][0]["detail"].startswith(f"{field} ")
    assert await ledger_of(world) == []
    async with world.sessions() as session:
        assert (await session.scalars(select(ReturnLine))).all() == []
    assert (await upload(client, text)).json()["applied"] == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: text + "\r\n \t\r\n\n",
        lambda text: text[:-1],
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: text.replace("\n", "  \n"),
    ],
    ids=[
        "blank last line",
        "blank last lines",
        "no last line end",
        "byte order mark",
        "line ends of Windows",
        "line ends of old Macs",
        "blank lines",
        "blanks at line ends",
    ],
)
@pytest.mark.parametrize("encoded", [False, True], ids=["text", "base64"])
async def test_a_file_is_read_where_nothing_is_lost(world, client, given_coverage, change, encoded) -> None:
    text = change(await whole_file(world, given_coverage))
    body = {"base64": base64.encodebytes(text.encode()).decode()} if encoded else {"text": text}

    answer = await client.post("/returns-files", json=body, headers=ADMINISTRATOR)

    assert (answer.status_code, answer.json().get("applied")) == (200, 2), answer.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": "x" * (MOST_BYTES + 1)}, 422),
        ({"text": "x" * 300_000}, 413),
        ({"text": "é" * (MOST_BYTES // 2 + 1)}, 422),
        ({"base64": "not base64"}, 422),
        ({"base64": "YWJj\u0091"}, 422),
        ({}, 422),
    ],
    ids=["text too long", "body too long", "too many bytes", "no base64", "no ascii", "nothing"],
)
async def test_an_oversized_or_unreadable_upload_is_refused(client, body, status) -> None:
    answer = await client.post("/returns-files", json=body, headers=ADMINISTRATOR)

    assert answer.status_code == status
    assert answer.json()["type"].startswith("urn:problem:")


async def test_a_file_may_come_in_base64_and_only_from_an_administrator(
    world, client, given_coverage
) -> None:
    text = await whole_file(world, given_coverage)
    encoded = base64.b64encode(text.encode()).decode()

    for stranger in (PATIENT, SUPPORT):
        assert (await upload(client, text, stranger)).status_code == 403
    answer = await client.post("/returns-files", json={"base64": encoded}, headers=ADMINISTRATOR)

    assert answer.json()["applied"] == 2, answer.text
