"""Values of a person as encrypted JSON, under the key that erasure destroys or the one the law keeps."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims.usecases.config import ClaimsConfig
from common import vault


async def encrypt_json(
    session: AsyncSession,
    config: ClaimsConfig,
    owner: UUID,
    value: Mapping[str, Any],
    *,
    field: str,
    now: datetime,
    kept: bool = False,
) -> bytes:
    text = json.dumps(value, separators=(",", ":"))
    kind: vault.Kind = "kept" if kept else "erasable"
    return await vault.encrypt(session, config.keyring, owner, text, field=field, now=now, kind=kind)


async def decrypt_json(
    session: AsyncSession,
    config: ClaimsConfig,
    owner: UUID,
    encrypted: bytes,
    *,
    field: str,
    kept: bool = False,
) -> Any:
    """Raises DataErased once the owner's key is gone."""
    kind: vault.Kind = "kept" if kept else "erasable"
    return json.loads(await vault.decrypt(session, config.keyring, owner, encrypted, field=field, kind=kind))


async def read_keys(
    session: AsyncSession, config: ClaimsConfig, owners: Iterable[UUID], *, kept: bool
) -> None:
    """In one statement, before many are encrypted or decrypted in this transaction."""
    await vault.read_keys(session, config.keyring, owners, kind="kept" if kept else "erasable")


async def destroy(session: AsyncSession, config: ClaimsConfig, owner: UUID) -> None:
    await vault.destroy(session, owner, keyring=config.keyring)
