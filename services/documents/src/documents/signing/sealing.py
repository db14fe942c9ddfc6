"""The platform's electronic seal on a document: PAdES B-B in an incremental update."""

from datetime import datetime
from functools import partial

from documents.signing.container import seal_container
from documents.signing.pdf_update import add_seal
from documents.signing.seal import Seal, SealRefused


def sign(pdf: bytes, *, seal: Seal, at: datetime, signer: str, reason: str) -> bytes:
    """The same pages with the platform's seal over all of them. Blocks for a millisecond: use a thread.

    PDF readers show `signer` as the one who had it sealed. Raises SealRefused when the certificate is not
    valid at this time, PdfUnexpected for a file that the typesetter did not write.
    """
    valid = seal.certificate.not_valid_before_utc <= at <= seal.certificate.not_valid_after_utc
    if not valid:
        raise SealRefused("the certificate of the seal is not valid at this time")
    return add_seal(pdf, at=at, signer=signer, reason=reason, container=partial(seal_container, seal))
