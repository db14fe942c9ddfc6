"""Who calls claims in tests, the facts of one appointment, and the settings its app is made with."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import URL

from claims.domain.returns import PayerReturn, ReturnKind
from claims.models import Leg, Submission
from claims.settings import ClaimingSettings, Settings
from common.events.booking import (
    AppointmentAbandonedV1,
    AppointmentCancelledV1,
    AppointmentMovedV1,
    AppointmentRequestedV1,
    ConsultationCompletedV1,
    ConsultationNotBilledV1,
    ConsultationStartedV1,
    PatientAbsentV1,
)
from common.events.payment import CapturedV1, ShortV1
from common.messaging.records import Record
from common.settings import KafkaSettings, KeySettings, PostgresSettings, ServiceIdentity, sample_key
from support.records import NOW, record
from support.tokens import TOKENS, Issuer

ISSUER: Final = Issuer()
ACCOUNT: Final = UUID(int=1)
RPPS: Final = "10001234565"

PATIENT: Final = ISSUER.bearer("patient", subject=ACCOUNT)
STRANGER: Final = ISSUER.bearer("patient", subject=UUID(int=2))
PRACTITIONER: Final = ISSUER.bearer("practitioner", subject=UUID(int=3), rpps=RPPS)
SUPPORT: Final = ISSUER.bearer("support", subject=UUID(int=5))
ADMINISTRATOR: Final = ISSUER.bearer("administrator", subject=UUID(int=6))
SERVICE: Final = ISSUER.bearer("service", subject=UUID(int=7), client_id="documents")

NIR: Final = "185057800608491"
CONTRACTED: Final = {"number": "99100001", "member_number": "A123456"}
NOT_CONTRACTED: Final = {"number": "99100004", "member_number": "B654321"}
GATEWAY_KEY: Final = "sample-gateway"

BOOKED: Final = NOW
STARTS: Final = NOW + timedelta(days=2, hours=1)  # Monday 3 June 2030, 10:00 UTC
COMPLETED: Final = STARTS + timedelta(minutes=14)


def keyed(headers: dict[str, str], key: str | None = None) -> dict[str, str]:
    """The headers with an Idempotency-Key, a new one unless it is given."""
    return headers | {"Idempotency-Key": key or uuid4().hex}


def settings_for(url: URL) -> Settings:
    dsn = SecretStr(url.set(drivername="postgresql").render_as_string(hide_password=False))
    return Settings(
        environment="development",
        postgres=PostgresSettings(dsn=dsn, api_pool=5, worker_pool=3, direct_pool=5),
        kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"),
        tokens=TOKENS,
        identity=ServiceIdentity(
            token_url="http://issuer.test/token", client_id="claims", client_secret=SecretStr("sample")
        ),
        keys=KeySettings(
            master={"one": SecretStr(sample_key("master"))},
            active="one",
            index=SecretStr(sample_key("index")),
            cursor=SecretStr(sample_key("cursor")),
        ),
        gateway_url="http://payers/simulators/payers",
        gateway_key=SecretStr(GATEWAY_KEY),
        claiming=ClaimingSettings(
            gather_for=timedelta(), poll_every=timedelta(seconds=1), poll_idle_every=timedelta(seconds=1)
        ),
    )


@dataclass
class Facts:
    """The events of one appointment, numbered as booking numbers them."""

    appointment_id: UUID = field(default_factory=uuid4)
    patient_id: UUID = field(default_factory=uuid4)
    practitioner_id: UUID = field(default_factory=uuid4)
    biller_id: UUID = field(default_factory=uuid4)
    preview_id: UUID | None = None
    asked: dict[str, Any] = field(default_factory=dict)

    def requested(self, *, sequence: int = 1, **answers: Any) -> Record:
        event = AppointmentRequestedV1(
            **self._about(),
            **self._coded(),
            **answers,
            decide_by=BOOKED + timedelta(minutes=15),
            preview_id=self.preview_id,
        )
        return record(event, sequence=sequence, at=BOOKED)

    def moved(self, *, to: datetime, schedule_no: int = 2, sequence: int = 3, **ages: Any) -> Record:
        about = self._about() | {
            "starts_at": to,
            "ends_at": to + timedelta(minutes=15),
            "schedule_no": schedule_no,
        }
        event = AppointmentMovedV1(**about, **ages, decide_by=BOOKED + timedelta(hours=1))
        return record(event, sequence=sequence)

    def started(self, *, sequence: int = 3) -> Record:
        return record(ConsultationStartedV1(**self._about(), started_at=STARTS), sequence=sequence, at=STARTS)

    def completed(self, *, sequence: int = 4, acts: tuple[str, ...] = (), **overrides: Any) -> Record:
        event = ConsultationCompletedV1(
            **self._about()
            | self._coded()
            | {
                "completed_at": COMPLETED,
                "acts": [{"code": code} for code in acts],
                "overrun_qualifier": None,
                "outcome": "treated",
            }
            | overrides,
        )
        return record(event, sequence=sequence, at=COMPLETED)

    def cancelled(self, *, sequence: int = 3) -> Record:
        event = AppointmentCancelledV1(
            **self._about(), cancelled_by="patient", cancelled_at=STARTS - timedelta(hours=3)
        )
        return record(event, sequence=sequence)

    def abandoned(self, *, sequence: int = 2) -> Record:
        return record(AppointmentAbandonedV1(**self._about(), reason="hold-failed"), sequence=sequence)

    def not_billed(self, *, sequence: int = 4) -> Record:
        return record(ConsultationNotBilledV1(**self._about(), reason="unsuitable"), sequence=sequence)

    def patient_absent(self, *, sequence: int = 3) -> Record:
        return record(PatientAbsentV1(**self._about()), sequence=sequence)

    def captured(self, cents: int, *, total: int | None = None, sequence: int = 2) -> Record:
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
        return record(event, sequence=sequence, at=COMPLETED)

    def short(self, cents: int, *, sequence: int = 2) -> Record:
        event = ShortV1.model_validate(
            {
                "appointment_id": self.appointment_id,
                "currency": "EUR",
                "captured_cents": 0,
                "short_cents": cents,
            }
        )
        return record(event, sequence=sequence, at=COMPLETED)

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
            "biller_id": self.biller_id,
            "profession": "physician",
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
        } | self.asked


PSYCHOLOGIST: Final = {
    "profession": "psychologist",
    "specialty": "00",
    "sector": "none",
    "third_party_payment": "none",
    "fee_cents": 6000,
}

# A doctor that a preview is asked about without naming one.
PRACTICE = {
    "profession": "physician",
    "specialty": "01",
    "sector": "s1",
    "third_party_payment": "full",
    "fee_cents": 2500,
}


def returned(leg: Leg, submission: Submission, kind: ReturnKind, **said: Any) -> PayerReturn:
    """A line of a return about a claim that was sent, of its first attempt unless told otherwise."""
    fields: dict[str, Any] = {
        "payer": leg.payer,
        "return_id": UUID(int=0),
        "line": 1,
        "kind": kind,
        "batch_id": submission.batch_id,
        "biller_id": leg.biller_id,
        "invoice_no": leg.invoice_no,
        "attempt": 1,
        "accepted": None,
        "amount_cents": None,
        "code": None,
    }
    return PayerReturn(**fields | said)
