"""The ways of calling that docs/calling.md describes, tried with the generated Python client.

python calling.py http://127.0.0.1:8080 http://127.0.0.1:8081, a proxy before the API. What a generated client
cannot send, a request without a required header or a stream of events, goes to the API itself.
"""

import json
import sys
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import openapi_client as client  # generated
import urllib3
from journey import Person, Player, header, key, until
from openapi_client.exceptions import ApiException

_FORM: Final = {
    "relation": "self",
    "first_names": "Élise",
    "birth_name": "Garnier",
    "birth_date": "1988-04-12",
    "sex": "female",
}


class Caller:
    def __init__(self, front: str, gate: str) -> None:
        self._front = front
        self.me: Person = Player(front, gate).person("patient")
        self.patient = self.me.patients.create_patient(key(), client.PatientCreate.from_dict(_FORM))
        self._anybody = client.ApiClient(client.Configuration(host=gate))

    def raw(self, method: str, path: str, body: Any = None, **headers: str) -> urllib3.BaseHTTPResponse:
        told = {"Authorization": f"Bearer {self.me.token}", "Content-Type": "application/json"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = None if body is None else json.dumps(body)
        return urllib3.request(method, self._front + path, body=sent, headers=told, timeout=10)

    def the_same_key_creates_once(self) -> None:
        same, person = key(), Player(self._front, self._front).person("patient")
        wanted = client.PatientCreate.from_dict(_FORM)
        first = person.patients.create_patient_with_http_info(same, wanted)
        again = person.patients.create_patient_with_http_info(same, wanted)
        expect((first.status_code, again.status_code), (201, 201))
        expect((again.data.id, header(again, "Idempotency-Replayed")), (first.data.id, "true"))
        other = client.PatientCreate.from_dict(_FORM | {"first_names": "Anne"})
        refused(lambda: person.patients.create_patient(same, other), 422, "idempotency-key-reused")

    def a_missing_key_is_refused(self) -> None:
        answer = self.raw("POST", "/booking/v1/patients", _FORM)
        expect((answer.status, answer.json()["type"]), (400, "urn:problem:idempotency-key-missing"))

    def nobody_writes_over_what_they_have_not_seen(self) -> None:
        seen = header(self.me.patients.read_patient_with_http_info(self.patient.id), "ETag")
        path = f"/booking/v1/patients/{self.patient.id}"
        unsaid = self.raw("PATCH", path, {"phone": "+33 6 12 34 56 78"})
        expect((unsaid.status, unsaid.json()["type"]), (428, "urn:problem:precondition-required"))
        change = client.PatientUpdate.from_dict({"phone": "+33 6 12 34 56 78"})
        changed = self.me.patients.update_patient_with_http_info(self.patient.id, seen, change)
        expect((changed.data.phone, header(changed, "ETag") == seen), ("+33 6 12 34 56 78", False))
        refused(
            lambda: self.me.patients.update_patient(self.patient.id, seen, change), 412, "precondition-failed"
        )

    def pages_follow_each_other(self) -> None:
        agendas = client.AgendasApi(self._anybody)
        asked = {"profession": "physician", "specialty": "01", "limit": 2}
        first = agendas.list_offers(**asked)
        second = agendas.list_offers(**asked, cursor=first.next_cursor)
        expect(len({each.id for each in [*first.items, *second.items]}), 4)
        times = [each.starts_at for each in [*first.items, *second.items]]
        expect(times, sorted(times))
        practitioners = client.PractitionersApi(self._anybody)
        refused(lambda: practitioners.list_practitioners(cursor=first.next_cursor), 422, "cursor-invalid")

    def an_answer_waits_for_a_decision(self) -> None:
        self.me.patients.give_consent(
            self.patient.id, key(), client.ConsentCreate(text_version="2026-01", channel="app")
        )
        offer = client.AgendasApi(self._anybody).list_offers(profession="physician", specialty="01", limit=1)
        wanted = client.AppointmentCreate.from_dict(
            {"offer_id": offer.items[0].id, "patient_id": self.patient.id, "reason_code": "fever"}
        )
        same = key()
        made = until(
            "the offer", lambda: self.me.appointments.request_appointment(same, wanted, prefer="wait=5")
        )
        payment = self.me.payments.read_payment(made.id, prefer="wait=5")
        expect(payment.action.kind, "card-missing")
        self._appointment_id = made.id

    def events_go_on_after_the_last_one(self) -> None:
        path = f"/booking/v1/appointments/{self._appointment_id}/events"
        first, second = self._events(path, 2)
        [again] = self._events(path, 1, Last_Event_ID=first)
        expect(again, second)

    def _events(self, path: str, count: int, **headers: str) -> list[str]:
        told = {"Authorization": f"Bearer {self.me.token}"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        stream = urllib3.request("GET", self._front + path, headers=told, timeout=10, preload_content=False)
        found: list[str] = []
        for line in stream:
            name, _, value = line.decode().strip().partition(": ")
            if name == "id":
                found.append(value)
            if len(found) == count:
                break
        stream.close()
        return found

    def guessing_is_counted(self) -> None:
        verification = client.VerificationApi(self._anybody)
        answer = verification.verify_document_with_http_info("ORD-2026-00000-00000", "none")
        told = [header(answer, name).partition(";")[0] for name in ("RateLimit-Policy", "RateLimit")]
        expect(told, ['"verification"', '"verification"'])

    def not_yet_says_when(self) -> None:
        try:
            self.me.payments.read_payment(str(uuid4()))
        except ApiException as unknown:
            expect((unknown.status, int(unknown.headers["Retry-After"]) > 0), (404, True))
        else:
            raise AssertionError("an appointment nobody knows was read")

    def a_request_keeps_its_id_and_its_language(self) -> None:
        path, asked = f"/booking/v1/patients/{uuid4()}", {"X_Request_ID": "app-0000001"}
        answer = self.raw("GET", path, Accept_Language="fr", **asked)
        told = answer.json()
        named = answer.headers["X-Request-ID"], told["request_id"], told["title"]
        expect(named, ("app-0000001", "app-0000001", "Introuvable"))


def expect(found: Any, wanted: Any) -> None:
    if found != wanted:
        raise AssertionError(f"{found!r} and not {wanted!r}")


def refused(call: Callable[[], Any], status: int, code: str) -> None:
    try:
        call()
    except ApiException as problem:
        expect((problem.status, json.loads(problem.body)["type"]), (status, f"urn:problem:{code}"))
    else:
        raise AssertionError(f"{code} was expected, and it was accepted")


def main() -> int:
    caller = Caller(*sys.argv[1:3])
    ways = [name for name, each in vars(Caller).items() if callable(each) and not name.startswith("_")]
    for name in [each for each in ways if each != "raw"]:
        getattr(caller, name)()
        print(f"way of calling: {name.replace('_', ' ')}")  # noqa: T201 - this is what it is for
    return 0


if __name__ == "__main__":
    sys.exit(main())
