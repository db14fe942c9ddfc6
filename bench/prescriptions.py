"""(h) Signed prescriptions per second of one core, against the typesetter alone."""

import asyncio
from dataclasses import replace
from time import process_time
from typing import Final

from bench.baselines.typst_alone import TypstAlone
from bench.ground import Ground, Scale
from bench.measure import interleaved
from bench.report import Part
from common.clock import wall
from documents.domain.content import Kind, Prescription
from documents.domain.numbers import draw_code, draw_number, verification_url
from documents.rendering.renderer import render_and_sign
from documents.rendering.samples import BASE_URL, samples
from documents.rendering.view import view
from documents.signing import development_seal

_DOCUMENTS: Final = 25


async def measure(ground: Ground, scale: Scale) -> Part:
    part = Part("h", "signed prescriptions")
    now = wall()
    seal = development_seal(ground.directory / "seal", now=now)
    alone = TypstAlone(Kind.PRESCRIPTION)
    number = scale.of(_DOCUMENTS)
    drawn = {"signed": 0, "unsigned": 0}

    def signed() -> float:
        documents = [_fresh() for _ in range(number)]
        began = process_time()
        files = [render_and_sign(each, seal=seal, now=now) for each in documents]
        seconds = process_time() - began
        drawn["signed"] += sum(b"/ByteRange" in each for each in files)
        return number / seconds

    def unsigned() -> float:
        views = [(view(each), each.issue.issued_at) for each in (_fresh() for _ in range(number))]
        began = process_time()
        files = [alone.compile(told, issued_at) for told, issued_at in views]
        seconds = process_time() - began
        drawn["unsigned"] += sum(each.startswith(b"%PDF") for each in files)
        return number / seconds

    # in a thread, as the service does it: the signer wants an event loop of its own
    ours, baseline = await interleaved(
        lambda: asyncio.to_thread(signed),
        lambda: asyncio.to_thread(unsigned),
        repetitions=scale.repetitions,
    )
    part.compare("signed prescriptions, to typst alone", "/s per core", ours, baseline)
    part.same(wanted=number * (scale.repetitions + 1), **drawn)
    return part


def _fresh() -> Prescription:
    """The sample with a number and a code of its own: nothing of an earlier one can be used again."""
    sample = next(each for each in samples().values() if isinstance(each, Prescription))
    number, code = draw_number(Kind.PRESCRIPTION, year=sample.issue.issued_at.year), draw_code()
    url = verification_url(BASE_URL, number=number, code=code)
    issue = replace(sample.issue, number=number, verification_code=code, verification_url=url)
    return replace(sample, issue=issue)
