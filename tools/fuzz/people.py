"""Who calls, with which token, and which ids are real: those of the journeys, and things to be used up."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx

from common.clock import wall
from local.configuration import AUDIENCE, ISSUER
from local.examples import operations
from local.journeys.bodies import practitioner
from local.journeys.diary import Diary
from local.paths import REPOSITORY

_OPENAPI: Final = REPOSITORY / "docs/openapi"
_ME: Final = "1.2"  # the journey of the patient who calls: the fund pays its part, the patient the rest
_OTHER: Final = "1.1"
_REJECTED: Final = "1.10"  # its complementary insurer refused
_GP_RPPS: Final = "10001234565"
_CARD: Final = "4242424242424242"
_CARDS: Final = ("5555555555554444", "4000000000000002", "4000002760003184")
_BOOKED: Final = 20  # offers that the examples take; requests are made up from the others
_PATIENCE_SECONDS: Final = 60
_ATTEMPTS: Final = 3  # of a file that is refused
_TO_END: Final = (
    "cancel_appointment",
    "declare_unsuitable",
    "report_practitioner_absent",
)
_SOON: Final = timedelta(seconds=20)
# A consultation can be opened from 15 minutes before its time: with these more than one at once.
_SLOT_MINUTES: Final = 5
_TREATED: Final = {
    "acts": [{"code": "TCG"}],
    "fee_cents": 2500,
    "outcome": "treated",
    "exemption_related": False,
}
_COLLEAGUE: Final = practitioner("gp") | {
    "rpps": "10101234560",
    "billing_number": "296991110",
    "first_name": "Anne",
    "last_name": "Roussel",
    "display_name": "Dr Anne Roussel",
}
_CHILD: Final = {
    "relation": "child",
    "first_names": "Léo",
    "birth_name": "Garnier",
    "birth_date": "2019-04-12",
    "sex": "male",
}
_OFFER: Final = {"name": "Ville d'exemple", "kind": "FIXED", "cents": 500, "valid_from": "2026-01-01"}
_NO_SUCH_ACT: Final = _TREATED | {"acts": [{"code": "ZZZ"}]}
_ANSWERED: Final = {"pathway": "regular-doctor", "territory": "near", "exemption_related": False}

# What no request of a tool can bring about.
NOT_REACHED: Final = frozenset(
    {
        "report_patient_absent",  # the time of the appointment has to pass
        "report_practitioner_absent",  # likewise
        "receive_provider_event",  # the card provider signs it
        "price_unpriced_care",  # the tables have to change
    }
)

Values = Mapping[str, Sequence[Any]]
Example = Mapping[str, Any]  # path, header and body of one request that succeeds once


@dataclass(frozen=True, slots=True)
class People:
    """`values` are real ones of parameters and fields anywhere; `examples` are requests that succeed once."""

    tokens: Mapping[str, str]
    values: Values
    examples: Mapping[str, Sequence[Example]]


class Platform:
    """The platform as the people of the journeys call it; raises for every answer that is no success."""

    def __init__(self, http: httpx.Client, data: Path) -> None:
        self._http = http
        self.steps = Diary(data / "journeys.jsonl")
        self._busy: dict[str, str] = {}  # beginnings of visits that are not over, by appointment
        self._secrets = json.loads((data / "secrets.json").read_text(encoding="utf-8"))
        self.gp = self.steps["practitioner.gp"]
        someone = self.steps["administrator"]
        self.tokens = {
            "patient": self._person("patient", self.steps[f"{_ME}.account"]),
            "practitioner": self._person("practitioner", self.gp["subject"], rpps=_GP_RPPS),
            "other": self._person("patient", self.steps[f"{_OTHER}.account"]),
            "pharmacist": self._person("pharmacist", someone),
            "support": self._person("support", someone),
            "administrator": self._person("administrator", someone),
            "service": self._token(
                grant_type="client_credentials",
                client_id="documents",
                client_secret=self._secrets["documents.client"],
            ),
        }
        claimed, _, _ = self.tokens["patient"].rpartition(".")
        _, _, signature = self.tokens["support"].rpartition(".")
        self.tokens["impostor"] = f"{claimed}.{signature}"

    def _person(self, role: str, subject: str, **more: str) -> str:
        return self._token(grant_type="urn:dev:person", role=role, subject=subject, **more)

    def _token(self, **form: str) -> str:
        answer = self._http.post(f"{ISSUER}/token", data={"audience": AUDIENCE, **form}).raise_for_status()
        return str(answer.json()["access_token"])

    def get(self, path: str, role: str = "patient", **query: Any) -> Any:
        return self.ask("GET", path, role, params=query).json()

    def post(self, path: str, body: Any = None, role: str = "patient") -> Any:
        return self.ask("POST", path, role, json=body or {}).json()

    def ask(self, method: str, path: str, role: str, **content: Any) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {self.tokens[role]}",
            "Idempotency-Key": str(uuid4()),
            "Prefer": "wait=5",
            **content.pop("headers", {}),
        }
        answer = self._http.request(method, path, headers=headers, **content)
        if answer.is_error:
            raise SystemExit(f"fuzz: {method} {path} answered {answer.status_code}: {answer.text}")
        return answer

    def until(self, path: str, role: str, good: Callable[[Any], bool]) -> Any:
        """The answer once it is good. Raises SystemExit after a minute."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not good(found := self.get(path, role)):
            if time.monotonic() > deadline:
                raise SystemExit(f"fuzz: {path} stays {found}")
            time.sleep(0.1)
        return found

    def outside(self, path: str, body: Mapping[str, Any]) -> Any:
        """What is not the platform: the card provider's page, the controls of a simulator."""
        return self._http.post(f"/simulators{path}", json=body).raise_for_status().json()

    def card_token(self, number: str) -> str:
        card = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        return str(self.outside("/card/tokens", card)["token"])

    def add_card(self) -> str:
        mandate = {"text_version": "2026-01", "accepted": True, "ceiling_cents": 3000}
        body = {"provider_token": self.card_token(_CARD), "mandate": mandate}
        return str(self.post("/payment/v1/cards", body)["id"])

    def doctor(self, rpps: str) -> tuple[str, list[Any]]:
        """Another one: the name of their token, and the times that are free for them and the patient."""
        described = practitioner("gp") | {"rpps": rpps}
        made = self.post("/booking/v1/practitioners", described, "administrator")["id"]
        name = f"practitioner-{rpps}"
        self.tokens[name] = self._person("practitioner", str(uuid4()), rpps=rpps)
        busy = set(self._busy.values())
        return name, [each for each in self.open_agenda(made) if each["starts_at"] not in busy]

    def open_agenda(self, practitioner_id: str) -> list[Any]:
        """Every day around the clock, in short times; those that are free from now on."""
        whole_day = {"from_time": "00:00", "to_time": "00:00", "slot_minutes": _SLOT_MINUTES, "mode": "video"}
        path = f"/booking/v1/practitioners/{practitioner_id}"
        known = self.ask("GET", f"{path}/agenda", "administrator").headers.get("ETag")
        body = {"rules": [{"weekday": day, **whole_day} for day in range(1, 8)], "exceptions": []}
        headers = {"If-Match": known} if known else {}
        self.ask("PUT", f"{path}/agenda", "administrator", json=body, headers=headers)
        soon = (self._now() + _SOON).isoformat()
        asked: dict[str, Any] = {"from": soon, "limit": 100}
        found: list[Any] = self.get(f"{path}/offers", **asked)["items"]
        return found

    def _now(self) -> datetime:
        """The clock of the platform is shifted; the time of a consent tells it."""
        path = f"/booking/v1/patients/{self.steps[f'{_ME}.patient']}/consents"
        given = self.post(path, {"text_version": "2026-01", "channel": "app"})
        return datetime.fromisoformat(given["given_at"]).astimezone(UTC)

    def book(self, offer: Mapping[str, Any], **more: Any) -> str:
        made = str(self.post("/booking/v1/appointments", self.wanted(offer) | more)["id"])
        self._busy[made] = offer["starts_at"]
        return made

    def wanted(self, offer: Mapping[str, Any]) -> dict[str, Any]:
        patient = self.steps[f"{_ME}.patient"]
        return {"offer_id": offer["id"], "patient_id": patient, "reason_code": "fever", **_ANSWERED}

    def visit(
        self, appointment_id: str, completion: Mapping[str, Any] | None, role: str = "practitioner"
    ) -> None:
        path = f"/booking/v1/appointments/{appointment_id}"
        self.until(path, "patient", lambda seen: seen["status"] == "confirmed")
        self.post(f"{path}/start", role=role)
        if completion is not None:
            self.post(f"{path}/completion", completion, role)
            del self._busy[appointment_id]


def people(front: str, data: Path) -> People:
    """Raises SystemExit with the answer when something cannot be made ready."""
    with httpx.Client(base_url=front, timeout=20) as http:
        platform = Platform(http, data)
        # First these: the patient sees other doctors at the few times that can be opened by now.
        claimed = _claims(platform)
        offers = platform.open_agenda(platform.gp["id"])
        free = iter(offers[:_BOOKED])
        values = _values(platform, offers[_BOOKED:])
        examples = {
            **_reads(values),
            **_booking(platform, free),
            **_practitioners(platform),
            **claimed,
            **_documents(platform),
            **_payment(platform, free),
        }
        return People(platform.tokens, values, examples)


Examples = dict[str, list[Example]]


def _reads(values: Values) -> Examples:
    """Every GET of something has to find what there is."""
    document = json.loads((_OPENAPI / "platform.json").read_text(encoding="utf-8"))
    found: Examples = {}
    for path, method, operation in operations(document):
        names = re.findall(r"{(\w+)}", path)
        if method == "get" and names:
            found[operation["operationId"]] = [{"path": {name: values[f"path.{name}"][0] for name in names}}]
    return found


def _booking(platform: Platform, free: Iterator[Any]) -> Examples:
    """One request for each operation that ends what it is given, or asks for more than a schema can say."""
    # The last visit of the journeys ends in six minutes: two can be opened now, the third in a minute.
    complete, uncoded, start = (platform.book(next(free)) for _ in range(3))
    platform.visit(complete, None)
    platform.visit(uncoded, _NO_SUCH_ACT)
    of_care = {"path": {"appointment_id": uncoded}}
    patient = platform.steps[f"{_ME}.patient"]
    seen = platform.ask("GET", f"/booking/v1/patients/{patient}", "patient")
    ended: Examples = {name: [{"path": {"appointment_id": platform.book(next(free))}}] for name in _TO_END}
    _, theirs = platform.doctor("10001234581")
    failing = platform.book(theirs[0])  # a failure is told of a consultation that can be opened by now
    return {
        **ended,
        "report_technical_failure": [{"path": {"appointment_id": failing}}],
        "move_appointment": [
            {
                "path": {"appointment_id": platform.book(next(free))},
                "body": {"offer_id": next(free)["id"]},
            }
        ],
        "start_consultation": [{"path": {"appointment_id": start}}],
        "cancel_visits": [
            {
                "path": {"practitioner_id": platform.gp["id"]},
                "body": {
                    "appointment_ids": [platform.book(next(free))],
                    "reason": "practitioner-unavailable",
                },
            }
        ],
        "complete_consultation": [{"path": {"appointment_id": complete}, "body": _TREATED}],
        "request_appointment": [{"body": platform.wanted(next(free))}],
        "update_patient": [
            {
                "path": {"patient_id": patient},
                "header": {"If-Match": seen.headers["ETag"]},
                "body": {"phone": "+33 6 12 34 56 79"},
            }
        ],
        "read_unpriced_care": [of_care],
        "correct_coding": [{**of_care, "body": {"acts": ["TCG"]}}],
    }


def _practitioners(platform: Platform) -> Examples:
    path = {"practitioner_id": platform.steps["practitioner.psychologist"]["id"]}
    address = f"/booking/v1/practitioners/{path['practitioner_id']}"
    person, agenda = (platform.ask("GET", address + part, "administrator") for part in ("", "/agenda"))
    rule = {"weekday": 1, "from_time": "09:00", "to_time": "12:00", "slot_minutes": 30, "mode": "video"}
    return {
        "create_practitioner": [{"body": _COLLEAGUE}],
        "update_practitioner": [
            {
                "path": path,
                "header": {"If-Match": person.headers["ETag"]},
                "body": {"languages": ["fr", "en"]},
            }
        ],
        "write_agenda": [
            {
                "path": path,
                "header": {"If-Match": agenda.headers["ETag"]},
                "body": {"rules": [rule], "exceptions": []},
            }
        ],
    }


def _claims(platform: Platform) -> Examples:
    """A leg and a balance of the journey whose insurer refused, two legs paid in part, one never read."""
    rejected = platform.steps[f"{_REJECTED}.appointment"]["id"]
    care = platform.get(f"/claims/v1/appointments/{rejected}/care-act", "support")
    leg = next(each["id"] for each in care["legs"] if each["state"] == "rejected")
    # A doctor for each: the visits follow one another at the first free time.
    disputed, given_up = (_paid_in_part(platform, rpps) for rpps in ("10001234573", "10001234599"))
    unread = _never_read(platform, "10001234607")
    child = platform.post("/booking/v1/patients", _CHILD)["id"]
    stated = {"insured": "yes", "birth_date": "1988-04-12"}
    first = platform.ask("PUT", f"/claims/v1/patients/{child}/coverage", "patient", json=stated)
    return {
        "put_coverage": [
            {"path": {"patient_id": child}, "header": {"If-Match": first.headers["ETag"]}, "body": stated}
        ],
        "add_sponsor_offer": [{"body": _OFFER}],
        "write_balance_off": [
            {
                "path": {"appointment_id": rejected, "balance_id": care["balances"][0]["id"]},
                "body": {"reason": "goodwill"},
            }
        ],
        "correct_leg": [{"path": {"appointment_id": rejected, "leg_id": leg}}],
        "hand_over_paper": [{"path": unread, "body": {"reason": "no-file-reaches-the-fund"}}],
        "dispute_leg": [{"path": disputed, "body": {"reason": "amount-differs"}}],
        "write_leg_off": [{"path": given_up, "body": {"reason": "no-answer"}}],
        "import_returns_file": [
            {"body": {"format": "returns-1", "text": f"returns-1;{uuid4()};amc:99100001\nend;0;0\n"}}
        ],
    }


def _never_read(platform: Platform, rpps: str) -> dict[str, Any]:
    """A claim whose file the fund has refused as often as it is sent by itself."""
    script = {"behaviour": "negative-acknowledgement", "times": _ATTEMPTS}
    platform.outside("/controls/payers/scripts", script)
    return _claimed(platform, rpps, lambda leg: (leg["state"], leg["attempt"]) == ("nacked", _ATTEMPTS))


def _paid_in_part(platform: Platform, rpps: str) -> dict[str, Any]:
    script = {"behaviour": "partial", "cents": 1000, "times": 1}
    platform.outside("/controls/payers/scripts", script)
    return _claimed(platform, rpps, lambda leg: leg["state"] == "partially-paid")


def _claimed(platform: Platform, rpps: str, wanted: Callable[[Any], bool]) -> dict[str, Any]:
    """The leg of a visit at a new doctor, once it is as wanted."""
    role, [offer, *_] = platform.doctor(rpps)
    appointment = platform.book(offer)
    platform.visit(appointment, _TREATED, role)
    path = f"/claims/v1/appointments/{appointment}/care-act"
    care = platform.until(path, "support", lambda seen: wanted(seen["legs"][0]))
    return {"appointment_id": appointment, "leg_id": care["legs"][0]["id"]}


def _documents(platform: Platform) -> Examples:
    listed = platform.get(f"/documents/v1/patients/{platform.steps[f'{_OTHER}.patient']}/documents", "other")
    drugs = next(each for each in listed["items"] if each["folder"] == "drugs")
    _, _, code = drugs["verification"]["url"].rpartition("=")
    return {
        "create_dispensation": [
            {"path": {"document_id": drugs["id"]}, "body": {"code": code, "lines": [{"position": 1}]}}
        ],
        "create_prescription": [
            {
                "path": {"appointment_id": platform.steps[f"{_ME}.appointment"]["id"]},
                "body": {
                    "folder": "biology",
                    "lines": [{"type": "free", "text": "Ferritine", "indication": "à jeun"}],
                },
            }
        ],
    }


def _payment(platform: Platform, free: Iterator[Any]) -> Examples:
    """Something captured, an appointment that waits for a card, and one that waits for a higher price."""
    captured = platform.steps[f"{_ME}.appointment"]["id"]
    for card in platform.get("/payment/v1/cards")["items"]:
        platform.ask("DELETE", f"/payment/v1/cards/{card['id']}", "patient")
    without_card = platform.book(next(free))
    _awaiting(platform, without_card, "card-missing")
    card = platform.add_card()
    offer = next(free)
    preview = platform.post("/claims/v1/previews", _question(platform))["id"]
    _forget_number(platform)
    dearer = platform.book(offer, preview_id=preview)
    _awaiting(platform, dearer, "price-above-preview")
    return {
        "create_refund": [{"path": {"appointment_id": captured}, "body": {"amount_cents": 100}}],
        "choose_card": [{"path": {"appointment_id": without_card}, "body": {"card_id": card}}],
        "withdraw_mandate": [{"path": {"card_id": platform.add_card()}}],
        "accept_price": [{"path": {"appointment_id": dearer}, "body": {"advance_cents": 2500}}],
    }


def _awaiting(platform: Platform, appointment_id: str, action: str) -> None:
    path = f"/payment/v1/appointments/{appointment_id}"
    platform.until(
        path, "patient", lambda seen: seen["action"] is not None and seen["action"]["kind"] == action
    )


def _question(platform: Platform) -> dict[str, Any]:
    return {
        "practitioner_id": platform.gp["id"],
        "patient_id": platform.steps[f"{_ME}.patient"],
        "care_on": wall().date().isoformat(),
        **_ANSWERED,
    }


def _forget_number(platform: Platform) -> None:
    path = f"/claims/v1/patients/{platform.steps[f'{_ME}.patient']}/coverage"
    seen = platform.ask("GET", path, "patient")
    body = {"insured": "yes", "birth_date": seen.json()["birth_date"]}
    platform.ask("PUT", path, "patient", json=body, headers={"If-Match": seen.headers["ETag"]})


def _values(platform: Platform, offers: Sequence[Any]) -> Values:
    """Ids that the patient may see, and of what is somebody else's."""
    steps = platform.steps
    mine, other = (steps[f"{each}.appointment"]["id"] for each in (_ME, _OTHER))
    appointments = [mine, mine, other]
    patients = [steps[f"{_ME}.patient"], steps[f"{_OTHER}.patient"]]
    documents = platform.get(f"/documents/v1/patients/{patients[0]}/documents")["items"]
    care = platform.get(f"/claims/v1/appointments/{mine}/care-act")
    return {
        "path.appointment_id": appointments,
        "path.patient_id": patients,
        # not the doctor of the examples: withdrawing them would end their free times
        "path.practitioner_id": [steps["practitioner.psychologist"]["id"]],
        "path.card_id": [platform.add_card()],
        "path.preview_id": [steps[f"{_ME}.preview"], steps[f"{_OTHER}.preview"]],
        "path.leg_id": [each["id"] for each in care["legs"]],
        "path.revision": [1, 2],
        "path.document_id": [each["id"] for each in documents],
        "path.number": [each["number"] for each in documents if each["number"]],
        "query.appointment_id": appointments,
        "query.patient_id": patients,
        "body.offer_id": [each["id"] for each in offers],
        "body.patient_id": patients,
        "body.practitioner_id": [platform.gp["id"]],
        "body.preview_id": [steps[f"{_ME}.preview"]],
        "body.provider_token": [platform.card_token(number) for number in _CARDS],
        "body.reason_code": ["fever", "chest-pain", "back-or-joint-pain"],
        "header.If-Match": ['"1"', '"2"', '"3"'],
    }
