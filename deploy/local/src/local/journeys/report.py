"""What came of the journeys, read back from the API: a table for people, JSON for programs."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.journeys.api import Api
from local.journeys.script import Journey


@dataclass(frozen=True, slots=True)
class Claim:
    payer: str  # amo or amc
    amount: int
    state: str


@dataclass(frozen=True, slots=True)
class Document:
    kind: str
    folder: str | None
    file: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One journey as the platform tells it; amounts in cents."""

    number: str
    status: str
    fee: int
    advance: int
    held: int
    captured: int
    released: int
    balance: int  # opened, and neither charged nor written off
    withheld_later: int  # the flat contribution and surcharges that the fund keeps back
    sheet: str
    claims: tuple[Claim, ...]
    documents: tuple[Document, ...]
    rights: Mapping[str, str]  # payer: what its service answered
    explanations: tuple[str, ...]


async def read_outcome(api: Api, journey: Journey, appointment: Mapping[str, Any], folder: Path) -> Outcome:
    """Everything from the API with the tokens of the people concerned; PDF files are written to `folder`."""
    me = api.patient(appointment["account_id"])
    appointment_id = appointment["id"]
    now, quote, payment = await asyncio.gather(
        me.get(f"/booking/v1/appointments/{appointment_id}"),
        me.get(f"/claims/v1/appointments/{appointment_id}/quote"),
        me.get(f"/payment/v1/appointments/{appointment_id}"),
    )
    care = None
    if now["status"] == "completed":
        care = await me.get(f"/claims/v1/appointments/{appointment_id}/care-act")
    price = care["price"] if care else quote["price"]
    listed = await me.get(f"/documents/v1/patients/{now['patient_id']}/documents")
    coverage = await me.get(f"/claims/v1/patients/{now['patient_id']}/coverage")
    documents = [
        await _download(me, journey, document, folder)
        for document in sorted(listed["items"], key=lambda each: (each["kind"], each["folder"] or ""))
        if document["appointment_id"] == appointment_id
    ]
    balances = care["balances"] if care else []
    return Outcome(
        number=journey.number,
        status=now["status"],
        fee=price["fee_cents"],
        advance=quote["price"]["advance_cents"],
        held=payment["held_cents"],
        captured=payment["captured_cents"],
        released=payment["released_cents"],
        balance=sum(each["amount_cents"] for each in balances if each["state"] == "open"),
        withheld_later=price["deferred_deductions_cents"] if care else 0,
        sheet=price["sheet_mode"] if care else "",
        claims=tuple(
            Claim(leg["payer_kind"], leg["amount_cents"], leg["state"])
            for leg in sorted((care or {}).get("legs", []), key=lambda each: each["payer_kind"], reverse=True)
        ),
        documents=tuple(documents),
        rights={each["payer_kind"]: each["status"] for each in coverage["rights"]},
        explanations=tuple(each["sentence_fr"] for each in price["explanations"]),
    )


async def _download(me: Any, journey: Journey, document: Mapping[str, Any], folder: Path) -> Document:
    content = await me.content(f"/documents/v1/documents/{document['id']}/content")
    parts = [journey.number, document["kind"], document["folder"] or "", document["number"]]
    path = folder / ("-".join(part for part in parts if part) + ".pdf")
    await asyncio.to_thread(path.write_bytes, content)
    return Document(document["kind"], document["folder"], str(path))


def show(console: Console, outcomes: Sequence[tuple[Journey, Outcome]]) -> None:
    table = Table(title="Who paid what", title_justify="left", header_style="bold", pad_edge=False)
    table.add_column("#")
    table.add_column("journey")
    for name in ("fee", "held", "captured", "released"):
        table.add_column(name, justify="right")
    table.add_column("claims")
    table.add_column("balance", justify="right")
    table.add_column("fund keeps\nlater", justify="right")
    table.add_column("documents")
    for journey, outcome in outcomes:
        claims = "\n".join(
            f"{each.payer.upper()} {_euros(each.amount)} {each.state}" for each in outcome.claims
        )
        table.add_row(
            journey.number,
            journey.title,
            _euros(outcome.fee),
            _euros(outcome.held),
            _euros(outcome.captured),
            _euros(outcome.released),
            claims or "none",
            _euros(outcome.balance) if outcome.balance else "",
            _euros(outcome.withheld_later) if outcome.withheld_later else "",
            "\n".join(each.kind + (f" ({each.folder})" if each.folder else "") for each in outcome.documents)
            or "none",
        )
    console.print(table)
    for journey, outcome in outcomes:
        if outcome.explanations:
            console.print(
                f"[bold]{journey.number}[/bold]  " + " ".join(outcome.explanations), highlight=False
            )


def _euros(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def write(path: Path, outcomes: Sequence[tuple[Journey, Outcome]]) -> None:
    """A list with one object per journey; amounts in cents."""
    rows = [asdict(outcome) for _, outcome in outcomes]
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def unexpected(outcomes: Sequence[tuple[Journey, Outcome]]) -> list[str]:
    """What contradicts the journeys' own ends: an exit status that is not true would be worth nothing."""
    found: list[str] = []
    for journey, outcome in outcomes:
        ended = {
            "completed": "completed",
            "cancelled": "cancelled",
            "unsuitable": "not-billed",
            "refused": "abandoned",
        }
        if outcome.status != ended[journey.ending]:
            found.append(f"journey {journey.number}: {outcome.status} and not {ended[journey.ending]}")
        if outcome.captured + outcome.released != outcome.held:
            found.append(f"journey {journey.number}: {outcome.held} held, {outcome.captured} captured")
        if outcome.captured and journey.ending != "completed":
            found.append(f"journey {journey.number}: captured without a consultation")
        if bool(outcome.documents) != (journey.ending == "completed"):
            found.append(f"journey {journey.number}: {len(outcome.documents)} documents")
    return found
