"""How amounts, dates, ages and numbers are written in French, without a locale and without a float."""

import itertools
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from common.money import Cents

NO_BREAK: Final = "\N{NO-BREAK SPACE}"
MONTHS: Final = (
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
)
_UNITS: Final = (
    *(
        "zéro",
        "une",
        "deux",
        "trois",
        "quatre",
        "cinq",
        "six",
        "sept",
        "huit",
        "neuf",
        "dix",
        "onze",
        "douze",
    ),
    *("treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf"),
)
_TENS: Final = {20: "vingt", 30: "trente", 40: "quarante"}
_MONTHS_UNTIL: Final = 36  # younger children are said in months: doses depend on it


def amount(cents: Cents) -> str:
    """7,50 €; 1 234,05 €. Raises ValueError below zero."""
    if cents < 0:
        raise ValueError("a document states no negative amount")
    euros, rest = divmod(cents, 100)
    whole = f"{euros:,}".replace(",", NO_BREAK)
    return f"{whole},{rest:02d}{NO_BREAK}€"


def day(on: date) -> str:
    return f"{on.day:02d}/{on.month:02d}/{on.year:04d}"


def long_day(on: date) -> str:
    first = "1er" if on.day == 1 else str(on.day)
    return f"{first} {MONTHS[on.month - 1]} {on.year}"


def moment(at: datetime, zone: str) -> str:
    local = at.astimezone(ZoneInfo(zone))
    return f"{day(local.date())} à {local.hour:02d}:{local.minute:02d}"


def age(born_on: date, on: date) -> str:
    """As in 71 ans, or in 14 mois below three years. Raises ValueError when born after that day."""
    if born_on > on:
        raise ValueError("born after the date of the document")
    months = (on.year - born_on.year) * 12 + on.month - born_on.month - (on.day < born_on.day)
    if months < _MONTHS_UNTIL:
        return f"{months}{NO_BREAK}mois"
    return f"{months // 12}{NO_BREAK}ans"


def nir(number: str) -> str:
    """The 15 characters in the groups of the carte Vitale: 2 55 08 14 168 025 38; others as they are."""
    cuts = (0, 1, 3, 5, 7, 10, 13, 15)
    if len(number) != cuts[-1]:
        return number
    return NO_BREAK.join(number[start:end] for start, end in itertools.pairwise(cuts))


def phone(number: str) -> str:
    """01 42 00 00 00 for ten digits, anything else as it was given."""
    digits = "".join(letter for letter in number if letter.isascii() and letter.isdigit())
    if number.startswith("+33") and len(digits) == 11:  # noqa: PLR2004 - 33 and nine digits
        digits = "0" + digits[2:]
    if len(digits) != 10:  # noqa: PLR2004 - a French number
        return number
    return NO_BREAK.join(digits[place : place + 2] for place in range(0, 10, 2))


def counted(count: int, one: str, many: str) -> str:
    """As in 1 boîte, 2 boîtes."""
    return f"{count}{NO_BREAK}{one if count <= 1 else many}"


def in_letters(count: int) -> str:
    """A small feminine count in letters: 1 is une. Raises ValueError outside 0 to 49."""
    if not 0 <= count < 50:  # noqa: PLR2004
        raise ValueError("only small counts are written in letters")
    if count < len(_UNITS):
        return _UNITS[count]
    tens, unit = count // 10 * 10, count % 10
    if unit == 0:
        return _TENS[tens]
    return f"{_TENS[tens]} et une" if unit == 1 else f"{_TENS[tens]}-{_UNITS[unit]}"


def kilograms(grams: int) -> str:
    """62 kg; 3,45 kg."""
    whole, rest = divmod(grams, 1000)
    decimals = f",{rest:03d}".rstrip("0") if rest else ""
    return f"{whole}{decimals}{NO_BREAK}kg"
