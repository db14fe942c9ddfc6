"""The key and certificates of the platform's electronic seal: on the curve P-256, loaded and checked."""

import contextlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509 as certificates
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

DEVELOPMENT_FILE: Final = "development-seal.pem"
_VALID_FOR: Final = timedelta(days=3650)
_BEFORE: Final = timedelta(days=30)  # clocks of development and tests may run behind


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
