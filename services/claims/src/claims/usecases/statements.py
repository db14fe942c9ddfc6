"""What a person states about a patient's insurance: every check before it is kept or priced with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Final

from claims.domain import identifiers
from claims.domain.asking import AmcDeclared, Exemption, ExemptionKind
from claims.domain.calendar import day_in_paris
from claims.domain.identifiers import Answer
from claims.domain.pricing import Insured
from claims.domain.situation import age_on
from claims.usecases.config import ClaimsConfig
from common.errors import DomainError, Refusal, at_field
from common.places import latest_day

# Where the caller wrote what is kept under another name.
_WRITTEN_AT: Final = {
    "amc_declared": "amc_status_declared",
    "amc_member_number": "amc/member_number",
    "amc_number": "amc/number",
}


def inside(error: DomainError, field: str) -> DomainError:
    """The same refusal of a statement that stands in `field` of a body."""
    wrong = [
        {**each, "pointer": each["pointer"].replace("/body", f"/body/{field}", 1)}
        for each in error.extra["errors"]
    ]
    error.extra = {"errors": wrong}
    return error


class IdentifierRefused(DomainError):
    """A number fails a check: the code names which one, the number itself is never repeated."""

    code: str  # type: ignore[misc]  # nir-length, nir-key, amc-number-character...: one refusal, many checks
    refusal: ClassVar[Refusal] = Refusal.INVALID

    def __init__(self, field: str, check: str) -> None:
        name = field.replace("_", "-")
        pointer = f"/body/{_WRITTEN_AT.get(field, field)}"
        wrong = at_field(pointer, f"{name}-{check}", check)
        super().__init__(f"{field} fails the check of its {check}", extra=wrong)
        self.code = f"{name}-{check}"


class CoverageRefused(DomainError):
    """What was stated contradicts itself."""

    code: str  # type: ignore[misc]  # says what contradicts what
    refusal: ClassVar[Refusal] = Refusal.INVALID

    def __init__(self, code: str, detail: str, *, field: str) -> None:
        pointer = f"/body/{_WRITTEN_AT.get(field, field)}"
        super().__init__(detail, extra=at_field(pointer, code, detail))
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class AmcStatement:
    number: str
    member_number: str
    first_on: date | None
    last_on: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a person says about a patient's insurance; numbers as typed."""

    nir: str | None
    nia: str | None
    ame_number: str | None
    born_on: date | None
    insured: Insured | None  # none: yes when an insurance is stated
    amc: AmcStatement | None
    amc_declared: AmcDeclared
    exemptions: Sequence[Exemption]
    contribution_exempt: bool = False
    scheme: str
    sponsor_code: str | None
    holder_name: str | None

    @property
    def is_insured(self) -> Insured:
        if self.insured is not None:
            return self.insured
        of_insurer = (self.nir, self.nia, self.ame_number, self.amc, self.exemptions, self.holder_name)
        said = any(of_insurer) or self.amc_declared is not AmcDeclared.NONE
        return Insured.YES if said else Insured.UNKNOWN


def checked(config: ClaimsConfig, statement: Statement, *, now: datetime) -> dict[str, Any]:
    """The facts as they are encrypted. Raises IdentifierRefused, CoverageRefused."""
    today = day_in_paris(now)
    if config.tables.known_at(None).schemes.find((statement.scheme,), on=today) is None:
        raise CoverageRefused("scheme-unknown", "no rates are known of this scheme", field="scheme")
    if statement.born_on is not None and statement.born_on > latest_day(now):
        raise CoverageRefused("born-in-the-future", "the birth date is after today", field="birth_date")
    given = [name for name in ("nir", "nia", "ame_number") if getattr(statement, name)]
    if len(given) > 1:
        raise CoverageRefused("several-numbers", "give one of nir, nia and ame_number", field=given[1])
    _check_exemptions(statement)
    _check_amc(statement)
    nir = identifiers.check_nir(statement.nir) if statement.nir else None
    facts = {
        "nir": _value("nir", nir),
        "nir_verdict": nir.verdict.value if nir else None,
        "nia": _value("nia", identifiers.check_nia(statement.nia) if statement.nia else None),
        "ame_number": _ame_number(statement.ame_number),
        "born_on": statement.born_on.isoformat() if statement.born_on else None,
        "holder_name": statement.holder_name,
        "amc_number": _value(
            "amc_number", identifiers.check_amc_number(statement.amc.number) if statement.amc else None
        ),
        "amc_member_number": _member_number(statement.amc),
        "amc_first_on": iso(statement.amc.first_on if statement.amc else None),
        "amc_last_on": iso(statement.amc.last_on if statement.amc else None),
        "exemptions": [exemption_to_json(each) for each in statement.exemptions],
        "contribution_exempt": statement.contribution_exempt,
    }
    return facts | {"typed": _typed(statement, facts)}


def _typed(statement: Statement, facts: Mapping[str, Any]) -> dict[str, str]:
    """The numbers as they were typed, where they are kept in another form: for an audit, and never shown."""
    amc = statement.amc
    raw = {
        "nir": statement.nir,
        "nia": statement.nia,
        "ame_number": statement.ame_number,
        "amc_number": amc.number if amc else None,
        "amc_member_number": amc.member_number if amc else None,
    }
    return {name: value for name, value in raw.items() if value and value != facts[name]}


def _check_exemptions(statement: Statement) -> None:
    ame = any(each.kind is ExemptionKind.AME for each in statement.exemptions)
    if statement.ame_number and not ame:
        raise CoverageRefused(
            "ame-number-needs-ame", "an AME number needs the exemption ame", field="ame_number"
        )
    for number, each in enumerate(statement.exemptions):
        where = f"exemptions/{number}"
        if each.last_on is not None and each.last_on < each.first_on:
            raise CoverageRefused("dates-reversed", "an exemption ends before it begins", field=where)
        if each.kind is ExemptionKind.MATERNITY and each.last_on is None:
            raise CoverageRefused("maternity-needs-end", "maternity has a last day", field=where)
        if any(each.overlaps(earlier) for earlier in statement.exemptions[:number]):
            raise CoverageRefused("exemption-twice", "two periods of one exemption share a day", field=where)


def _check_amc(statement: Statement) -> None:
    amc = statement.amc
    if amc and amc.first_on and amc.last_on and amc.last_on < amc.first_on:
        raise CoverageRefused("dates-reversed", "the AMC's rights end before they begin", field="amc")
    if statement.amc and statement.amc_declared is AmcDeclared.EXISTS_NOT_GIVEN:
        raise CoverageRefused("amc-given", "an AMC is given, so it is not missing", field="amc_declared")


def require_holder(config: ClaimsConfig, statement: Statement, *, today: date) -> None:
    """A child is covered on the rights of somebody, in whose name its claims are made.

    Until the age of the pathway: from then on a person may be insured in their own right. The source gives
    no rule for when a holder has to be named; this one refuses nothing that an adult can state.
    """
    if not (statement.nir or statement.nia) or statement.born_on is None or statement.holder_name:
        return
    row = config.tables.known_at(None).ages.find(("pathway",), on=today)
    if row is not None and age_on(statement.born_on, today) < row.age:
        raise CoverageRefused(
            "holder-missing", "a child is insured through somebody: name the holder", field="holder_name"
        )


def exemption_to_json(exemption: Exemption) -> dict[str, Any]:
    return {
        "kind": exemption.kind.value,
        "first_on": exemption.first_on.isoformat(),
        "last_on": iso(exemption.last_on),
    }


def _value(field: str, answer: Answer | None) -> str | None:
    if answer is None:
        return None
    if not answer.accepted:
        raise IdentifierRefused(field, answer.failed.value if answer.failed else "structure")
    return answer.value


def _ame_number(raw: str | None) -> str | None:
    """No source gives the key of an AME number: digits, 13 or 15 of them, are all that can be checked."""
    if raw is None:
        return None
    digits = raw.replace(" ", "").replace(".", "")
    if not (digits.isascii() and digits.isdigit()):
        raise IdentifierRefused("ame_number", "character")
    if len(digits) not in {13, 15}:
        raise IdentifierRefused("ame_number", "length")
    return digits


def _member_number(amc: AmcStatement | None) -> str | None:
    if amc is None:
        return None
    number = amc.member_number.replace(" ", "").upper()
    if not number or len(number) > 20:  # noqa: PLR2004
        raise IdentifierRefused("amc_member_number", "length")
    if not (number.isascii() and number.isalnum()):
        raise IdentifierRefused("amc_member_number", "character")
    return number


def iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
