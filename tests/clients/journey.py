"""Journeys of patients, played with the generated Python client: python journey.py http://127.0.0.1:8080."""

import json
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

import openapi_client as client  # generated
import urllib3

T = TypeVar("T")

_PATIENCE_SECONDS: Final = 120
_ADMINISTRATOR: Final = str(uuid4())
_WHOLE_DAY: Final = {"from_time": "00:00", "to_time": "00:00", "slot_minutes": 15, "mode": "video"}


class Person:
    """Somebody with a token, and the parts of the API that the journeys use."""

    def __init__(self, front: str, gate: str, role: str, subject: str, **more: str) -> None:
        form = {"grant_type": "urn:dev:person", "role": role, "subject": subject, **more}
        told = urllib3.request(
            "POST",
            f"{front}/simulators/issuer/token",
            body=urlencode(form),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        api = client.ApiClient(client.Configuration(host=gate, access_token=told.json()["access_token"]))
        self.practitioners = client.PractitionersApi(api)
        self.agendas = client.AgendasApi(api)
        self.patients = client.PatientsApi(api)
        self.appointments = client.AppointmentsApi(api)
        self.coverage = client.CoverageApi(api)
        self.cards = client.CardsApi(api)
        self.payments = client.PaymentsApi(api)
        self.quotes = client.QuotesApi(api)
        self.claims = client.ClaimsApi(api)
        self.documents = client.DocumentsApi(api)
        self.writing = client.WritingApi(api)


def until(what: str, read: Callable[[], T], good: Callable[[T], bool]) -> T:
    """The answer, once it is there and good: what another service will tell takes a moment."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            found = read()
            if good(found):
                return found
        except client.ApiException as refused:
            if refused.status != 404 and "Retry-After" not in refused.headers:
                raise
        time.sleep(0.2)
    raise TimeoutError(what)


def play(front: str, gate: str, journey: dict[str, Any]) -> str:
    doctor, practitioner_id = _doctor(front, gate)
    me = Person(front, gate, "patient", str(uuid4()))
    patient = me.patients.create_patient(_key(), client.PatientCreate.from_dict(journey["patient"]))
    me.patients.give_consent(patient.id, _key(), client.ConsentCreate(text_version="2026-01", channel="app"))
    _cover(me, patient.id, journey)
    _save_card(front, me)

    offers = me.agendas.list_practitioner_offers(practitioner_id, limit=1).items
    wanted = client.AppointmentCreate(
        offer_id=offers[0].id,
        patient_id=patient.id,
        reason_code=journey["reason"],
        pathway="regular-doctor",
        territory="near",
    )
    made = until(
        "the consent and the offer",
        lambda: me.appointments.request_appointment(_key(), wanted, prefer="wait=5"),
        lambda _: True,
    )
    appointment = until(
        "the confirmation",
        lambda: me.appointments.read_appointment(made.id, prefer="wait=5"),
        lambda each: each.status != "requested",
    )
    if journey["prescription"] is None:
        doctor.appointments.declare_unsuitable(appointment.id)
    else:
        _visit(doctor, appointment.id, journey)
    return _outcome(me, patient.id, appointment.id, journey)


def _doctor(front: str, gate: str) -> tuple[Person, Any]:
    rpps = f"1{random.randrange(10**10):010d}"
    administrator = Person(front, gate, "administrator", _ADMINISTRATOR)
    described = {
        "rpps": rpps,
        "profession": "physician",
        "specialty": "01",
        "sector": "s1",
        "zone": "metropole",
        "third_party_payment": "full",
        "fee_cents": 2500,
        "billing_number": "296991102",
        "title": "Docteur",
        "first_name": "Claire",
        "last_name": "Morel",
        "display_name": "Dr Claire Morel",
        "address": {"street": "3 place du Marché", "postal_code": "75004", "city": "Paris"},
        "phone": "+33 1 23 45 67 89",
    }
    made = administrator.practitioners.create_practitioner(
        _key(), client.PractitionerCreate.from_dict(described)
    )
    agenda = {"rules": [{"weekday": day, **_WHOLE_DAY} for day in range(1, 8)], "exceptions": []}
    administrator.agendas.write_agenda(made.id, client.AgendaWrite.from_dict(agenda))
    return Person(front, gate, "practitioner", str(uuid4()), rpps=rpps), made.id


def _cover(me: Person, patient_id: Any, journey: dict[str, Any]) -> None:
    known: dict[str, Any] = {"insured": "yes", "birth_date": journey["patient"]["birth_date"]}
    if journey["nir"]:
        body = journey["nir"] + f"{random.randrange(1, 1000):03d}"
        known["nir"] = f"{body}{97 - int(body) % 97:02d}"
    if journey["amc"]:
        member = f"{random.randrange(10**8):08d}"
        known["amc"] = {"number": journey["amc"], "member_number": member}
    written = client.CoverageWrite.from_dict(known)
    until("the patient", lambda: me.coverage.put_coverage(patient_id, written), lambda _: True)


def _save_card(front: str, me: Person) -> None:
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    token = urllib3.request("POST", f"{front}/simulators/card/tokens", json=card).json()["token"]
    mandate = client.MandateCreate(text_version="2026-01", accepted=True, ceiling_cents=3000)
    me.cards.add_card(_key(), client.CardCreate(provider_token=token, mandate=mandate), prefer="wait=5")


def _visit(doctor: Person, appointment_id: Any, journey: dict[str, Any]) -> None:
    doctor.appointments.start_consultation(appointment_id)
    prescription = client.PrescriptionCreate.from_dict(journey["prescription"])
    until(
        "the right to prescribe",
        lambda: doctor.writing.create_prescription(appointment_id, _key(), prescription),
        lambda _: True,
    )
    done = {"acts": [{"code": "TCG"}], "fee_cents": 2500, "outcome": "treated", "exemption_related": False}
    doctor.appointments.complete_consultation(appointment_id, client.CompletionCreate.from_dict(done))


def _outcome(me: Person, patient_id: Any, appointment_id: Any, journey: dict[str, Any]) -> str:
    """What became of it, as the expectation says it; amounts are integers or this fails."""

    def told() -> str:
        status = me.appointments.read_appointment(appointment_id).status
        payment = me.payments.read_payment(appointment_id)
        amounts = payment.held_cents, payment.captured_cents, payment.released_cents
        if not all(type(each) is int for each in amounts):
            raise TypeError(f"amounts are {amounts}")
        parts = [status.value, *(f"{name} {each}" for name, each in zip(_AMOUNTS, amounts, strict=True))]
        if journey["prescription"]:
            legs = sorted(me.claims.read_care_act(appointment_id).legs, key=lambda each: -each.amount_cents)
            parts += [f"{each.payer_kind.upper()} {each.amount_cents} {each.state}" for each in legs]
            listed = me.documents.list_documents(patient_id).items
            parts += sorted(each.kind.value for each in listed if each.status == "issued")
        return ", ".join(parts)

    found = ""

    def read() -> str:
        nonlocal found
        found = told()
        return found

    try:
        return until("the end", read, lambda each: each == journey["expected"])
    except TimeoutError:
        return found


_AMOUNTS: Final = ("held", "captured", "released")


def _key() -> str:
    return str(uuid4())


def main() -> int:
    front = sys.argv[1]
    gate = sys.argv[2] if len(sys.argv) > 2 else front  # a proxy before the API
    journeys = json.loads((Path(__file__).parent / "journeys.json").read_text(encoding="utf-8"))
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(lambda each: play(front, gate, each), journeys.values()))
    failed = 0
    for (number, journey), outcome in zip(journeys.items(), outcomes, strict=True):
        print(f"python {number} {journey['title']}: {outcome}")  # noqa: T201 - this is what it is for
        if outcome != journey["expected"]:
            failed = 1
            print(f"  expected {journey['expected']}")  # noqa: T201
    return failed


if __name__ == "__main__":
    sys.exit(main())
