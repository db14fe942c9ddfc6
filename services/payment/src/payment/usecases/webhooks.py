"""What the card provider reports by itself: kept under its event id, then observed like any answer."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from payment import store
from payment.domain.provider import AnswerUnreadable, payment_of, setup_of
from payment.usecases import cards, observing

_log: Final = logging.getLogger(__name__)


async def take_provider_event(
    session: AsyncSession, *, event_id: str, kind: str, data: Mapping[str, Any], raw: bytes, now: datetime
) -> None:
    """One we cannot place or read is kept all the same: sending it again would not help."""
    reference = str(data.get("reference", ""))[:200] or None
    row = {"id": event_id, "kind": kind, "reference": reference, "body": raw, "received_at": now}
    if not await store.keep_provider_event(session, {**row, "outcome": "applied"}):
        return
    outcome = await _observe(session, kind, data, now=now)
    if outcome != "applied":
        _log.warning("provider event %s is %s", event_id, outcome)
        await store.mark_provider_event(session, event_id, outcome)


async def _observe(session: AsyncSession, kind: str, data: Mapping[str, Any], *, now: datetime) -> str:
    try:
        if kind == "setup.updated":
            setup = setup_of(data)
            known = await cards.observe_setup(session, UUID(setup.reference), setup, now=now)
        elif kind == "payment.updated":
            payment = payment_of(data)
            known = await observing.observe_payment(session, payment, now=now)
        else:
            return "not-read"
    except (AnswerUnreadable, ValueError):
        return "unreadable"
    return "applied" if known else "not-ours"
