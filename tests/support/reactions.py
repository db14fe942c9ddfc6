"""Each reader in each of its states, brought there by facts, and what one more fact does to it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from booking.consumers import routes as booking_routes
from booking.domain.lifecycle import Status
from booking.models import Appointment
from claims.consumers import routes_of as claims_routes_of
from claims.usecases.config import config_of
from common.events.base import Event
from common.events.catalogue import CATALOGUE
from common.messaging.delivery import deliver
from common.messaging.records import Outcome
from common.messaging.routes import Routes
from documents.consumers import routes as documents_routes
from payment.consumers import routes as payment_routes
from payment.models import AppointmentRoot as PaymentStream
from support.records import record
from tools.event_documents import example

NOW: Final = datetime(2030, 1, 14, 18, 2, tzinfo=UTC)  # the examples' request is two minutes old
_FIRST: Final = 100  # what a fact under test is numbered after those that led to the state


# Where the example tells the milder of two stories.
_TOLD: Final[Mapping[str, Mapping[str, Any]]] = {
    "booking.appointment-moved": {
        "schedule_no": 2,
        "starts_at": "2030-01-16T09:00:00Z",
        "ends_at": "2030-01-16T09:15:00Z",
    },
    "claims.quote-voided": {"reason": "refused", "refusal": "no-tariff"},
}


_SAME: Final = (  # what an appointment and the event of its request call by one name
    "pathway",
    "territory",
    "exemption_related",
    "under_16",
    "minor_on_1_january",
    "profession",
    "specialty",
    "sector",
    "zone",
    "agreed_company",
    "third_party_payment",
    "currency",
    "fee_cents",
)


@dataclass(frozen=True, slots=True)
class Reader:
    routes: Routes
    # the facts that lead to each state, in order; a later one may be delivered to a state of another reader
    states: Mapping[str, tuple[str, ...]]


def readers(keys: Any, terms: Any) -> dict[str, Reader]:
    return {
        "booking": Reader(booking_routes, {status.value: () for status in Status}),
        "claims": Reader(
            claims_routes_of(config_of(keys, terms)),
            {
                "unknown": (),
                "live": ("booking.appointment-requested",),
                "started": ("booking.appointment-requested", "booking.consultation-started"),
                "ended": ("booking.appointment-requested", "booking.appointment-cancelled"),
                "unpriced": ("booking.appointment-requested", "without a price"),
                "priced": ("booking.appointment-requested", "booking.consultation-completed"),
            },
        ),
        "payment": Reader(
            payment_routes,
            {
                "unknown": (),
                "quoted": ("claims.quote-issued",),
                "failed": ("claims.quote-issued", "failed"),
                "ended": ("claims.quote-issued", "booking.appointment-cancelled"),
                "priced": ("claims.quote-issued", "claims.care-priced"),
            },
        ),
        "documents": Reader(
            documents_routes,
            {
                "unknown": (),
                "expected": ("booking.appointment-requested",),
                "started": ("booking.appointment-requested", "booking.consultation-started"),
                "completed": ("booking.appointment-requested", "booking.consultation-completed"),
                "ended": ("booking.appointment-requested", "booking.appointment-cancelled"),
            },
        ),
    }


def fact(kind: str, **changes: Any) -> Event:
    """The example of the newest version, told a little differently."""
    event = max((version, each) for (name, version), each in CATALOGUE.items() if name == kind)[1]
    return event.model_validate_json(json.dumps({**example(event), **_TOLD.get(kind, {}), **changes}))


async def outcome_of(service: str, reader: Reader, state: str, kind: str, engine: AsyncEngine) -> Outcome:
    """How the reader ends the fact in that state; everything is rolled back."""
    async with _rolled_back(engine) as sessions:
        if service == "booking":
            await _given_appointment(sessions, state)
        for sequence, step in enumerate(reader.states[state], 1):
            if step == "failed":
                await _given_failed(sessions)
                continue
            event = _unpriceable() if step == "without a price" else fact(step)
            told = record(event, sequence=sequence, at=NOW)
            await deliver(told, reader.routes, sessions, now=NOW)
        # the next revision: the same one again would only be an older one
        later = {"revision": 2} if kind in reader.states[state] and "revision" in _fields(kind) else {}
        told = record(fact(kind, **later), sequence=_FIRST, at=NOW)
        return await deliver(told, reader.routes, sessions, now=NOW)


def _fields(kind: str) -> set[str]:
    return {name for (each, _), event in CATALOGUE.items() if each == kind for name in event.model_fields}


@asynccontextmanager
async def _rolled_back(engine: AsyncEngine) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    async with engine.connect() as connection:
        outer = await connection.begin()
        yield async_sessionmaker(connection, expire_on_commit=False, join_transaction_mode="create_savepoint")
        await outer.rollback()


def _unpriceable() -> Event:
    return fact("booking.consultation-completed", acts=[{"code": "XXX"}])


async def _given_failed(sessions: Any) -> None:
    async with sessions.begin() as session:
        await session.execute(update(PaymentStream).values(failed_at=NOW))


async def _given_appointment(sessions: Any, state: str) -> None:
    """Booking's own state does not come from others: the row as its use cases would leave it."""
    asked = json.loads(fact("booking.appointment-requested").model_dump_json())
    async with sessions.begin() as session:
        await session.execute(
            insert(Appointment).values(
                id=UUID(asked["appointment_id"]),
                version=1,
                status=Status(state),
                schedule_no=1,
                practitioner_id=UUID(asked["practitioner_id"]),
                practitioner_no=1,
                patient_id=UUID(asked["patient_id"]),
                account_id=UUID(asked["account_id"]),
                biller_id=UUID(asked["biller_id"]),
                consent_id=UUID(asked["patient_id"]),
                starts_at=datetime.fromisoformat(asked["starts_at"]),
                ends_at=datetime.fromisoformat(asked["ends_at"]),
                decide_by=NOW + timedelta(minutes=13),
                requested_at=NOW,
                payment_sequence=0,
                **{name: asked[name] for name in _SAME},
            )
        )
