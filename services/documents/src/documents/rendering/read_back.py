"""Reads an unsealed PDF and compares it with the document: a paper that says anything else is not issued."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pypdfium2  # type: ignore[import-untyped]

from documents.domain.content import AnyDocument, Line, Prescription
from documents.rendering import french
from documents.rendering.view import View, line_view

_PDFIUM: Final = threading.Lock()  # the library is not safe to use from two threads at once
# drawn, said by the metadata, or looked for on each page
_NOT_TEXT: Final = frozenset({"created", "qr_svg", "qr_alt", "document_title", "footer"})
_TABLES: Final = frozenset({"acts", "amounts"})  # each row is read as a whole: a label with its own amount
_LINE_END_HYPHENS: Final = {0x02: "-", 0xFFFE: "-"}  # how the library says a hyphen at the end of a line


class TextDiffers(Exception):
    """The PDF does not show something that the document says. The message names the field, never its text."""

    code: Final = "text-differs-from-data"


def check(pdf: bytes, document: AnyDocument, shown: View) -> None:
    """Passes when the pages show every text of the document. `shown` is its view. Raises TextDiffers.

    Some texts are taken from the document itself and not from the view: number, RPPS, and of each prescribed
    line its printed position with everything that was asked for, without a gap. Rows of tables are
    compared whole.
    """
    pages = _pages(pdf)
    footer = _folded(shown["footer"])
    text = ""
    for number, page in enumerate(pages, start=1):
        if footer not in page:
            raise TextDiffers(f"footer of page {number}")
        text += page.replace(footer, "", 1).replace(f"Page{number}/{len(pages)}", "", 1)
    for name, value in _expected(document, shown):
        if _folded(value) not in text:
            raise TextDiffers(name)


def _pages(pdf: bytes) -> list[str]:
    """What each page shows inside its borders, without white space."""
    with _PDFIUM:
        document = pypdfium2.PdfDocument(pdf)
        try:
            return [_folded(page.get_textpage().get_text_bounded()) for page in document]
        finally:
            document.close()


def _folded(text: str) -> str:
    """Without white space: where a line ends is the typesetter's business."""
    return "".join(text.translate(_LINE_END_HYPHENS).split())


def _expected(document: AnyDocument, shown: View) -> Iterator[tuple[str, str]]:
    yield "number", document.issue.number
    yield "rpps", f"RPPS : {document.practitioner.rpps}"
    yield "born_on", french.day(document.patient.born_on)
    if isinstance(document, Prescription):
        for position, line in enumerate(document.printed_lines, start=1):
            yield f"line {position}", f"{position}." + _whole(line)
    for name in _TABLES & shown.keys():
        for number, row in enumerate(shown[name]):
            yield f"{name}/{number}", "".join(value for value in row.values() if isinstance(value, str))
    yield from _texts("", {name: value for name, value in shown.items() if name not in _NOT_TEXT})


def _whole(line: Line) -> str:
    view = line_view(line)
    return " ".join([view["label"], view["substance"] or "", *view["details"], " · ".join(view["emphasis"])])


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(f"{name}/{key}", each)
    elif isinstance(value, Sequence):
        for number, each in enumerate(value):
            yield from _texts(f"{name}/{number}", each)
