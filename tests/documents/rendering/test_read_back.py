"""A paper is compared with its data before it is sealed: whatever it would say wrongly, it is not issued."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pypdfium2
import pytest

from common.printable import PRINTABLE
from documents.domain.content import AnyDocument, DrugLine, Invoice, Prescription
from documents.rendering import renderer as renderer_module
from documents.rendering.read_back import TextDiffers, check
from documents.rendering.render import render
from documents.rendering.renderer import render_and_sign
from documents.rendering.samples import samples
from documents.rendering.view import view
from documents.signing import Seal, development_seal
from local.characters_check import issue_all

NOW = datetime(2026, 11, 22, 13, 32, 5, tzinfo=UTC)
SAMPLES = samples()


def prescription(**about: Any) -> Prescription:
    sample = SAMPLES["prescription-drugs"]
    assert isinstance(sample, Prescription)
    return replace(sample, **about)


def compare(pdf: bytes, document: AnyDocument) -> None:
    check(pdf, document, view(document))


@pytest.fixture(scope="module")
def seal(tmp_path_factory) -> Seal:
    return development_seal(tmp_path_factory.mktemp("seal"), now=NOW)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_every_kind_of_document_reads_back_as_it_was_asked(name) -> None:
    compare(render(SAMPLES[name]), SAMPLES[name])


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"dosage": "1 comprimé le matin, 10 jours"}, "line 1"),
        ({"label": "AMOXICILLINE 2 g"}, "line 1"),
        ({"duration_days": 5}, "line 1"),
        ({"renewals": 3}, "line 1"),
        ({"packs": 7}, "line 1"),
    ],
)
def test_another_dose_drug_duration_or_renewal_is_found(change, where) -> None:
    asked = prescription()
    drawn = replace(asked, lines=(replace(asked.lines[0], **change), *asked.lines[1:]))

    with pytest.raises(TextDiffers, match=where):
        compare(render(drawn), asked)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"issue": {"number": "ORD-2026-00000-00000"}}, "number|footer"),
        ({"practitioner": {"rpps": "10009876548"}}, "rpps|footer"),
        ({"patient": {"birth_name": "Autre", "used_name": None}}, "footer"),
        ({"patient": {"born_on": datetime(1950, 1, 2).date()}}, "born_on"),  # noqa: DTZ001 - a day
    ],
)
def test_another_number_practitioner_or_patient_is_found(change, where) -> None:
    asked = prescription()
    drawn = replace(asked, **{name: replace(getattr(asked, name), **new) for name, new in change.items()})

    with pytest.raises(TextDiffers, match=where):
        compare(render(drawn), asked)


def test_another_amount_is_found() -> None:
    asked = SAMPLES["invoice"]
    assert isinstance(asked, Invoice)
    drawn = replace(asked, acts=(replace(asked.acts[0], amount_cents=asked.acts[0].amount_cents + 1),))

    with pytest.raises(TextDiffers, match="acts/0"):
        compare(render(drawn), asked)


def test_no_text_of_the_document_stands_in_the_message() -> None:
    asked = prescription()
    drawn = replace(asked, lines=(replace(asked.lines[0], label="VALIUM"), *asked.lines[1:]))

    with pytest.raises(TextDiffers) as differs:
        compare(render(drawn), asked)

    assert asked.lines[0].label not in str(differs.value)  # type: ignore[union-attr]


def test_a_paper_that_differs_is_not_sealed(seal, monkeypatch) -> None:
    drawn_wrongly = render(prescription(lines=(DrugLine(label="Autre", dosage="2", packs=1),)))
    monkeypatch.setattr(renderer_module, "render", lambda *_: drawn_wrongly)

    with pytest.raises(TextDiffers):
        render_and_sign(prescription(), seal=seal, now=NOW)


@pytest.mark.parametrize("field", ["label", "dosage", "inn"])
@pytest.mark.parametrize("length", [200, 800, 1800, 2000])
def test_a_long_text_goes_on_over_pages_and_loses_nothing(field, length) -> None:
    long = ("un deux trois quatre cinq-six sept, " * 60)[:length].strip()
    line = replace(DrugLine(label="A", dosage="B", duration_days=12, renewals=2), **{field: long})
    asked = prescription(lines=(line, DrugLine(label="Dernier", dosage="1", duration_days=3)))

    compare(render(asked), asked)


def test_forty_lines_read_back(seal) -> None:
    lines = tuple(
        DrugLine(label=f"Produit {place}", dosage=f"{place} gouttes", duration_days=place, renewals=place % 4)
        for place in range(1, 41)
    )
    asked = prescription(lines=lines)

    assert render_and_sign(asked, seal=seal, now=NOW).startswith(b"%PDF")
    assert len(pypdfium2.PdfDocument(render(asked))) > 2


def test_every_printable_character_is_drawn_and_reads_back() -> None:
    allowed = [chr(each) for each in range(0x20, 0x3000) if re.match(f"[{PRINTABLE}]", chr(each))]
    words = [f"a{each}b" for each in allowed]
    lines = tuple(
        DrugLine(label=" ".join(words[first : first + 60]), dosage="1", duration_days=1)
        for first in range(0, len(words), 60)
    )
    asked = prescription(lines=lines)

    compare(render(asked), asked)
    assert len(allowed) > 900


def test_lines_of_a_text_are_kept() -> None:
    asked = prescription(lines=(DrugLine(label="A", dosage="1 matin\n2 midi\n3 soir", duration_days=1),))

    compare(render(asked), asked)


def test_prescriptions_of_every_kind_of_character_are_right_or_refused_and_touch_no_other(seal) -> None:
    def read(pdf: bytes) -> str:
        pages = [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(pdf)]
        return "".join("".join(pages).split())

    count = issue_all(48, seal=seal, now=NOW + timedelta(days=1), read=read)

    assert count.faults == ()
    assert count.issued > 10
    assert count.refused > 10
