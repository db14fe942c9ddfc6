"""Numbers of people, professionals, companies, insurers and drugs: well formed, or which check fails."""

from enum import StrEnum
from typing import Final, NamedTuple

from stdnum import ean, luhn
from stdnum.fr import nir


class Verdict(StrEnum):
    VALID = "valid"
    VALID_PROVISIONAL = "valid-provisional"  # usable, the fund may still refuse it
    SUSPECT_STRUCTURE = "suspect-structure"  # warn, never block: the rule that fails is not a sure one
    INVALID = "invalid"


class Check(StrEnum):
    LENGTH = "length"
    CHARACTER = "character"
    STRUCTURE = "structure"
    KEY = "key"


class Answer(NamedTuple):
    """`value` is the canonical form, without spaces and in upper case, whatever the verdict."""

    verdict: Verdict
    value: str
    failed: Check | None = None

    @property
    def accepted(self) -> bool:
        return self.verdict is not Verdict.INVALID


NIR_LENGTH: Final = 15
NIR_MONTH: Final = slice(3, 5)
NIR_PLACE: Final = slice(5, 10)
NIR_CORSICA: Final = 6
LA_POSTE: Final = "356000000"
CIP_PREFIX: Final = "34009"


def canonical(raw: str) -> str:
    """Without spaces (of any kind), dots and hyphens, in upper case."""
    return "".join(letter for letter in raw if not letter.isspace() and letter not in ".-").upper()


def check_nir(raw: str) -> Answer:
    """Only the key is decisive: an odd month or place is a warning, as incomplete civil records exist."""
    value = canonical(raw)
    if len(value) != NIR_LENGTH:
        return Answer(Verdict.INVALID, value, Check.LENGTH)
    digits = value
    if value[NIR_CORSICA] in "AB":
        digits = value[:NIR_CORSICA] + "0" + value[NIR_CORSICA + 1 :]
    if not _digits(digits):
        return Answer(Verdict.INVALID, value, Check.CHARACTER)
    if digits is not value and value[5] != "2":  # a letter belongs to 2A and 2B only
        return Answer(Verdict.INVALID, value, Check.CHARACTER)
    if nir.calc_check_digits(value) != value[13:]:
        return Answer(Verdict.INVALID, value, Check.KEY)
    if value[0] in "09" or not _known_month(value[NIR_MONTH]) or not _known_place(value[NIR_PLACE]):
        return Answer(Verdict.SUSPECT_STRUCTURE, value, Check.STRUCTURE)
    return Answer(Verdict.VALID_PROVISIONAL if is_provisional(value) else Verdict.VALID, value)


def is_provisional(value: str) -> bool:
    """By the first digit of an accepted NIR, however odd its month or place is."""
    return value[0] in "345678"


def check_nia(raw: str) -> Answer:
    """The waiting identifier has the form of a NIR, which replaces it later."""
    return check_nir(raw)


def check_rpps(raw: str) -> Answer:
    """Eleven digits; a wrong Luhn key only warns, as no source states it."""
    return _luhn(raw, length=11, doubtful=True)


def check_billing_number(raw: str) -> Answer:
    return _luhn(raw, length=9, doubtful=False)


def check_finess(raw: str) -> Answer:
    """Nine characters, "2A" and "2B" for Corsica; a wrong Luhn key only warns."""
    value = canonical(raw)
    if len(value) != 9:  # noqa: PLR2004
        return Answer(Verdict.INVALID, value, Check.LENGTH)
    digits = value
    if value[:2] in {"2A", "2B"}:
        digits = "2" + str(ord(value[1]) - ord("A")) + value[2:]
    if not _digits(digits):
        return Answer(Verdict.INVALID, value, Check.CHARACTER)
    if digits is value and not luhn.is_valid(value):
        return Answer(Verdict.SUSPECT_STRUCTURE, value, Check.KEY)
    return Answer(Verdict.VALID, value)


def check_siren(raw: str) -> Answer:
    return _luhn(raw, length=9, doubtful=False)


def check_siret(raw: str) -> Answer:
    """La Poste also uses numbers whose digit sum is a multiple of 5, in place of the Luhn key."""
    value = canonical(raw)
    if len(value) != 14:  # noqa: PLR2004
        return Answer(Verdict.INVALID, value, Check.LENGTH)
    if not _digits(value):
        return Answer(Verdict.INVALID, value, Check.CHARACTER)
    by_sum = value.startswith(LA_POSTE) and sum(map(int, value)) % 5 == 0
    if not by_sum and not luhn.is_valid(value):
        return Answer(Verdict.INVALID, value, Check.KEY)
    return Answer(Verdict.VALID, value)


def check_amc_number(raw: str) -> Answer:
    """Eight to ten digits, leading zeros kept; no key: the directory decides."""
    value = canonical(raw)
    if not 8 <= len(value) <= 10:  # noqa: PLR2004
        return Answer(Verdict.INVALID, value, Check.LENGTH)
    return Answer(Verdict.VALID, value) if _digits(value) else Answer(Verdict.INVALID, value, Check.CHARACTER)


def check_cip13(raw: str) -> Answer:
    """Thirteen digits with an EAN key; another prefix than that of French drugs only warns."""
    value = canonical(raw)
    if len(value) != 13:  # noqa: PLR2004
        return Answer(Verdict.INVALID, value, Check.LENGTH)
    if not _digits(value):
        return Answer(Verdict.INVALID, value, Check.CHARACTER)
    if not ean.is_valid(value):
        return Answer(Verdict.INVALID, value, Check.KEY)
    if not value.startswith(CIP_PREFIX):
        return Answer(Verdict.SUSPECT_STRUCTURE, value, Check.STRUCTURE)
    return Answer(Verdict.VALID, value)


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _known_month(month: str) -> bool:
    """01 to 12, 20 and above for an incomplete civil record."""
    return "01" <= month <= "12" or month >= "20"


def _known_place(place: str) -> bool:
    """A department of the mainland, Corsica, overseas, or 99 and a country."""
    return "01" <= place[:2] <= "99" and place[2:] != "000"


def _luhn(raw: str, *, length: int, doubtful: bool) -> Answer:
    value = canonical(raw)
    if len(value) != length:
        return Answer(Verdict.INVALID, value, Check.LENGTH)
    if not _digits(value):
        return Answer(Verdict.INVALID, value, Check.CHARACTER)
    if luhn.is_valid(value):
        return Answer(Verdict.VALID, value)
    return Answer(Verdict.SUSPECT_STRUCTURE if doubtful else Verdict.INVALID, value, Check.KEY)
