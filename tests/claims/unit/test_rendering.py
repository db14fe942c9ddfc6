"""A lot of claims in each versioned format: golden files, and what a format has no place for."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from claims.domain import b2
from claims.domain.claimfile import Batch, BatchUnrenderable, Claim, ClaimedLine, to_json
from claims.domain.rendering import renderer_of
from common.money import Cents

GOLDEN = Path(__file__).parents[1] / "data"


def claim(number: int, **changes: Any) -> Claim:
    fields = {
        "invoice_no": f"{number:09d}",
        "attempt": 1,
        "appointment_id": UUID(int=number),
        "care_on": date(2030, 6, 3),
        "rpps": "10001234565",
        "nir": "185057800608491",
        "ame_number": None,
        "born_on": date(1985, 5, 14),
        "amc_number": None,
        "amc_member_number": None,
        "pathway_indicator": "T",
        "exemption_code": None,
        "amount_cents": Cents(1750),
        "lines": [ClaimedLine(code="TCG", benefit="base", base_cents=Cents(2500), amount_cents=Cents(1750))],
    }
    return Claim(**fields | changes)


BATCH = Batch(
    id=UUID(int=1),
    payer="amo:general",
    biller_id=UUID(int=2),
    made_at=datetime(2030, 6, 4, 9, 30, tzinfo=UTC),
    claims=[claim(1), claim(2, nir="2550814168025" + "38")],
)


@pytest.mark.parametrize(("unconfirmed", "golden"), [(False, "b2-0-confirmed.txt"), (True, "b2-0-whole.txt")])
def test_the_fixed_width_file_is_the_golden_one(unconfirmed, golden) -> None:
    rendered = renderer_of("b2-0", unconfirmed=unconfirmed).render(BATCH)

    assert rendered.content == (GOLDEN / golden).read_bytes()
    assert rendered.media_type == "text/plain; charset=us-ascii"


@pytest.mark.parametrize("unconfirmed", [False, True])
def test_every_record_has_128_characters_and_reads_back(unconfirmed) -> None:
    text = b2.write(BATCH, unconfirmed=unconfirmed)

    assert {len(line) for line in text.splitlines()} == {128}
    claims = [each for each in b2.read(text, unconfirmed=unconfirmed) if "nir" in each]
    assert [(c["nir"], c["nir_key"], c["rank"], c["invoice_no"], c["entry_no"]) for c in claims] == [
        ("1850578006084", "91", "000", "000000001", "000000000"),
        ("2550814168025", "38", "000", "000000002", "000000000"),
    ]


def test_confirmed_positions_are_those_of_the_public_schema_and_nothing_else_is_written() -> None:
    confirmed = {
        (kind, field.name): (field.first, field.length)
        for kind, fields in b2.RECORDS.items()
        for field in fields
        if field.confirmed
    }
    assert confirmed == {
        ("2", "nir"): (12, 13),
        ("2", "nir_key"): (25, 2),
        ("2", "rank"): (27, 3),
        ("2", "invoice_no"): (30, 9),
        ("2", "entry_no"): (40, 9),
    }
    line = b2.write(BATCH, unconfirmed=False).splitlines()[0]
    assert line.replace(" ", "") == "185057800608491" + "000" + "000000001" + "000000000"


def test_fields_of_a_record_never_overlap() -> None:
    for fields in b2.RECORDS.values():
        taken = [place for field in fields for place in range(field.first, field.first + field.length)]
        assert len(taken) == len(set(taken))
        assert max(taken) <= b2.WIDTH


@pytest.mark.parametrize(
    ("batch", "field"),
    [
        (replace(BATCH, payer="amo:crpcen"), "rank"),
        (replace(BATCH, claims=[claim(1, nir=None)]), "nir"),
        (replace(BATCH, claims=[claim(1, nir=None, ame_number="1234567890123")]), "nir"),
        (replace(BATCH, claims=[claim(1, invoice_no="1234567890")]), "invoice_no"),
        (replace(BATCH, paid_to="insured"), "paid_to"),
    ],
    ids=["special scheme", "no number", "number without key", "invoice number too long", "direct payment"],
)
def test_what_has_no_place_in_the_format_is_refused_by_its_name(batch, field) -> None:
    with pytest.raises(BatchUnrenderable) as refused:
        renderer_of("b2-0", unconfirmed=False).render(batch)

    assert refused.value.field == field


@pytest.mark.parametrize(("format_", "version"), [("json-1", 1), ("json-2", 2)])
def test_the_neutral_json_has_two_versions(format_, version) -> None:
    neutral = renderer_of(format_, unconfirmed=False).render(BATCH)

    assert json.loads(neutral.content) == to_json(BATCH, version)


def test_only_version_2_has_a_place_for_a_direct_payment() -> None:
    sheets = replace(BATCH, paid_to="insured")

    assert json.loads(renderer_of("json-2", unconfirmed=False).render(sheets).content)["paid_to"] == "insured"
    with pytest.raises(BatchUnrenderable) as refused:
        renderer_of("json-1", unconfirmed=False).render(sheets)
    assert refused.value.field == "paid_to"


def test_a_complementary_insurer_gets_neutral_json_beside_the_fixed_width_file() -> None:
    to_amc = replace(BATCH, payer="amc:99100001")

    fixed = renderer_of("b2-0", unconfirmed=False).render(to_amc)
    assert (fixed.media_type, json.loads(fixed.content)["batch_id"]) == ("application/json", str(BATCH.id))
