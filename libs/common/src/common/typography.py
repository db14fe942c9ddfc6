"""How texts that a person reads are set: blanks where no line breaks, apostrophes, amounts, percentages."""

import re
from typing import Final

NO_BREAK: Final = "\N{NO-BREAK SPACE}"  # before the euro sign, the percent sign and : ; ! ?
THIN: Final = "\N{NARROW NO-BREAK SPACE}"  # between thousands
APOSTROPHE: Final = "\N{RIGHT SINGLE QUOTATION MARK}"
_BEFORE: Final = re.compile(r"[ \u00a0\u202f]+([:;!?%€»])")
_AFTER: Final = re.compile(r"(«)[ \u00a0\u202f]+")
_PERCENT: Final = 100  # basis points


def french(text: str) -> str:
    """`text`, as it is typed, with the blanks and apostrophes of French typography.

    A sign is never parted from its word where none was typed: an address or a time of day stays as it is.
    """
    text = text.replace("'", APOSTROPHE)
    return _AFTER.sub(rf"\1{NO_BREAK}", _BEFORE.sub(rf"{NO_BREAK}\1", text))


def euros_fr(cents: int) -> str:
    """750 cents are "7,50 €", 123456 are "1 234,56 €", with blanks that do not break."""
    return f"{cents // 100:,}".replace(",", THIN) + f",{cents % 100:02d}{NO_BREAK}€"


def euros_en(cents: int) -> str:
    """750 cents are "€7.50", 123456 are "€1,234.56"."""
    return f"€{cents // 100:,}.{cents % 100:02d}"


def percent_fr(basis_points: int) -> str:
    """7000 basis points are "70 %", 8550 are "85,5 %", with a blank that does not break."""
    return _percent(basis_points).replace(".", ",") + f"{NO_BREAK}%"


def percent_en(basis_points: int) -> str:
    """7000 basis points are "70%", 8550 are "85.5%"."""
    return _percent(basis_points) + "%"


def _percent(basis_points: int) -> str:
    whole, rest = divmod(basis_points, _PERCENT)
    return f"{whole}.{rest:02d}".rstrip("0") if rest else str(whole)
