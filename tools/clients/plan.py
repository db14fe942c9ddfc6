"""The journeys of `make run` as a file for players in other languages: who does what, and what they send."""

import json
from pathlib import Path
from typing import Any

from local.journeys import bodies
from local.journeys.script import JOURNEYS, Journey, member_number_of


def write(path: Path, *, run: int) -> None:
    """`run` keeps insured numbers and members of two players of one platform apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([_planned(each, run) for each in JOURNEYS], indent=1), encoding="utf-8")


def _planned(journey: Journey, run: int) -> dict[str, Any]:
    amc = None
    if journey.amc is not None:  # its number is what the directory says
        amc = {"contracted": journey.amc == "contracted", "member_number": member_number_of(journey, run)}
    return {
        "number": journey.number,
        "practitioner": bodies.practitioner(journey.practitioner),
        "agenda": bodies.agenda(),
        "patient": bodies.patient(journey),
        "consent": bodies.CONSENT,
        "coverage": bodies.coverage(journey, run, nir=journey.nir, amc_number=None),
        "coverage_later": (
            bodies.coverage(journey, run, nir=True, amc_number=None) if journey.nir_added_later else None
        ),
        "amc": amc,
        "rejection": bodies.rejection(journey, run) if journey.amc_rejects else None,
        "card": bodies.card(journey),
        "mandate": bodies.MANDATE,
        "challenge": _challenge(journey),
        "care": bodies.care(journey),
        "reason_code": journey.reason,
        "notice_minutes": int(bodies.NOTICE.total_seconds() // 60) if journey.ending == "cancelled" else 0,
        "prescriptions": journey.prescriptions,
        "completion": bodies.completion(journey),
        "ending": journey.ending,
    }


def _challenge(journey: Journey) -> str | None:
    if journey.card == JOURNEYS[0].card:
        return None
    return "accept" if journey.accepts_challenge else "refuse"
