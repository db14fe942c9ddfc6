"""What the templates draw: every kind, the same bytes each time, all mentions, and nothing it may not."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typst

from documents.domain.content import AnyDocument, CareSheet, Prescription, kind_of
from documents.rendering import mentions
from documents.rendering import render as render_module
from documents.rendering import renderer as renderer_module
from documents.rendering.render import RenderFailed, render
from documents.rendering.renderer import Renderer
from documents.rendering.samples import samples
from documents.rendering.view import view
from documents.signing import development_seal

NOW = datetime(2026, 11, 22, 13, 32, 5, tzinfo=UTC)
SAMPLES = samples()
TURNS_WITHIN = 20  # seconds; work that runs in the loop would wait for it in vain

needs_pdftotext = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is missing")


def text_of(document: AnyDocument, folder: Path) -> str:
    path = folder / "document.pdf"
    path.write_bytes(render(document))
    done = subprocess.run(
        [shutil.which("pdftotext") or "", "-layout", path, "-"], capture_output=True, check=True
    )
    return re.sub(r"\s+", " ", done.stdout.decode())


@pytest.mark.parametrize("name", list(SAMPLES))
def test_a_document_is_conformant_and_always_the_same_bytes(name) -> None:
    pdf = render(SAMPLES[name])

    with ThreadPoolExecutor(1) as other_thread:
        again = other_thread.submit(render, SAMPLES[name]).result()
    assert again == pdf
    assert b"<pdfaid:part>2</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance>" in re.sub(
        rb">\s+<", b"><", pdf
    )
    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf


def test_a_moment_has_fractions_and_a_zone_and_its_document_none() -> None:
    document = SAMPLES["invoice"]
    paris = document.issue.issued_at.astimezone(timezone(timedelta(hours=1))).replace(microsecond=987_654)

    assert render(replace(document, issue=replace(document.issue, issued_at=paris))) == render(document)


@needs_pdftotext
@pytest.mark.parametrize("name", list(SAMPLES))
def test_a_document_holds_its_mandatory_mentions(name, tmp_path) -> None:
    document = SAMPLES[name]
    folder = document.folder if isinstance(document, Prescription) else None

    text = text_of(document, tmp_path)

    assert [row.name for row in mentions.missing(text, kind=kind_of(document), folder=folder)] == []
    assert len(mentions.required(text, kind=kind_of(document), folder=folder)) >= 15


def test_a_text_without_a_mention_is_noticed() -> None:
    lacking = mentions.missing("ORDONNANCE", kind=kind_of(SAMPLES["prescription-drugs"]))

    assert "identifier (RPPS)" in {row.name for row in lacking}
    assert "title" not in {row.name for row in lacking}


def test_one_related_line_splits_the_prescription() -> None:
    split, whole = view(SAMPLES["prescription-two-zones"]), view(SAMPLES["prescription-drugs"])

    assert (split["title"], len(split["related"]), len(split["unrelated"])) == ("ORDONNANCE BIZONE", 2, 1)
    assert (whole["title"], whole["two_zones"], len(whole["unrelated"])) == ("ORDONNANCE", False, 3)


@needs_pdftotext
def test_a_care_sheet_states_only_what_the_patient_paid(tmp_path) -> None:
    text = text_of(SAMPLES["care-sheet"], tmp_path)

    assert "Montant payé par le patient 25,00 €" in text
    assert "Signature de l" in text
    assert "2,00 € seront retenus plus tard" in text
    assert "obligatoire (" not in text


@needs_pdftotext
def test_an_information_copy_cannot_be_sent_in(tmp_path) -> None:
    sheet = SAMPLES["care-sheet-copy"]
    assert isinstance(sheet, CareSheet)

    text = text_of(sheet, tmp_path)

    assert "à ne pas adresser à la caisse" in text
    assert "Signature de l" not in text


@needs_pdftotext
def test_an_insurer_is_not_told_the_weight(tmp_path) -> None:
    assert "Poids" in text_of(SAMPLES["prescription-drugs"], tmp_path)
    assert "Poids" not in text_of(SAMPLES["receipt"], tmp_path)


@needs_pdftotext
def test_what_people_write_is_text_and_never_markup(tmp_path) -> None:
    prescription = SAMPLES["prescription-imaging"]
    assert isinstance(prescription, Prescription)
    odd = replace(prescription.lines[0], text='#panic("x") *gras* $x$ <a> [b] \\ // 50 % "œuf" €')

    assert '#panic("x") *gras* $x$ <a> [b] \\ // 50 % "œuf" €' in text_of(
        replace(prescription, lines=(odd,)), tmp_path
    )


@pytest.mark.parametrize(
    "text", ["1\ufe0f\u20e3 comprimé", "\U0001f468\u200d\U0001f469", "张伟", "\x07", "\ue000"]
)
def test_a_text_that_the_fonts_cannot_draw_fails_and_leaves_the_next_document_untouched(text) -> None:
    prescription = SAMPLES["prescription-drugs"]
    assert isinstance(prescription, Prescription)
    before = render(prescription)
    odd = replace(prescription, lines=(replace(prescription.lines[0], dosage=text),))

    with pytest.raises(RenderFailed) as failed:
        render(odd)

    assert failed.value.code == "text-not-drawable"
    assert text not in str(failed.value)
    assert render(prescription) == before


def test_a_failure_of_the_compiler_repeats_nothing_of_the_document(monkeypatch) -> None:
    def refuse(**_: Any) -> bytes:
        raise typst.TypstError('the text `"Garnier"` was found', [], [])

    monkeypatch.setattr(render_module._compilers, "compiler", SimpleNamespace(compile=refuse))  # noqa: SLF001

    with pytest.raises(RenderFailed) as failed:
        render(SAMPLES["receipt"])

    assert "Garnier" not in str(failed.value)
    assert failed.value.__suppress_context__


async def test_the_loop_turns_while_a_document_is_drawn_sealed_and_verified(tmp_path, monkeypatch) -> None:
    renderer = Renderer(development_seal(tmp_path, now=NOW))
    loop = asyncio.get_running_loop()
    begun: list[str] = []

    def needing_the_loop(name: str) -> Callable[..., Any]:
        work = getattr(renderer_module, name)

        def begin(*given: Any, **named: Any) -> Any:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(TURNS_WITHIN)
            begun.append(name)
            return work(*given, **named)

        return begin

    for name in ("render", "sign", "verify"):
        monkeypatch.setattr(renderer_module, name, needing_the_loop(name))
    pdf = await renderer.render_and_sign(SAMPLES["prescription-drugs"], now=NOW)
    verdict = await renderer.verify(pdf, now=NOW)
    renderer.close()

    assert verdict.valid
    assert begun == ["render", "sign", "verify"]
