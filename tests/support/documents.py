"""Who calls documents in tests, the facts of one appointment, and what booking and claims answer about it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
from pydantic import SecretStr
from sqlalchemy import URL

from common.events.booking import (
    AppointmentRequestedV1,
    ConsultationCompletedV1,
    ConsultationNotBilledV1,
    ConsultationStartedV1,
    PatientErasedV1,
    PatientLinkedV1,
    PractitionerPublishedV1,
)
from common.events.claims import CarePricedV1
from common.events.payment import CapturedV1, ShortV1
from common.messaging.records import Record
from common.settings import KafkaSettings, KeySettings, PostgresSettings, ServiceIdentity, sample_key
from documents.settings import Settings
from support.records import NOW, record
from support.tokens import TOKENS, Issuer

ISSUER: Final = Issuer()
ACCOUNT: Final = UUID(int=1)
RPPS: Final = "10001234565"

PATIENT: Final = ISSUER.bearer("patient", subject=ACCOUNT)
STRANGER: Final = ISSUER.bearer("patient", subject=UUID(int=2))
PRACTITIONER: Final = ISSUER.bearer("practitioner", subject=UUID(int=3), rpps=RPPS)
COLLEAGUE: Final = ISSUER.bearer("practitioner", subject=UUID(int=4), rpps="10009876548")
SUPPORT: Final = ISSUER.bearer("support", subject=UUID(int=5))
PHARMACIST: Final = ISSUER.bearer("pharmacist", subject=UUID(int=6))

STARTS: Final = NOW - timedelta(minutes=30)
COMPLETED: Final = NOW - timedelta(minutes=15)

DRUG: Final = {
    "type": "drug",
    "label": "AMOXICILLINE 1 g",
    "dosage": "1 comprimé matin et soir",
    "duration_days": 6,
}
PRESCRIPTION: Final = {"folder": "drugs", "lines": [DRUG]}
REPORT: Final = {"sections": [{"title": "Conclusion", "text": "Angine virale, traitement symptomatique."}]}

MODES: Final[dict[str, dict[str, int]]] = {
    "TP": {"advance_cents": 0, "amo_claim_cents": 1750, "amc_claim_cents": 750},
    "TP+RECEIPT": {"advance_cents": 750, "amo_claim_cents": 1750, "amc_claim_cents": 0},
    "PAPER": {"advance_cents": 2500, "amo_claim_cents": 0, "amc_claim_cents": 0},
    "FSE": {"advance_cents": 2500, "amo_claim_cents": 0, "amc_claim_cents": 0},
    "INVOICE": {"advance_cents": 2500, "amo_claim_cents": 0, "amc_claim_cents": 0},
}


def keyed(headers: dict[str, str], key: str | None = None) -> dict[str, str]:
    """The headers with an Idempotency-Key, a new one unless it is given."""
    return headers | {"Idempotency-Key": key or uuid4().hex}


def settings_for(url: URL, folder: Path) -> Settings:
    dsn = SecretStr(url.set(drivername="postgresql").render_as_string(hide_password=False))
    return Settings(
        environment="development",
        postgres=PostgresSettings(dsn=dsn, api_pool=5, worker_pool=3, direct_pool=5),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        tokens=TOKENS,
        identity=ServiceIdentity(
            token_url="http://issuer.test/token", client_id="documents", client_secret=SecretStr("sample")
        ),
        keys=KeySettings(
            master={"one": SecretStr(sample_key("master"))},
            active="one",
            index=SecretStr(sample_key("index")),
            cursor=SecretStr(sample_key("cursor")),
        ),
        claims_url="http://claims.test",
        public_url="https://documents.example",
        storage_url=(folder / "storage").as_uri(),
        seal_directory=folder / "seal",
    )


@dataclass
class Facts:
    """The events of one appointment, numbered as their services number them."""

    appointment_id: UUID = field(default_factory=uuid4)
    patient_id: UUID = field(default_factory=uuid4)
    practitioner_id: UUID = field(default_factory=uuid4)
    mode: str = "TP+RECEIPT"
    profession: str = "physician"

    def requested(self) -> Record:
        event = AppointmentRequestedV1.model_validate(
            self._about() | self._coded() | {"decide_by": STARTS, "preview_id": None}
        )
        return record(event, sequence=1)

    def started(self) -> Record:
        event = ConsultationStartedV1.model_validate(self._about() | {"started_at": STARTS})
        return record(event, sequence=2)

    def completed(self) -> Record:
        event = ConsultationCompletedV1.model_validate(
            self._about()
            | self._coded()
            | {"completed_at": COMPLETED, "acts": [], "overrun_qualifier": None, "outcome": "treated"}
        )
        return record(event, sequence=3)

    def not_billed(self) -> Record:
        event = ConsultationNotBilledV1.model_validate(self._about() | {"reason": "technical-failure"})
        return record(event, sequence=3)

    def care_priced(self, *, revision: int = 1, sequence: int = 1, mode: str | None = None) -> Record:
        chosen = mode or self.mode
        event = CarePricedV1.model_validate(
            {
                "appointment_id": self.appointment_id,
                "patient_id": self.patient_id,
                "account_id": ACCOUNT,
                "practitioner_id": self.practitioner_id,
                "revision": revision,
                "coverage_version": 1,
                "currency": "EUR",
                "fee_cents": 2500,
                "base_cents": 0 if chosen == "INVOICE" else 2500,
                "amo_cents": 1750,
                "amc_cents": 750,
                "sponsor_cents": 0,
                "deferred_deductions_cents": 200,
                "sheet_mode": chosen,
                "table_version": "0" * 64,
                "care_act_id": uuid4(),
                "biller_id": self.practitioner_id,
                "completed_at": COMPLETED,
                "pathway_indicator": "T",
                "rights_pending": False,
            }
            | MODES[chosen]
        )
        return record(event, sequence=sequence)

    def captured(self, cents: int, *, total: int | None = None, sequence: int = 1) -> Record:
        event = CapturedV1.model_validate(
            {
                "appointment_id": self.appointment_id,
                "hold_id": uuid4(),
                "currency": "EUR",
                "captured_cents": cents,
                "released_cents": 0,
                "total_captured_cents": total,
            }
        )
        return record(event, sequence=sequence)

    def short(self, cents: int, *, captured: int = 0, sequence: int = 2) -> Record:
        event = ShortV1.model_validate(
            {
                "appointment_id": self.appointment_id,
                "currency": "EUR",
                "captured_cents": captured,
                "short_cents": cents,
            }
        )
        return record(event, sequence=sequence)

    def rights(self) -> list[Record]:
        """Lets the account act for the patient, and the practitioner's token speak for them."""
        published = {
            name: value
            for name, value in self._coded().items()
            if name not in {"pathway", "territory", "exemption_related", "under_16", "minor_on_1_january"}
        } | {"practitioner_id": self.practitioner_id, "rpps": RPPS}
        return [
            record(PatientLinkedV1(patient_id=self.patient_id, account_id=ACCOUNT)),
            record(PractitionerPublishedV1.model_validate(published)),
        ]

    def erased(self) -> Record:
        return record(PatientErasedV1(patient_id=self.patient_id), sequence=2)

    def _about(self) -> dict[str, Any]:
        return {
            "appointment_id": self.appointment_id,
            "patient_id": self.patient_id,
            "account_id": ACCOUNT,
            "practitioner_id": self.practitioner_id,
            "schedule_no": 1,
            "starts_at": STARTS,
            "ends_at": STARTS + timedelta(minutes=15),
        }

    def _coded(self) -> dict[str, Any]:
        return {
            "biller_id": self.practitioner_id,
            "profession": self.profession,
            "specialty": "01",
            "sector": "s1",
            "zone": "metropole",
            "agreed_company": False,
            "third_party_payment": "full",
            "currency": "EUR",
            "fee_cents": 2500,
            "pathway": "regular-doctor",
            "territory": "near",
            "exemption_related": False,
            "under_16": False,
            "minor_on_1_january": False,
        }


@dataclass
class Others:
    """Booking, claims and the issuer, as documents asks them; with `away` nobody answers."""

    rpps: str = RPPS
    away: bool = False
    asked: list[str] = field(default_factory=list)
    revision: int = 1
    nir: str | None = "255081416802538"

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 600})
        self.asked.append(f"{path.rpartition('/')[2]}:{request.url.params.get('purpose', '')}")
        if self.away:
            return httpx.Response(503)
        if path.endswith("/rights"):
            return httpx.Response(200, json={"allowed": False})
        answer = {
            "identity": self._identity,
            "insured": self._insured,
            "care-act": self._care_act,
        }[path.rpartition("/")[2]]
        return httpx.Response(200, json=answer())

    def _identity(self) -> dict[str, Any]:
        return {
            "appointment_id": str(uuid4()),
            "status": "completed",
            "starts_at": _iso(STARTS),
            "ends_at": _iso(STARTS),
            "started_at": _iso(STARTS),
            "ended_at": None,
            "patient": {
                "id": str(uuid4()),
                "first_names": "Zoé",
                "birth_name": "Gaëtan",
                "used_name": None,
                "birth_date": "1955-08-14",
                "sex": "female",
                "address": None,
                "phone": None,
                "email": None,
            },
            "practitioner": {
                "id": str(uuid4()),
                "rpps": self.rpps,
                "profession": "physician",
                "physician": True,
                "specialty": "01",
                "title": "Docteur",
                "first_name": "Hélène",
                "last_name": "Lefèvre",
                "display_name": "Dr Hélène Lefèvre",
                "address": {"street": "12 rue Neuve", "postal_code": "69002", "city": "Lyon"},
                "phone": "+33472000000",
                "time_zone": "Europe/Paris",
                "billing_number": "296991102",
            },
            "reason": {"code": "fever", "label_fr": "Fièvre", "label_en": "Fever", "red_flag": False},
        }

    def _insured(self) -> dict[str, Any]:
        return {
            "nir": self.nir,
            "provisional": False,
            "holder_name": None,
            "amc": {"number": "99100004", "name": "Mutuelle des Deux Rives", "contracted": False},
        }

    def _care_act(self) -> dict[str, Any]:
        return {
            "care_on": "2030-06-01",
            "revision": self.revision,
            "price": {
                "flat_contribution_cents": 200,
                "lines": [{"code": "TCG", "tariff_cents": 2500, "base_cents": 2500}],
                "pathway_indicator": "T",
                "exemption_code": None,
            },
        }


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
