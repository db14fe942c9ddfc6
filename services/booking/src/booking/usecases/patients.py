"""Patients, the accounts that act for them, and what they consent to."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from booking import store
from booking.domain.identity import Identity, Relation
from booking.models import Consent, Link, Patient
from common import vault
from common.crypto import Keyring
from common.errors import DomainError, Refusal, at_field
from common.events.booking import PatientErasedV1, PatientLinkedV1, PatientUnlinkedV1
from common.ids import uuid7
from common.messaging import outbox
from common.places import latest_day

IDENTITY: Final = "identity"
BORN_ON: Final = "born-on"
_MOST_RELATIVES: Final = 20


class SelfExists(DomainError):
    code: ClassVar[str] = "self-exists"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class PatientKnown(DomainError):
    code: ClassVar[str] = "patient-known"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class TooManyRelatives(DomainError):
    code: ClassVar[str] = "too-many-relatives"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class BirthDateRefused(DomainError):
    code: ClassVar[str] = "birth-date-invalid"
    refusal: ClassVar[Refusal] = Refusal.INVALID

    def __init__(self) -> None:
        detail = "nobody is born in the future"
        super().__init__(detail, extra=at_field("/body/birth_date", self.code, detail))


class PatientHasAppointments(DomainError):
    code: ClassVar[str] = "patient-has-appointments"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


async def create_patient(
    session: AsyncSession,
    keyring: Keyring,
    identity: Identity,
    *,
    relation: Relation,
    account_id: UUID,
    now: datetime,
) -> tuple[Patient, Link]:
    """Raises SelfExists, PatientKnown, TooManyRelatives, BirthDateRefused."""
    _check_birth(identity.birth_date, now=now)
    if relation is Relation.SELF and await store.has_self(session, account_id):
        raise SelfExists("this account has its own profile")
    hashes = [_hash(keyring, form) for form in (identity.search_form(), identity.former_search_form())]
    if await store.is_identity_known(session, account_id, hashes):
        raise PatientKnown("this account has a profile of this person")
    if await store.count_patients(session, account_id) >= _MOST_RELATIVES:
        raise TooManyRelatives(f"an account has at most {_MOST_RELATIVES} profiles")
    patient = Patient(id=uuid7(now), version=0, revision=0, created_at=now)
    session.add(patient)
    await session.flush()
    await _encrypt(session, keyring, patient, identity, now=now)
    link = Link(account_id=account_id, patient_id=patient.id, relation=relation, since=now)
    session.add(link)
    linked = PatientLinkedV1(patient_id=patient.id, account_id=account_id)
    outbox.add(session, patient, linked, now=now)
    await session.flush()
    return patient, link


async def update_patient(
    session: AsyncSession,
    keyring: Keyring,
    patient: Patient,
    changes: Mapping[str, Any],
    *,
    now: datetime,
) -> Identity:
    """The patient's row is locked. Raises BirthDateRefused."""
    identity = replace(await identity_of(session, keyring, patient), **changes)
    _check_birth(identity.birth_date, now=now)
    await _encrypt(session, keyring, patient, identity, now=now)
    await session.flush()
    return identity


async def identity_of(session: AsyncSession, keyring: Keyring, patient: Patient) -> Identity:
    """The caller has written the access log."""
    if patient.identity is None or patient.born_on is None:
        raise store.PatientNotFound("no such patient")
    to_json_text = await vault.decrypt(session, keyring, patient.id, patient.identity, field=IDENTITY)
    born_on = await vault.decrypt(session, keyring, patient.id, patient.born_on, field=BORN_ON)
    return Identity.of(to_json_text, birth_date=date.fromisoformat(born_on))


async def erase_patient(
    session: AsyncSession, keyring: Keyring, patient_id: UUID, *, account_id: UUID, now: datetime
) -> None:
    """Destroys the key of everything encrypted here; ids, states and amounts of past appointments stay.

    Raises PatientHasAppointments while one is open.
    """
    patient, _ = await store.get_patient(session, patient_id, account_id=account_id, lock=True)
    if await store.has_open_appointment(session, patient.id):
        raise PatientHasAppointments("cancel the appointments first")
    await vault.destroy(session, patient.id, keyring=keyring)
    patient.identity = patient.born_on = patient.identity_hash = None
    patient.erased_at = now
    await store.forget_reasons(session, patient.id)
    # before the links end: payment has to know whose cards go
    outbox.add(session, patient, PatientErasedV1(patient_id=patient.id), now=now)
    for link in await store.list_links(session, patient.id):
        unlinked = PatientUnlinkedV1(patient_id=patient.id, account_id=link.account_id)
        outbox.add(session, patient, unlinked, now=now)
        await session.delete(link)


async def give_consent(
    session: AsyncSession,
    patient_id: UUID,
    *,
    account_id: UUID,
    text_version: str,
    channel: str,
    now: datetime,
) -> Consent:
    """The caller may act for the patient."""
    consent = Consent(
        id=uuid7(now),
        patient_id=patient_id,
        account_id=account_id,
        text_version=text_version,
        channel=channel,
        given_at=now,
    )
    session.add(consent)
    await session.flush()
    return consent


def _check_birth(birth_date: date, *, now: datetime) -> None:
    if birth_date > latest_day(now):  # a child may be born in Réunion before the day begins in Paris
        raise BirthDateRefused


async def _encrypt(
    session: AsyncSession, keyring: Keyring, patient: Patient, identity: Identity, *, now: datetime
) -> None:
    patient.identity = await vault.encrypt(
        session, keyring, patient.id, identity.to_json_text(), field=IDENTITY, now=now
    )
    born_on = identity.birth_date.isoformat()
    patient.born_on = await vault.encrypt(session, keyring, patient.id, born_on, field=BORN_ON, now=now)
    patient.identity_hash = _hash(keyring, identity.search_form())
    patient.revision += 1


def _hash(keyring: Keyring, search_form: str) -> bytes:
    return keyring.blind_index(search_form, field=IDENTITY)
