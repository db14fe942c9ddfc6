"""Signed, opaque cursors: a page starts after the last row the caller saw, and nobody makes one up."""

import base64
import hmac
import json
from typing import Annotated, ClassVar, Final

from fastapi import Depends, Query, Request

from common.errors import DomainError, Refusal, at_field

_SIGNATURE_BYTES: Final = 16
_OF_PAGE: Final = frozenset({"cursor", "limit"})


class CursorInvalid(DomainError):
    code: ClassVar[str] = "cursor-invalid"
    refusal: ClassVar[Refusal] = Refusal.INVALID

    def __init__(self) -> None:
        detail = "not a cursor of this list and filter"
        super().__init__(detail, extra=at_field("/query/cursor", self.code, detail))


def encode(values: list[str], *, key: bytes) -> str:
    """The cursor of the page after the row that `values` order, such as its start and its id."""
    body = json.dumps(values, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sign(body, key) + body).rstrip(b"=").decode()


def decode(cursor: str, *, key: bytes) -> list[str]:
    """Raises CursorInvalid for anything `encode` did not make with this key."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise CursorInvalid from None
    signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(body, key)):
        raise CursorInvalid
    values: list[str] = json.loads(body)
    return values


def _sign(body: bytes, key: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_SIGNATURE_BYTES]


async def _key(request: Request) -> bytes:
    """A key per list and filter: a cursor of another one is refused, not misread."""
    secret: bytes = request.app.state.cursor_key
    asked = [each for each in request.query_params.multi_items() if each[0] not in _OF_PAGE]
    return hmac.digest(secret, json.dumps([request.scope["path"], sorted(asked)]).encode(), "sha256")


CursorKey = Annotated[bytes, Depends(_key)]


async def _cursor(
    key: CursorKey, cursor: Annotated[str | None, Query(max_length=1024)] = None
) -> list[str] | None:
    return None if cursor is None else decode(cursor, key=key)


async def _limit(limit: Annotated[int, Query(ge=1, le=100)] = 20) -> int:
    return limit


Cursor = Annotated[list[str] | None, Depends(_cursor)]
Limit = Annotated[int, Depends(_limit)]
