"""Rendering and sealing away from the event loop, on a bounded number of threads."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

from documents.domain.content import AnyDocument, Kind, kind_of
from documents.rendering.read_back import check
from documents.rendering.render import render
from documents.rendering.view import practitioner_name, view
from documents.signing import Seal, Verdict, sign, verify

REASONS: Final = {
    Kind.PRESCRIPTION: "Ordonnance",
    Kind.CARE_SHEET: "Feuille de soins",
    Kind.RECEIPT: "Quittance",
    Kind.INVOICE: "Facture",
    Kind.CLAIM_STATEMENT: "Relevé de tiers payant",
    Kind.CONSULTATION_REPORT: "Compte rendu de téléconsultation",
}


def render_and_sign(document: AnyDocument, *, seal: Seal, now: datetime) -> bytes:
    """The sealed PDF of a document, compared with it before the seal. Blocks for some milliseconds.

    Raises ValueError, RenderFailed, TextDiffers, SealRefused.
    """
    shown = view(document)
    pdf = render(document, shown)
    check(pdf, document, shown)
    return sign(
        pdf,
        seal=seal,
        at=now,
        signer=practitioner_name(document.practitioner),
        reason=REASONS[kind_of(document)],
    )


class Renderer:
    """A pool of threads: the compiler releases the interpreter while it works, the rest gives way."""

    def __init__(self, seal: Seal, *, workers: int = 2) -> None:
        self.seal = seal
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="documents-render")

    async def render_and_sign(self, document: AnyDocument, *, now: datetime) -> bytes:
        """The sealed PDF.

        Raises ValueError for values no document may state, RenderFailed and TextDiffers when the paper cannot
        say what the document says, SealRefused when the seal is not valid at `now`.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._pool, lambda: render_and_sign(document, seal=self.seal, now=now)
        )

    async def verify(self, pdf: bytes, *, now: datetime) -> Verdict:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: verify(pdf, trust=self.seal.trust, now=now))

    def close(self) -> None:
        """Waits for what is being drawn and drops what has not begun."""
        self._pool.shutdown(wait=True, cancel_futures=True)
