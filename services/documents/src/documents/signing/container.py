"""The CMS container of a seal: PAdES baseline B, one signer, written in one way only."""

import hashlib
from functools import lru_cache
from typing import Final, NamedTuple

from asn1crypto import algos, cms, tsp, x509  # type: ignore[import-untyped]
from cryptography import x509 as certificates
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from documents.signing.seal import Seal

_SIGN: Final = ec.ECDSA(hashes.SHA256())
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_OCTETS: Final = 0x04
_CONTEXT: Final = 0xA0  # [0], constructed
_VERSION_1: Final = b"\x02\x01\x01"
_DATA: Final = cms.ContentType("data").dump()
_SIGNED_DATA: Final = cms.ContentType("signed_data").dump()
_SHA256: Final = algos.DigestAlgorithm({"algorithm": "sha256"}).dump()
_ECDSA_SHA256: Final = algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}).dump()
_MESSAGE_DIGEST: Final = cms.CMSAttributeType("message_digest").dump()


def seal_container(seal: Seal, digest: bytes) -> bytes:
    """The DER bytes of `/Contents`. `digest` is the SHA-256 of the bytes that `/ByteRange` covers.

    Only the digest and the signature are new each time; the other parts are encoded once per seal.
    """
    parts = _parts_of(seal)
    # The signed attributes of PAdES B. No time among them: it stands in `/M`.
    attributes = parts.attributes_before + _der(_SEQUENCE, _MESSAGE_DIGEST, _der(_SET, _der(_OCTETS, digest)))
    attributes += parts.attributes_after
    signature = seal.key.sign(_der(_SET, attributes), _SIGN)
    signer = _der(
        _SEQUENCE,
        _VERSION_1,
        parts.signer_id,
        _SHA256,
        _der(_CONTEXT, attributes),
        _ECDSA_SHA256,
        _der(_OCTETS, signature),
    )
    signed = _der(
        _SEQUENCE,
        _VERSION_1,
        _der(_SET, _SHA256),
        _der(_SEQUENCE, _DATA),
        _der(_CONTEXT, *parts.certificates),
        _der(_SET, signer),
    )
    return _der(_SEQUENCE, _SIGNED_DATA, _der(_CONTEXT, signed))


@lru_cache(maxsize=16)
def asn1_of(certificate: certificates.Certificate) -> x509.Certificate:
    """The same certificate for asn1crypto; parsed once per process."""
    return x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))


class _Parts(NamedTuple):
    """What all containers of one seal share, in DER."""

    attributes_before: bytes
    attributes_after: bytes
    signer_id: bytes
    certificates: tuple[bytes, ...]


@lru_cache(maxsize=4)
def _parts_of(seal: Seal) -> _Parts:
    signer = asn1_of(seal.certificate)
    content_type = cms.CMSAttribute({"type": "content_type", "values": [cms.ContentType("data")]})
    named = tsp.ESSCertIDv2(
        {
            "hash_algorithm": {"algorithm": "sha256"},
            "cert_hash": hashlib.sha256(signer.dump()).digest(),
            "issuer_serial": {
                "issuer": [x509.GeneralName("directory_name", signer.issuer)],
                "serial_number": signer.serial_number,
            },
        }
    )
    certificate = cms.CMSAttribute(
        {"type": "signing_certificate_v2", "values": [tsp.SigningCertificateV2({"certs": [named]})]}
    )
    issuer = cms.IssuerAndSerialNumber({"issuer": signer.issuer, "serial_number": signer.serial_number})
    # The root is not embedded: a verifier has it, or trusts nothing. In DER a set is sorted.
    embedded = sorted(asn1_of(each).dump() for each in (seal.certificate, *seal.chain[:-1]))
    return _Parts(content_type.dump(), certificate.dump(), issuer.dump(), tuple(embedded))


def _der(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    if len(content) < 0x80:  # noqa: PLR2004 - X.690, 8.1.3: the short form of a length
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content


def container_of(
    embedded: object, attributes: cms.CMSAttributes, signature: object, *, signer: x509.Certificate
) -> bytes:
    """The container of these certificates, attributes and signature, all else as it must be."""
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
                        "certificates": embedded,
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
                                    "signed_attrs": attributes,
                                    "signature": signature,
                                }
                            )
                        ],
                    }
                ),
            }
        ).dump()
    )
