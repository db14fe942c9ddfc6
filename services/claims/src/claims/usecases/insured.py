"""Whom a care act is billed for: sealed under the key that erasure leaves, as invoices are kept by law."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims.models import CareAct
from claims.usecases import sealing
from claims.usecases.means import InsuredPerson, Means

_FIELD: Final = "insured-person"


async def seal_person(
    session: AsyncSession, means: Means, patient_id: UUID, person: InsuredPerson, *, now: datetime
) -> bytes:
    return await sealing.seal(session, means, patient_id, person.to_json(), field=_FIELD, now=now, kept=True)


async def person_of(session: AsyncSession, means: Means, act: CareAct) -> InsuredPerson:
    stored = await sealing.unseal(session, means, act.patient_id, act.insured_sealed, field=_FIELD, kept=True)
    return InsuredPerson.from_json(stored)
