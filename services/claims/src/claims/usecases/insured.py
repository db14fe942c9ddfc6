"""Whom a care act is billed for: encrypted under the key that erasure leaves, as invoices are kept by law."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims.models import CareAct
from claims.usecases import encryption
from claims.usecases.config import ClaimsConfig, InsuredPerson

_FIELD: Final = "insured-person"


async def encrypt_person(
    session: AsyncSession, config: ClaimsConfig, patient_id: UUID, person: InsuredPerson, *, now: datetime
) -> bytes:
    return await encryption.encrypt_json(
        session, config, patient_id, person.to_json(), field=_FIELD, now=now, kept=True
    )


async def person_of(session: AsyncSession, config: ClaimsConfig, act: CareAct) -> InsuredPerson:
    stored = await encryption.decrypt_json(
        session, config, act.patient_id, act.insured_encrypted, field=_FIELD, kept=True
    )
    return InsuredPerson.from_json(stored)
