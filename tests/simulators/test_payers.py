"""The payers' books: what is received twice counts once, answers follow their script, and all survives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from common.clock import Clock
from simulators.payers import create_app, create_controls
from support.postgres import Server
from support.records import NOW

KEY = "sample-gateway"
NIR = "185057800608491"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def clock() -> Clock:
    return Clock(read=lambda: NOW)


@pytest.fixture
async def dsn(server: Server) -> AsyncIterator[str]:
    async with server.clone("template1") as url:
        yield url.set(drivername="postgresql").render_as_string(hide_password=False)


@asynccontextmanager
async def running(dsn: str, clock: Clock) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """The gateway and its controls."""
    gateway, controls = create_app(dsn, clock, key=KEY), create_controls(dsn, clock)
    url = "http://payers/simulators"
    async with (
        gateway.router.lifespan_context(gateway),
        controls.router.lifespan_context(controls),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=gateway), base_url=f"{url}/payers", headers=BEARER
        ) as payers,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=controls), base_url=f"{url}/controls/payers"
        ) as scripted,
    ):
        yield payers, scripted


@pytest.fixture
async def apps(dsn: str, clock: Clock) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    async with running(dsn, clock) as both:
        yield both


def batch(*claims: dict[str, Any], payer: str = "amo", **overrides: Any) -> dict[str, Any]:
    chosen = list(claims) or [claim()]
    number = "general" if payer == "amo" else "99100001"
    return {
        "version": 1,
        "batch_id": str(uuid4()),
        "payer": {"kind": payer, "number": number},
        "biller_id": "00000000-0000-0000-0000-000000000007",
        "made_at": NOW.isoformat(),
        "currency": "EUR",
        "total_cents": sum(each["amount_cents"] for each in chosen),
        "claims": chosen,
    } | overrides


def claim(number: int = 1, *, attempt: int = 1, nir: str | None = NIR, cents: int = 1750) -> dict[str, Any]:
    return {
        "invoice_no": f"{number:09d}",
        "attempt": attempt,
        "appointment_id": str(uuid4()),
        "care_on": "2030-06-01",
        "rpps": None,
        "insured": {"nir": nir, "ame_number": None, "born_on": None},
        "amc": None,
        "pathway_indicator": "T",
        "exemption_code": None,
        "amount_cents": cents,
        "lines": [{"code": "TCG", "benefit": "base", "base_cents": 2500, "amount_cents": cents}],
    }


async def answers(payers: httpx.AsyncClient, after: str = "0") -> list[tuple[Any, ...]]:
    page = (await payers.get("/returns", params={"after": after})).json()
    names = ("kind", "invoice_no", "accepted", "amount_cents", "code")
    return [tuple(item[name] for name in names) for item in page["items"]]


ACKNOWLEDGED = ("acknowledgement", None, True, None, None)
PAID = ("payment", "000000001", None, 1750, None)


async def test_a_batch_is_acknowledged_and_paid(apps) -> None:
    payers, _ = apps

    received = await payers.post("/batches", json=batch())

    assert received.status_code == 202
    assert await answers(payers) == [ACKNOWLEDGED, PAID]


async def test_a_batch_that_comes_twice_counts_once(apps) -> None:
    payers, _ = apps
    sent = batch()

    first, second = await payers.post("/batches", json=sent), await payers.post("/batches", json=sent)

    assert first.json() == second.json()
    assert await answers(payers) == [ACKNOWLEDGED, PAID]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"behaviour": "accept"}, [ACKNOWLEDGED, PAID]),
        (
            {"behaviour": "reject", "code": "0450-072"},
            [ACKNOWLEDGED, ("reject", "000000001", None, None, "0450-072")],
        ),
        ({"behaviour": "reject"}, [ACKNOWLEDGED, ("reject", "000000001", None, None, "0250-050")]),
        (
            {"behaviour": "negative-acknowledgement"},
            [("acknowledgement", None, False, None, None)],
        ),
        ({"behaviour": "silence"}, []),
        (
            {"behaviour": "partial", "cents": 1000},
            [ACKNOWLEDGED, ("payment", "000000001", None, 1000, None)],
        ),
        ({"behaviour": "duplicate"}, [ACKNOWLEDGED, PAID, PAID]),
        (
            {"behaviour": "reversal"},
            [ACKNOWLEDGED, PAID, ("reversal", "000000001", None, 1750, None)],
        ),
        ({"behaviour": "late"}, [ACKNOWLEDGED]),
        ({"behaviour": "late-acknowledgement", "delay_seconds": 60}, []),
    ],
)
async def test_a_payer_behaves_as_scripted(apps, script, expected) -> None:
    payers, controls = apps
    await controls.post("/scripts", json=script)

    await payers.post("/batches", json=batch())

    assert await answers(payers) == expected


async def test_the_narrowest_script_wins_and_is_used_up(apps) -> None:
    payers, controls = apps
    await controls.post("/scripts", json={"member": NIR, "behaviour": "reject", "times": 1})
    await controls.post("/scripts", json={"behaviour": "partial", "cents": 100})

    await payers.post("/batches", json=batch(claim(1), claim(2), claim(3, nir="255081416802538")))

    assert [each[:1] + each[3:] for each in await answers(payers)][1:] == [
        ("reject", None, "0250-050"),
        ("payment", 100, None),
        ("payment", 100, None),
    ]


async def test_a_late_answer_comes_when_it_is_due_and_no_cursor_passes_it(apps, clock) -> None:
    payers, controls = apps
    await controls.post("/scripts", json={"behaviour": "late", "delay_seconds": 600, "times": 1})
    await payers.post("/batches", json=batch(claim(1)))
    await payers.post("/batches", json=batch(claim(2)))
    page = (await payers.get("/returns")).json()

    clock.shift = timedelta(minutes=11)
    late = await answers(payers, page["next"])

    assert [item["invoice_no"] for item in page["items"] if item["kind"] == "payment"] == ["000000002"]
    assert late == [PAID]


async def test_an_invoice_that_was_paid_is_never_paid_again(apps) -> None:
    payers, _ = apps
    await payers.post("/batches", json=batch(claim(1)))

    await payers.post("/batches", json=batch(claim(1, attempt=2)))

    assert (await answers(payers))[-1] == ("reject", "000000001", None, None, "2900-005")


async def test_nobody_without_a_number_is_insured(apps) -> None:
    payers, _ = apps

    await payers.post("/batches", json=batch(claim(nir=None)))

    assert (await answers(payers))[-1] == ("reject", "000000001", None, None, "0250-050")


async def test_a_payment_can_be_taken_back(apps) -> None:
    payers, controls = apps
    await payers.post("/batches", json=batch())
    back = {"payer": "amo:general", "invoice_no": "000000001"}

    first, second = [await controls.post("/reversals", json=back) for _ in range(2)]

    assert (first.status_code, second.status_code) == (202, 404)
    assert (await answers(payers))[-1] == ("reversal", "000000001", None, 1750, None)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (batch(total_cents=1), 422),
        (batch(claim(1), claim(1)), 422),
        (batch(version=3), 422),
        (batch(claims=[]), 422),
        (batch() | {"surprise": True}, 422),
    ],
)
async def test_a_file_that_does_not_add_up_is_refused_whole(apps, sent, status) -> None:
    payers, controls = apps

    answer = await payers.post("/batches", json=sent)

    assert answer.status_code == status
    assert await answers(payers) == []
    assert (await controls.get("/claims")).json() == []


async def test_the_gateway_asks_for_its_key(apps) -> None:
    payers, _ = apps

    answers = [
        await payers.get("/returns", headers={"Authorization": value}) for value in ("", "Bearer wrong")
    ]

    assert [answer.status_code for answer in answers] == [401, 401]


async def test_the_books_are_there_after_the_process_is_gone(dsn, clock) -> None:
    async with running(dsn, clock) as (payers, controls):
        await controls.post("/scripts", json={"behaviour": "late", "delay_seconds": 60})
        await payers.post("/batches", json=batch())
        cursor = (await payers.get("/returns")).json()["next"]

    clock.shift = timedelta(minutes=2)
    async with running(dsn, clock) as (payers, _):
        assert await answers(payers, cursor) == [PAID]


async def ask_rights(payers: httpx.AsyncClient, **asked: Any) -> httpx.Response:
    question = {"care_on": "2030-06-03", "nir": NIR, "ame_number": None, "born_on": None} | asked
    return await payers.post("/rights", json=question)


async def test_rights_are_open_for_the_month_of_care_unless_scripted(apps) -> None:
    payers, _ = apps
    of_amc = {"care_on": "2030-06-03", "amc_number": "99100001", "member_number": "A1"}

    fund = (await ask_rights(payers)).json()
    amc = (await payers.post("/amc-rights", json=of_amc)).json()

    assert (fund["status"], fund["valid_from"], fund["exemptions"]) == ("open", "2030-06-01", None)
    assert fund["valid_to"] >= "2030-06-30"
    assert amc["status"] == "open"
    assert fund["reference"] != amc["reference"]
    assert (await ask_rights(payers)).json() == fund


@pytest.mark.parametrize(
    ("behaviour", "status", "answered"),
    [("closed", 200, "closed"), ("unknown", 200, "unknown"), ("slow", 200, "open"), ("down", 503, None)],
)
async def test_rights_answer_as_scripted_for_one_person(apps, behaviour, status, answered) -> None:
    payers, scripted = apps
    script = {"service": "amo", "member": NIR, "behaviour": behaviour, "delay_seconds": 0, "times": 1}
    assert (await scripted.post("/rights-scripts", json=script)).status_code == 201

    other = await ask_rights(payers, nir="255081416802538")
    asked = await ask_rights(payers)
    again = await ask_rights(payers)

    assert (asked.status_code, asked.json().get("status")) == (status, answered)
    assert (other.json()["status"], again.json()["status"]) == ("open", "open")


async def test_exemptions_are_told_and_a_wrong_key_is_told_nothing(apps) -> None:
    payers, scripted = apps
    told = [{"kind": "ald", "valid_from": "2020-01-01", "valid_to": None}]
    await scripted.post("/rights-scripts", json={"behaviour": "open", "exemptions": told})

    assert (await ask_rights(payers)).json()["exemptions"] == told
    await scripted.delete("/rights-scripts")
    assert (await ask_rights(payers)).json()["exemptions"] is None
    payers.headers["Authorization"] = "Bearer wrong"
    assert (await ask_rights(payers)).status_code == 401
