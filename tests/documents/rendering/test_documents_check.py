"""The check of whole files: it says what is right, and notices what is not."""

from datetime import UTC, datetime

import pytest

from documents.domain.content import Folder, Kind
from documents.rendering.renderer import render_and_sign
from documents.rendering.samples import samples
from documents.signing import development_seal
from local.documents_check import AUTHENTIC, INVALID, Checked, check, missing_tools, unsealed, verify_by_seal

NOW = datetime(2026, 11, 22, 13, 32, 5, tzinfo=UTC)

pytestmark = pytest.mark.skipif(bool(missing_tools()), reason="; ".join(missing_tools()))


def test_a_good_file_passes_and_a_mislabelled_or_unknown_one_does_not(tmp_path) -> None:
    seal = development_seal(tmp_path, now=NOW)
    document = samples()["prescription-drugs"]
    pdf = render_and_sign(document, seal=seal, now=NOW)
    codes = {document.issue.number: document.issue.verification_code}

    good, mislabelled = check(
        [
            Checked("good.pdf", Kind.PRESCRIPTION, Folder.DRUGS, pdf),
            Checked("mislabelled.pdf", Kind.INVOICE, None, pdf),
        ],
        verify=verify_by_seal(codes, trust=seal.trust, now=NOW),
        trust=seal.trust,
        now=NOW,
    )
    [unknown] = check(
        [Checked("unknown.pdf", Kind.PRESCRIPTION, Folder.DRUGS, pdf)],
        verify=verify_by_seal({}, trust=seal.trust, now=NOW),
        trust=seal.trust,
        now=NOW,
    )

    assert [finding.text for finding in good.findings if not finding.right] == []
    assert "mandatory mentions found 18/18" in good.findings[0].text
    assert good.findings[-1].text.endswith(INVALID)
    assert AUTHENTIC in good.findings[-2].text
    assert next(finding.text for finding in mislabelled.findings if not finding.right).startswith(
        "mandatory mentions"
    )
    assert not unknown.right


def test_the_first_revision_is_what_was_sealed(tmp_path) -> None:
    seal = development_seal(tmp_path, now=NOW)
    pdf = render_and_sign(samples()["invoice"], seal=seal, now=NOW)

    assert pdf.startswith(unsealed(pdf))
    assert unsealed(pdf).endswith(b"%%EOF")
