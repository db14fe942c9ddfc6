"""Values of a person as sealed JSON, under the key that erasure destroys or the one the law keeps."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims.usecases.means import Means
from common import vault


async def seal(
    session: AsyncSession,
    means: Means,
    owner: UUID,
    value: Mapping[str, Any],
    *,
    field: str,
    now: datetime,
    kept: bool = False,
) -> bytes:
    text = json.dumps(value, separators=(",", ":"))
    kind: vault.Kind = "kept" if kept else "erasable"
    return await vault.seal(session, means.keyring, owner, text, field=field, now=now, kind=kind)


async def unseal(
    session: AsyncSession, means: Means, owner: UUID, sealed: bytes, *, field: str, kept: bool = False
) -> Any:
    """Raises DataErased once the owner's key is gone."""
    kind: vault.Kind = "kept" if kept else "erasable"
    return json.loads(await vault.open(session, means.keyring, owner, sealed, field=field, kind=kind))


async def read_keys(session: AsyncSession, means: Means, owners: Iterable[UUID], *, kept: bool) -> None:
    """In one statement, before many are sealed or unsealed in this transaction."""
    await vault.read_keys(session, means.keyring, owners, kind="kept" if kept else "erasable")


async def destroy(session: AsyncSession, means: Means, owner: UUID) -> None:
    await vault.destroy(session, owner, keyring=means.keyring)
