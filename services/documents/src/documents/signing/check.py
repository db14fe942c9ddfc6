"""Whether a file is, to the byte, what a trusted seal signed. pyHanko is the judge."""

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509 as certificates
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from documents.signing.container import asn1_of, container_of

_USES: Final = KeyUsageConstraints(
    key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=True
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of a file found. `valid`: one seal over the whole file, by a trusted signer."""

    valid: bool
    intact: bool
    trusted: bool
    signer: str | None
    signed_at: datetime | None


REFUSED: Final = Verdict(valid=False, intact=False, trusted=False, signer=None, signed_at=None)


def verify(pdf: bytes, *, trust: Sequence[certificates.Certificate], now: datetime) -> Verdict:
    """Whether this file is, to the byte, what a trusted seal signed. Never raises for a broken file.

    Blocks, and refuses to do so in the thread of a running event loop: RuntimeError.
    """
    if _in_event_loop():
        raise RuntimeError("verify in a thread of its own, not in the event loop")
    try:
        return _verify(pdf, trust=trust, now=now)
    except Exception:  # noqa: BLE001 - a file somebody sends may break any parser in any way: that is a no
        return REFUSED


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _verify(pdf: bytes, *, trust: Sequence[certificates.Certificate], now: datetime) -> Verdict:
    reader = PdfFileReader(io.BytesIO(pdf), strict=True)
    signatures = reader.embedded_signatures
    if len(signatures) != 1:
        return REFUSED
    (signature,) = signatures
    context = ValidationContext(
        trust_roots=[asn1_of(each) for each in trust],
        moment=now,
        allow_fetching=False,
        revocation_mode="soft-fail",
    )
    status = validate_pdf_signature(signature, context, key_usage_settings=_USES, skip_diff=True)
    whole = status.coverage == SignatureCoverageLevel.ENTIRE_FILE and _one_spelling(pdf, signature)
    intact = bool(status.intact and status.valid and whole)
    trusted = bool(status.trusted)
    return Verdict(
        valid=intact and trusted,
        intact=intact,
        trusted=trusted,
        signer=signature.sig_object.get("/Name"),
        signed_at=signature.self_reported_timestamp,
    )


def _one_spelling(pdf: bytes, signature: EmbeddedPdfSignature) -> bool:
    """Whether the container is written exactly as `sign` writes it.

    Nothing covers the container itself: without this, padding, case and some fields would be free to change.
    """
    first, length, second, _ = (int(number) for number in signature.byte_range)
    container = bytes(signature.pkcs7_content)
    signed = signature.signed_data
    (one,) = signed["signer_infos"]
    expected = container_of(
        list(signed["certificates"]), one["signed_attrs"], one["signature"], signer=signature.signer_cert
    ).ljust(len(container), b"\0")
    return (
        container == expected
        and pdf[first + length : second] == b"<" + container.hex().upper().encode() + b">"
    )
