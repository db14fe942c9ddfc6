"""Encrypts a patient's data with a key of their own; without that key's row nobody ever reads them again."""

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common import crypto
from common.crypto import Keyring
from common.errors import DomainError, Refusal
from common.settings import KeySettings
from common.transaction import notes_of
from common.web.tables import DataKeyRow

Kind = Literal["erasable", "kept"]  # kept: what the law keeps after an erasure has a key of its own


class DataErased(DomainError):
    """There is no key any more: the patient was erased, or never had data here."""

    code: ClassVar[str] = "data-erased"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


def keyring_of(settings: KeySettings, *, service: str) -> Keyring:
    return Keyring(
        master={name: base64.b64decode(key.get_secret_value()) for name, key in settings.master.items()},
        active=settings.active,
        index=base64.b64decode(settings.index.get_secret_value()),
        service=service,
    )


@dataclass(frozen=True, slots=True)
class PatientKey:
    """A patient's opened key, for a hot path that read the row of data_key in a statement of its own."""

    keyring: Keyring
    patient_id: UUID
    key: bytes = field(repr=False)

    def encrypt(self, plaintext: str, *, field: str) -> bytes:
        bound_to = _bound(self.keyring, self.patient_id, field)
        return crypto.encrypt(self.key, plaintext.encode(), bound_to=bound_to)

    def decrypt(self, encrypted: bytes, *, field: str) -> str:
        """Raises crypto.NotDecryptable."""
        bound_to = _bound(self.keyring, self.patient_id, field)
        return crypto.decrypt(self.key, encrypted, bound_to=bound_to).decode()


def patient_key(
    keyring: Keyring, patient_id: UUID, *, wrapped: bytes, master_key: str, kind: Kind = "erasable"
) -> PatientKey:
    """The key of a committed row of data_key. Raises crypto.NotDecryptable."""
    key = keyring.opened.get((patient_id, kind))
    if key is None:
        key = keyring.unwrap(wrapped, master_key=master_key, owner=_owner(patient_id, kind))
        keyring.opened.put((patient_id, kind), key)
    return PatientKey(keyring, patient_id, key)


async def encrypt(
    session: AsyncSession,
    keyring: Keyring,
    patient_id: UUID,
    plaintext: str,
    *,
    field: str,
    now: datetime,
    kind: Kind = "erasable",
) -> bytes:
    """Ciphertext for a bytea column. It opens for this service, patient and field only.

    Makes the patient's key with the first value.
    """
    key = await _find(session, keyring, patient_id, kind) or await _make(
        session, keyring, patient_id, kind, now
    )
    return crypto.encrypt(key, plaintext.encode(), bound_to=_bound(keyring, patient_id, field))


async def decrypt(
    session: AsyncSession,
    keyring: Keyring,
    patient_id: UUID,
    encrypted: bytes,
    *,
    field: str,
    kind: Kind = "erasable",
) -> str:
    """Raises DataErased without a key, crypto.NotDecryptable for bytes of another place."""
    key = await _find(session, keyring, patient_id, kind)
    if key is None:
        raise DataErased("these data were erased")
    return crypto.decrypt(key, encrypted, bound_to=_bound(keyring, patient_id, field)).decode()


async def read_keys(
    session: AsyncSession, keyring: Keyring, patient_ids: Iterable[UUID], *, kind: Kind = "erasable"
) -> None:
    """Reads the keys of many at once: `encrypt` and `decrypt` ask for none of them in this transaction."""
    wanted = {each for each in patient_ids if keyring.opened.get((each, kind)) is None}
    if not wanted:
        return
    query = select(DataKeyRow.patient_id, DataKeyRow.wrapped, DataKeyRow.master_key)
    query = query.where(DataKeyRow.patient_id.in_(wanted), DataKeyRow.kind == kind)
    notes = notes_of(session)
    read = notes.read_keys
    for each in wanted:
        read.setdefault((each, kind), None)
    for patient_id, wrapped, master_key in await session.execute(query):
        key = keyring.unwrap(wrapped, master_key=master_key, owner=_owner(patient_id, kind))
        read[patient_id, kind] = key
        if (patient_id, kind) not in notes.made_keys:
            keyring.opened.put((patient_id, kind), key)


async def destroy(
    session: AsyncSession, patient_id: UUID, *, keyring: Keyring | None = None, kind: Kind = "erasable"
) -> None:
    """Erases by forgetting the key. Other processes that opened it forget it within a minute."""
    await session.execute(
        delete(DataKeyRow).where(DataKeyRow.patient_id == patient_id, DataKeyRow.kind == kind)
    )
    notes_of(session).read_keys.pop((patient_id, kind), None)
    if keyring is not None:
        keyring.opened.forget((patient_id, kind))


async def rotate(session: AsyncSession, keyring: Keyring, *, batch: int) -> int:
    """Wraps up to `batch` data keys anew with the active master key; how many there were, 0 at the end.

    Values are not touched. A master key may leave the settings once this has returned 0.
    """
    query = (
        select(DataKeyRow)
        .where(DataKeyRow.master_key != keyring.active)
        .order_by(DataKeyRow.master_key, DataKeyRow.patient_id)
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    rows = (await session.scalars(query)).all()
    for row in rows:
        owner = _owner(row.patient_id, row.kind)
        key = keyring.unwrap(row.wrapped, master_key=row.master_key, owner=owner)
        row.wrapped, row.master_key = keyring.wrap(key, owner=owner)
    await session.flush()
    return len(rows)


async def _find(session: AsyncSession, keyring: Keyring, patient_id: UUID, kind: str) -> bytes | None:
    opened = keyring.opened.get((patient_id, kind))
    if opened is not None:
        return opened
    notes = notes_of(session)
    if (patient_id, kind) in notes.read_keys:
        return notes.read_keys[patient_id, kind]
    query = select(DataKeyRow.wrapped, DataKeyRow.master_key)
    query = query.where(DataKeyRow.patient_id == patient_id, DataKeyRow.kind == kind)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        return None
    key = keyring.unwrap(row.wrapped, master_key=row.master_key, owner=_owner(patient_id, kind))
    if (patient_id, kind) not in notes.made_keys:
        keyring.opened.put((patient_id, kind), key)  # else a rollback would leave a key that no row holds
    return key


async def _make(session: AsyncSession, keyring: Keyring, patient_id: UUID, kind: str, now: datetime) -> bytes:
    key = secrets.token_bytes(crypto.KEY_BYTES)
    wrapped, master_key = keyring.wrap(key, owner=_owner(patient_id, kind))
    row = {
        "patient_id": patient_id,
        "kind": kind,
        "wrapped": wrapped,
        "master_key": master_key,
        "created_at": now,
    }
    made = await session.scalar(
        insert(DataKeyRow).values(row).on_conflict_do_nothing().returning(DataKeyRow.patient_id)
    )
    if made is None:  # another transaction was quicker, and has committed
        notes_of(session).read_keys.pop((patient_id, kind), None)
        theirs = await _find(session, keyring, patient_id, kind)
        if theirs is None:
            raise DataErased("these data are being erased")
        return theirs
    notes = notes_of(session)
    notes.made_keys.add((patient_id, kind))
    if not session.in_nested_transaction():  # a savepoint may still take its row back
        notes.read_keys[patient_id, kind] = key
    return key


def _owner(patient_id: UUID, kind: str) -> str:
    return f"{patient_id}/{kind}"


def _bound(keyring: Keyring, patient_id: UUID, field: str) -> bytes:
    return crypto.associated(keyring.service, field, str(patient_id))
