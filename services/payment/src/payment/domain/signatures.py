"""Whether a webhook comes from the card provider, and is not an old one sent again."""

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import ClassVar, Final

from common.errors import DomainError, Refusal

TOLERANCE: Final = timedelta(seconds=300)


class SignatureInvalid(DomainError):
    code: ClassVar[str] = "signature-invalid"
    refusal: ClassVar[Refusal] = Refusal.INVALID


def verify(header: str, body: bytes, *, secret: str, now: datetime) -> None:
    """`header` is `t=...,v1=...`; several v1 while the secret is changed. `now` is real time, never shifted.

    Raises SignatureInvalid.
    """
    parts = [part.partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in parts if name.strip() == "t"]
    signatures = [value for name, _, value in parts if name.strip() == "v1"]
    if len(stamps) != 1 or not stamps[0].isascii() or not stamps[0].isdigit() or not signatures:
        raise SignatureInvalid("the signature header does not parse")
    signed = stamps[0].encode() + b"." + body
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
    if not any(hmac.compare_digest(expected, each.encode()) for each in signatures):
        raise SignatureInvalid("the signature is not that of this body")
    if abs(int(now.timestamp()) - int(stamps[0])) > TOLERANCE.total_seconds():
        raise SignatureInvalid("the signature is too old")
