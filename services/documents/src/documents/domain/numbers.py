"""Public numbers and verification codes: what a person can read aloud and a machine can check."""

import hashlib
import hmac
import re
import secrets
from typing import Final
from urllib.parse import quote

from documents.domain.content import Kind

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
PREFIXES: Final = {
    Kind.PRESCRIPTION: "ORD",
    Kind.CARE_SHEET: "FDS",
    Kind.RECEIPT: "REC",
    Kind.INVOICE: "FAC",
    Kind.CLAIM_STATEMENT: "RTP",
    Kind.CONSULTATION_REPORT: "CRC",
}
CODE_BITS: Final = 128
CODE_LENGTH: Final = 26
NUMBER_LENGTH: Final = 9  # 45 random bits: a collision is for the unique constraint, not for luck
_NUMBER: Final = re.compile(
    rf"(?P<prefix>{'|'.join(PREFIXES.values())})(?P<year>[0-9]{{4}})"
    rf"(?P<body>[{ALPHABET}]{{{NUMBER_LENGTH + 1}}})"
)


def _letters(value: int, length: int) -> str:
    return "".join(ALPHABET[(value >> (5 * place)) & 31] for place in reversed(range(length)))


def _check_letter(letters: str) -> str:
    """Luhn's rule over 32 letters: catches every wrong letter and nearly every swap of neighbours."""
    total = 0
    for place, letter in enumerate(reversed(letters)):
        doubled = ALPHABET.index(letter) * (2 if place % 2 == 0 else 1)
        total += doubled // len(ALPHABET) + doubled % len(ALPHABET)
    return ALPHABET[-total % len(ALPHABET)]


def _without_lookalikes(text: str) -> str:
    return text.replace("O", "0").replace("I", "1").replace("L", "1")


def draw_number(kind: Kind, *, year: int, entropy: int | None = None) -> str:
    """A new public number such as ORD-2026-7K3M9-QX4TC; the last letter is a check letter."""
    bits = secrets.randbits(5 * NUMBER_LENGTH) if entropy is None else entropy
    body = _letters(bits, NUMBER_LENGTH)
    body += _check_letter(f"{year:04d}{body}")
    return f"{PREFIXES[kind]}-{year:04d}-{body[:5]}-{body[5:]}"


def normal_number(text: str) -> str | None:
    """The canonical form of a number somebody typed, None when it cannot be one."""
    compact = re.sub(r"[\s-]", "", text.upper())
    found = _NUMBER.fullmatch(compact[:7] + _without_lookalikes(compact[7:]))
    if found is None:
        return None
    year, body = found["year"], found["body"]
    if _check_letter(year + body[:-1]) != body[-1]:
        return None
    return f"{found['prefix']}-{year}-{body[:5]}-{body[5:]}"


def draw_code(*, entropy: int | None = None) -> str:
    """A new verification code: 128 random bits as 26 letters in groups."""
    bits = secrets.randbits(CODE_BITS) if entropy is None else entropy
    return grouped_code(_letters(bits, CODE_LENGTH))


def grouped_code(code: str) -> str:
    compact = normal_code(code)
    return "-".join(
        (compact[0:5], compact[5:10], compact[10:15], compact[15:20], compact[20:]),
    )


def normal_code(text: str) -> str:
    """The 26 letters of a code somebody typed, with look-alikes read as what was meant."""
    return _without_lookalikes(re.sub(r"[\s-]", "", text.upper()))


def same_code(first: str, second: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(normal_code(first).encode(), normal_code(second).encode())


def verification_url(public_base_url: str, *, number: str, code: str) -> str:
    """What the QR code holds: no personal data, only the number and its code."""
    return (
        f"{public_base_url.rstrip('/')}/documents/v1/verifications/{quote(number)}"
        f"?code={quote(normal_code(code))}"
    )


def content_hash(pdf: bytes) -> str:
    return hashlib.sha256(pdf).hexdigest()
