"""Idempotency-Key: a POST that was answered is not done again, and two at once are not done twice."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final

from fastapi import Depends, Request, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import Direct
from common.errors import DomainError, Refusal
from common.transaction import notes_of
from common.web.auth import current_caller
from common.web.problems import Problem

KEY_PATTERN: Final = r"^[!-~]{1,255}$"
_KEY: Final = re.compile(KEY_PATTERN)


class InFlight(DomainError):
    code: ClassVar[str] = "request-in-flight"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class KeyReused(DomainError):
    code: ClassVar[str] = "idempotency-key-reused"
    refusal: ClassVar[Refusal] = Refusal.INVALID


@dataclass(frozen=True, slots=True)
class Key:
    """`scope` hashes caller, route and key; `fingerprint` path and body, however the body is spaced."""

    scope: str
    fingerprint: bytes
    response: Response

    @property
    def lock(self) -> int:
        return int.from_bytes(bytes.fromhex(self.scope[:16]), signed=True)

    def row(self, *, status: int, reference: str, now: datetime) -> tuple[str, bytes, int, str, datetime]:
        """The record in the order of its columns, for a hot statement that inserts it."""
        return (self.scope, self.fingerprint, status, reference, now)


async def required_key(request: Request, response: Response) -> Key:
    """Reads header and caller itself: declared ones cost each request more than all of this together."""
    caller = await current_caller(request)
    idempotency_key = request.headers.get("idempotency-key")
    if idempotency_key is None:
        raise Problem(400, "idempotency-key-missing", "Send the header Idempotency-Key.")
    if not _KEY.fullmatch(idempotency_key):
        raise Problem(400, "idempotency-key-invalid", "A key has 1 to 255 visible ASCII characters.")
    route = request.scope["route"].name
    scope = f"{caller.subject}|{request.method}|{route}|{idempotency_key}"
    body = await request.body()
    return Key(
        scope=hashlib.sha256(scope.encode()).hexdigest(),
        fingerprint=hashlib.sha256(f"{request.scope['path']}|{_canonical(body)}".encode()).digest(),
        response=response,
    )


def _canonical(body: bytes) -> str:
    """The same for the same JSON. An operation without a body ignores what comes, JSON or not."""
    try:
        return json.dumps(json.loads(body), sort_keys=True, separators=(",", ":")) if body else ""
    except (ValueError, RecursionError):
        return body.hex()


IdempotencyKey = Annotated[Key, Depends(required_key)]

# One statement: its snapshot may be older than the lock, so a record committed in between is not seen. Then
# the INSERT of `finish` finds it, and the request ends as "in flight" with nothing done.
_BEGIN: Final = """
    SELECT pg_try_advisory_xact_lock({lock}) AS locked, i.fingerprint, i.status, i.reference
    FROM (VALUES (1)) AS one LEFT JOIN idempotency AS i ON i.scope = {scope}
"""
_FINISH: Final = """
    INSERT INTO idempotency (scope, fingerprint, status, reference, created_at)
    VALUES ({}, {}, {}, {}, {})
    ON CONFLICT (scope) DO NOTHING
    RETURNING true
"""
_BEGIN_SESSION: Final = text(_BEGIN.format(lock="CAST(:lock AS bigint)", scope=":scope"))
_BEGIN_DIRECT: Final = _BEGIN.format(lock="$1::bigint", scope="$2")
_FINISH_SESSION: Final = text(_FINISH.format(":scope", ":fingerprint", ":status", ":reference", ":now"))
_FINISH_DIRECT: Final = _FINISH.format("$1", "$2", "$3", "$4", "$5")


async def begin(session: AsyncSession, key: Key, *, now: datetime) -> str | None:
    """None the first time; else the reference of the earlier answer, and the answer says that it is a replay.

    To be called after rights are checked and before anything is written. Raises InFlight while another
    request with this key runs, KeyReused when it came with another body.
    """
    del now  # the same signature as finish; a record does not end while it is kept
    notes_of(session).idempotency_begun = True
    row = (await session.execute(_BEGIN_SESSION, {"lock": key.lock, "scope": key.scope})).one()
    return decided(key, row._mapping)  # noqa: SLF001


async def begin_direct(connection: Direct, key: Key) -> str | None:
    """`begin` on an asyncpg connection whose transaction is open."""
    return decided(key, await connection.fetchrow(_BEGIN_DIRECT, key.lock, key.scope))


async def finish(session: AsyncSession, key: Key, *, status: int, reference: str, now: datetime) -> None:
    """Records that this key was answered, in the same commit. Raises InFlight if another was quicker."""
    parameters = {
        "scope": key.scope,
        "fingerprint": key.fingerprint,
        "status": status,
        "reference": reference,
        "now": now,
    }
    if (await session.execute(_FINISH_SESSION, parameters)).scalar() is None:
        raise in_flight()


async def finish_direct(connection: Direct, key: Key, *, status: int, reference: str, now: datetime) -> None:
    """`finish` on an asyncpg connection whose transaction is open."""
    row = key.row(status=status, reference=reference, now=now)
    if await connection.fetchval(_FINISH_DIRECT, *row) is None:
        raise in_flight()


def in_flight() -> InFlight:
    return InFlight("a request with this Idempotency-Key is being answered", retry_after=1)


def decided(key: Key, row: Any) -> str | None:
    """What `begin` answers, from locked, fingerprint, status and reference as a hot statement read them."""
    if row["reference"] is not None:
        if row["fingerprint"] != key.fingerprint:
            raise KeyReused("this Idempotency-Key came with another request before")
        key.response.headers["Idempotency-Replayed"] = "true"
        key.response.status_code = row["status"]
        reference: str = row["reference"]
        return reference
    if not row["locked"]:
        raise in_flight()
    return None
