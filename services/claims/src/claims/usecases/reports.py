"""What payers owe and since when, and what a practitioner's care brought in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import ClassVar, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.models import CareAct, Leg
from common.errors import DomainError, Refusal, at_field
from common.money import Cents

SPANS: Final = (7, 30, 60, 90)  # days since a claim was opened; the last span has no end


class PeriodReversed(DomainError):
    code: ClassVar[str] = "dates-reversed"
    refusal: ClassVar[Refusal] = Refusal.INVALID

    def __init__(self) -> None:
        detail = "the period ends before it begins"
        super().__init__(detail, extra=at_field("/query/to", self.code, detail))


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    from_days: int
    to_days: int | None
    legs: int
    owed_cents: Cents


@dataclass(frozen=True, slots=True, kw_only=True)
class Ageing:
    payer: str
    legs: int
    owed_cents: Cents
    late_legs: int  # past the seven working days
    late_cents: Cents
    oldest_opened_at: datetime
    spans: Sequence[Span]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    lines: Sequence[tuple[CareAct, Sequence[Leg]]]
    fee_cents: Cents
    claimed_cents: Cents
    paid_cents: Cents
    owed_back_cents: Cents  # that payers paid above their claims


async def ageing(session: AsyncSession, *, after: str | None, limit: int, now: datetime) -> list[Ageing]:
    edges = [now - timedelta(days=days) for days in SPANS]
    rows = await store.list_ageing(session, edges=edges, now=now, after=after, limit=limit)
    found = []
    for row in rows:
        payer, legs, owed, late, late_cents, oldest, *spans = tuple(row)
        counts, sums = spans[::2], spans[1::2]
        begins = (0, *SPANS)
        ends = (*SPANS, None)
        found.append(
            Ageing(
                payer=payer,
                legs=legs,
                owed_cents=Cents(int(owed)),
                late_legs=late,
                late_cents=Cents(int(late_cents)),
                oldest_opened_at=oldest,
                spans=[
                    Span(from_days=begin, to_days=end, legs=count, owed_cents=Cents(int(cents)))
                    for begin, end, count, cents in zip(begins, ends, counts, sums, strict=True)
                ],
            )
        )
    return found


async def statement(
    session: AsyncSession,
    practitioner_id: UUID,
    *,
    from_on: date,
    before: date,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Statement:
    """Care given in [`from_on`, `before`) in the order of its completion, with its claims.

    The sums are of the whole period.
    """
    acts = await store.list_statement(
        session, practitioner_id, from_on=from_on, before=before, after=after, limit=limit
    )
    of_act: dict[UUID, list[Leg]] = {act.id: [] for act in acts}
    for leg in await store.list_legs_of_acts(session, list(of_act)):
        of_act[leg.care_act_id].append(leg)
    fees, claimed, paid, owed_back = await store.sum_statement(
        session, practitioner_id, from_on=from_on, before=before
    )
    return Statement(
        lines=[(act, of_act[act.id]) for act in acts],
        fee_cents=fees,
        claimed_cents=claimed,
        paid_cents=paid,
        owed_back_cents=owed_back,
    )
