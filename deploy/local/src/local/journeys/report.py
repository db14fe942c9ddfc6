"""What came of the journeys, read back from the API: a table for people, JSON for programs."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from local.journeys.api import Api
from local.journeys.script import Journey

# Widths of a narrow terminal, where only the titles of the journeys give way.
_AMOUNT: Final = 5
_LONGEST_CLAIM: Final = 17  # that was answered: "AMC 7.50 rejected"
_LONGEST_KIND: Final = 15  # of a document
_ROOMY: Final = 110  # columns of a terminal
_INDENT: Final = (0, 0, 0, 4)


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
    explanations: tuple[str, ...]  # in French; their order is the order of the rules
    explanations_en: tuple[str, ...]

    def claimed(self) -> list[str]:
        return [f"{each.payer.upper()} {_euros(each.amount)} {each.state}" for each in self.claims]


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
            for leg in sorted((care or {}).get("legs", []), key=_payer_kind, reverse=True)
        ),
        documents=tuple(documents),
        rights={each["payer_kind"]: each["status"] for each in sorted(coverage["rights"], key=_payer_kind)},
        explanations=tuple(each["sentence_fr"] for each in price["explanations"]),
        explanations_en=tuple(each["sentence_en"] for each in price["explanations"]),
    )


async def _download(me: Any, journey: Journey, document: Mapping[str, Any], folder: Path) -> Document:
    content = await me.content(f"/documents/v1/documents/{document['id']}/content")
    parts = [journey.number, document["kind"], document["folder"] or "", document["number"]]
    path = folder / ("-".join(part for part in parts if part) + ".pdf")
    await asyncio.to_thread(path.write_bytes, content)
    return Document(document["kind"], document["folder"], str(path))


def show(console: Console, outcomes: Sequence[tuple[Journey, Outcome]]) -> None:
    """What the patients were told, then the table, whole from 100 columns on: it ends on the screen."""
    _tell(console, outcomes)
    console.print()
    narrow = console.width < _ROOMY
    table = Table(
        title="Who paid what",
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAVY,
        padding=0 if narrow else (0, 1),
        collapse_padding=True,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("#", no_wrap=True)
    table.add_column("journey")
    for name in ("fee", "held", "captured", "released"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("claims", width=_LONGEST_CLAIM if narrow else None)
    table.add_column("balance", justify="right", no_wrap=True)
    table.add_column("fund keeps\nlater", justify="right", width=_AMOUNT if narrow else None)
    table.add_column("documents", width=_LONGEST_KIND if narrow else None)
    for journey, outcome in outcomes:
        table.add_row(
            journey.number,
            journey.title,
            _euros(outcome.fee),
            _euros(outcome.held),
            _euros(outcome.captured),
            _euros(outcome.released),
            "\n".join(outcome.claimed()) or "none",
            _euros(outcome.balance) if outcome.balance else "",
            _euros(outcome.withheld_later) if outcome.withheld_later else "",
            "\n".join(each.kind + (f" ({each.folder})" if each.folder else "") for each in outcome.documents)
            or "none",
        )
    console.print(table)


def _tell(console: Console, outcomes: Sequence[tuple[Journey, Outcome]]) -> None:
    """Each sentence in French and English; journeys whose patients were told the same stand together."""
    console.print("\n[bold]What each patient was told[/bold], and how the claims ended")
    alike: dict[tuple[str, ...], list[tuple[Journey, Outcome]]] = {}
    for journey, outcome in outcomes:
        alike.setdefault(outcome.explanations, []).append((journey, outcome))
    for same in alike.values():
        console.print()
        for journey, outcome in same:
            ended = ", ".join(outcome.claimed()) or "no claims"
            if outcome.status != "completed":
                ended = outcome.status
            elif outcome.balance:
                ended += f", balance {_euros(outcome.balance)}"
            console.print(f"[bold]{journey.number:<3} {journey.title}[/bold] ({ended})", highlight=False)
        _, told = same[0]
        for french, english in zip(told.explanations, told.explanations_en, strict=True):
            console.print(Padding(french, _INDENT, expand=False), highlight=False)
            console.print(Padding(english, _INDENT, expand=False), style="dim", highlight=False)


def _payer_kind(told: Mapping[str, Any]) -> str:
    return str(told["payer_kind"])


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
