"""Comparing every payment at the card provider with ours finds what no webhook told."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.money import Cents
from payment import store
from payment.domain.provider import ProviderPayment, ProviderStatus
from payment.models import BalanceRow, HoldRow
from payment.usecases.observing import observe_payment

AmountKind = Literal["held", "captured", "refunded"]
Amounts = dict[AmountKind, int]
_NOTHING: Final[Amounts] = {"held": 0, "captured": 0, "refunded": 0}
_MOST: Final = 1000  # differences that one comparison keeps


@dataclass(slots=True)
class Comparison:
    """What one comparison has found so far. Amounts in cents."""

    began_at: datetime
    sums: Amounts = field(default_factory=lambda: dict(_NOTHING))
    seen: set[UUID] = field(default_factory=set)
    differences: list[dict[str, Any]] = field(default_factory=list)

    def note(self, reference: str, *, ours: Amounts, theirs: Amounts) -> None:
        for kind, cents in theirs.items():
            if cents != ours[kind] and len(self.differences) < _MOST:
                self.differences.append(
                    {
                        "reference": reference,
                        "amount": kind,
                        "ours_cents": ours[kind],
                        "provider_cents": cents,
                    }
                )


async def agrees(session: AsyncSession, seen: ProviderPayment) -> bool:
    """Whether our amounts are the provider's. If not, the list may be older than ours: ask for it again."""
    reference = _uuid(seen.reference)
    return reference is not None and await _ours(session, reference) == _of_provider(seen)


async def compare(
    session: AsyncSession, comparison: Comparison, seen: ProviderPayment, *, now: datetime
) -> None:
    """Takes over the provider's state of a payment that differs from ours, and notes what differs still."""
    theirs = _of_provider(seen)
    for kind, cents in theirs.items():
        comparison.sums[kind] += cents
    reference = _uuid(seen.reference)
    if reference is None:
        comparison.note(seen.reference, ours=_NOTHING, theirs=theirs)
        return
    comparison.seen.add(reference)
    if await _ours(session, reference) == theirs:
        return
    await observe_payment(session, seen, now=now)
    comparison.note(seen.reference, ours=await _ours(session, reference) or _NOTHING, theirs=theirs)


async def record(session: AsyncSession, comparison: Comparison, *, now: datetime) -> None:
    """Adds what we hold or took and the provider does not know, and keeps the result."""
    for reference, ours in await store.list_taken(session, before=comparison.began_at):
        if reference not in comparison.seen:
            comparison.note(str(reference), ours=_amounts(*ours), theirs=_NOTHING)
    values = {f"{kind}_cents": cents for kind, cents in comparison.sums.items()}
    await store.keep_comparison(
        session, {**values, "compared_at": now, "differences": comparison.differences}
    )


def _of_provider(seen: ProviderPayment) -> Amounts:
    reserved = seen.authorized_cents - seen.captured_cents - seen.released_cents
    live = seen.status is ProviderStatus.AUTHORIZED
    return _amounts(reserved if live else 0, seen.captured_cents, seen.refunded_cents)


def _amounts(held: int, captured: int, refunded: int) -> Amounts:
    return {"held": held, "captured": captured, "refunded": refunded}


async def _ours(session: AsyncSession, reference: UUID) -> Amounts | None:
    row = await store.find_taken(session, reference)
    match row:
        case HoldRow():
            return _amounts(row.reserved_cents, row.captured_cents, row.refunded_cents)
        case BalanceRow():
            return _amounts(Cents(0), row.charged_cents, row.refunded_cents)
        case None:
            return None


def _uuid(reference: str) -> UUID | None:
    try:
        return UUID(reference)
    except ValueError:
        return None
