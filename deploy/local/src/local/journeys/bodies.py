"""What the journeys send, as data: the platform's own player and the generated clients send the same."""

import itertools
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from local.journeys.script import Journey, member_number_of, nir_of

AHEAD: Final = timedelta(hours=5)  # the first visit, seen from the booking: hours away at least
_PARIS: Final = ZoneInfo("Europe/Paris")
_OPENS: Final = time(9)
_LAST: Final = time(16)  # the others follow within four hours
_SUNDAY: Final = 6
APART: Final = timedelta(minutes=15)  # each journey wants a quarter of an hour of its own
NOTICE: Final = timedelta(hours=3)  # before the visit, journey 6 is cancelled
VISIT: Final = timedelta(minutes=9)


def first_visit(now: datetime, *, holidays: Callable[[int], AbstractSet[date]]) -> datetime:
    """The daytime of a working day in Paris: whenever the journeys are played, no visit has a supplement."""
    earliest = (now + AHEAD).astimezone(_PARIS)
    for number in itertools.count():
        day = earliest.date() + timedelta(days=number)
        at = max(datetime.combine(day, _OPENS, _PARIS), earliest)
        if at.time() <= _LAST and day.weekday() != _SUNDAY and day not in holidays(day.year):
            return at.astimezone(UTC)
    raise AssertionError("every week has a working day")


CONSENT: Final = {"text_version": "2026-01", "channel": "app"}
MANDATE: Final = {"text_version": "2026-01", "accepted": True, "ceiling_cents": 3000}

PRACTITIONERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "gp": {
        "rpps": "10001234565",
        "profession": "physician",
        "specialty": "01",
        "sector": "s1",
        "third_party_payment": "full",
        "fee_cents": 2500,
        "billing_number": "296991102",
        "title": "Docteur",
        "first_name": "Claire",
        "last_name": "Morel",
        "display_name": "Dr Claire Morel",
    },
    "direct-gp": {
        "rpps": "10005550123",
        "profession": "physician",
        "specialty": "01",
        "sector": "s1",
        "third_party_payment": "none",
        "fee_cents": 2500,
        "billing_number": "296991201",
        "title": "Docteur",
        "first_name": "Yann",
        "last_name": "Kerbrat",
        "display_name": "Dr Yann Kerbrat",
    },
    "psychologist": {
        "rpps": "10009876541",
        "profession": "psychologist",
        "specialty": "00",
        "sector": "none",
        "third_party_payment": "none",
        "fee_cents": 6000,
        "billing_number": None,
        "title": "",
        "first_name": "Marc",
        "last_name": "Aubry",
        "display_name": "Marc Aubry",
    },
}
_PRACTICE: Final = {
    "zone": "metropole",
    "agreed_company": False,
    "currency": "EUR",
    "biller_id": None,
    "address": {"street": "3 place du Marché", "postal_code": "75004", "city": "Paris"},
    "phone": "+33 1 23 45 67 89",
    "languages": ["fr"],
    "time_zone": "Europe/Paris",
}
_ADDRESS: Final = {"street": "12 rue des Lilas", "postal_code": "75011", "city": "Paris"}
_WHOLE_DAY: Final = {"from_time": "00:00", "to_time": "00:00", "slot_minutes": 15, "mode": "video"}


def practitioner(kind: str) -> dict[str, Any]:
    return {**PRACTITIONERS[kind], **_PRACTICE}


def agenda() -> dict[str, Any]:
    """Every day, around the clock."""
    rules = [{"weekday": day, **_WHOLE_DAY, "valid_from": None, "valid_to": None} for day in range(1, 8)]
    return {"rules": rules, "exceptions": []}


def patient(journey: Journey) -> dict[str, Any]:
    return {
        "relation": "self",
        "first_names": journey.given_name,
        "birth_name": journey.family_name,
        "birth_date": journey.born_on,
        "sex": journey.sex,
        "address": _ADDRESS,
        "phone": "+33 6 12 34 56 78",
        "email": f"{journey.number}@patients.example",
    }


def coverage(journey: Journey, run: int, *, nir: bool, amc_number: str | None) -> dict[str, Any]:
    """`amc_number` is what the directory says; journeys without a complementary insurer have none."""
    amc = None
    if amc_number is not None:
        amc = {"number": amc_number, "member_number": member_number_of(journey, run)}
    return {
        "nir": nir_of(journey, run) if nir else None,
        "birth_date": journey.born_on,
        "insured": "yes",
        "amc": amc,
        "amc_status_declared": "none",
        "exemptions": [{"kind": "ald", "from": "2020-01-01", "to": None}] if journey.ald else [],
        "scheme": "general",
        "sponsor_code": None,
    }


def card(journey: Journey) -> dict[str, Any]:
    """What the app gives to the card provider, for a token."""
    return {"number": journey.card, "exp_month": 12, "exp_year": 2040, "cvc": "123"}


def rejection(journey: Journey, run: int) -> dict[str, Any]:
    """Makes the payers' simulator reject what is claimed for this member."""
    return {"member": member_number_of(journey, run), "behaviour": "reject"}


def care(journey: Journey) -> dict[str, Any]:
    """What a preview and the booking that rests on it say alike."""
    return {"pathway": "regular-doctor", "territory": "near", "exemption_related": journey.ald}


def completion(journey: Journey) -> dict[str, Any]:
    is_doctor = PRACTITIONERS[journey.practitioner]["profession"] == "physician"
    return {
        "acts": [{"code": "TCG"}] if is_doctor else [],
        "fee_cents": PRACTITIONERS[journey.practitioner]["fee_cents"],
        "overrun_qualifier": None,
        "outcome": "treated" if is_doctor else "advice-given",
        "exemption_related": journey.ald,
        "pathway": None,
    }
