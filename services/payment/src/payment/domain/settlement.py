"""What becomes of the holds once it is known what is due."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from common.money import Cents
from payment.domain.holds import HoldStatus


@dataclass(frozen=True, slots=True)
class HoldView:
    id: UUID
    attempt: int
    status: HoldStatus
    held_cents: Cents  # and not captured yet
    called: bool  # the provider may know of it
    going: bool  # its release is decided


@dataclass(frozen=True, slots=True)
class Settlement:
    capture: UUID | None
    capture_cents: Cents
    release: Sequence[UUID]  # held, asking the patient, or not yet sent
    short_cents: Cents  # due, and on no hold


def settle(holds: Sequence[HoldView], *, due_cents: Cents) -> Settlement | None:
    """At most what is held is captured, from one hold; the rest of it and all others are released.

    None: an attempt that may cover more is on its way, and nothing is decided before its answer.
    """
    live = [hold for hold in holds if _is_live(hold)]
    best = max(live, key=lambda hold: (hold.held_cents, hold.attempt), default=None)
    held = best.held_cents if best is not None else 0
    if held < due_cents and any(_may_still_come(hold, alone=best is None) for hold in holds):
        return None
    captured = Cents(min(held, due_cents))
    kept = best.id if best is not None and captured > 0 else None
    return Settlement(
        capture=kept,
        capture_cents=captured,
        release=releasable(holds, but=kept),
        short_cents=Cents(due_cents - captured),
    )


def releasable(holds: Sequence[HoldView], *, but: UUID | None) -> tuple[UUID, ...]:
    return tuple(hold.id for hold in holds if hold.id != but and _is_releasable(hold))


def superseded(holds: Sequence[HoldView]) -> tuple[UUID, ...]:
    """What a newer live hold has made needless, before anything is due."""
    newest = max((hold.attempt for hold in holds if _is_live(hold)), default=0)
    return tuple(hold.id for hold in holds if hold.attempt < newest and _is_releasable(hold))


_RELEASABLE: Final = frozenset({HoldStatus.PENDING, HoldStatus.ACTION_REQUIRED, HoldStatus.HELD})


def _is_live(hold: HoldView) -> bool:
    return hold.status is HoldStatus.HELD and not hold.going


def _is_releasable(hold: HoldView) -> bool:
    return hold.status in _RELEASABLE and not hold.going


def _may_still_come(hold: HoldView, *, alone: bool) -> bool:
    """An attempt that was sent; one that was not, or asks the patient, counts while there is no other."""
    match hold.status:
        case HoldStatus.PENDING | HoldStatus.UNKNOWN:
            return hold.called or alone
        case HoldStatus.ACTION_REQUIRED:
            return alone and not hold.going
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Refundable:
    """A capture, and how much of it is not given back, nor about to be."""

    id: UUID
    left_cents: Cents


def excess(
    captures: Sequence[Refundable], *, paid_cents: Cents, due_cents: Cents
) -> Sequence[tuple[UUID, Cents]]:
    """What to give back of each capture so that no more than `due_cents` of `paid_cents` is kept.

    The newest capture gives back first.
    """
    above = paid_cents - due_cents
    returns: list[tuple[UUID, Cents]] = []
    for capture in reversed(captures):
        part = Cents(min(above, capture.left_cents))
        if part > 0:
            returns.append((capture.id, part))
            above -= part
    return returns
