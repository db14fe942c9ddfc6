"""The worked cases of who pays what, from the table files: questions in, every column of the answer out."""

import csv
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from claims.domain.pricing import (
    ActLine,
    Amc,
    Exemptions,
    Inputs,
    Insured,
    MaternityWindow,
    Nir,
    OutOfPathway,
    OverrunQualifier,
    Pathway,
    Policy,
    Sector,
    Sponsor,
    SponsorKind,
    Territory,
    ThirdPartyPayment,
)
from common.money import Cents

FOLDER = Path(__file__).parent.parent / "claims" / "data"
EMPTY = "-"


@dataclass(frozen=True)
class Case:
    number: str
    inputs: Inputs
    policy: Policy
    expected: dict[str, str]


@cache
def money_cases() -> list[Case]:
    return [_case(row) for row in rows("money_cases.csv")]


@cache
def refused_cases() -> list[Case]:
    return [_case(row) for row in rows("refused_cases.csv")]


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _case(row: dict[str, str]) -> Case:
    other = (
        dict(each.strip().split("=", 1) for each in row["other"].split(";")) if row["other"] != EMPTY else {}
    )
    specialty, _, sector = row["practitioner"].partition(" ")
    policy = Policy(
        out_of_pathway=OutOfPathway(other.pop("out_of_pathway", OutOfPathway.NOT_REIMBURSABLE.value)),
        partner_psychologist=other.pop("partner_psychologist", "off") == "on",
        compulsory_tp=other.pop("compulsory_tp", "on") == "on",
    )
    inputs = Inputs(
        care_on=date.fromisoformat(row["care_on"]),
        born_on=date.fromisoformat(row["born_on"]),
        specialty=specialty,
        sector=Sector(sector or "none"),
        acts=tuple(ActLine.parse(code) for code in row["acts"].split("+") if code != EMPTY),
        fee_cents=Cents(int(row["fee"])),
        insured=Insured(row["insured"]),
        nir=Nir(row["nir"]),
        amc=Amc(row["amc"]),
        third_party_payment=ThirdPartyPayment(row["third_party_payment"]),
        pathway=Pathway.UNANSWERED if row["pathway"] == EMPTY else Pathway(row["pathway"]),
        territory=Territory.UNANSWERED if row["territory"] == EMPTY else Territory(row["territory"]),
        exemptions=_exemptions(row["exemptions"]),
        scheme=row["scheme"],
        sponsor=_sponsor(row["sponsor"]),
        **_other(other),
    )
    assert not other, f"case {row['case']}: nobody reads {other}"
    return Case(row["case"], inputs, policy, row)


def _other(other: dict[str, str]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    if "overrun" in other:
        read["overrun_qualifier"] = OverrunQualifier(other.pop("overrun"))
    if "pf" in other:
        read["pf_exempt"] = other.pop("pf") == "exempt"
    if "company" in other:
        read["company"] = other.pop("company") == "yes"
    if "known" in other:
        read["known_patient"] = other.pop("known") == "yes"
    if "alternation" in other:
        read["alternation_ok"] = other.pop("alternation") == "yes"
    if "zone" in other:
        read["zone"] = other.pop("zone")
    if "pf_year" in other:
        read["pf_taken_this_year_cents"] = Cents(int(other.pop("pf_year")))
    if "pf_today" in other:
        read["pf_taken_today_cents"] = Cents(int(other.pop("pf_today")))
    if "session" in other:
        read["psychologist_session"] = int(other.pop("session"))
    return read


def _exemptions(text: str) -> Exemptions:
    said: dict[str, Any] = {}
    for each in (part.strip() for part in text.split(";") if part != EMPTY):
        word, _, dates = each.partition(" ")
        if dates:
            first_on, _, last_on = dates.partition("..")
            said[word] = MaternityWindow(date.fromisoformat(first_on), date.fromisoformat(last_on))
        else:
            said[word.replace("-", "_")] = True
    return Exemptions(**said)


def _sponsor(text: str) -> Sponsor | None:
    if text == EMPTY:
        return None
    kind, _, number = text.partition(" ")
    return Sponsor(
        kind=SponsorKind(kind),
        cents=Cents(int(number)) if kind == SponsorKind.FIXED.value else None,
        percent=int(number) if kind == SponsorKind.PERCENT.value else None,
    )
