"""Two versions of one event: topics, archives and dead letters hold the older one for weeks."""

from typing import ClassVar
from uuid import UUID, uuid4

import pytest

from common.events.base import AppointmentFact, Currency, NonNegativeCents
from common.events.envelope import Meta
from common.messaging.delivery import deliver, deliver_batch, park, redrive
from common.messaging.records import APPLIED, Outcome
from common.messaging.routes import Routes
from support.records import NOW, record
from tools.contracts import not_upgraded


class FeeAgreedV3(AppointmentFact):
    topic: ClassVar[str] = "payment.appointment"
    type: ClassVar[str] = "payment.fee-agreed"
    version: ClassVar[int] = 3

    fee_cents: NonNegativeCents
    currency: Currency
    kept: bool


class FeeAgreedV2(AppointmentFact):
    topic: ClassVar[str] = "payment.appointment"
    type: ClassVar[str] = "payment.fee-agreed"
    version: ClassVar[int] = 2

    fee_cents: NonNegativeCents
    currency: Currency

    def upgrade(self) -> FeeAgreedV3:
        return FeeAgreedV3(**self.model_dump(), kept=False)


class FeeAgreedV1(AppointmentFact):
    topic: ClassVar[str] = "payment.appointment"
    type: ClassVar[str] = "payment.fee-agreed"
    version: ClassVar[int] = 1

    fee_cents: NonNegativeCents

    def upgrade(self) -> FeeAgreedV2:
        return FeeAgreedV2(**self.model_dump(), currency="EUR")


class Forgotten(FeeAgreedV1):
    def upgrade(self) -> FeeAgreedV2:
        raise NotImplementedError


class Skipping(FeeAgreedV1):
    def upgrade(self) -> FeeAgreedV3:  # type: ignore[override]
        return super().upgrade().upgrade()


def reader() -> tuple[Routes, list[tuple[FeeAgreedV3, Meta]]]:
    routes, seen = Routes(), []

    @routes.on(FeeAgreedV3, FeeAgreedV2, FeeAgreedV1)
    async def keep(_: object, event: FeeAgreedV3, meta: Meta, __: object) -> Outcome:
        seen.append((event, meta))
        return APPLIED

    return routes, seen


def told(appointment_id: UUID) -> list[AppointmentFact]:
    first = FeeAgreedV1(appointment_id=appointment_id, fee_cents=2500)
    return [first, first.upgrade(), first.upgrade().upgrade()]


async def test_a_handler_of_the_newest_version_gets_every_older_one_upgraded(sessions) -> None:
    routes, seen = reader()

    for number, event in enumerate(told(uuid4()), 1):
        assert await deliver(record(event, sequence=number), routes, sessions, now=NOW) == APPLIED

    assert len({event for event, _ in seen}) == 1
    assert seen[0][0].currency == "EUR"
    # what a handler stores beside the body names the version that it stores
    assert {meta.version for _, meta in seen} == {3}
    assert [meta.sequence for _, meta in seen] == [1, 2, 3]


async def test_versions_meet_in_one_batch(sessions) -> None:
    routes, seen = reader()
    records = [record(event, sequence=number) for number, event in enumerate(told(uuid4()), 1)]

    assert await deliver_batch(records, routes, sessions, now=NOW) == [APPLIED] * 3

    assert [event.version for event, _ in seen] == [3, 3, 3]


async def test_a_dead_letter_of_an_older_version_is_redriven_by_a_newer_reader(sessions) -> None:
    routes, seen = reader()
    letter = record(FeeAgreedV1(appointment_id=uuid4(), fee_cents=2500))
    await park(letter, sessions, reason="a-bug", now=NOW)

    redriven = await redrive(letter.topic, letter.key, routes, sessions, now=NOW)

    assert (redriven.outcomes, redriven.left) == ((APPLIED,), 0)
    assert [event.kept for event, _ in seen] == [False]


def test_one_version_has_one_handler_and_only_of_its_type() -> None:
    routes, _ = reader()

    with pytest.raises(ValueError, match="twice"):
        routes.on(FeeAgreedV2)(lambda *_: None)


def test_the_contract_names_a_version_that_does_not_become_the_next() -> None:
    whole = {(each.type, each.version): each for each in (FeeAgreedV1, FeeAgreedV2, FeeAgreedV3)}
    kind = FeeAgreedV1.type

    assert not_upgraded(whole) == []
    for wrong in (Forgotten, Skipping):
        found = not_upgraded(whole | {(kind, 1): wrong})
        assert found == [f"{kind}.v1: upgrade() makes no v2 of its example"]
