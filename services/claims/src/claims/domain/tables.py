"""The numbers of the rules: dated rows from the files of `claims/data`, checked while they are read."""

import csv
import hashlib
import io
import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, TypeVar, cast

from claims.domain.dated import Conflict, Dated, Key, Row, RowReference
from claims.domain.sentences import Sentences, SentenceUnreadable
from common.folding import folded
from common.money import WHOLE, Cents
from common.typography import french

KNOWN_FROM_THE_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
CONFIDENCES: Final = {"C", "D", "U", "S"}
SECTOR_CLASSES: Final = ("s1", "optam", "s2", "s2+", "none")
EXPECTED: Final = frozenset({"age", "sunday", "holiday"})
_HOURS: Final = re.compile(r"([01]?[0-9]|2[0-3])-([1-9]|1[0-9]|2[0-4])")
NO_COORDINATION: Final = "no"
ARTICLE_2_BIS: Final = "article-2-bis"  # UNCAM decision of 29 October 2024
COORDINATION: Final = (NO_COORDINATION, "yes", ARTICLE_2_BIS)
SENTENCES_FILE: Final = "sentences.toml"


class TablesInvalid(Exception):
    """A table file cannot be trusted: which file, which row, which rule it breaks."""

    def __init__(self, file: str, row: str, rule: str) -> None:
        super().__init__(f"{file}: {row}: {rule}")
        self.file = file
        self.row = row
        self.rule = rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff(Row):
    code: str
    base_cents: Cents


@dataclass(frozen=True, slots=True, kw_only=True)
class Act(Row):
    code: str
    in_person: bool
    min_age: int | None
    max_age: int | None
    other_than_regular_doctor: bool
    supplement: bool  # stands beside another act
    coordination: str  # of COORDINATION: which conditions a coordination line has
    expected: tuple[str, ...]  # what it follows from: "age", "sunday", "holiday", hours as "20-24"
    label_fr: str
    label_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme(Row):
    scheme: str
    rate_bp: int
    supplement_bp: int
    name_fr: str
    name_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surcharge(Row):
    """Points of the base out of pathway; the cap takes the same points of the tariff under `cap_key`."""

    points_bp: int
    cap_key: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution(Row):
    amount_cents: Cents
    year_ceiling_cents: Cents
    day_ceiling_cents: Cents


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption(Row):
    rate_bp: int | None  # None: the ordinary rate
    contribution_exempt: bool
    third_party_payment: str  # what the law imposes: none, amo, full
    claim_code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectAccess(Row):
    age_from: int | None
    age_to: int | None

    def holds_at(self, age: int) -> bool:
        return (self.age_from is None or age >= self.age_from) and (self.age_to is None or age <= self.age_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period(Row):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Age(Row):
    age: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerPsychology(Row):
    rate_bp: int
    sessions_per_year: int
    min_age: int
    css_pays_the_rest: bool  # False: CSS gives its own rate


@dataclass(frozen=True, slots=True, kw_only=True)
class PathwayIndicator(Row):
    indicator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialtyRow(Row):
    specialty: str
    codes: tuple[str, ...]
    physician: bool
    may_prescribe: bool
    tariff_group: str
    name_fr: str
    name_en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AmcRow(Row):
    number: str
    name: str
    agreement_type: str
    contracted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Holiday(Row):
    month: int | None
    day: int | None
    easter_days: int | None
    local_scheme_only: bool
    name_fr: str


class _Record:
    """One line of a file, read with the type each column has to have."""

    def __init__(self, file: str, line: int, cells: Mapping[str | None, Any]) -> None:
        self.file = file
        self.row = f"row {line}"
        if None in cells or None in cells.values():
            raise self.broken("has-as-many-cells-as-the-header")
        self._cells = cast("Mapping[str, str]", cells)

    def broken(self, rule: str) -> TablesInvalid:
        return TablesInvalid(self.file, self.row, rule)

    def optional(self, column: str) -> str | None:
        return self._cells.get(column, "").strip() or None

    def text(self, column: str) -> str:
        value = self.optional(column)
        if value is None:
            raise self.broken(f"{column}-missing")
        return value

    def words(self, column: str) -> tuple[str, ...]:
        return tuple((self.optional(column) or "").split())

    def number(self, column: str) -> int:
        value = self.optional_number(column)
        if value is None:
            raise self.broken(f"{column}-missing")
        return value

    def optional_number(self, column: str) -> int | None:
        value = self.optional(column)
        if value is None:
            return None
        try:
            return int(value)
        except ValueError:
            raise self.broken(f"{column}-is-a-whole-number") from None

    def cents(self, column: str) -> Cents:
        value = self.number(column)
        if value < 0:
            raise self.broken(f"{column}-not-below-0")
        return Cents(value)

    def basis_points(self, column: str) -> int:
        value = self.number(column)
        if not 0 <= value <= WHOLE:
            raise self.broken(f"{column}-between-0-and-{WHOLE}")
        return value

    def flag(self, column: str) -> bool:
        return self.one_of(column, ("yes", "no")) == "yes"

    def one_of(self, column: str, allowed: tuple[str, ...]) -> str:
        value = self.text(column)
        if value not in allowed:
            raise self.broken(f"{column}-is-one-of-{'-'.join(allowed)}")
        return value

    def day(self, column: str) -> date | None:
        value = self.optional(column)
        if value is None:
            return None
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise self.broken(f"{column}-is-a-date") from None

    def instant(self, column: str) -> datetime | None:
        """A day stands for its start: a correction that comes later on a day says when, with its offset."""
        value = self.optional(column)
        if value is None:
            return None
        try:
            told = datetime.fromisoformat(value)
        except ValueError:
            raise self.broken(f"{column}-is-a-day-or-an-instant") from None
        if told.tzinfo is None and len(value) > len("2026-01-01"):
            raise self.broken(f"{column}-has-an-offset")
        return told if told.tzinfo else told.replace(tzinfo=UTC)

    def common(self, *key: str) -> dict[str, Any]:
        """The columns every table has, checked."""
        valid_from, valid_to = self.day("valid_from"), self.day("valid_to")
        if valid_from is None:
            raise self.broken("valid_from-missing")
        if valid_to is not None and valid_to < valid_from:
            raise self.broken("valid_to-not-before-valid_from")
        confidence = self.text("confidence")
        if confidence not in CONFIDENCES:
            raise self.broken("confidence-is-one-of-C-D-U-S")
        known = self.instant("known_from")
        table, source = self.file.removesuffix(".csv"), self.text("source")
        return {
            "table": table,
            "place": f"{self.file} {self.row}",
            "valid_from": valid_from,
            "valid_to": valid_to,
            "known_from": known or KNOWN_FROM_THE_START,
            "source": source,
            "confidence": confidence,
            "reference": RowReference(table, "/".join(key), valid_from, source, confidence),
        }


Keyed = tuple[Key, Row]
R = TypeVar("R", bound=Row)


def _tariffs(record: _Record, groups: Mapping[str, bool], codes: set[str]) -> Iterator[Keyed]:
    code, zone, base = record.text("code"), record.text("zone"), record.cents("base_cents")
    if code not in codes:
        raise record.broken("code-is-in-acts")
    classes = record.words("class")
    if classes == ("any",):
        classes = SECTOR_CLASSES
    who = record.words("who")
    if who == ("physician",):
        who = tuple(group for group, physician in groups.items() if physician)
    if not who or not set(who) <= set(groups):
        raise record.broken("who-is-a-tariff-group")
    if not classes or not set(classes) <= set(SECTOR_CLASSES):
        raise record.broken("class-is-a-sector-class")
    common = record.common(code, record.text("who"), record.text("class"), zone)
    row = Tariff(**common, code=code, base_cents=base)
    return iter([((code, group, sector_class, zone), row) for group in who for sector_class in classes])


def _acts(record: _Record) -> Iterator[Keyed]:
    code, place = record.text("code"), record.one_of("place", ("remote", "in-person", "any"))
    expected = record.words("expected")
    if not all(word in EXPECTED or _HOURS.fullmatch(word) for word in expected):
        raise record.broken("expected-is-age-sunday-holiday-or-hours")
    yield (
        (code,),
        Act(
            **record.common(code),
            code=code,
            in_person=place == "in-person",
            supplement=place == "any",
            expected=expected,
            min_age=record.optional_number("min_age"),
            max_age=record.optional_number("max_age"),
            other_than_regular_doctor=record.flag("other_than_regular_doctor"),
            coordination=record.one_of("coordination", COORDINATION),
            label_fr=french(record.text("label_fr")),
            label_en=record.text("label_en"),
        ),
    )


def _schemes(record: _Record) -> Iterator[Keyed]:
    scheme, rate, supplement = (
        record.text("scheme"),
        record.basis_points("rate_bp"),
        record.basis_points("supplement_bp"),
    )
    if rate + supplement > WHOLE:
        raise record.broken(f"rate_bp-and-supplement_bp-not-above-{WHOLE}")
    yield (
        (scheme,),
        Scheme(
            **record.common(scheme),
            scheme=scheme,
            rate_bp=rate,
            supplement_bp=supplement,
            name_fr=french(record.text("name_fr")),
            name_en=record.text("name_en"),
        ),
    )


def _surcharges(record: _Record) -> Iterator[Keyed]:
    scheme = record.text("scheme")
    cap_key = tuple(record.text(f"cap_{part}") for part in ("code", "who", "class", "zone"))
    yield (
        (scheme,),
        Surcharge(**record.common(scheme), points_bp=record.basis_points("points_bp"), cap_key=cap_key),
    )


def _contributions(record: _Record) -> Iterator[Keyed]:
    key = record.text("key")
    yield (
        (key,),
        Contribution(
            **record.common(key),
            amount_cents=record.cents("amount_cents"),
            year_ceiling_cents=record.cents("year_ceiling_cents"),
            day_ceiling_cents=record.cents("day_ceiling_cents"),
        ),
    )


def _exemptions(record: _Record) -> Iterator[Keyed]:
    key = record.text("key")
    yield (
        (key,),
        Exemption(
            **record.common(key),
            rate_bp=None if record.optional("rate_bp") is None else record.basis_points("rate_bp"),
            contribution_exempt=record.flag("contribution_exempt"),
            third_party_payment=record.one_of("third_party_payment", ("none", "amo", "full")),
            claim_code=record.optional("claim_code"),
        ),
    )


def _direct_access(record: _Record) -> Iterator[Keyed]:
    key = (record.text("specialty"), record.one_of("place", ("remote", "in-person")))
    age_from, age_to = record.optional_number("age_from"), record.optional_number("age_to")
    yield key, DirectAccess(**record.common(*key), age_from=age_from, age_to=age_to)


def _periods(record: _Record) -> Iterator[Keyed]:
    key = record.text("key")
    yield (key,), Period(**record.common(key))


def _ages(record: _Record) -> Iterator[Keyed]:
    key = record.text("key")
    yield (key,), Age(**record.common(key), age=record.number("age"))


def _partner_psychology(record: _Record) -> Iterator[Keyed]:
    key = record.text("key")
    yield (
        (key,),
        PartnerPsychology(
            **record.common(key),
            rate_bp=record.basis_points("rate_bp"),
            sessions_per_year=record.number("sessions_per_year"),
            min_age=record.number("min_age"),
            css_pays_the_rest=record.flag("css_pays_the_rest"),
        ),
    )


def _pathway_indicators(record: _Record) -> Iterator[Keyed]:
    answer = record.text("answer")
    yield (answer,), PathwayIndicator(**record.common(answer), indicator=record.text("indicator"))


def _specialties(record: _Record) -> Iterator[Keyed]:
    word, codes = record.text("specialty"), record.words("codes")
    row = SpecialtyRow(
        **record.common(word),
        specialty=word,
        codes=codes,
        physician=record.flag("physician"),
        may_prescribe=record.flag("may_prescribe"),
        tariff_group=record.text("tariff_group"),
        name_fr=french(record.text("name_fr")),
        name_en=record.text("name_en"),
    )
    return iter([((name,), row) for name in (word, *codes)])


def _amcs(record: _Record) -> Iterator[Keyed]:
    number = record.text("number")
    yield (
        (number,),
        AmcRow(
            **record.common(number),
            number=number,
            name=record.text("name"),
            agreement_type=record.text("agreement_type"),
            contracted=record.flag("contracted"),
        ),
    )


def _holidays(record: _Record) -> Iterator[Keyed]:
    key = record.text("key")
    month, day, easter = (record.optional_number(name) for name in ("month", "day", "easter_days"))
    if (month is None) != (day is None) or (month is None) == (easter is None):
        raise record.broken("either-month-and-day-or-easter_days")
    yield (
        (key,),
        Holiday(
            **record.common(key),
            month=month,
            day=day,
            easter_days=easter,
            local_scheme_only=record.flag("local_scheme_only"),
            name_fr=french(record.text("name_fr")),
        ),
    )


_READERS: Final[dict[str, Callable[[_Record], Iterator[Keyed]]]] = {
    "acts.csv": _acts,
    "ages.csv": _ages,
    "amc_directory.csv": _amcs,
    "contributions.csv": _contributions,
    "direct_access.csv": _direct_access,
    "exemptions.csv": _exemptions,
    "partner_psychology.csv": _partner_psychology,
    "pathway_indicators.csv": _pathway_indicators,
    "periods.csv": _periods,
    "public_holidays.csv": _holidays,
    "schemes.csv": _schemes,
    "specialties.csv": _specialties,
    "surcharges.csv": _surcharges,
}
TARIFFS_FILE: Final = "tariffs.csv"
TABLE_FILES: Final = tuple(sorted([*_READERS, TARIFFS_FILE]))


class Book:
    """Every table as it was known at one instant."""

    def __init__(self, rows: Mapping[str, list[Keyed]], *, known_at: datetime) -> None:
        def dated(file: str, _: type[R]) -> Dated[R]:
            known = [(key, row) for key, row in rows[file] if row.known_from <= known_at]
            return Dated(cast("list[tuple[Key, R]]", known))

        self.acts = dated("acts.csv", Act)
        self.ages = dated("ages.csv", Age)
        self.amcs = dated("amc_directory.csv", AmcRow)
        self.contributions = dated("contributions.csv", Contribution)
        self.direct_access = dated("direct_access.csv", DirectAccess)
        self.exemptions = dated("exemptions.csv", Exemption)
        self.partner_psychology = dated("partner_psychology.csv", PartnerPsychology)
        self.pathway_indicators = dated("pathway_indicators.csv", PathwayIndicator)
        self.periods = dated("periods.csv", Period)
        self.holidays = dated("public_holidays.csv", Holiday)
        self.schemes = dated("schemes.csv", Scheme)
        self.specialties = dated("specialties.csv", SpecialtyRow)
        self.surcharges = dated("surcharges.csv", Surcharge)
        self.tariffs = dated(TARIFFS_FILE, Tariff)


class Tables:
    """All rows, the sentences, and a hash of the files they came from; immutable once made."""

    def __init__(self, rows: Mapping[str, list[Keyed]], sentences: Sentences, *, version: str) -> None:
        """Raises Conflict when the rows known at some instant overlap or leave a gap."""
        instants = {row.known_from for keyed in rows.values() for _, row in keyed}
        self._instants = sorted(instants | {KNOWN_FROM_THE_START})
        self._books = [Book(rows, known_at=instant) for instant in self._instants]
        self.sentences = sentences
        self.version = version

    def known_at(self, instant: datetime | None) -> Book:
        """The tables without the rows that came later; None: all of them."""
        if instant is None:
            return self._books[-1]
        return self._books[max(bisect_right(self._instants, instant) - 1, 0)]

    def specialty(self, word: str, *, on: date) -> SpecialtyRow | None:
        """By its word ("gp") or an official code ("15")."""
        return self._books[-1].specialties.find((word,), on=on)

    def specialties(self, *, on: date) -> tuple[SpecialtyRow, ...]:
        return tuple(self._books[-1].specialties.all(on=on))

    def find_amc(self, number: str, *, on: date) -> AmcRow | None:
        return self._books[-1].amcs.find((number,), on=on)

    def search_amc(self, text: str, *, on: date) -> tuple[AmcRow, ...]:
        """By the start of the number or a part of the name, however its letters are written."""
        wanted = folded(text)
        rows = self._books[-1].amcs.all(on=on)
        return tuple(row for row in rows if row.number.startswith(wanted) or wanted in folded(row.name))

    def public_holidays(self, year: int, *, local_scheme: bool = False) -> frozenset[date]:
        """Days without work in that year; `local_scheme` adds the two of Alsace-Moselle."""
        days = set()
        for row in self._books[-1].holidays.all(on=date(year, 12, 31)):
            if row.local_scheme_only and not local_scheme:
                continue
            if row.month is not None and row.day is not None:
                day = date(year, row.month, row.day)
            else:
                day = easter_sunday(year) + timedelta(days=row.easter_days or 0)
            if day >= row.valid_from:
                days.add(day)
        return frozenset(days)


def easter_sunday(year: int) -> date:
    """Gregorian calendar, by the method of Meeus, Jones and Butcher."""
    century, rest = divmod(year, 100)
    moon = (19 * (year % 19) + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    late = (year % 19 + 11 * moon + 22 * weekday) // 451
    month, day = divmod(moon + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def load_tables(directory: Traversable | None = None) -> Tables:
    """Reads and checks every file, about 20 ms: keep the result. Raises TablesInvalid."""
    folder = files("claims").joinpath("data") if directory is None else directory
    contents: dict[str, bytes] = {}
    for name in (*TABLE_FILES, SENTENCES_FILE):
        try:
            contents[name] = folder.joinpath(name).read_bytes()
        except FileNotFoundError:
            raise TablesInvalid(name, "file", "file-missing") from None
    rows = {name: _read(name, contents[name], reader) for name, reader in _READERS.items()}
    specialties = cast("list[tuple[Key, SpecialtyRow]]", rows["specialties.csv"])
    groups = {row.tariff_group: row.physician for _, row in specialties}
    codes = {code for (code,), _ in rows["acts.csv"]}
    rows[TARIFFS_FILE] = _read(
        TARIFFS_FILE, contents[TARIFFS_FILE], lambda record: _tariffs(record, groups, codes)
    )
    try:
        sentences = Sentences(tomllib.loads(contents[SENTENCES_FILE].decode()))
        return Tables(rows, sentences, version=_version(contents))
    except Conflict as conflict:
        raise TablesInvalid(f"{conflict.row.table}.csv", conflict.row.place, conflict.rule) from conflict
    except SentenceUnreadable as unreadable:
        raise TablesInvalid(SENTENCES_FILE, unreadable.name, unreadable.rule) from unreadable
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as broken:
        raise TablesInvalid(SENTENCES_FILE, "file", "file-is-readable-toml") from broken


def _read(name: str, content: bytes, reader: Callable[[_Record], Iterator[Keyed]]) -> list[Keyed]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise TablesInvalid(name, "file", "file-is-utf-8") from None
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[Keyed] = []
    try:
        for cells in lines:
            rows.extend(reader(_Record(name, lines.line_num, cells)))
    except csv.Error:
        raise TablesInvalid(name, f"row {lines.line_num}", "row-is-readable-csv") from None
    if not rows:
        raise TablesInvalid(name, "file", "file-has-rows")
    return rows


def _version(contents: Mapping[str, bytes]) -> str:
    """The same on every machine: line ends do not count."""
    digest = hashlib.sha256()
    for name in sorted(contents):
        content = contents[name].replace(b"\r\n", b"\n")
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
