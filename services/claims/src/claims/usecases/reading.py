"""What people see of quotes and care acts: rows with their opened results."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.models import AppointmentRoot, Balance, CareAct, Leg, Preview, Quote, Status, Submission
from claims.usecases import pricing
from claims.usecases.config import ClaimsConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCareAct:
    act: CareAct
    result: dict[str, Any]
    legs: Sequence[Leg]
    submissions: Sequence[Submission]
    balances: Sequence[Balance]


async def find_patient_of(session: AsyncSession, appointment_id: UUID) -> UUID | None:
    """Whose log an access belongs to; None while the appointment is not known here."""
    root = await session.get(AppointmentRoot, appointment_id)
    return root.patient_id if root is not None and root.status is not Status.UNKNOWN else None


async def latest_quote(
    session: AsyncSession, config: ClaimsConfig, appointment_id: UUID
) -> tuple[Quote, dict[str, Any]]:
    quote = await store.get_latest_quote(session, appointment_id)
    return quote, await _result(session, config, appointment_id, quote)


async def all_quotes(
    session: AsyncSession, config: ClaimsConfig, appointment_id: UUID
) -> list[tuple[Quote, dict[str, Any]]]:
    await store.get_root(session, appointment_id)
    quotes = await store.list_quotes(session, appointment_id)
    return [(quote, await _result(session, config, appointment_id, quote)) for quote in quotes]


async def recomputed_quote(
    session: AsyncSession, config: ClaimsConfig, appointment_id: UUID, *, revision: int
) -> pricing.Recomputed:
    root = await store.get_root(session, appointment_id)
    quote = await store.find_quote(session, appointment_id, revision=revision)
    if quote is None or root.patient_id is None:
        raise store.QuoteNotFound("no quote of this revision")
    return await pricing.recompute(session, config, quote, owner=root.patient_id, kept=False)


async def care_act(session: AsyncSession, config: ClaimsConfig, appointment_id: UUID) -> SeenCareAct:
    act = await store.get_care_act(session, appointment_id)
    legs = await store.list_legs(session, appointment_id)
    return SeenCareAct(
        act=act,
        result=await pricing.result_of(session, config, act, owner=act.patient_id, kept=True),
        legs=legs,
        submissions=await store.list_submissions(session, [leg.id for leg in legs]),
        balances=await store.list_balances(session, appointment_id),
    )


async def preview_result(session: AsyncSession, config: ClaimsConfig, row: Preview) -> dict[str, Any]:
    return await pricing.result_of(session, config, row, owner=row.patient_id or row.created_by, kept=False)


async def _result(
    session: AsyncSession, config: ClaimsConfig, appointment_id: UUID, quote: Quote
) -> dict[str, Any]:
    root = await store.get_root(session, appointment_id)
    assert root.patient_id  # noqa: S101  whoever has a quote was requested
    return await pricing.result_of(session, config, quote, owner=root.patient_id, kept=False)
