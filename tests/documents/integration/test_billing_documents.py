"""The document of the way a visit was billed: one for each price, when all that it states is known."""

import itertools
from typing import Any

import pytest

from common.messaging.records import Ending
from documents.models import AppointmentRoot
from support.documents import PATIENT, Facts


async def _documents(client, facts) -> list[dict[str, Any]]:
    answer = await client.get(f"/patients/{facts.patient_id}/documents", headers=PATIENT)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


@pytest.mark.parametrize(
    ("mode", "paid", "kind", "asked"),
    [
        ("TP", None, "claim-statement", ["identity", "care-act", "insured"]),
        ("TP+RECEIPT", 750, "receipt", ["identity", "care-act", "insured"]),
        ("PAPER", 2500, "care-sheet", ["identity", "care-act", "insured"]),
        ("FSE", 2500, "care-sheet", ["identity", "care-act", "insured"]),
        ("INVOICE", 2500, "invoice", ["identity", "care-act"]),
    ],
)
async def test_each_mode_gives_its_document(world, client, mode, paid, kind, asked) -> None:
    facts = Facts(mode=mode)
    settled = [] if paid is None else [facts.captured(paid)]

    await world.hear(
        *facts.rights(), facts.requested(), facts.started(), facts.completed(), facts.care_priced(), *settled
    )
    [performed] = await world.work()

    [document] = await _documents(client, facts)
    [(fact, event)] = await world.published(facts.appointment_id)
    assert (performed.outcome, document["status"], document["kind"]) == ("done", "issued", kind)
    assert (fact, event["kind"], event["folder"]) == ("issued", kind, None)
    assert [each.partition(":")[0] for each in world.others.asked] == asked
    file = await client.get(f"/documents/{document['id']}/content", headers=PATIENT)
    assert file.headers["content-type"] == "application/pdf"
    assert (await world.resources.renderer.verify(file.content, now=world.clock.now())).valid


async def test_every_order_and_repetition_gives_one_document(world, client) -> None:
    for order in itertools.permutations(range(3)):
        facts = Facts()
        about = [
            [facts.requested(), facts.started(), facts.completed()],
            [facts.care_priced()],
            [facts.captured(750)],
        ]
        deliveries = [each for place in order for each in about[place]]

        await world.hear(*deliveries)
        again = await world.hear(*deliveries)
        await world.work()
        await world.hear(*facts.rights())

        assert {outcome.ending for outcome in again} == {Ending.DUPLICATE}
        assert [(each["kind"], each["status"]) for each in await _documents(client, facts)] == [
            ("receipt", "issued")
        ]


async def test_a_receipt_waits_for_what_the_card_gave(world, client) -> None:
    facts = Facts()
    await world.hear(
        *facts.rights(), facts.requested(), facts.started(), facts.completed(), facts.care_priced()
    )

    assert await world.work() == []
    await world.hear(facts.captured(500), facts.short(250, captured=500))
    await world.work()

    assert [each["kind"] for each in await _documents(client, facts)] == ["receipt"]


async def test_a_receipt_states_all_that_was_captured_in_parts(world, client) -> None:
    """The card provider captured a part by itself, the platform the rest."""
    facts = Facts()
    await world.hear(*facts.rights(), facts.requested(), facts.started(), facts.completed())

    await world.hear(facts.care_priced(), facts.captured(500, total=750))
    await world.work()

    async with world.sessions() as session:
        visit = await session.get_one(AppointmentRoot, facts.appointment_id)
    assert visit.paid_cents == 750
    assert [each["status"] for each in await _documents(client, facts)] == ["issued"]


async def test_a_visit_that_did_not_take_place_has_no_document(world, client) -> None:
    facts = Facts()

    await world.hear(*facts.rights(), facts.requested(), facts.started(), facts.not_billed())
    outcomes = await world.hear(facts.care_priced(), facts.short(750))

    assert [outcome.ending for outcome in outcomes] == [Ending.IGNORED, Ending.IGNORED]
    assert await world.work() == []
    assert await _documents(client, facts) == []


async def test_a_later_price_replaces_the_document(world, client) -> None:
    facts = Facts(mode="PAPER")
    await world.hear(
        *facts.rights(),
        facts.requested(),
        facts.started(),
        facts.completed(),
        facts.care_priced(),
        facts.captured(2500),
    )
    await world.work()

    world.others.revision = 2
    await world.hear(facts.care_priced(revision=2, sequence=2, mode="FSE"))
    await world.work()

    assert [each["status"] for each in await _documents(client, facts)] == ["issued", "withdrawn"]
    assert [fact for fact, _ in await world.published(facts.appointment_id)] == [
        "issued",
        "withdrawn",
        "issued",
    ]


async def test_a_service_that_is_away_is_asked_again(world, client) -> None:
    facts = Facts()
    await world.hear(
        *facts.rights(),
        facts.requested(),
        facts.started(),
        facts.completed(),
        facts.care_priced(),
        facts.captured(750),
    )

    world.others.away = True
    [first] = await world.work()
    world.others.away = False
    [second] = await world.work()

    assert (first.outcome, second.outcome) == ("retry", "done")
    assert [each["status"] for each in await _documents(client, facts)] == ["issued"]


async def test_the_storage_holds_nothing_that_can_be_read(world, client, tmp_path) -> None:
    facts = Facts()
    await world.hear(
        *facts.rights(),
        facts.requested(),
        facts.started(),
        facts.completed(),
        facts.care_priced(),
        facts.captured(750),
    )
    await world.work()

    [file] = [path for path in (tmp_path / "storage").rglob("*") if path.is_file()]

    assert b"%PDF" not in file.read_bytes()
    assert len(await _documents(client, facts)) == 1


async def test_an_erased_patient_is_shown_to_nobody_and_stays_verifiable(world, client) -> None:
    facts = Facts()
    await world.hear(
        *facts.rights(),
        facts.requested(),
        facts.started(),
        facts.completed(),
        facts.care_priced(),
        facts.captured(750),
    )
    await world.work()
    [document] = await _documents(client, facts)

    await world.hear(facts.erased())

    assert await _documents(client, facts) == []
    answer = await client.get(f"/documents/{document['id']}", headers=PATIENT)
    assert answer.status_code == 404
    verified = await client.get(
        document["verification"]["url"].replace("https://documents.example", "http://documents")
    )
    assert verified.json()["status"] == "authentic"
