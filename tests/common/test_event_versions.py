"""Two versions of a fact side by side: who reads the next one reads what is written in the earlier ones."""

from typing import ClassVar
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from common.events.base import Event, PositiveCents
from common.events.catalogue import CATALOGUE
from common.events.envelope import Meta
from common.messaging.delivery import deliver, deliver_batch
from common.messaging.records import APPLIED, Outcome, PartitionStopped
from common.messaging.routes import Routes
from support.records import NOW, record

ONE, TWO = UUID(int=1), UUID(int=2)


class _Offered(Event):
    topic: ClassVar[str] = "payment.appointment"
    type: ClassVar[str] = "payment.offered"

    id: UUID

    def key(self) -> str:
        return str(self.id)


class OfferedV1(_Offered):
    version: ClassVar[int] = 1

    euros: int

    def upgrade(self) -> "OfferedV2":
        return OfferedV2(id=self.id, cents=self.euros * 100)


class OfferedV2(_Offered):
    version: ClassVar[int] = 2
    earlier: ClassVar[type[Event] | None] = OfferedV1

    cents: PositiveCents

    def upgrade(self) -> "OfferedV3":
        return OfferedV3(id=self.id, amount_cents=self.cents)


class OfferedV3(_Offered):
    version: ClassVar[int] = 3
    earlier: ClassVar[type[Event] | None] = OfferedV2

    amount_cents: PositiveCents


WRITTEN = [OfferedV1(id=ONE, euros=25), OfferedV2(id=ONE, cents=750), OfferedV3(id=ONE, amount_cents=100)]


class Reader:
    def __init__(self, *versions: type[Event]) -> None:
        self.seen: list[Event] = []
        self.routes = Routes()
        for version in versions:
            self.routes.on(version)(self._note)

    async def _note(self, _: AsyncSession, event: Event, meta: Meta, __: object) -> Outcome:
        assert meta.type == event.type
        self.seen.append(event)
        return APPLIED


async def test_a_reader_of_the_newest_version_is_handed_earlier_ones_upgraded(sessions) -> None:
    reader = Reader(OfferedV3)

    for number, event in enumerate(WRITTEN, start=1):
        await deliver(record(event, sequence=number), reader.routes, sessions, now=NOW)

    assert reader.seen == [OfferedV3(id=ONE, amount_cents=cents) for cents in (2500, 750, 100)]


async def test_a_batch_of_versions_is_handed_over_in_its_order(sessions) -> None:
    reader = Reader(OfferedV3)

    await deliver_batch(
        [record(event, sequence=number) for number, event in enumerate(WRITTEN, start=1)],
        reader.routes,
        sessions,
        now=NOW,
    )

    assert [event.model_dump()["amount_cents"] for event in reader.seen] == [2500, 750, 100]


async def test_a_version_with_a_handler_of_its_own_keeps_it(sessions) -> None:
    reader = Reader(OfferedV3, OfferedV1)

    await deliver(record(WRITTEN[0]), reader.routes, sessions, now=NOW)

    assert reader.seen == [WRITTEN[0]]


async def test_a_version_that_nobody_here_knows_stops_the_partition(sessions) -> None:
    reader = Reader(OfferedV2)

    with pytest.raises(PartitionStopped, match=r"payment\.offered v3"):
        await deliver(record(OfferedV3(id=TWO, amount_cents=1)), reader.routes, sessions, now=NOW)


@pytest.mark.parametrize("event", CATALOGUE.values(), ids=lambda event: f"{event.type}.v{event.version}")
def test_every_version_knows_the_one_before_it(event: type[Event]) -> None:
    assert event.earlier is CATALOGUE.get((event.type, event.version - 1))
    if event.earlier is not None:
        assert event.earlier.upgrade is not Event.upgrade
