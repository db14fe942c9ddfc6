"""The incremental update keeps every byte of the pages, and refuses a file of another shape."""

import hashlib
import io
import re
from datetime import UTC, datetime

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from documents.rendering.render import render
from documents.rendering.samples import samples
from documents.signing import PdfUnexpected, development_seal, sign, verify
from documents.signing.pdf_update import CONTAINER_BYTES, add_seal

NOW = datetime(2026, 11, 22, 13, 32, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def pages() -> bytes:
    return render(samples()["prescription-drugs"])


def sealed_with(content: bytes, pdf: bytes) -> bytes:
    return add_seal(pdf, at=NOW, signer="Dr É", reason="Ordonnance", container=lambda _: content)


@pytest.mark.parametrize("name", sorted(samples()))
def test_every_kind_of_document_is_sealed_and_keeps_its_pages(name, tmp_path) -> None:
    pdf, seal = render(samples()[name]), development_seal(tmp_path, now=NOW)

    sealed = sign(pdf, seal=seal, at=NOW, signer="Docteur Hélène LEFÈVRE", reason="Reçu (copie)")
    verdict = verify(sealed, trust=seal.trust, now=NOW)

    assert sealed.startswith(pdf)
    assert (verdict.valid, verdict.signer, verdict.signed_at) == (True, "Docteur Hélène LEFÈVRE", NOW)


def test_the_container_is_made_of_the_digest_of_all_other_bytes(pages) -> None:
    digests: list[bytes] = []

    def container(digest: bytes) -> bytes:
        digests.append(digest)
        return b"\x01\x02"

    sealed = add_seal(pages, at=NOW, signer="X", reason="Y", container=container)
    written = re.search(rb"/ByteRange\[0 (\d+) (\d+) (\d+)\]", sealed)
    assert written is not None
    first, second, length = (int(each) for each in written.groups())

    assert second + length == len(sealed)
    assert sealed[first : first + 5] == b"<0102"
    assert second - first == 2 * CONTAINER_BYTES + 2
    assert digests == [hashlib.sha256(sealed[:first] + sealed[second:]).digest()]


def test_a_second_seal_is_refused(pages) -> None:
    with pytest.raises(PdfUnexpected, match="one revision"):
        sealed_with(b"", sealed_with(b"", pages))


def test_a_container_that_is_too_long_is_refused(pages) -> None:
    with pytest.raises(PdfUnexpected, match="4097 bytes"):
        sealed_with(bytes(CONTAINER_BYTES + 1), pages)


def test_a_page_with_annotations_keeps_them(pages) -> None:
    # same length, so that the table of the file stays true
    annotated = pages.replace(b"/StructParents 0/Tabs/S", b"/Annots[7 0 R] /Tabs/S ", 1)

    annotations = PdfFileReader(io.BytesIO(sealed_with(b"", annotated))).root["/Pages"]["/Kids"][0]["/Annots"]

    assert len(annotated) == len(pages)
    assert [annotations.raw_get(each).idnum for each in (0, 1)] == [89, 7]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"trailer", b"trailed", "no trailer"),
        (b"/Size ", b"/Sizf ", "Size"),
        (b"/Catalog/Pages ", b"/Catalog/Pagez ", "Pages"),
        (b"/Kids[", b"/Kidz[", "Kids"),
        (b"xref\n0 ", b"xref\n1 ", "no cross-reference table"),
        (b"/Tabs/S/Parent", b"/Annots 7 0 R", "elsewhere"),
    ],
)
def test_a_file_of_another_shape_is_refused(pages, old, new, why) -> None:
    broken = pages.replace(old, new.ljust(len(old)), 1)

    assert broken != pages
    with pytest.raises(PdfUnexpected, match=why):
        sealed_with(b"", broken)


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n", bytes(5000)])
def test_what_is_no_pdf_is_refused(content) -> None:
    with pytest.raises(PdfUnexpected, match="no trailer"):
        sealed_with(b"", content)
