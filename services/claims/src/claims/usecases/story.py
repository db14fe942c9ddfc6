"""The story of a care act for support: every state of it and its claims, with amount, reason and date."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims.domain.leg import Move, after
from claims.models import Leg, StoryEntry
from common.money import Cents

About = Literal["care-act", "leg", "balance", "return"]


def tell(
    session: AsyncSession,
    appointment_id: UUID,
    about: About,
    state: str,
    *,
    now: datetime,
    leg: Leg | None = None,
    amount_cents: Cents | None = None,
    reason: str | None = None,
) -> None:
    """`reason` is a coded word, never a person's."""
    session.add(
        StoryEntry(
            appointment_id=appointment_id,
            about=about,
            leg_id=leg.id if leg else None,
            payer_kind=leg.payer_kind if leg else None,
            state=state,
            amount_cents=amount_cents,
            reason=reason,
            at=now,
        )
    )


def move(
    session: AsyncSession,
    leg: Leg,
    move: Move,
    *,
    now: datetime,
    amount_cents: Cents | None = None,
    reason: str | None = None,
) -> None:
    """Moves a leg and tells it: the amount is the one that moved, else the whole leg's.

    Raises LegMoveRefused.
    """
    leg.state, leg.changed_at = after(leg.state, move), now
    tell(
        session,
        leg.appointment_id,
        "leg",
        leg.state.value,
        now=now,
        leg=leg,
        amount_cents=leg.amount_cents if amount_cents is None else amount_cents,
        reason=reason or move.value,
    )
