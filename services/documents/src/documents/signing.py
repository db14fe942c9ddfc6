"""The platform's electronic seal: PAdES B-B on P-256, and the check whether a file is still ours."""

import asyncio
import contextlib
import io
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from asn1crypto import algos, cms, keys, x509  # type: ignore[import-untyped]
from cryptography import x509 as certificates
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import BasePdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.signers.pdf_signer import PdfSigningSession
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

FIELD: Final = "Cachet"
DEVELOPMENT_FILE: Final = "development-seal.pem"
_VALID_FOR: Final = timedelta(days=3650)
_BEFORE: Final = timedelta(days=30)  # clocks of development and tests may run behind
_RESERVED: Final = 8192  # hexadecimal digits: room for the signature and a short chain, no dry run needed
_USES: Final = KeyUsageConstraints(
    key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=True
)


class SealRefused(Exception):
    """The key or certificate cannot seal documents: wrong passphrase, curve, key usage or pair."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A private key with its certificate, the chain above it and the root that readers trust."""

    key: ec.EllipticCurvePrivateKey
    certificate: certificates.Certificate
    chain: tuple[certificates.Certificate, ...]

    @property
    def trust(self) -> tuple[certificates.Certificate, ...]:
        """What a verifier must trust to accept this seal: the top of its chain."""
        return (self.chain[-1] if self.chain else self.certificate,)

    @property
    def trust_pem(self) -> bytes:
        return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in self.trust)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of a file found. `valid`: one seal over the whole file, by a trusted signer."""

    valid: bool
    intact: bool
    trusted: bool
    signer: str | None
    signed_at: datetime | None


REFUSED: Final = Verdict(valid=False, intact=False, trusted=False, signer=None, signed_at=None)


def _checked(
    key: object, certificate: certificates.Certificate, chain: Sequence[certificates.Certificate]
) -> Seal:
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SealRefused("the key of the seal is not on the curve P-256")
    if certificate.public_key() != key.public_key():
        raise SealRefused("the certificate of the seal is not the one of its key")
    try:
        usage = certificate.extensions.get_extension_for_class(certificates.KeyUsage).value
    except certificates.ExtensionNotFound:
        raise SealRefused("the certificate of the seal has no key usage") from None
    if not (usage.digital_signature and usage.content_commitment):
        raise SealRefused("the certificate of the seal may not sign (digitalSignature, nonRepudiation)")
    return Seal(key=key, certificate=certificate, chain=tuple(chain))


def load_pem(content: bytes, *, passphrase: bytes | None = None) -> Seal:
    """A key, its certificate and the chain above it, in this order, in one PEM. Raises SealRefused."""
    try:
        key = serialization.load_pem_private_key(content, password=passphrase)
        certificate, *chain = certificates.load_pem_x509_certificates(content)
    except (ValueError, TypeError) as problem:
        raise SealRefused(f"the seal cannot be read: {type(problem).__name__}") from None
    return _checked(key, certificate, chain)


def load_pkcs12(content: bytes, *, passphrase: bytes | None = None) -> Seal:
    """A PKCS#12 container with key, certificate and chain. Raises SealRefused."""
    try:
        key, certificate, chain = pkcs12.load_key_and_certificates(content, passphrase)
    except ValueError as problem:
        raise SealRefused(f"the seal cannot be read: {type(problem).__name__}") from None
    if certificate is None:
        raise SealRefused("the seal has no certificate")
    return _checked(key, certificate, chain)


def load_trust(content: bytes) -> tuple[certificates.Certificate, ...]:
    """The roots of a PEM file. Raises SealRefused when it holds none."""
    try:
        return tuple(certificates.load_pem_x509_certificates(content))
    except ValueError:
        raise SealRefused("no trusted certificate can be read") from None


def development_seal(directory: Path, *, now: datetime) -> Seal:
    """The seal of a development platform: made at the first start, its owner's only, kept afterwards.

    Safe when several processes start at once: the first file written is everybody's.
    """
    path = directory / DEVELOPMENT_FILE
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        draft = directory / f".{DEVELOPMENT_FILE}.{secrets.token_hex(8)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(_new_seal(now))
            file.flush()
            os.fsync(file.fileno())
        # A link never replaces what another process wrote first.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return load_pem(path.read_bytes())


def _name(common: str) -> certificates.Name:
    return certificates.Name(
        [
            certificates.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
            certificates.NameAttribute(
                NameOID.ORGANIZATION_NAME, "Plateforme de teleconsultation (developpement)"
            ),
            certificates.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(*, sign: bool) -> certificates.KeyUsage:
    return certificates.KeyUsage(
        digital_signature=sign,
        content_commitment=sign,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not sign,
        crl_sign=not sign,
        encipher_only=False,
        decipher_only=False,
    )


def _new_seal(now: datetime) -> bytes:
    root_key, seal_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = _name("Autorite de developpement")

    def unsigned(
        subject: certificates.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool
    ) -> certificates.CertificateBuilder:
        return (
            certificates.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(key.public_key())
            .serial_number(certificates.random_serial_number())
            .not_valid_before(now.astimezone(UTC) - _BEFORE)
            .not_valid_after(now.astimezone(UTC) + _VALID_FOR)
            .add_extension(
                certificates.BasicConstraints(ca=authority, path_length=0 if authority else None),
                critical=True,
            )
            .add_extension(_usage(sign=not authority), critical=True)
            .add_extension(
                certificates.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                certificates.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
                critical=False,
            )
        )

    root = unsigned(root_name, root_key, authority=True).sign(root_key, hashes.SHA256())
    seal = unsigned(_name("Cachet de la plateforme"), seal_key, authority=False).sign(
        root_key, hashes.SHA256()
    )
    # The root's key is not kept: this authority will never certify anything else.
    return (
        seal_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + seal.public_bytes(serialization.Encoding.PEM)
        + root.public_bytes(serialization.Encoding.PEM)
    )


def _asn1(certificate: certificates.Certificate) -> x509.Certificate:
    return x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))


class _SignerAt(PdfSigner):
    """Signs at the time it is told, not at the time of the machine."""

    def __init__(self, metadata: PdfSignatureMetadata, signer: SimpleSigner, *, at: datetime) -> None:
        super().__init__(metadata, signer)
        self._at = at

    def init_signing_session(
        self,
        pdf_out: BasePdfFileWriter,
        existing_fields_only: bool = False,  # noqa: FBT001, FBT002 - pyHanko's
    ) -> PdfSigningSession:
        session = super().init_signing_session(pdf_out, existing_fields_only)
        session.system_time = self._at
        return session


def sign(pdf: bytes, *, seal: Seal, at: datetime, signer: str, reason: str) -> bytes:
    """The same pages with the platform's seal over all of them. Blocks some 20 ms: call it in a thread.

    `signer` is shown by readers as who had it sealed. Raises SealRefused when the certificate is not valid.
    """
    valid = seal.certificate.not_valid_before_utc <= at <= seal.certificate.not_valid_after_utc
    if not valid:
        raise SealRefused("the certificate of the seal is not valid at this time")
    # The compiler ends its file without a line end; PDF/A (6.1.9) wants one before the next revision.
    source = io.BytesIO(pdf if pdf.endswith(b"\n") else pdf + b"\n")
    registry = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    registry.register_multiple([_asn1(each) for each in seal.chain])
    key = seal.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    simple = SimpleSigner(
        signing_cert=_asn1(seal.certificate),
        signing_key=keys.PrivateKeyInfo.load(key),
        cert_registry=registry,
        embed_roots=False,
    )
    metadata = PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha256",
        subfilter=SigSeedSubFilter.PADES,
        name=signer,
        reason=reason,
    )
    output = io.BytesIO()
    _SignerAt(metadata, simple, at=at).sign_pdf(
        IncrementalPdfFileWriter(source), bytes_reserved=_RESERVED, output=output
    )
    return output.getvalue()


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
        trust_roots=[_asn1(each) for each in trust],
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
    expected = _container(signature.signed_data, signer=signature.signer_cert).ljust(len(container), b"\0")
    return (
        container == expected
        and pdf[first + length : second] == b"<" + container.hex().upper().encode() + b">"
    )


def _container(signed: cms.SignedData, *, signer: x509.Certificate) -> bytes:
    """The container of these certificates, attributes and signature, all else as it must be."""
    (one,) = signed["signer_infos"]
    digest = algos.DigestAlgorithm({"algorithm": "sha256"})
    return bytes(
        cms.ContentInfo(
            {
                "content_type": "signed_data",
                "content": cms.SignedData(
                    {
                        "version": "v1",
                        "digest_algorithms": [digest],
                        "encap_content_info": {"content_type": "data"},
                        "certificates": list(signed["certificates"]),
                        "signer_infos": [
                            cms.SignerInfo(
                                {
                                    "version": "v1",
                                    "sid": cms.SignerIdentifier(
                                        name="issuer_and_serial_number",
                                        value=cms.IssuerAndSerialNumber(
                                            {"issuer": signer.issuer, "serial_number": signer.serial_number}
                                        ),
                                    ),
                                    "digest_algorithm": digest,
                                    "signature_algorithm": {"algorithm": "sha256_ecdsa"},
                                    "signed_attrs": one["signed_attrs"],
                                    "signature": one["signature"],
                                }
                            )
                        ],
                    }
                ),
            }
        ).dump()
    )
