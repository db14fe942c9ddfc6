"""The seal: whole, trusted, at the time it was told, and broken by any changed byte."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from documents.rendering.render import render
from documents.rendering.samples import samples
from documents.signing import (
    REFUSED,
    Seal,
    SealRefused,
    development_seal,
    load_pem,
    load_pkcs12,
    load_trust,
    sign,
    verify,
)

NOW = datetime(2026, 11, 22, 13, 32, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def seal(tmp_path_factory) -> Seal:
    return development_seal(tmp_path_factory.mktemp("seal"), now=NOW)


@pytest.fixture(scope="module")
def sealed(seal: Seal) -> bytes:
    return sign(
        render(samples()["prescription-drugs"]), seal=seal, at=NOW, signer="Docteur X", reason="Ordonnance"
    )


def test_a_sealed_file_is_valid_and_says_by_whom_and_when(seal, sealed) -> None:
    verdict = verify(sealed, trust=seal.trust, now=NOW + timedelta(days=400))

    assert (verdict.valid, verdict.intact, verdict.trusted) == (True, True, True)
    assert (verdict.signer, verdict.signed_at) == ("Docteur X", NOW)


def test_a_line_end_parts_the_pages_from_the_seal(sealed) -> None:
    pages = render(samples()["prescription-drugs"])

    assert sealed.startswith(pages + b"\n")


@pytest.mark.parametrize("part", ["pages", "seal dictionary", "signature", "padding", "issuer", "last line"])
@pytest.mark.parametrize("bit", [0x01, 0x02, 0x20])
def test_one_flipped_bit_anywhere_makes_it_invalid(seal, sealed, part, bit) -> None:
    container = sealed.index(b"/Contents <") + len(b"/Contents <")
    end = sealed.index(b">", container)
    place = {
        "pages": 20_000,
        "seal dictionary": sealed.index(b"/ByteRange") + 14,
        "signature": len(sealed[:end].rstrip(b"0")) - 8,
        "padding": end - 10,
        "issuer": container + 40,
        "last line": len(sealed) - 2,
    }[part]
    flipped = bytearray(sealed)
    flipped[place] ^= bit

    assert not verify(bytes(flipped), trust=seal.trust, now=NOW).valid


def test_bytes_after_the_seal_make_it_invalid(seal, sealed) -> None:
    assert not verify(sealed + b"\n% more", trust=seal.trust, now=NOW).valid
    assert not verify(sealed[:-1], trust=seal.trust, now=NOW).valid


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"not a file at all", bytes(1000)])
def test_what_is_no_sealed_file_is_refused(seal, content) -> None:
    assert verify(content, trust=seal.trust, now=NOW) == REFUSED


def test_an_unsigned_file_is_refused(seal) -> None:
    assert verify(render(samples()["invoice"]), trust=seal.trust, now=NOW) == REFUSED


def test_a_foreign_seal_is_intact_but_not_trusted(sealed, tmp_path) -> None:
    stranger = development_seal(tmp_path, now=NOW)

    verdict = verify(sealed, trust=stranger.trust, now=NOW)

    assert (verdict.valid, verdict.intact, verdict.trusted) == (False, True, False)


def test_a_seal_outside_its_validity_signs_nothing(seal) -> None:
    with pytest.raises(SealRefused):
        sign(b"%PDF", seal=seal, at=NOW + timedelta(days=4000), signer="X", reason="Y")


def test_many_processes_make_one_seal_that_only_its_owner_reads(tmp_path) -> None:
    with ThreadPoolExecutor(8) as starts:
        seals = list(starts.map(lambda _: development_seal(tmp_path, now=NOW), range(8)))

    [path] = list(tmp_path.iterdir())
    assert len({seal.certificate.serial_number for seal in seals}) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_uid == os.getuid()


def test_a_seal_from_a_container_or_a_pem_is_the_same(seal) -> None:
    container = pkcs12.serialize_key_and_certificates(
        b"seal", seal.key, seal.certificate, seal.chain, serialization.BestAvailableEncryption(b"word")
    )

    loaded = load_pkcs12(container, passphrase=b"word")

    assert (loaded.certificate, loaded.trust) == (seal.certificate, seal.trust)
    assert load_trust(seal.trust_pem) == seal.trust
    with pytest.raises(SealRefused):
        load_pkcs12(container, passphrase=b"wrong")
    with pytest.raises(SealRefused):
        load_pem(b"nothing")


def test_a_certificate_that_may_not_sign_is_refused(seal) -> None:
    key = seal.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    [root] = seal.chain

    with pytest.raises(SealRefused, match="not the one of its key"):
        load_pem(key + root.public_bytes(serialization.Encoding.PEM))


def test_no_draft_of_a_seal_is_left_behind(tmp_path: Path) -> None:
    development_seal(tmp_path, now=NOW)

    assert [path.name for path in tmp_path.iterdir()] == ["development-seal.pem"]
