"""From the booking to the signed document, over the platform as production runs it, through HTTP alone."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import psutil
import pytest

from common.clock import wall
from documents.signing import verify
from local.configuration import SERVICES
from local.journeys import bodies
from local.journeys.api import Api, Person
from local.journeys.script import JOURNEYS
from support.eventually import eventually
from support.production.platform import NotInTheFile, Platform, environment_of

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

JOURNEY = JOURNEYS[0]  # an insured person whose complementary insurer has a contract
PRESCRIPTION = JOURNEY.prescriptions[0]
PARIS = ZoneInfo("Europe/Paris")
PATIENCE_SECONDS = 60


def key() -> str:
    return str(uuid4())


@dataclass(frozen=True, slots=True)
class Told:
    """What the APIs tell the patient at the end."""

    appointment: dict[str, Any]
    payment: dict[str, Any]
    care: dict[str, Any]
    documents: list[dict[str, Any]]
    contents: list[bytes]


@dataclass(frozen=True, slots=True)
class Played:
    """The journey, and what was found while the platform ran and after its end."""

    told: Told
    kept: list[bytes]  # the objects of the bucket
    encrypted: dict[str, bool]  # whether all connections of a role are
    without_tls: BaseException | None
    forged: int  # the status that a token with another signature gets
    foreign: int  # that of somebody whom the appointment does not concern
    users: set[int]  # as whom the processes ran
    codes: dict[str, int]  # how the processes ended
    logs: dict[str, str]


@pytest.fixture(scope="session")
async def played(production: Platform) -> Played:
    """The clock is the real one. The visit is the next quarter of an hour: a doctor may begin so early."""
    api = Api(production.addresses)
    try:
        told = await _play(api, production)
        forged, foreign = await _strangers(production, told.appointment["id"])
        encrypted = await _encrypted(production)
        refused = await asyncio.gather(_connect_without_tls(production), return_exceptions=True)
    finally:
        await api.aclose()
    processes = production.processes
    users = {psutil.Process(child.pid).uids().real for child in processes.values()}
    codes = await asyncio.gather(*(child.stop() for child in processes.values()))
    return Played(
        told,
        [path.read_bytes() for path in production.outside.bucket.folder.rglob("*") if path.is_file()],
        encrypted,
        refused[0],
        forged,
        foreign,
        users,
        dict(zip(processes, codes, strict=True)),
        {name: child.log.read_text(encoding="utf-8") for name, child in processes.items()},
    )


async def _play(api: Api, production: Platform) -> Told:
    issuer = production.outside.keycloak

    async def logged_in(name: str, role: str, **more: str) -> Person:
        return api.with_token(await issuer.log_in(name, await issuer.add_person(name, role, **more)))

    patient = await logged_in("camille", "patient")
    doctor = await logged_in("morel", "practitioner", rpps=bodies.PRACTITIONERS["gp"]["rpps"])
    practitioner_id = await _agenda(await logged_in("admin", "administrator"))
    patient_id = await _registered(api, patient, production.outside.partners.card_provider)
    path = await _booked(patient, patient_id, practitioner_id)
    await _visit(doctor, path)
    return await eventually(lambda: _settled(patient, patient_id, path), within=PATIENCE_SECONDS, every=0.2)


async def _agenda(administrator: Person) -> str:
    made = await administrator.post("/booking/v1/practitioners", bodies.practitioner("gp"), key=key())
    await administrator.put(f"/booking/v1/practitioners/{made['id']}/agenda", bodies.agenda())
    return str(made["id"])


async def _registered(api: Api, patient: Person, card_provider: str) -> str:
    """With consent, insurance and a card."""
    made = await patient.post("/booking/v1/patients", bodies.patient(JOURNEY), key=key())
    await patient.post(f"/booking/v1/patients/{made['id']}/consents", bodies.CONSENT, key=key())
    listed = await patient.get("/claims/v1/amc-directory", q="99100")
    number = next(each["number"] for each in listed["items"] if each["contracted"])
    coverage = bodies.coverage(JOURNEY, 1, nir=True, amc_number=number)
    await patient.put(f"/claims/v1/patients/{made['id']}/coverage", coverage)
    card = await api.http.post(f"{card_provider}/tokens", json=bodies.card(JOURNEY))
    card.raise_for_status()
    saved = {"provider_token": card.json()["token"], "mandate": bodies.MANDATE}
    await patient.post("/payment/v1/cards", saved, key=key())
    return str(made["id"])


async def _booked(patient: Person, patient_id: str, practitioner_id: str) -> str:
    listed = await patient.get(f"/booking/v1/practitioners/{practitioner_id}/offers", limit=1)
    [offer] = listed["items"]
    care_on = datetime.fromisoformat(offer["starts_at"]).astimezone(PARIS).date().isoformat()
    asked = {"practitioner_id": practitioner_id, "care_on": care_on, "patient_id": patient_id}
    preview = await patient.post("/claims/v1/previews", asked | bodies.care(JOURNEY), key=key())
    body = {
        "offer_id": offer["id"],
        "patient_id": patient_id,
        "reason_code": JOURNEY.reason,
        "preview_id": preview["id"],
        **bodies.care(JOURNEY),
    }
    made = await patient.post("/booking/v1/appointments", body, key=key(), wait=5)
    path = f"/booking/v1/appointments/{made['id']}"

    async def confirmed() -> bool:
        status = (await patient.get(path))["status"]
        assert status in {"requested", "confirmed"}, status
        return bool(status == "confirmed")

    await eventually(confirmed, within=PATIENCE_SECONDS, every=0.1)
    return path


async def _visit(doctor: Person, path: str) -> None:
    await doctor.post(f"{path}/start")
    appointment = path.rpartition("/")[2]
    where = f"/documents/v1/appointments/{appointment}/prescriptions"
    await doctor.post(where, PRESCRIPTION, key=key(), wait=5)
    await doctor.post(f"{path}/completion", bodies.completion(JOURNEY))


async def _settled(patient: Person, patient_id: str, path: str) -> Told:
    """Raises AssertionError until payers, card and documents have come to an end."""
    appointment = path.rpartition("/")[2]
    payment = await patient.get(f"/payment/v1/appointments/{appointment}")
    care = await patient.get(f"/claims/v1/appointments/{appointment}/care-act")
    documents = (await patient.get(f"/documents/v1/patients/{patient_id}/documents"))["items"]
    assert {leg["state"] for leg in care["legs"]} == {"paid"}
    assert payment["held_cents"] == payment["captured_cents"] + payment["released_cents"]
    assert [each["status"] for each in documents] == ["issued"] * 2
    contents = [
        await patient.content(f"/documents/v1/documents/{document['id']}/content") for document in documents
    ]
    return Told(await patient.get(path), payment, care, documents, contents)


async def _strangers(production: Platform, appointment: str) -> tuple[int, int]:
    """The statuses of a token with another signature, and of the token of a pharmacist."""
    issuer = production.outside.keycloak
    token = await issuer.log_in("stranger", await issuer.add_person("stranger", "pharmacist"))
    url = f"{production.addresses.apis['booking']}/booking/v1/appointments/{appointment}"
    async with httpx.AsyncClient() as client:
        answers = [
            await client.get(url, headers={"authorization": f"Bearer {each}"})
            for each in (f"{token[:-8]}AAAAAAAA", token)
        ]
    return answers[0].status_code, answers[1].status_code


async def _encrypted(production: Platform) -> dict[str, bool]:
    connection = await production.outside.postgres.connect("postgres")
    try:
        rows = await connection.fetch(
            """
            SELECT usename, bool_and(ssl) AS encrypted FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
            WHERE backend_type = 'client backend' GROUP BY usename
            """
        )
    finally:
        await connection.close()
    return {row["usename"]: row["encrypted"] for row in rows}


async def _connect_without_tls(production: Platform) -> None:
    connection = await asyncpg.connect(production.outside.postgres.dsn("booking"), ssl=False)
    await connection.close()


def test_the_visit_is_over_and_everybody_paid_their_part(played: Played) -> None:
    price = played.told.care["price"]
    legs = {leg["payer_kind"]: leg["amount_cents"] for leg in played.told.care["legs"]}

    assert played.told.appointment["status"] == "completed"
    assert price["fee_cents"] == bodies.PRACTITIONERS["gp"]["fee_cents"]
    assert set(legs) == {"amo", "amc"}
    assert played.told.payment["captured_cents"] == price["advance_cents"]
    assert sum(legs.values()) + price["advance_cents"] == price["fee_cents"]


def test_the_documents_are_sealed_and_lie_encrypted_in_the_bucket(
    production: Platform, played: Played
) -> None:
    assert "prescription" in {each["kind"] for each in played.told.documents}
    assert len(played.kept) == len(played.told.contents) == 2
    for content in played.told.contents:
        assert verify(content, trust=production.seal.trust, now=wall()).valid
    assert not any(content.startswith(b"%PDF") for content in played.kept)


def test_every_connection_to_the_database_is_encrypted(played: Played) -> None:
    assert played.encrypted == dict.fromkeys(("postgres", *SERVICES), True)
    assert isinstance(played.without_tls, asyncpg.InvalidAuthorizationSpecificationError)


def test_a_forged_token_and_one_of_a_stranger_open_nothing(played: Played) -> None:
    assert played.forged == 401
    assert played.foreign in {403, 404}


@pytest.mark.parametrize("service", SERVICES)
def test_the_processes_of_a_service_end_well_and_report_no_error(played: Played, service: str) -> None:
    for name in (f"{service}-api", f"{service}-worker"):
        assert played.codes[name] == 0
        assert "Traceback" not in played.logs[name]
        assert JOURNEY.family_name not in played.logs[name]


def test_the_processes_run_as_the_user_of_the_image(production: Platform, played: Played) -> None:
    assert played.users == {production.user}


@pytest.mark.parametrize("service", SERVICES)
def test_a_sample_or_a_variable_that_the_files_do_not_name_is_refused(service: str) -> None:
    with pytest.raises(NotInTheFile, match="still a sample"):
        environment_of(service, {})
    with pytest.raises(NotInTheFile, match=f"does not name {service.upper()}_NOTHING"):
        environment_of(service, {f"{service.upper()}_NOTHING": "1"})
