"""A seal on a PDF as an incremental update: the pages keep every byte, and objects follow them.

The module reads what the typesetter writes: a classic cross-reference table, one revision, a flat page tree.
It refuses any other file; sealing the PDF of somebody else is not needed here.
"""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

FIELD: Final = "Cachet"
CONTAINER_BYTES: Final = 4096  # room for the signature and a short chain; the rest is zeros

_TRAILER: Final = re.compile(rb"trailer\s*<<(.*?)>>\s*startxref\s+(\d+)\s+%%EOF\s*\Z", re.DOTALL)
_ROOT: Final = re.compile(rb"/Root (\d+) 0 R")
_SIZE: Final = re.compile(rb"/Size (\d+)")
_KEPT: Final = re.compile(rb"/Info \d+ 0 R")
_FIRST_ID: Final = re.compile(rb"/ID\s*\[\s*(\((?:\\.|[^\\)])*\)|<[0-9A-Fa-f]*>)", re.DOTALL)
_SECTION: Final = re.compile(rb"xref\s+0 (\d+)\s*?\r?\n")
_PAGES: Final = re.compile(rb"/Pages (\d+) 0 R")
_FIRST_KID: Final = re.compile(rb"/Kids\s*\[\s*(\d+) 0 R")
_ANNOTATIONS: Final = re.compile(rb"/Annots\s*\[")
_ENTRY_BYTES: Final = 20
_RANGE_DIGITS: Final = 10


class PdfUnexpected(Exception):
    """The file is not written as the typesetter writes its files."""


def add_seal(
    pdf: bytes, *, at: datetime, signer: str, reason: str, container: Callable[[bytes], bytes]
) -> bytes:
    """The file with an invisible signature field. `container` makes the CMS bytes from the file's digest.

    Raises PdfUnexpected.
    """
    old = _Revision(pdf)
    # The typesetter ends its file without a line end; PDF/A (6.1.9) wants one before the next revision.
    body = bytearray(pdf if pdf.endswith(b"\n") else pdf + b"\n")
    form, field, value = old.size, old.size + 1, old.size + 2
    page = old.first_page
    places: dict[int, int] = {}

    def write(number: int, content: bytes) -> int:
        places[number] = len(body)
        begin = b"%d 0 obj\n" % number
        body.extend(begin + content + b"\nendobj\n")
        return places[number] + len(begin)

    write(page, _with_annotation(old.dictionary(page), field))
    write(old.root, _inside(old.dictionary(old.root), b"/AcroForm %d 0 R" % form))
    write(form, b"<</Fields[%d 0 R]/SigFlags 3>>" % field)
    write(
        field,
        b"<</FT/Sig/T(%s)/Type/Annot/Subtype/Widget/F 132/Rect[0 0 0 0]/P %d 0 R/V %d 0 R>>"
        % (FIELD.encode(), page, value),
    )
    head = b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/Contents "
    hole = write(value, b"".join((head, _empty(), _facts(at, signer, reason)))) + len(head)
    _write_table(body, places, old)
    return _fill(body, hole, container)


class _Revision:
    """The one revision of a file: where its objects are, and the numbers that an update needs."""

    def __init__(self, pdf: bytes) -> None:
        trailer = _TRAILER.search(pdf, max(len(pdf) - 2048, 0))
        if trailer is None:
            raise PdfUnexpected("no trailer at the end of the file")
        self._pdf = pdf
        self.trailer = trailer[1]
        self.table_at = int(trailer[2])
        section = _SECTION.match(pdf, self.table_at)
        if section is None or b"/Prev" in self.trailer:
            raise PdfUnexpected("no cross-reference table of one revision")
        self._first_entry, self.size = section.end(), int(section[1])
        if self.size != int(_found(_SIZE, self.trailer)):
            raise PdfUnexpected("the table has another size than the trailer says")
        self.root = int(_found(_ROOT, self.trailer))
        pages = int(_found(_PAGES, self.dictionary(self.root)))
        self.first_page = int(_found(_FIRST_KID, self.dictionary(pages)))
        if b"/Kids" in self.dictionary(self.first_page):
            raise PdfUnexpected("the page tree has more than one level")

    def dictionary(self, number: int) -> bytes:
        """The text of an object that is a dictionary, from its << to its >>."""
        entry_at = self._first_entry + number * _ENTRY_BYTES
        entry = self._pdf[entry_at : entry_at + _ENTRY_BYTES]
        if number >= self.size or entry[10:18] != b" 00000 n":
            raise PdfUnexpected(f"object {number} is not in the table")
        begin, start = int(entry[:10]), b"%d 0 obj" % number
        end = self._pdf.find(b"endobj", begin)
        text = self._pdf[begin + len(start) : end].strip()
        if not self._pdf.startswith(start, begin) or not text.startswith(b"<<") or not text.endswith(b">>"):
            raise PdfUnexpected(f"object {number} is no dictionary")
        return text


def _found(pattern: re.Pattern[bytes], text: bytes) -> bytes:
    match = pattern.search(text)
    if match is None:
        raise PdfUnexpected(f"nothing like {pattern.pattern.decode()}")
    return match[1]


def _inside(dictionary: bytes, entries: bytes) -> bytes:
    return dictionary[:-2] + entries + b">>"


def _with_annotation(page: bytes, field: int) -> bytes:
    if b"/Annots" not in page:
        return _inside(page, b"/Annots[%d 0 R]" % field)
    if len(_ANNOTATIONS.findall(page)) != 1:
        raise PdfUnexpected("the annotations of the page stand elsewhere")
    return _ANNOTATIONS.sub(b"/Annots[%d 0 R " % field, page)


def _empty() -> bytes:
    return b"<" + b"0" * (2 * CONTAINER_BYTES) + b">"


def _range(first: int, second: int, length: int) -> bytes:
    """Of a fixed width, so that it can be filled in when the places are known."""
    text = b"/ByteRange[0 %d %d %d]" % (first, second, length)
    return text.ljust(len(b"/ByteRange[0   ]") + 3 * _RANGE_DIGITS)


def _facts(at: datetime, signer: str, reason: str) -> bytes:
    return b"%s/M(D:%s)/Name%s/Reason%s>>" % (
        _range(0, 0, 0),
        at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode(),
        _text(signer),
        _text(reason),
    )


def _text(value: str) -> bytes:
    """A PDF text string in UTF-16, in hexadecimal: no character needs an escape."""
    return b"<FEFF" + value.encode("utf-16-be").hex().upper().encode() + b">"


def _write_table(body: bytearray, places: dict[int, int], old: _Revision) -> None:
    """The cross-reference table of the update and its trailer, which points to the table before."""
    at = len(body)
    lines = [b"xref\n0 1\n0000000000 65535 f \n"]
    lines += [b"%d 1\n%010d 00000 n \n" % (number, places[number]) for number in sorted(places)]
    kept = _KEPT.search(old.trailer)
    first_id = _FIRST_ID.search(old.trailer)
    identity = b""
    if first_id is not None:
        identity = b"/ID[%s<%s>]" % (first_id[1], hashlib.sha256(body).hexdigest()[:32].encode())
    lines.append(
        b"trailer\n<</Size %d/Root %d 0 R%s%s/Prev %d>>\nstartxref\n%d\n%%%%EOF\n"
        % (old.size + 3, old.root, kept[0] if kept else b"", identity, old.table_at, at)
    )
    body.extend(b"".join(lines))


def _fill(body: bytearray, hole: int, container: Callable[[bytes], bytes]) -> bytes:
    """Writes the byte range, then the container over the digest of all bytes but the container's own."""
    after = hole + len(_empty())
    span = _range(hole, after, len(body) - after)
    body[after : after + len(span)] = span
    digest = hashlib.sha256(memoryview(body)[:hole])
    digest.update(memoryview(body)[after:])
    content = container(digest.digest())
    if len(content) > CONTAINER_BYTES:
        raise PdfUnexpected(
            f"the container of the seal has {len(content)} bytes, {CONTAINER_BYTES} are kept for it"
        )
    body[hole + 1 : after - 1] = content.hex().upper().encode().ljust(2 * CONTAINER_BYTES, b"0")
    return bytes(body)
