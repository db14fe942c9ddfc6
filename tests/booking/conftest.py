from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import URL

from booking.api.app import create_app
from booking.domain.lifecycle import Status
from booking.models import Appointment, Practitioner
from common.clock import Clock
from common.db import Sessions
from common.wake import LocalWake
from support.booking import ADMINISTRATOR, ISSUER, PATIENT, RPPS, keyed, settings_for
from support.fixtures import database_of
from support.records import NOW

template, engine = database_of("booking")


@pytest.fixture
def clock() -> Clock:
    return Clock(read=lambda: NOW)


@pytest.fixture
async def app(committed: URL, clock: Clock) -> AsyncIterator[FastAPI]:
    settings = settings_for(committed)
    app = create_app(settings, clock=clock, wake=LocalWake())
    app.state.verifier = ISSUER.verifier()
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    base_url = "http://booking/booking/v1"
    async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
        yield client


@pytest.fixture
def direct(app: FastAPI) -> asyncpg.Pool:
    """To look at the tables behind the app's back."""
    return app.state.direct


@pytest.fixture
def given_practitioner(client: httpx.AsyncClient) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def given_practitioner(**overrides: Any) -> dict[str, Any]:
        body = {
            "rpps": RPPS,
            "profession": "physician",
            "specialty": "01",
            "sector": "s1",
            "zone": "metropole",
            "third_party_payment": "full",
            "fee_cents": 2500,
            "billing_number": "296991102",
            "title": "Docteur",
            "first_name": "Éloïse",
            "last_name": "Durand",
            "display_name": "Dr Éloïse Durand",
            "address": {"street": "3 rue du Port", "postal_code": "29200", "city": "Brest"},
            "phone": "+33 2 98 00 00 00",
        }
        answer = await client.post("/practitioners", json=body | overrides, headers=keyed(ADMINISTRATOR))
        assert answer.status_code == 201, answer.text
        practitioner: dict[str, Any] = answer.json()
        return practitioner

    return given_practitioner


@pytest.fixture
def given_offers(client: httpx.AsyncClient) -> Callable[..., Awaitable[list[dict[str, Any]]]]:
    async def given_offers(
        practitioner: dict[str, Any], *, at: datetime = NOW + timedelta(days=1), slots: int = 4
    ) -> list[dict[str, Any]]:
        """Quarters of an hour from `at` on, by one opening in the practitioner's agenda."""
        at = at.astimezone(ZoneInfo(practitioner["time_zone"]))
        end = at + timedelta(minutes=15 * slots)
        opening = {
            "on": at.date().isoformat(),
            "kind": "open",
            "from_time": at.strftime("%H:%M"),
            "to_time": end.strftime("%H:%M"),
            "slot_minutes": 15,
        }
        url = f"/practitioners/{practitioner['id']}"
        answer = await client.put(
            f"{url}/agenda",
            json={"rules": [], "exceptions": [opening]},
            headers=ADMINISTRATOR | {"If-Match": "*"},
        )
        assert answer.status_code == 200, answer.text
        found = await client.get(f"{url}/offers", params={"limit": 100})
        items: list[dict[str, Any]] = found.json()["items"]
        assert len(items) == slots
        return items

    return given_offers


@pytest.fixture
def given_patient(client: httpx.AsyncClient) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def given_patient(
        headers: dict[str, str] = PATIENT, *, consent: bool = True, **overrides: Any
    ) -> dict[str, Any]:
        body = {
            "relation": "self",
            "first_names": "Camille Anne",
            "birth_name": "Le Goff",
            "birth_date": "1985-05-14",
            "sex": "female",
            "email": "camille@example.test",
        }
        answer = await client.post("/patients", json=body | overrides, headers=keyed(headers))
        assert answer.status_code == 201, answer.text
        patient: dict[str, Any] = answer.json()
        if consent:
            given = await client.post(
                f"/patients/{patient['id']}/consents",
                json={"text_version": "2026-01", "channel": "app"},
                headers=keyed(headers),
            )
            assert given.status_code == 201, given.text
        return patient

    return given_patient


@pytest.fixture
def request_time(client: httpx.AsyncClient) -> Callable[..., Awaitable[httpx.Response]]:
    async def request_time(
        offer: dict[str, Any],
        patient: dict[str, Any],
        *,
        headers: dict[str, str] = PATIENT,
        key: str | None = None,
        prefer: str | None = None,
        **overrides: Any,
    ) -> httpx.Response:
        body = {"offer_id": offer["id"], "patient_id": patient["id"], "reason_code": "fever"} | overrides
        sent = keyed(headers, key) | ({"Prefer": prefer} if prefer else {})
        return await client.post("/appointments", json=body, headers=sent)

    return request_time


@pytest.fixture
def given_appointment(sessions: Sessions) -> Callable[..., Awaitable[Appointment]]:
    """A row in the database that is rolled back: for deliveries, which need no HTTP."""

    async def given_appointment(**overrides: Any) -> Appointment:
        async with sessions.begin() as session:
            practitioner = Practitioner(
                id=uuid4(),
                version=1,
                rpps=f"{uuid4().int % 10**11:011d}",
                biller_id=uuid4(),
                profession="physician",
                specialty="01",
                sector="s1",
                zone="metropole",
                agreed_company=False,
                third_party_payment="full",
                currency="EUR",
                fee_cents=2500,
                title="Docteur",
                first_name="Éloïse",
                last_name="Durand",
                display_name="Dr Éloïse Durand",
                sort_name="durand eloise",
                street="3 rue du Port",
                postal_code="29200",
                city="Brest",
                phone="+33 2 98 00 00 00",
                languages=["fr"],
                time_zone="Europe/Paris",
                words="durand",
                created_at=NOW,
                agenda_revision=0,
            )
            session.add(practitioner)
            await session.flush()
            defaults = {
                "id": uuid4(),
                "version": 1,
                "status": Status.REQUESTED,
                "schedule_no": 1,
                "practitioner_id": practitioner.id,
                "practitioner_no": practitioner.no,
                "patient_id": uuid4(),
                "account_id": uuid4(),
                "starts_at": NOW + timedelta(days=1),
                "ends_at": NOW + timedelta(days=1, minutes=15),
                "decide_by": NOW + timedelta(minutes=15),
                "requested_at": NOW,
                "consent_id": uuid4(),
                "pathway": "regular-doctor",
                "territory": "near",
                "exemption_related": False,
                "under_16": False,
                "minor_on_1_january": False,
                "biller_id": practitioner.biller_id,
                "profession": "physician",
                "specialty": "01",
                "sector": "s1",
                "zone": "metropole",
                "agreed_company": False,
                "third_party_payment": "full",
                "currency": "EUR",
                "fee_cents": 2500,
                "payment_sequence": 0,
            }
            appointment = Appointment(**defaults | overrides)
            session.add(appointment)
        return appointment

    return given_appointment
