from dataclasses import replace
from uuid import uuid4

import pytest

from common.events.payment import HoldPlacedV1
from common.messaging.delivery import deliver
from common.messaging.records import APPLIED, Ending, Outcome, PartitionStopped
from common.messaging.routes import Routes
from common.money import Cents
from support.records import NOW, record

PLACED = record(
    HoldPlacedV1(
        appointment_id=uuid4(),
        revision=1,
        schedule_no=1,
        hold_id=uuid4(),
        attempt=1,
        currency="EUR",
        held_cents=Cents(750),
        capture_before=NOW,
    )
)

routes = Routes()


@routes.on(HoldPlacedV1)
async def apply(*_: object) -> Outcome:
    return APPLIED


async def test_a_version_nobody_here_reads_stops_the_partition_and_leaves_nothing(
    sessions, left_behind
) -> None:
    headers = {**PLACED.headers, "ce_dataschema": "urn:event:payment.hold-placed:v2"}

    with pytest.raises(PartitionStopped, match="v2 needs a newer release"):
        await deliver(replace(PLACED, headers=headers), routes, sessions, now=NOW)

    assert await left_behind() == [0, 0, 0]


@pytest.mark.parametrize("amount", [b"750.0", b'"750"', b"0", b"null"])
async def test_an_amount_is_a_json_integer_and_nothing_else(sessions, amount) -> None:
    body = PLACED.body.replace(b"750", amount)

    outcome = await deliver(replace(PLACED, body=body), routes, sessions, now=NOW)

    assert outcome == Outcome(Ending.REJECTED, "body-unreadable")


@pytest.mark.parametrize("lost", ["ce_specversion", "ce_sequence", "ce_dataschema", "ce_correlationid"])
async def test_without_an_envelope_a_record_is_a_dead_letter_that_cannot_be_marked(
    sessions, left_behind, lost
) -> None:
    headers = {name: value for name, value in PLACED.headers.items() if name != lost}

    outcome = await deliver(replace(PLACED, headers=headers), routes, sessions, now=NOW)

    assert outcome == Outcome(Ending.REJECTED, "envelope-unreadable")
    assert await left_behind() == [0, 1, 0]
