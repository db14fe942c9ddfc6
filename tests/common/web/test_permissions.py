"""Who sees which patient and appointment; what is asked of booking; what is written down about it."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from common.db import Sessions
from common.errors import Refusal
from common.events.base import Event
from common.events.booking import (
    AppointmentConfirmedV1,
    PatientLinkedV1,
    PatientUnlinkedV1,
    PractitionerPublishedV1,
)
from common.settings import ServiceIdentity
from common.transaction import notes_of
from common.web import access
from common.web.auth import Caller, Role
from common.web.permissions import GrantedPermissions, NotSeen, Permissions, learn
from common.web.service_client import ServiceClient
from common.web.tables import AccessLogRow, GrantRow, PractitionerKeyRow
from support.records import NOW
from support.small_app import client_of, small_app
from support.tokens import Issuer

PATIENT, OTHER, ACCOUNT, DOCTOR, VISIT = (UUID(int=n) for n in range(1, 6))
RPPS = "10001234567"
IDENTITY = ServiceIdentity(token_url="http://booking/token", client_id="claims", client_secret="s")


def caller(role: Role, *, subject: UUID = ACCOUNT, rpps: str | None = None) -> Caller:
    return Caller(subject=subject, roles=frozenset({role}), rpps=rpps)


def confirmed(**overrides: Any) -> AppointmentConfirmedV1:
    values = {
        "appointment_id": VISIT,
        "patient_id": PATIENT,
        "account_id": ACCOUNT,
        "practitioner_id": DOCTOR,
        "schedule_no": 1,
        "starts_at": NOW,
        "ends_at": NOW,
    }
    return AppointmentConfirmedV1(**values | overrides)


def published(rpps: str = RPPS) -> PractitionerPublishedV1:
    return PractitionerPublishedV1(
        practitioner_id=DOCTOR,
        rpps=rpps,
        biller_id=DOCTOR,
        profession="physician",
        specialty="01",
        sector="s1",
        zone="metropole",
        agreed_company=False,
        third_party_payment="full",
        currency="EUR",
        fee_cents=2500,
    )


async def sees(
    sessions: Sessions,
    permissions: Permissions,
    who: Caller,
    *,
    patient: UUID | None = None,
    appointment: UUID = VISIT,
    **options: bool,
) -> bool:
    async with sessions() as session:
        try:
            if patient is not None:
                await permissions.may_see_patient(session, who, patient, **options)
            else:
                await permissions.may_see_appointment(session, who, appointment, **options)
        except NotSeen:
            return False
    return True


async def learnt(sessions, *events: Event) -> None:
    async with sessions.begin() as session:
        for event in events:
            await learn(session, event)


@pytest.fixture
def permissions() -> GrantedPermissions:
    return GrantedPermissions(None)


async def test_an_account_sees_the_patients_it_is_linked_to_until_it_is_unlinked(
    sessions, permissions
) -> None:
    account = caller(Role.PATIENT)
    await learnt(sessions, PatientLinkedV1(patient_id=PATIENT, account_id=ACCOUNT))

    linked = await sees(sessions, permissions, account, patient=PATIENT)
    other = await sees(sessions, permissions, account, patient=OTHER)
    stranger = await sees(sessions, permissions, caller(Role.PATIENT, subject=OTHER), patient=PATIENT)
    await learnt(sessions, PatientUnlinkedV1(patient_id=PATIENT, account_id=ACCOUNT))

    assert (linked, other, stranger) == (True, False, False)
    assert not await sees(sessions, permissions, account, patient=PATIENT)


async def test_who_pays_follows_the_appointment_but_not_the_patient(sessions, permissions) -> None:
    await learnt(sessions, confirmed())

    assert await sees(sessions, permissions, caller(Role.PATIENT), appointment=VISIT)
    assert not await sees(sessions, permissions, caller(Role.PATIENT), patient=PATIENT)


async def test_a_second_account_of_the_patient_sees_the_appointment_too(sessions, permissions) -> None:
    await learnt(sessions, confirmed(), PatientLinkedV1(patient_id=PATIENT, account_id=OTHER))

    assert await sees(sessions, permissions, caller(Role.PATIENT, subject=OTHER), appointment=VISIT)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_practitioner_sees_the_patients_of_their_appointments(sessions, permissions, order) -> None:
    events = [published(), confirmed()]
    await learnt(sessions, *(events[each] for each in order))
    doctor = caller(Role.PRACTITIONER, subject=uuid4(), rpps=RPPS)

    assert await sees(sessions, permissions, doctor, patient=PATIENT)
    assert await sees(sessions, permissions, doctor, appointment=VISIT)
    assert not await sees(sessions, permissions, doctor, patient=OTHER)
    colleague = caller(Role.PRACTITIONER, subject=uuid4(), rpps="10007654321")
    assert not await sees(sessions, permissions, colleague, patient=PATIENT)


async def test_a_corrected_rpps_replaces_the_old_one(sessions, permissions) -> None:
    await learnt(sessions, published("10009999999"), confirmed(), published())

    assert await sees(sessions, permissions, caller(Role.PRACTITIONER, rpps=RPPS), patient=PATIENT)
    assert not await sees(
        sessions, permissions, caller(Role.PRACTITIONER, rpps="10009999999"), patient=PATIENT
    )


async def test_an_rpps_without_the_role_of_a_practitioner_opens_nothing(sessions, permissions) -> None:
    await learnt(sessions, published(), confirmed())

    assert not await sees(
        sessions, permissions, caller(Role.PHARMACIST, subject=OTHER, rpps=RPPS), patient=PATIENT
    )


async def test_support_sees_states_and_amounts_and_nothing_clinical(sessions, permissions) -> None:
    support = caller(Role.SUPPORT)

    assert await sees(sessions, permissions, support, appointment=VISIT)
    assert not await sees(sessions, permissions, support, appointment=VISIT, clinical=True)
    assert not await sees(sessions, permissions, support, patient=PATIENT)
    assert await sees(sessions, permissions, support, patient=PATIENT, clinical=False)


async def test_events_learnt_twice_and_in_any_order_leave_the_same_grants(sessions) -> None:
    link, unlink = (
        kind(patient_id=PATIENT, account_id=ACCOUNT) for kind in (PatientLinkedV1, PatientUnlinkedV1)
    )
    left = []
    for events in ([link, confirmed(), unlink], [confirmed(), link, unlink, confirmed()]):
        await learnt(sessions, *events)
        async with sessions() as session:
            rows = await session.scalars(select(GrantRow))
            left.append({(row.holder, row.patient_id, row.appointment_id) for row in rows})
            assert (await session.scalars(select(PractitionerKeyRow))).all() == []

    assert (
        left[0]
        == left[1]
        == {
            (f"practitioner:{DOCTOR}", PATIENT, VISIT),
            (f"account:{ACCOUNT}", PATIENT, VISIT),
        }
    )


class Booking:
    """Answers the one question; remembers what it was asked, and whether a connection was held meanwhile."""

    def __init__(self, allowed: bool = True, status: int = 200) -> None:  # noqa: FBT001, FBT002
        self.allowed, self.status = allowed, status
        self.asked: list[dict[str, str]] = []
        self.session = None
        self.held: list[bool] = []

    def client(self) -> ServiceClient:
        return ServiceClient("http://booking", IDENTITY, transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 600})
        self.asked.append(dict(request.url.params))
        if self.session is not None:
            self.held.append(self.session.in_transaction())
        return httpx.Response(self.status, json={"allowed": self.allowed})


async def test_on_a_miss_booking_is_asked_once_a_minute_and_no_connection_is_held(sessions) -> None:
    booking = Booking()
    times = [NOW]
    async with booking.client() as client, sessions() as session:
        booking.session = session
        permissions = GrantedPermissions(client, now=lambda: times[-1])
        await permissions.may_see_patient(session, caller(Role.PATIENT), PATIENT)
        await permissions.may_see_patient(session, caller(Role.PATIENT), PATIENT)
        within = len(booking.asked)
        times.append(NOW.replace(minute=2))
        await permissions.may_see_patient(session, caller(Role.PATIENT), PATIENT)

    assert (within, len(booking.asked)) == (1, 2)
    assert booking.held == [False, False]
    assert booking.asked[0] == {"subject": str(ACCOUNT), "patient_id": str(PATIENT)}


async def test_what_was_read_before_booking_is_asked_is_still_there(sessions) -> None:
    await learnt(sessions, published())
    async with Booking().client() as client, sessions() as session:
        row = await session.get_one(PractitionerKeyRow, DOCTOR)
        await GrantedPermissions(client).may_see_patient(session, caller(Role.PATIENT), PATIENT)

        assert row.rpps == RPPS


@pytest.mark.parametrize("booking", [Booking(allowed=False), Booking(status=404), Booking(status=500)])
async def test_a_no_is_never_remembered(sessions, booking) -> None:
    async with booking.client() as client, sessions() as session:
        permissions = GrantedPermissions(client)
        for _ in range(2):
            with pytest.raises(NotSeen) as refused:
                await permissions.may_see_appointment(session, caller(Role.PRACTITIONER, rpps=RPPS), VISIT)

    assert refused.value.refusal is Refusal.NOT_FOUND
    assert [each["rpps"] for each in booking.asked] == [RPPS, RPPS]
    assert booking.asked[0]["appointment_id"] == str(VISIT)


async def test_a_booking_that_does_not_answer_means_no(sessions) -> None:
    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    async with (
        ServiceClient("http://booking", IDENTITY, transport=httpx.MockTransport(away)) as client,
        sessions() as session,
    ):
        with pytest.raises(NotSeen):
            await GrantedPermissions(client).may_see_patient(session, caller(Role.PATIENT), PATIENT)


async def test_rights_may_not_be_asked_with_unwritten_rows_at_stake(sessions) -> None:
    async with Booking().client() as client, sessions() as session:
        session.add(PractitionerKeyRow(practitioner_id=uuid4(), rpps="1"))
        with pytest.raises(RuntimeError, match="before anything is written"):
            await GrantedPermissions(client).may_see_patient(session, caller(Role.PATIENT), PATIENT)


async def test_every_access_is_logged_also_the_refused_one_and_the_patient_reads_it(
    sessions, permissions
) -> None:
    issuer = Issuer()
    await learnt(sessions, PatientLinkedV1(patient_id=PATIENT, account_id=ACCOUNT))
    mine, theirs = issuer.bearer(subject=ACCOUNT), issuer.bearer("practitioner", subject=OTHER, rpps=RPPS)
    async with client_of(small_app(sessions, verifier=issuer.verifier(), permissions=permissions)) as client:
        path = f"/small/v1/patients/{PATIENT}"
        seen = await client.get(f"{path}/file", headers=mine)
        refused = await client.get(f"{path}/file", headers=theirs)
        log = await client.get(f"{path}/access-log", headers=mine)
        not_theirs = await client.get(f"{path}/access-log", headers=theirs)

    assert (seen.status_code, refused.status_code, not_theirs.status_code) == (200, 404, 404)
    assert refused.json()["type"] == "urn:problem:not-found"
    lines = [(each["subject"], each["what"], each["allowed"]) for each in log.json()["items"]]
    assert lines == [(str(OTHER), "file", False), (str(ACCOUNT), "file", True)]


async def test_an_access_noted_before_booking_is_asked_is_not_lost(sessions) -> None:
    issuer = Issuer()
    async with Booking().client() as client:
        app = small_app(sessions, verifier=issuer.verifier(), permissions=GrantedPermissions(client))
        seen = access.Access(caller(Role.PATIENT), app.state.permissions, sessions, app.state.clock)
        async with sessions() as session:
            await seen.patient(session, PATIENT, what="file", purpose="care")
            await seen.appointment(session, VISIT, patient_id=PATIENT, what="visit", purpose="care")
            await session.commit()

    async with sessions() as session:
        rows = await session.scalars(select(AccessLogRow).order_by(AccessLogRow.id))
        assert [(row.what, row.allowed) for row in rows] == [("file", True), ("visit", True)]


async def test_the_log_comes_in_pages(sessions, permissions) -> None:
    issuer = Issuer()
    await learnt(sessions, PatientLinkedV1(patient_id=PATIENT, account_id=ACCOUNT))
    headers = issuer.bearer(subject=ACCOUNT)
    async with client_of(small_app(sessions, verifier=issuer.verifier(), permissions=permissions)) as client:
        for _ in range(3):
            await client.get(f"/small/v1/patients/{PATIENT}/file", headers=headers)
        path = f"/small/v1/patients/{PATIENT}/access-log"
        first = (await client.get(path, params={"limit": 2}, headers=headers)).json()
        rest = await client.get(path, params={"limit": 2, "cursor": first["next_cursor"]}, headers=headers)

    assert len(first["items"]) == 2
    assert len(rest.json()["items"]) == 1
    assert rest.json()["next_cursor"] is None


async def test_an_access_cannot_be_noted_where_nothing_commits(sessions) -> None:
    async with sessions() as session:
        notes_of(session).read_only = True
        with pytest.raises(RuntimeError, match="never commits"):
            access.record(
                session,
                caller=caller(Role.PATIENT),
                patient_id=PATIENT,
                what="file",
                purpose="care",
                allowed=True,
                now=NOW,
            )


async def test_a_line_of_the_log_cannot_be_changed(sessions) -> None:
    async with sessions() as session:
        session.add(
            AccessLogRow(
                at=NOW,
                patient_id=PATIENT,
                subject=ACCOUNT,
                client=None,
                role="patient",
                what="file",
                purpose="care",
                allowed=True,
            )
        )
        await session.flush()
        [row] = await session.scalars(select(AccessLogRow))
        row.allowed = False
        with pytest.raises(Exception, match="append-only"):
            await session.flush()
