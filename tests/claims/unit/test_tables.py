"""The dated tables: the shipped ones are whole, a broken one is refused by file, row and rule."""

import csv
import io
import shutil
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from importlib.resources import as_file, files
from itertools import pairwise
from pathlib import Path

import pytest

from claims.domain.pricing import ActLine, PricingRefused, price
from claims.domain.tables import TABLE_FILES, TablesInvalid, load_tables
from common.events.base import PRICED_SPECIALTIES
from common.money import Cents
from support.questions import question

KEYS = {"tariffs.csv": ("code", "who", "class", "zone"), "direct_access.csv": ("specialty", "place")}
TARIFF = {
    "code": "TCG",
    "who": "gp",
    "class": "s1",
    "zone": "reunion",
    "valid_from": "2020-01-01",
    "valid_to": "",
    "base_cents": "2960",
    "source": "a test",
    "confidence": "C",
    "known_from": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with as_file(files("claims").joinpath("data")) as shipped:
        shutil.copytree(shipped, tmp_path / "data")
    return tmp_path / "data"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


def add(path: Path, *added: dict[str, str]) -> None:
    write(path, [*read(path), *added])


@pytest.mark.parametrize("name", TABLE_FILES)
def test_shipped_rows_follow_each_other_and_say_where_they_come_from(name: str, folder: Path) -> None:
    by_key = defaultdict(list)
    for row in read(folder / name):
        columns = KEYS.get(name, (next(iter(row)),))
        known = (row["known_from"],)  # a correction lies over the rows known before
        by_key[(*known, *(row[column] for column in columns))].append(row)
        assert row["source"].strip()
        assert row["confidence"] in {"C", "D", "U", "S"}

    for rows in by_key.values():
        spans = sorted((date.fromisoformat(r["valid_from"]), r["valid_to"]) for r in rows)
        for (_, end), (start, _) in pairwise(spans):
            assert date.fromisoformat(end) + timedelta(days=1) == start


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"source": ""}, "source-missing"),
        ({"confidence": ""}, "confidence-missing"),
        ({"confidence": "X"}, "confidence-is-one-of-C-D-U-S"),
        ({"valid_from": ""}, "valid_from-missing"),
        ({"valid_from": "2020-02-30"}, "valid_from-is-a-date"),
        ({"valid_to": "2019-12-31"}, "valid_to-not-before-valid_from"),
        ({"base_cents": "25.00"}, "base_cents-is-a-whole-number"),
        ({"base_cents": "-1"}, "base_cents-not-below-0"),
        ({"base_cents": ""}, "base_cents-missing"),
        ({"who": "nobody"}, "who-is-a-tariff-group"),
        ({"class": "s3"}, "class-is-a-sector-class"),
        ({"code": "ZZZ"}, "code-is-in-acts"),
        ({"known_from": "soon"}, "known_from-is-a-day-or-an-instant"),
        ({"known_from": "2026-11-27T14:00:00"}, "known_from-has-an-offset"),
    ],
)
def test_a_broken_tariff_is_refused_with_its_file_and_row(
    folder: Path, changes: dict[str, str], rule: str
) -> None:
    add(folder / "tariffs.csv", TARIFF | changes)
    last = len(read(folder / "tariffs.csv")) + 1

    with pytest.raises(TablesInvalid) as refused:
        load_tables(folder)

    assert refused.value.file == "tariffs.csv"
    assert f"row {last}" in refused.value.row
    assert refused.value.rule == rule


def test_two_rows_of_one_key_on_one_day_are_refused(folder: Path) -> None:
    add(folder / "tariffs.csv", TARIFF, TARIFF | {"valid_from": "2024-01-01"})

    with pytest.raises(TablesInvalid, match=r"overlaps tariffs\.csv row"):
        load_tables(folder)


def test_an_overlap_hidden_in_a_list_of_classes_is_refused(folder: Path) -> None:
    add(folder / "tariffs.csv", TARIFF, TARIFF | {"class": "any", "valid_from": "2024-01-01"})

    with pytest.raises(TablesInvalid, match="overlaps"):
        load_tables(folder)


def test_a_gap_between_rows_of_one_key_is_refused(folder: Path) -> None:
    add(folder / "tariffs.csv", TARIFF | {"valid_to": "2023-12-30"}, TARIFF | {"valid_from": "2024-01-01"})

    with pytest.raises(TablesInvalid, match="leaves a gap after 2023-12-30"):
        load_tables(folder)


@pytest.mark.parametrize("name", TABLE_FILES)
def test_every_table_refuses_a_row_without_a_source(folder: Path, name: str) -> None:
    rows = read(folder / name)
    write(folder / name, [*rows[:-1], rows[-1] | {"source": " "}])

    with pytest.raises(TablesInvalid) as refused:
        load_tables(folder)

    assert (refused.value.file, refused.value.rule) == (name, "source-missing")


@pytest.mark.parametrize(
    ("name", "column", "value", "rule"),
    [
        ("schemes.csv", "rate_bp", "10001", "rate_bp-between-0-and-10000"),
        ("schemes.csv", "supplement_bp", "4000", "rate_bp-and-supplement_bp-not-above-10000"),
        ("exemptions.csv", "contribution_exempt", "maybe", "contribution_exempt-is-one-of-yes-no"),
        ("exemptions.csv", "third_party_payment", "half", "third_party_payment-is-one-of-none-amo-full"),
        ("public_holidays.csv", "easter_days", "3", "either-month-and-day-or-easter_days"),
        ("ages.csv", "age", "", "age-missing"),
    ],
)
def test_a_value_out_of_its_range_is_refused(
    folder: Path, name: str, column: str, value: str, rule: str
) -> None:
    rows = read(folder / name)
    write(folder / name, [rows[0] | {column: value}, *rows[1:]])

    with pytest.raises(TablesInvalid) as refused:
        load_tables(folder)

    assert (refused.value.file, refused.value.rule) == (name, rule)


def test_a_row_with_a_cell_too_few_is_refused(folder: Path) -> None:
    path = folder / "periods.csv"
    path.write_text(path.read_text(encoding="utf-8") + "other,2020-01-01\n", encoding="utf-8")

    with pytest.raises(TablesInvalid, match="has-as-many-cells-as-the-header"):
        load_tables(folder)


def test_a_missing_or_empty_file_is_refused(folder: Path) -> None:
    header = (folder / "periods.csv").read_text(encoding="utf-8").splitlines()[0]
    (folder / "periods.csv").write_text(header + "\n", encoding="utf-8")
    with pytest.raises(TablesInvalid, match="file-has-rows"):
        load_tables(folder)

    (folder / "periods.csv").unlink()
    with pytest.raises(TablesInvalid, match="file-missing"):
        load_tables(folder)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("[T1]", "[T9]", "sentence-missing"),
        ("{advance}", "{avance}", "unknown-placeholder-avance"),
        ("{advance}", "{advance", "braces-in-pairs"),
        ("[A1]\nfr", "[A1]\nde", "has-fr-and-en"),
        ("[A1]", "[A1", "file-is-readable-toml"),
    ],
)
def test_a_broken_sentence_is_refused(folder: Path, old: str, new: str, rule: str) -> None:
    path = folder / "sentences.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    with pytest.raises(TablesInvalid) as refused:
        load_tables(folder)

    assert (refused.value.file, refused.value.rule) == ("sentences.toml", rule)


def test_the_version_follows_the_content_and_nothing_else(folder: Path) -> None:
    shipped = load_tables()

    assert load_tables(folder).version == shipped.version == load_tables().version
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_tables(folder).version == shipped.version
    add(folder / "tariffs.csv", TARIFF)
    assert load_tables(folder).version != shipped.version
    assert len(shipped.version) == 64


def test_a_correction_counts_from_the_day_it_is_known(folder: Path) -> None:
    correction = {"zone": "metropole", "valid_from": "2025-01-01", "known_from": "2025-06-01"}
    add(folder / "tariffs.csv", TARIFF | correction | {"class": "s1 optam s2", "base_cents": "2700"})
    tables = load_tables(folder)
    asked = question(acts=(ActLine("TCG"),), fee_cents=Cents(2700), care_on=date(2025, 3, 10), company=True)
    before = datetime(2025, 5, 31, 23, 59, 59, tzinfo=UTC)

    assert price(asked, tables).base_cents == 2700
    assert price(asked, tables, as_known_at=datetime(2025, 6, 1, tzinfo=UTC)).base_cents == 2700
    with pytest.raises(PricingRefused, match="overrun-forbidden"):
        price(asked, tables, as_known_at=before)
    earlier = question(acts=(ActLine("TCG"),), care_on=date(2024, 12, 31))
    assert price(earlier, tables).base_cents == 2500


def test_a_correction_in_the_middle_of_a_day_leaves_the_quotes_of_the_morning_as_they_are(
    folder: Path,
) -> None:
    correction = {
        "zone": "metropole",
        "class": "s1 optam s2",
        "valid_from": "2025-01-01",
        "base_cents": "2700",
        "known_from": "2025-06-02T14:00:00+02:00",
    }
    add(folder / "tariffs.csv", TARIFF | correction)
    tables = load_tables(folder)
    asked = question(acts=(ActLine("TCG"),), fee_cents=Cents(2400), care_on=date(2025, 6, 2))
    noon = datetime(2025, 6, 2, 12, tzinfo=UTC)  # 14:00 in Paris

    def tariff(known_at: datetime) -> int:
        return price(asked, tables, as_known_at=known_at).lines[0].tariff_cents

    assert (tariff(noon - timedelta(microseconds=1)), tariff(noon)) == (2500, 2700)


def test_the_row_of_the_how_to_holds_from_its_day(folder: Path) -> None:
    told = (Path(__file__).parents[3] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    row = told.partition("```csv\n")[2].partition("```")[0]
    with (folder / "tariffs.csv").open("a", encoding="utf-8") as file:
        file.write(row)

    tables = load_tables(folder)

    def base(day: date, **known: datetime) -> int:
        asked = question(acts=(ActLine("TCG"),), fee_cents=Cents(2600), care_on=day, company=False)
        return price(asked, tables, **known).base_cents

    assert base(date(2031, 3, 1)) == 2600
    for day, known in ((date(2031, 2, 28), date(2031, 3, 1)), (date(2031, 3, 1), date(2031, 2, 9))):
        with pytest.raises(PricingRefused, match="overrun-forbidden"):
            base(day, as_known_at=datetime(known.year, known.month, known.day, tzinfo=UTC))


def test_a_row_known_later_is_no_row_before(folder: Path) -> None:
    add(folder / "tariffs.csv", TARIFF | {"known_from": "2025-06-01"})
    tables = load_tables(folder)
    asked = question(acts=(ActLine("TCG"),), zone="reunion", fee_cents=Cents(2960))

    assert price(asked, tables, as_known_at=datetime(2026, 1, 1, tzinfo=UTC)).base_cents == 2960
    with pytest.raises(PricingRefused, match="no-tariff"):
        price(asked, tables, as_known_at=datetime(2025, 1, 1, tzinfo=UTC))


def test_a_correction_for_a_while_leaves_the_days_around_it(folder: Path) -> None:
    wrong = TARIFF | {"base_cents": "2960"}
    right = TARIFF | {
        "base_cents": "3000",
        "valid_from": "2022-01-01",
        "valid_to": "2022-12-31",
        "known_from": "2023-05-01",
    }
    add(folder / "tariffs.csv", wrong, right)
    tables = load_tables(folder)

    def base_on(day: date) -> int:
        asked = question(acts=(ActLine("TCG"),), zone="reunion", fee_cents=Cents(2000), care_on=day)
        return price(asked, tables).lines[0].tariff_cents

    days = [date(2021, 12, 31), date(2022, 1, 1), date(2022, 12, 31), date(2023, 1, 1)]
    assert [base_on(day) for day in days] == [2960, 3000, 3000, 2960]


def test_the_directory_of_insurers_knows_dates_numbers_and_names() -> None:
    tables = load_tables()

    def contracted(number: str, day: date) -> bool | None:
        row = tables.find_amc(number, on=day)
        return None if row is None else row.contracted

    assert contracted("99100001", date(2025, 1, 1)) is True
    assert contracted("99100004", date(2025, 1, 1)) is False
    assert contracted("991000078", date(2023, 12, 31)) is False
    assert contracted("991000078", date(2024, 1, 1)) is True
    assert contracted("0991000110", date(2026, 1, 1)) is None
    assert contracted("991000110", date(2025, 1, 1)) is None  # the leading zero is part of the number
    found = tables.search_amc("etoiles", on=date(2025, 1, 1))
    assert [row.name for row in found] == ["Mutuelle des Étoiles"]
    assert len(tables.search_amc("0991", on=date(2025, 1, 1))) == 3


def test_specialties_are_found_by_word_and_by_code() -> None:
    tables, day = load_tables(), date(2025, 1, 1)

    by_code, psychologist = tables.specialty("15", on=day), tables.specialty("psychologist", on=day)

    assert by_code is not None
    assert (by_code.specialty, by_code.physician, by_code.may_prescribe) == ("ophthalmologist", True, True)
    assert psychologist is not None
    assert (psychologist.physician, psychologist.may_prescribe) == (False, False)
    assert tables.specialty("astrologer", on=day) is None
    assert len(tables.specialties(on=day)) == len({row.specialty for row in tables.specialties(on=day)}) > 25


def test_public_holidays_move_with_easter() -> None:
    tables = load_tables()

    assert len(tables.public_holidays(2025)) == 11
    assert {date(2025, 4, 21), date(2025, 5, 29), date(2025, 6, 9)} <= tables.public_holidays(2025)
    assert date(2026, 4, 6) in tables.public_holidays(2026)
    assert date(2024, 4, 1) in tables.public_holidays(2024)
    assert tables.public_holidays(2025, local_scheme=True) - tables.public_holidays(2025) == {
        date(2025, 4, 18),
        date(2025, 12, 26),
    }


def test_booking_takes_the_specialties_that_have_a_price() -> None:
    rows = load_tables().specialties(on=date(2026, 11, 27))
    codes = {f"{int(code):02d}" for row in rows if row.physician for code in row.codes}

    assert codes == PRICED_SPECIALTIES
