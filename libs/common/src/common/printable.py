"""The characters that every document and page can show: the rule for all texts that are printed.

A text with another character is refused where it comes in. Emoji, control characters, bidirectional and
invisible characters, private use and scripts without a glyph would print as something else than was written.
"""

import re
import unicodedata
from typing import Final

# As regular expression ranges; the escapes stand in generated code of other languages. A test of documents
# draws each of them and reads it back from the PDF.
PRINTABLE: Final = (
    r"\u0020-\u007e"  # ASCII
    r"\u00a0-\u00ac\u00ae-\u024f\u1e00-\u1eff"  # Latin letters and signs; without the soft hyphen
    r"\u0393\u0394\u0398\u039b\u03a0\u03a3\u03a6\u03a8\u03a9"  # Greek capitals unlike Latin ones
    r"\u03b1-\u03b5\u03b7\u03b8\u03bb\u03bc\u03be\u03c0\u03c1\u03c3-\u03c9"  # Greek letters used as symbols
    r"\u2009\u2010-\u2015\u2018-\u201e\u2020-\u2022\u2026\u202f\u2030\u2032\u2033\u2039\u203a\u2044"
    r"\u2070\u2074-\u208e\u20ac\u2103\u2116\u2122\u2126\u2153-\u215e"
    r"\u2190-\u2195\u2200-\u2209\u2211-\u2213\u221a\u221e\u2248\u2260\u2264\u2265"
)
ONE_LINE: Final = rf"^[{PRINTABLE}]*$"
LINES: Final = rf"^[{PRINTABLE}\n]*$"

_NOT_IN: Final = {ONE_LINE: re.compile(rf"[^{PRINTABLE}]"), LINES: re.compile(rf"[^{PRINTABLE}\n]")}


def unprintable(text: str, *, pattern: str = ONE_LINE) -> str | None:
    """The first character that `pattern` (ONE_LINE or LINES) does not allow; None: it allows all."""
    found = _NOT_IN[pattern].search(text)
    return None if found is None else found[0]


def named(character: str) -> str:
    """How a message says a character that cannot be shown: `U+200B (ZERO WIDTH SPACE)`."""
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} ({name})" if name else f"U+{ord(character):04X}"


def composed(text: str) -> str:
    """The text with composed letters (NFC) and line ends of one kind, as it is kept and compared."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " "))
