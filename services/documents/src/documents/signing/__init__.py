"""The platform's electronic seal: made, put on a document, and checked."""

from documents.signing.check import REFUSED, Verdict, verify
from documents.signing.pdf_update import FIELD, PdfUnexpected
from documents.signing.seal import (
    DEVELOPMENT_FILE,
    Seal,
    SealRefused,
    development_seal,
    load_pem,
    load_pkcs12,
    load_trust,
)
from documents.signing.sealing import sign

__all__ = [
    "DEVELOPMENT_FILE",
    "FIELD",
    "REFUSED",
    "PdfUnexpected",
    "Seal",
    "SealRefused",
    "Verdict",
    "development_seal",
    "load_pem",
    "load_pkcs12",
    "load_trust",
    "sign",
    "verify",
]
