"""One document in, one PDF out: PDF/A-2a and PDF/UA-1 together, the same bytes for the same document."""

import json
import re
import threading
from datetime import UTC
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import typst

from documents.domain.content import AnyDocument, kind_of
from documents.rendering.view import View, view


class _Compilers(threading.local):
    """A compiler for each thread: it is not known to be safe to share one."""

    def __init__(self) -> None:
        with as_file(files("documents.rendering") / "templates") as folder:
            self.folder: Path = folder
        self.compiler = typst.Compiler(root=self.folder, ignore_system_fonts=True)


_compilers = _Compilers()

_UNDRAWABLE: Final = re.compile(r'the text `".*"` could not be displayed|contains the codepoint', re.DOTALL)
_QUOTED: Final = re.compile(r'".*"', re.DOTALL)


class RenderFailed(Exception):
    """The compiler refused a document. The message does not repeat what was written in it."""

    def __init__(self, message: str, *, code: str = "render-failed") -> None:
        super().__init__(message)
        self.code = code


def render(document: AnyDocument, shown: View | None = None) -> bytes:
    """The unsigned PDF. Blocks for some milliseconds: use a thread. `shown` is its view, if made before.

    Nothing is kept from one document to the next. Raises ValueError for values no document may state (a
    negative amount, born after the visit), and RenderFailed: with the code `text-not-drawable` when the fonts
    lack a character, else `render-failed`.
    """
    template = _compilers.folder / f"{kind_of(document)}.typ"
    # PDF knows no fractions of a second, and the compiler refuses them.
    timestamp = document.issue.issued_at.astimezone(UTC).replace(microsecond=0)
    try:
        compiled = _compilers.compiler.compile(
            input=template,
            format="pdf",
            pdf_standards=["a-2a", "ua-1"],
            sys_inputs={"data": json.dumps(shown or view(document), ensure_ascii=False)},
            timestamp=timestamp,
        )
    except typst.TypstError as error:
        raise _failed(error) from None
    if not isinstance(compiled, bytes):
        raise TypeError("the compiler gave no single file")
    return compiled


def _failed(error: typst.TypstError) -> RenderFailed:
    if _UNDRAWABLE.search(str(error)):
        return RenderFailed("the fonts lack a character of the document", code="text-not-drawable")
    return RenderFailed(_QUOTED.sub('"..."', str(error)))
