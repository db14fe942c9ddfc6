"""Performed care without a price: priced again once its coding or the tables are corrected."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain.pricing import PricingRefused
from claims.models import AppointmentRoot, CareAct, UnpricedCare
from claims.usecases import balances, care, early, legs, sheets
from claims.usecases.config import ClaimsConfig
from common.db import Sessions
from common.errors import DomainError, Refusal, at_field
from common.events.booking import ConsultationCompletedV1
from common.events.envelope import Meta
from common.events.payment import CapturedV1, ShortV1
from common.messaging import history, tasks
from common.money import Cents

_AT_ONCE = 1000  # of what a new release of the tables asks again


class FeeAboveAgreed(DomainError):
    """A correction of the coding never makes the consultation dearer than what was completed."""

    code: ClassVar[str] = "fee-above-agreed"
    refusal: ClassVar[Refusal] = Refusal.INVALID

    def __init__(self) -> None:
        detail = "the fee may only be lowered"
        super().__init__(detail, extra=at_field("/body/fee_cents", self.code, detail))


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """What the practitioner states instead; a fee only ever goes down."""

    acts: Sequence[str]
    overrun_qualifier: str | None
    fee_cents: Cents | None


async def correct(
    session: AsyncSession, config: ClaimsConfig, appointment_id: UUID, coding: Coding | None, *, now: datetime
) -> CareAct:
    """Prices unpriced care, with a corrected coding if one is given.

    Raises UnpricedCareNotFound, FeeAboveAgreed, PricingRefused: then all stays as it is.
    """
    root = await store.lock_root(session, appointment_id)
    row = await store.get_unpriced(session, appointment_id)
    if coding is not None:
        row.completion = _coded(row.completion, coding)
        row.corrections += 1
        history.note(session, root.id, "claims.coding-corrected", at=now)
    return await _price(session, config, root, row, now=now)


async def try_again(
    session: AsyncSession, config: ClaimsConfig, appointment_id: UUID, *, now: datetime
) -> None:
    """With the tables of now; what they say when they refuse it as well is kept."""
    root = await store.lock_root(session, appointment_id)
    row = await store.find_unpriced(session, appointment_id)
    if row is None:
        return
    try:
        await _price(session, config, root, row, now=now)
    except PricingRefused as refused:
        row.refusal, row.field, row.rule = refused.code, refused.field, refused.rule
        row.table_version = config.tables.version


async def plan_after_new_tables(sessions: Sessions, config: ClaimsConfig, *, now: datetime) -> None:
    """At the start of a worker: what older tables refused is asked of these."""
    async with sessions.begin() as session:
        refused = await store.list_refused_by_others(session, config.tables.version, limit=_AT_ONCE)
        for appointment_id in refused:
            key = f"{appointment_id}:{config.tables.version[:16]}"
            payload = {"appointment_id": str(appointment_id)}
            tasks.add(session, "price-unpriced", key, due_at=now, payload=payload)


def _coded(completion: dict[str, object], coding: Coding) -> dict[str, object]:
    fee = completion["fee_cents"]
    if coding.fee_cents is not None:
        if not isinstance(fee, int) or coding.fee_cents > fee:
            raise FeeAboveAgreed
        fee = coding.fee_cents
    acts = [{"code": code} for code in coding.acts]
    return completion | {"acts": acts, "overrun_qualifier": coding.overrun_qualifier, "fee_cents": fee}


async def _price(
    session: AsyncSession, config: ClaimsConfig, root: AppointmentRoot, row: UnpricedCare, *, now: datetime
) -> CareAct:
    """As known when the care was done; a row that the tables learnt later counts if that gives no price."""
    event = ConsultationCompletedV1.model_validate_json(json.dumps(row.completion))
    try:
        act = await care.price_care(session, config, root, event, known_at=event.completed_at, now=now)
    except PricingRefused:
        act = await care.price_care(session, config, root, event, known_at=now, now=now)
    await session.delete(row)
    await legs.open_planned(session, config, now=now)
    await session.flush()
    await _catch_up(session, config, root, now=now)
    return act


async def _catch_up(
    session: AsyncSession, config: ClaimsConfig, root: AppointmentRoot, *, now: datetime
) -> None:
    """Of all facts only what the card gave, and what it did not, waits for the final price."""
    for fact in await early.take_early_facts(session, root.id):
        meta = Meta.model_validate(fact.headers)
        if fact.type == ShortV1.type:
            short = ShortV1.model_validate_json(fact.body)
            await balances.take_short(session, config, short, meta, now=now)
        elif fact.type == CapturedV1.type:
            captured = CapturedV1.model_validate_json(fact.body)
            await sheets.take_capture(session, config, captured, meta, now=now)
