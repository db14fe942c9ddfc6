"""The journeys of `make run`, played with the generated Python client; what came of them, as JSON.

python journey.py http://127.0.0.1:8080 plan.json [http://127.0.0.1:8081, a proxy before the API]
"""

import json
import random
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

import openapi_client as client  # generated
import urllib3
from openapi_client.exceptions import NotFoundException

T = TypeVar("T")
Journey = dict[str, Any]

_PATIENCE_SECONDS: Final = 120
_ADMINISTRATOR: Final = str(uuid4())
_ENDS: Final = {"provider": {"paid", "rejected"}, "insured": {"acked"}}  # by whom the payer pays


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
        self.token = told.json()["access_token"]
        api = client.ApiClient(client.Configuration(host=gate, access_token=self.token))
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


class Player:
    def __init__(self, front: str, gate: str) -> None:
        self._front = front
        self._gate = gate

    def person(self, role: str, subject: str | None = None, **more: str) -> Person:
        return Person(self._front, self._gate, role, subject or str(uuid4()), **more)

    def outside(self, path: str, body: dict[str, Any]) -> Any:
        """The card provider's page, or the controls of a simulator: what is not the platform."""
        url = path if path.startswith("http") else f"{self._front}/simulators{path}"
        answer = urllib3.request("POST", url, json=body)
        if answer.status >= 400:
            raise RuntimeError(f"{url}: {answer.status} {answer.data!r}")
        return answer.json() if answer.data else None

    def play(self, journey: Journey) -> dict[str, Any]:
        doctor, practitioner_id = self._doctor(journey)
        me = self.person("patient")
        patient = me.patients.create_patient(key(), client.PatientCreate.from_dict(journey["patient"]))
        me.patients.give_consent(patient.id, key(), client.ConsentCreate.from_dict(journey["consent"]))
        cover(me, patient.id, journey["coverage"], journey["amc"])
        self.save_card(me, journey)
        if journey["rejection"]:
            self.outside("/controls/payers/scripts", journey["rejection"])
        appointment_id = self._book(me, practitioner_id, patient.id, journey)
        if journey["coverage_later"]:
            cover(me, patient.id, journey["coverage_later"], journey["amc"])
        match journey["ending"]:
            case "completed":
                _visit(doctor, appointment_id, journey)
            case "cancelled":
                me.appointments.cancel_appointment(appointment_id)
            case "unsuitable":
                doctor.appointments.declare_unsuitable(appointment_id)
        told = until(
            f"the end of journey {journey['number']}",
            lambda: _outcome(me, patient.id, appointment_id, journey),
            lambda found: found is not None,
        )
        assert told is not None
        return told

    def _doctor(self, journey: Journey) -> tuple[Person, Any]:
        rpps = f"1{random.randrange(10**10):010d}"
        administrator = self.person("administrator", _ADMINISTRATOR)
        described = client.PractitionerCreate.from_dict(journey["practitioner"] | {"rpps": rpps})
        made = administrator.practitioners.create_practitioner(key(), described)
        administrator.agendas.write_agenda(made.id, client.AgendaWrite.from_dict(journey["agenda"]))
        return self.person("practitioner", rpps=rpps), made.id

    def save_card(self, me: Person, journey: Journey) -> None:
        token = self.outside("/card/tokens", journey["card"])["token"]
        body = client.CardCreate.from_dict({"provider_token": token, "mandate": journey["mandate"]})
        me.cards.add_card(key(), body, prefer="wait=5")

    def _book(self, me: Person, practitioner_id: Any, patient_id: Any, journey: Journey) -> Any:
        about = {"practitioner_id": practitioner_id, "patient_id": patient_id, **journey["care"]}
        offers = me.agendas.list_practitioner_offers(practitioner_id, limit=1).items
        if journey["notice_minutes"]:
            later = offers[0].starts_at + timedelta(minutes=journey["notice_minutes"])
            offers = me.agendas.list_practitioner_offers(practitioner_id, limit=1, var_from=later).items
        question = client.PreviewCreate.from_dict(about | {"starts_at": offers[0].starts_at})
        preview = until("the price", lambda: me.quotes.create_preview(question))
        wanted = client.AppointmentCreate.from_dict(
            {
                "offer_id": offers[0].id,
                "patient_id": patient_id,
                "reason_code": journey["reason_code"],
                "preview_id": preview.id,
                **journey["care"],
            }
        )
        same = key()
        made = until(
            "the consent and the offer",
            lambda: me.appointments.request_appointment(same, wanted, prefer="wait=5"),
        )
        if journey["challenge"]:
            asked = until(
                "3-D Secure",
                lambda: me.payments.read_payment(made.id),
                lambda found: found.action is not None and found.action.kind == "three-d-secure",
            )
            self.outside(asked.action.url, {"outcome": journey["challenge"]})
        until(
            "the confirmation",
            lambda: me.appointments.read_appointment(made.id, prefer="wait=5"),
            lambda found: found.status != "requested",
        )
        return made.id


def until(what: str, read: Callable[[], T], good: Callable[[T], bool] = lambda _: True) -> T:
    """The answer, once it is there and good: what another service will tell takes a moment."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            found = read()
            if good(found):
                return found
        except client.ApiException as refused:
            if "Retry-After" not in refused.headers:
                raise
        time.sleep(0.2)
    raise TimeoutError(what)


def cover(me: Person, patient_id: Any, coverage: dict[str, Any], amc: dict[str, Any] | None) -> None:
    body = dict(coverage)
    if amc is not None:
        listed = me.coverage.search_amc_directory("99100").items
        number = next(each.number for each in listed if each.contracted is amc["contracted"])
        body["amc"] = {"number": number, "member_number": amc["member_number"]}
    written = client.CoverageWrite.from_dict(body)
    try:
        known = header(me.coverage.read_coverage_with_http_info(patient_id), "ETag")
    except NotFoundException:
        known = None
    until("the patient", lambda: me.coverage.put_coverage(patient_id, written, if_match=known))


def _visit(doctor: Person, appointment_id: Any, journey: Journey) -> None:
    doctor.appointments.start_consultation(appointment_id)
    for each in journey["prescriptions"]:
        same, prescription = key(), client.PrescriptionCreate.from_dict(each)
        until(
            "the right to prescribe",
            lambda s=same, p=prescription: doctor.writing.create_prescription(appointment_id, s, p),
        )
    done = client.CompletionCreate.from_dict(journey["completion"])
    doctor.appointments.complete_consultation(appointment_id, done)


def _outcome(me: Person, patient_id: Any, appointment_id: Any, journey: Journey) -> dict[str, Any] | None:
    """What became of it; none while somebody still works on it. Amounts are integers, or this fails."""
    now = me.appointments.read_appointment(appointment_id)
    payment = me.payments.read_payment(appointment_id)
    quote = me.quotes.read_quote(appointment_id)
    care = me.claims.read_care_act(appointment_id) if journey["ending"] == "completed" else None
    listed = [each for each in me.documents.list_documents(patient_id).items if each.status == "issued"]
    if payment.held_cents != payment.captured_cents + payment.released_cents:
        return None
    if care is not None:
        prescriptions = sum(each.kind == "prescription" for each in listed)
        settled = all(leg.state in _ENDS[word(leg.paid_to)] for leg in care.legs)
        written = prescriptions >= len(journey["prescriptions"]) and len(listed) > prescriptions
        if not (settled and written and payment.captured_cents == care.price.advance_cents):
            return None
    price = care.price if care else quote.price
    legs = sorted(care.legs, key=lambda leg: leg.payer_kind, reverse=True) if care else []
    balances = care.balances if care else []
    found = {
        "number": journey["number"],
        "status": word(now.status),
        "fee": price.fee_cents,
        "advance": quote.price.advance_cents,
        "held": payment.held_cents,
        "captured": payment.captured_cents,
        "released": payment.released_cents,
        "balance": sum(each.amount_cents for each in balances if each.state == "open"),
        "withheld_later": care.price.deferred_deductions_cents if care else 0,
        "sheet": word(care.price.sheet_mode) if care else "",
        "claims": [
            {"payer": leg.payer_kind, "amount": leg.amount_cents, "state": word(leg.state)} for leg in legs
        ],
        "documents": sorted(
            ({"kind": word(each.kind), "folder": word(each.folder)} for each in listed),
            key=lambda each: (each["kind"], each["folder"] or ""),
        ),
        "explanations": [each.sentence_fr for each in price.explanations],
        "explanations_en": [each.sentence_en for each in price.explanations],
    }
    numbers = [value for value in found.values() if isinstance(value, int | float)]
    if not all(type(value) is int for value in numbers):
        raise TypeError(f"amounts are {numbers}")
    return found


def header(answer: Any, name: str) -> str:
    """Whatever case it came in: a proxy may change that."""
    return str({each.lower(): value for each, value in answer.headers.items()}[name.lower()])


def word(value: Any) -> Any:
    """A closed list of words is an enum in the client, one that may grow is text."""
    return getattr(value, "value", value)


def key() -> str:
    return str(uuid4())


def main() -> int:
    front, plan = sys.argv[1:3]
    player = Player(front, sys.argv[3] if len(sys.argv) > 3 else front)
    journeys = json.loads(Path(plan).read_text(encoding="utf-8"))
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(player.play, journeys))
    print(json.dumps(outcomes, indent=1))  # noqa: T201 - this is what it is for
    return 0


if __name__ == "__main__":
    sys.exit(main())
