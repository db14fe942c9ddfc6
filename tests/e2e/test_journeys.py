"""What the journeys must come to, in cents; read back from the API by the platform's own report."""

from pathlib import Path
from typing import Any

import pytest

from e2e.conftest import Run, run_once

# number: status, fee, held, captured, released, claims, kind of the billing document, deducted later
EXPECTED: dict[str, tuple[str, int, int, int, int, list[tuple[str, int, str]], str | None, int]] = {
    "1": ("completed", 2500, 0, 0, 0, [("amo", 1750, "paid"), ("amc", 750, "paid")], "claim-statement", 200),
    "2": ("completed", 2500, 750, 750, 0, [("amo", 1750, "paid")], "receipt", 200),
    "3": ("completed", 2500, 2500, 2500, 0, [], "care-sheet", 200),
    "4": ("completed", 6000, 6000, 6000, 0, [], "invoice", 0),
    "5": ("completed", 2500, 0, 0, 0, [("amo", 2500, "paid")], "claim-statement", 200),
    "6": ("cancelled", 2500, 750, 0, 750, [], None, 0),
    "7": ("not-billed", 2500, 2500, 0, 2500, [], None, 0),
    "8a": ("completed", 2500, 750, 750, 0, [("amo", 1750, "paid")], "receipt", 200),
    "8b": ("abandoned", 2500, 0, 0, 0, [], None, 0),
    "9": ("completed", 2500, 2500, 750, 1750, [("amo", 1750, "paid")], "receipt", 200),
    "10": (
        "completed",
        2500,
        0,
        0,
        0,
        [("amo", 1750, "paid"), ("amc", 750, "rejected")],
        "claim-statement",
        200,
    ),
    "11": ("completed", 2500, 2500, 2500, 0, [("amo", 1750, "acked")], "care-sheet", 200),
}


@pytest.mark.parametrize("number", list(EXPECTED))
def test_a_journey_ends_with_these_amounts_claims_and_documents(run: Run, number: str) -> None:
    status, fee, held, captured, released, claims, billing, later = EXPECTED[number]

    journey = run.journey(number)

    amounts = tuple(journey[name] for name in ("fee", "held", "captured", "released"))
    assert (journey["status"], *amounts) == (status, fee, held, captured, released)
    assert [(each["payer"], each["amount"], each["state"]) for each in journey["claims"]] == claims
    assert journey["withheld_later"] == later
    kinds = [each["kind"] for each in journey["documents"]]
    assert [kind for kind in kinds if kind not in {"prescription", "consultation-report"}] == (
        [billing] if billing else []
    )


def test_only_the_rejected_leg_leaves_a_balance_and_nothing_was_charged_for_it(run: Run) -> None:
    balances = {each["number"]: each["balance"] for each in run.report if each["balance"]}

    assert balances == {"10": 750}
    assert run.journey("10")["captured"] == 0


def test_each_performed_consultation_of_a_doctor_has_a_prescription(run: Run) -> None:
    prescribed = {
        each["number"]: [doc["folder"] for doc in each["documents"] if doc["kind"] == "prescription"]
        for each in run.report
    }

    performed = {number for number, expected in EXPECTED.items() if expected[0] == "completed"}
    assert {number for number, folders in prescribed.items() if folders} == performed - {"4"}
    assert {folder for folders in prescribed.values() for folder in folders} == {
        "drugs",
        "biology",
        "imaging",
        "other",
    }


def test_every_document_is_a_sealed_pdf_on_disk(run: Run) -> None:
    files = [Path(doc["file"]) for each in run.report for doc in each["documents"]]

    assert len(files) == len(set(files)) > 0
    for file in files:
        content = file.read_bytes()
        assert content.startswith(b"%PDF-")
        assert b"/ByteRange" in content, f"{file} is not signed"


def test_the_rights_of_everybody_insured_were_asked_of_their_payers(run: Run) -> None:
    rights = {each["number"]: set(each["rights"].items()) for each in run.report}

    both = {("amo", "open"), ("amc", "open")}
    assert rights == dict.fromkeys(("1", "2", "4", "6", "8a", "8b", "10"), both) | {
        "3": set(),
        "5": {("amo", "open")},
        "7": set(),
        "9": {("amo", "open")},
        "11": {("amo", "open")},
    }


def test_each_journey_is_explained_to_its_patient(run: Run) -> None:
    for each in run.report:
        assert each["explanations"][0].startswith("Somme demandée sur votre carte"), each["number"]
        assert len(each["explanations"]) == len(each["explanations_en"])
        told = [*each["explanations"], *each["explanations_en"]]
        assert all(" ".join(sentence.split()) in " ".join(run.output.split()) for sentence in told)


def test_the_table_is_printed(run: Run) -> None:
    assert "Who paid what" in run.output
    for words in ("17.50", "claim-statement", "rejected"):
        assert words in run.output


async def test_a_second_start_finds_the_first_ones_data(run: Run) -> None:
    second = await run_once(run.directory)

    assert "are here already" in second.output
    assert _without_files(second.report) == _without_files(run.report)


def _without_files(report: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        each | {"documents": [(doc["kind"], doc["folder"]) for doc in each["documents"]]} for each in report
    ]
