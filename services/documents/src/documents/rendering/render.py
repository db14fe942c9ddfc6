"""One document in, one PDF out: PDF/A-2a and PDF/UA-1 together, the same bytes for the same document."""

import json
import threading
from datetime import UTC
from importlib.resources import as_file, files
from pathlib import Path

import typst

from documents.domain.content import AnyDocument, kind_of
from documents.rendering.view import view


class _Compilers(threading.local):
    """A compiler for each thread: it is not known to be safe to share one."""

    def __init__(self) -> None:
        with as_file(files("documents.rendering") / "templates") as folder:
            self.folder: Path = folder
        self.compiler = typst.Compiler(root=self.folder, ignore_system_fonts=True)


_compilers = _Compilers()


def render(document: AnyDocument) -> bytes:
    """The unsigned PDF. Blocks for some milliseconds: call it in a thread.

    Raises ValueError for values no document may state (a negative amount, born after the visit).
    """
    template = _compilers.folder / f"{kind_of(document)}.typ"
    compiled = _compilers.compiler.compile(
        input=template,
        format="pdf",
        pdf_standards=["a-2a", "ua-1"],
        sys_inputs={"data": json.dumps(view(document), ensure_ascii=False)},
        # PDF knows no fractions of a second, and the compiler refuses them.
        timestamp=document.issue.issued_at.astimezone(UTC).replace(microsecond=0),
    )
    if not isinstance(compiled, bytes):
        raise TypeError("the compiler gave no single file")
    return compiled
