"""One document in, one PDF out: PDF/A-2a and PDF/UA-1 together, the same bytes for the same document."""

import json
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

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
_undrawable: dict[int, str] = {}  # what the font was found not to have

_MOST_TRIES: Final = 200
_UNDRAWABLE_TEXT: Final = re.compile(r'the text `"(.*?)"` could not be displayed', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\u\{([0-9a-f]+)\}")
_QUOTED: Final = re.compile(r'".*"', re.DOTALL)


class RenderFailed(Exception):
    """The compiler refused a document; what was written in it is not repeated."""


def render(document: AnyDocument) -> bytes:
    """The unsigned PDF. Blocks for some milliseconds: call it in a thread.

    A character that the font does not have stands as its code point, `[U+5F20]`: an archived PDF shows every
    character or is refused. Raises ValueError for values no document may state (a negative amount, born after
    the visit), RenderFailed.
    """
    template = _compilers.folder / f"{kind_of(document)}.typ"
    # PDF knows no fractions of a second, and the compiler refuses them.
    timestamp = document.issue.issued_at.astimezone(UTC).replace(microsecond=0)
    shown = view(document)
    for _ in range(_MOST_TRIES):
        try:
            compiled = _compilers.compiler.compile(
                input=template,
                format="pdf",
                pdf_standards=["a-2a", "ua-1"],
                sys_inputs={"data": json.dumps(_drawable(shown), ensure_ascii=False)},
                timestamp=timestamp,
            )
        except typst.TypstError as error:
            _learn(error)
            continue
        if not isinstance(compiled, bytes):
            raise TypeError("the compiler gave no single file")
        return compiled
    raise RenderFailed("too many characters that the font does not have")


def _learn(error: typst.TypstError) -> None:
    """The compiler names one text that it has no glyphs for. Raises RenderFailed for another failure."""
    named = _UNDRAWABLE_TEXT.search(str(error))
    missing = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), named[1]) if named else ""
    new = {ord(each): f"[U+{ord(each):04X}]" for each in missing if ord(each) not in _undrawable}
    if not new:
        raise RenderFailed(_QUOTED.sub('"..."', str(error))) from None
    _undrawable.update(new)


def _drawable(shown: Any) -> Any:
    if isinstance(shown, str):
        return shown.translate(_undrawable)
    if isinstance(shown, Mapping):
        return {key: _drawable(each) for key, each in shown.items()}
    if isinstance(shown, Sequence):
        return [_drawable(each) for each in shown]
    return shown
