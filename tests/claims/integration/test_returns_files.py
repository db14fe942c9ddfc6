"""Files of payers' answers and bank lines: imported once, line by line, or refused with a reason."""

import base64
import random
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from claims.domain.return_file import MOST_BYTES, write
from claims.domain.returns import PayerReturn, ReturnKind
from claims.models import Leg, Posting, ReturnLine, Submission
from claims.usecases import legs
from claims.usecases.returns_files import import_lines
from common.money import Cents
from support.claims import ADMINISTRATOR, NIR, PATIENT, SUPPORT, Facts

COVERED = {"nir": NIR, "birth_date": "1985-05-14"}
FUND = "amo:general"


async def given_sent(world, given_coverage, count: int = 1) -> list[tuple[Leg, Submission]]:
    """Claims of one biller on their way to the fund in one batch, oldest invoice first."""
    first = Facts()
    for facts in (first, *(Facts(biller_id=first.biller_id) for _ in range(count - 1))):
        await given_coverage(facts, **COVERED)
        await world.hear(facts.requested(), facts.completed())
    async with world.sessions.begin() as session:
        leg = (await session.scalars(select(Leg).order_by(Leg.invoice_no))).first()
        gathered = await legs.gather(session, world.means, leg.id, now=world.clock.now())
    async with world.sessions.begin() as session:
        await legs.mark_sent(session, world.means, gathered.batch_id, now=world.clock.now())
    async with world.sessions() as session:
        query = select(Leg, Submission).join(Submission, Submission.leg_id == Leg.id)
        return [tuple(row) for row in (await session.execute(query.order_by(Leg.invoice_no))).all()]


def line(number: int, kind: ReturnKind, sent: tuple[Leg, Submission], **said: Any) -> PayerReturn:
    leg, submission = sent
    fields = {
        "payer": leg.payer,
        "return_id": UUID(int=0),
        "line": number,
        "kind": kind,
        "batch_id": submission.batch_id,
        "biller_id": leg.biller_id,
        "invoice_no": leg.invoice_no,
        "attempt": 1,
        "accepted": None,
        "amount_cents": None,
        "code": None,
    }
    return PayerReturn(**fields | said)


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


@pytest.mark.parametrize("seed", range(8))
async def test_a_file_replayed_three_times_in_random_order_gives_the_same_ledger(
    world, client, given_coverage, seed
) -> None:
    sent = await given_sent(world, given_coverage, count=4)
    paid, parts, taken_back, rejected = sent
    items = [
        acknowledged(1, paid),
        line(2, ReturnKind.ACCEPTANCE, paid),
        line(3, ReturnKind.PAYMENT, paid, amount_cents=Cents(1750)),
        line(4, ReturnKind.PAYMENT, parts, amount_cents=Cents(1000)),
        line(5, ReturnKind.PAYMENT, parts, amount_cents=Cents(700)),
        line(6, ReturnKind.PAYMENT, taken_back, amount_cents=Cents(1750)),
        line(7, ReturnKind.REVERSAL, taken_back, amount_cents=Cents(1750)),
        line(8, ReturnKind.PAYMENT, taken_back, amount_cents=Cents(1000)),
        line(9, ReturnKind.REJECT, rejected, code="0250-050"),
    ]
    identifier, order = uuid4(), random.Random(seed)

    for _ in range(3):
        order.shuffle(items)
        answer = await upload(client, write(identifier, FUND, items))
        assert answer.status_code == 200, answer.text
        assert answer.json()["refused"] == 0, answer.text

    assert await ledger_of(world) == [
        ("000000001", "payment", 1750),
        ("000000002", "payment", 700),
        ("000000002", "payment", 1000),
        ("000000003", "payment", 1000),
        ("000000003", "payment", 1750),
        ("000000003", "reversal", 1750),
    ]
    assert await states_of(world) == [
        ("paid", 1750, 0),
        ("partially-paid", 1700, 0),
        ("reversed", 1000, 1750),
        ("rejected", 0, 0),
    ]
    assert all(each["repeated"] for each in answer.json()["lines"])


async def test_a_line_that_fails_leaves_those_beside_it_alone(world, given_coverage) -> None:
    sent = await given_sent(world, given_coverage, 2)
    fine = line(1, ReturnKind.PAYMENT, sent[0], amount_cents=Cents(1750))
    impossible = line(2, ReturnKind.PAYMENT, sent[1], amount_cents=Cents(2**70))

    with pytest.raises(DBAPIError):
        await import_lines(world.sessions, world.means, [fine, impossible], now=world.clock.now())

    assert [(kind, cents) for _, kind, cents in await ledger_of(world)] == [("payment", 1750)]


async def test_a_bank_line_pays_every_claim_of_its_batch_or_none(world, client, given_coverage) -> None:
    sent = await given_sent(world, given_coverage, count=3)
    bank = [
        line(number, ReturnKind.TRANSFER, sent[0], invoice_no=None, amount_cents=Cents(cents))
        for number, cents in ((1, 5249), (2, 5250), (3, 5250))
    ]

    answer = await upload(client, write(uuid4(), FUND, bank))

    assert [(each["outcome"], each["field"], each["rule"]) for each in answer.json()["lines"]] == [
        ("refused", "cents", "amount-is-not-what-the-batch-is-owed"),
        ("applied", None, None),
        ("refused", "batch_id", "nothing-is-due"),
    ]
    assert await ledger_of(world) == [(f"00000000{number}", "payment", 1750) for number in (1, 2, 3)]
    assert await states_of(world) == [("paid", 1750, 0)] * 3


async def test_a_bank_line_pays_what_other_lines_left(world, client, given_coverage) -> None:
    sent = await given_sent(world, given_coverage, count=2)
    items = [
        line(1, ReturnKind.TRANSFER, sent[0], amount_cents=Cents(1000)),
        line(2, ReturnKind.TRANSFER, sent[0], invoice_no=None, amount_cents=Cents(2500)),
    ]

    answer = await upload(client, write(uuid4(), FUND, items))

    assert (answer.json()["applied"], answer.json()["refused"]) == (2, 0), answer.text
    assert await states_of(world) == [("paid", 1750, 0)] * 2


async def test_a_bad_line_is_refused_with_field_and_rule_and_the_rest_is_processed(
    world, client, given_coverage
) -> None:
    [sent] = await given_sent(world, given_coverage)
    good = line(20, ReturnKind.PAYMENT, sent, amount_cents=Cents(1750))
    items = [
        line(1, ReturnKind.PAYMENT, sent, batch_id=uuid4(), amount_cents=Cents(1750)),
        acknowledged(2, (sent[0], Submission(batch_id=uuid4()))),
        line(3, ReturnKind.PAYMENT, sent, amount_cents=Cents(1751)),
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
        (3, "cents", "amount-above-claim"),
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
        (lambda text: text[:-1], "end", "the-last-line-is-whole"),
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
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [(f"/file/{field}", rule)]
    assert await ledger_of(world) == []
    async with world.sessions() as session:
        assert (await session.scalars(select(ReturnLine))).all() == []
    assert (await upload(client, text)).json()["applied"] == 2


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
