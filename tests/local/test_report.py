"""What `make run` prints is whole in a narrow terminal too, and says how each claim ended."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from local.journeys.report import Claim, Document, Outcome, show
from local.journeys.script import JOURNEYS, Journey

OUTCOME = Outcome(
    number="10",
    status="completed",
    fee=2500,
    advance=0,
    held=2500,
    captured=0,
    released=2500,
    balance=750,
    withheld_later=200,
    sheet="TP",
    claims=(Claim("amo", 1750, "rights-pending"), Claim("amc", 750, "rejected")),
    documents=(Document("claim-statement", None, ""), Document("prescription", "imaging", "")),
    rights={},
    explanations=("Somme demandée sur votre carte : 0,00 €.", "Votre mutuelle prend en charge 7,50 €."),
    explanations_en=("Amount asked on your card: €0.00.", "Your mutual insurer bears €7.50."),
)


def shown(width: int, outcomes: list[tuple[Journey, Outcome]]) -> str:
    file = StringIO()
    show(Console(file=file, width=width, highlight=False), outcomes)
    return file.getvalue()


@pytest.mark.parametrize("width", [100, 132, 160])
def test_no_cell_is_cut_and_no_line_is_broken_by_the_terminal(width) -> None:
    printed = shown(width, [(journey, OUTCOME) for journey in JOURNEYS])

    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= width
    words = set(printed.split())
    for journey in JOURNEYS:
        assert set(journey.title.split()) <= words, journey.number
    assert {"claim-statement", "prescription", "(imaging)", "rights-pending", "25.00"} <= words


def test_journeys_whose_patients_were_told_the_same_stand_together() -> None:
    first, second, third = JOURNEYS[:3]
    other = replace(OUTCOME, status="cancelled")
    alone = replace(OUTCOME, explanations=("Seul.",), explanations_en=("Alone.",), balance=0)

    printed = shown(132, [(first, OUTCOME), (second, alone), (third, other)])

    told = printed.partition("What each patient was told")[2].partition("Who paid what")[0].rstrip()
    assert [line.strip() for line in told.splitlines()[2:]] == [
        f"1   {first.title} (AMO 17.50 rights-pending, AMC 7.50 rejected, balance 7.50)",
        f"3   {third.title} (cancelled)",
        "Somme demandée sur votre carte : 0,00 €.",
        "Amount asked on your card: €0.00.",
        "Votre mutuelle prend en charge 7,50 €.",
        "Your mutual insurer bears €7.50.",
        "",
        f"2   {second.title} (AMO 17.50 rights-pending, AMC 7.50 rejected)",
        "Seul.",
        "Alone.",
    ]
