"""Appointments: HTTP in, use case, HTTP out."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from booking import store
from booking.api.auth import (
    KeyringDep,
    PatientCaller,
    PersonCaller,
    PractitionerCaller,
    ReaderCaller,
    ResourcesDep,
)
from booking.api.schemas import (
    AppointmentCreate,
    AppointmentPage,
    AppointmentRead,
    CompletionCreate,
    EmergencyNumberRead,
    MoveCreate,
    ReasonList,
    ReasonRead,
)
from booking.domain.ages import LEGAL_ZONE
from booking.domain.lifecycle import Status
from booking.domain.reasons import REASONS
from booking.models import Appointment
from booking.usecases import appointments, reading, requests
from common.crypto import Keyring
from common.web import pages
from common.web.access import Access, AccessDep
from common.web.auth import Caller
from common.web.deps import Cursor, CursorKey, Limit, Now, Prefer, Reading, Transaction
from common.web.idempotency import IdempotencyKey
from common.web.openapi import bounded
from common.web.permissions import NotSeen
from common.web.problems import responses
from common.web.progress import Progress, ProgressDep, last_event_id, no_more_events

router = APIRouter(prefix="/booking/v1", tags=["appointments"])

_RETRY_AFTER: Final = "1"
_EVENT_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "string",
                    "description": "The `data` of each event is JSON: an AppointmentFactRead. Its `id` and"
                    " `event` say the same as the fields `id` and `fact`.",
                    "x-event-data": {"$ref": "#/components/schemas/FactRead"},
                }
            }
        }
    },
    204: {"description": "Nothing more will come: the client has every fact. Do not connect again."},
}


@router.post("/appointments", status_code=201, responses=responses(404, 409))
async def request_appointment(
    body: AppointmentCreate,
    key: IdempotencyKey,
    caller: PatientCaller,
    resources: ResourcesDep,
    waiting: ProgressDep,
    now: Now,
    prefer: Prefer,
    response: Response,
) -> AppointmentRead:
    """Takes a free time for a patient; with `Prefer: wait=N` it answers once that is decided."""
    requested = await requests.request(resources, body.wanted(caller.subject), key=key, now=now)
    if requested.fields and not prefer:
        response.headers["Retry-After"] = _RETRY_AFTER
        return AppointmentRead.new(requested, reason_code=body.reason_code)
    await _settled(waiting, requested.appointment_id, prefer)
    async with resources.sessions() as session:
        return await _told(session, resources.keyring, requested.appointment_id, caller, response)


@router.get("/reasons", openapi_extra=bounded("a table of some dozens of rows"))
async def list_reasons(now: Now) -> ReasonList:
    """Why one may book, and the numbers to call in an emergency: a reason with a red flag books nothing."""
    rows = REASONS.valid(now.astimezone(LEGAL_ZONE).date())
    return ReasonList(
        items=[ReasonRead.of(row) for row in rows],
        emergency_numbers=[
            EmergencyNumberRead(
                number=each.number,
                label_fr=each.label_fr,
                label_en=each.label_en,
                confidence=each.confidence,
            )
            for each in REASONS.numbers
        ],
    )


@router.get("/appointments")
async def list_appointments(
    caller: PersonCaller, session: Reading, cursor: Cursor, limit: Limit, key: CursorKey
) -> AppointmentPage:
    """The caller's appointments, newest first; without the reasons."""
    after = UUID(cursor[0]) if cursor else None
    found = await store.list_appointments(session, caller=caller, after=after, limit=limit + 1)
    facts = await store.list_history(session, [each.id for each in found[:limit]])
    return AppointmentPage(
        items=[AppointmentRead.of(each, progress=facts[each.id]) for each in found[:limit]],
        next_cursor=pages.encode([str(found[limit - 1].id)], key=key) if len(found) > limit else None,
    )


@router.get("/appointments/{appointment_id}", responses=responses(404))
async def read_appointment(
    appointment_id: UUID,
    caller: ReaderCaller,
    may: AccessDep,
    keyring: KeyringDep,
    waiting: ProgressDep,
    prefer: Prefer,
    response: Response,
) -> AppointmentRead:
    """With `Prefer: wait=N` it answers once a request is decided or waits for the patient."""
    async with waiting.sessions.begin() as session:  # no connection is held while we wait
        await _log_reading(session, may, appointment_id)
    if prefer:
        await _settled(waiting, appointment_id, prefer)
    async with waiting.sessions() as session:
        return await _told(session, keyring, appointment_id, caller, response)


@router.get(
    "/appointments/{appointment_id}/events",
    response_class=StreamingResponse,
    responses=responses(404, 429) | _EVENT_STREAM,
)
async def stream_appointment(
    appointment_id: UUID,
    request: Request,
    may: AccessDep,
    waiting: ProgressDep,
    now: Now,
    _: ReaderCaller,
    __: Annotated[str | None, Header(alias="Last-Event-ID")] = None,
) -> Response:
    """Server-sent events: the facts of the appointment, from `Last-Event-ID` on. 204 when none will come."""
    last = last_event_id(request)
    async with waiting.sessions() as session:
        await may.permissions.may_see_appointment(session, may.caller, appointment_id)
        if last and await reading.has_all_facts(session, appointment_id, last_fact_id=last, now=now):
            return no_more_events()
    # payers answer weeks after the visit: no fact is known to be the last one
    return waiting.stream(appointment_id, last, account=may.caller.subject)


@router.post("/appointments/{appointment_id}/cancellation", responses=responses(404, 409))
async def cancel_appointment(
    appointment_id: UUID, caller: PersonCaller, transaction: Transaction, now: Now
) -> AppointmentRead:
    """By the patient, the practitioner or support, until the consultation starts.

    Whoever has cancelled may repeat it: the answer is the state. A patient cancels before the time; less than
    two hours before, it counts as late.
    """
    row = await appointments.cancel(transaction, appointment_id, caller=caller, now=now)
    return await _moved(transaction, row)


@router.post("/appointments/{appointment_id}/move", responses=responses(404, 409))
async def move_appointment(
    appointment_id: UUID,
    body: MoveCreate,
    caller: PersonCaller,
    keyring: KeyringDep,
    transaction: Transaction,
    now: Now,
) -> AppointmentRead:
    """To another free time of the same practitioner; the price is asked again, at the age of the new day.

    It follows the clock of a cancellation: a patient moves before the time, and less than two hours before it
    counts as a late cancellation of the old time.
    """
    row = await appointments.move(
        transaction, keyring, appointment_id, offer_id=body.offer_id, caller=caller, now=now
    )
    return await _moved(transaction, row)


@router.post("/appointments/{appointment_id}/start", responses=responses(404, 409))
async def start_consultation(
    appointment_id: UUID, caller: PractitionerCaller, transaction: Transaction, now: Now
) -> AppointmentRead:
    """By the practitioner, from 15 minutes before the time on."""
    row = await appointments.start(transaction, appointment_id, caller=caller, now=now)
    return await _moved(transaction, row)


@router.post("/appointments/{appointment_id}/completion", responses=responses(404, 409))
async def complete_consultation(
    appointment_id: UUID,
    body: CompletionCreate,
    caller: PractitionerCaller,
    transaction: Transaction,
    now: Now,
) -> AppointmentRead:
    """By the practitioner: what was done and at what fee. The final price and the claims follow from it."""
    row = await appointments.complete(transaction, appointment_id, word=body.word(), caller=caller, now=now)
    return await _moved(transaction, row)


@router.post("/appointments/{appointment_id}/unsuitable", responses=responses(404, 409))
async def declare_unsuitable(
    appointment_id: UUID, caller: PractitionerCaller, transaction: Transaction, now: Now
) -> AppointmentRead:
    """By the practitioner: a video consultation was not the right care. Nothing is charged."""
    row = await appointments.declare_unsuitable(transaction, appointment_id, caller=caller, now=now)
    return await _moved(transaction, row)


@router.post("/appointments/{appointment_id}/technical-failure", responses=responses(404, 409))
async def report_technical_failure(
    appointment_id: UUID, caller: PersonCaller, transaction: Transaction, now: Now
) -> AppointmentRead:
    """The connection failed: nothing is charged.

    After the start the practitioner says so; others may for the first 10 minutes while no document is issued.
    """
    row = await appointments.report_technical_failure(transaction, appointment_id, caller=caller, now=now)
    return await _moved(transaction, row)


@router.post("/appointments/{appointment_id}/practitioner-absence", responses=responses(404, 409))
async def report_practitioner_absent(
    appointment_id: UUID, caller: PersonCaller, transaction: Transaction, now: Now
) -> AppointmentRead:
    """By the patient, from 10 minutes after the time: the practitioner did not come. Nothing is charged."""
    row = await appointments.report_practitioner_absent(transaction, appointment_id, caller=caller, now=now)
    return await _moved(transaction, row)


@router.post("/appointments/{appointment_id}/patient-absence", responses=responses(404, 409))
async def report_patient_absent(
    appointment_id: UUID, caller: PractitionerCaller, transaction: Transaction, now: Now
) -> AppointmentRead:
    """By the practitioner, from 10 minutes after the time: the patient did not come."""
    row = await appointments.report_patient_absent(transaction, appointment_id, caller=caller, now=now)
    return await _moved(transaction, row)


async def _moved(session: AsyncSession, row: Appointment) -> AppointmentRead:
    facts = await store.list_history(session, [row.id])
    return AppointmentRead.of(row, progress=facts[row.id])


async def _told(
    session: AsyncSession, keyring: Keyring, appointment_id: UUID, caller: Caller, response: Response
) -> AppointmentRead:
    told = await reading.find_view(session, keyring, appointment_id, caller=caller)
    if told is None:
        raise NotSeen("no such appointment")
    if told.appointment.status is Status.REQUESTED:
        response.headers["Retry-After"] = _RETRY_AFTER
    return AppointmentRead.of(told.appointment, progress=told.facts, reason_code=told.reason_code)


async def _log_reading(session: AsyncSession, may: Access, appointment_id: UUID) -> None:
    """An appointment says why somebody sees a doctor: its reading stands in the log, a refused one too."""
    found = await store.find_appointment(session, appointment_id)
    await may.appointment(
        session,
        appointment_id,
        patient_id=found.patient_id if found else None,
        what="appointment",
        purpose="care",
    )


async def _settled(waiting: Progress, appointment_id: UUID, seconds: float) -> None:
    async def check(session: AsyncSession) -> bool | None:
        return await reading.is_settled(session, appointment_id)

    await waiting.wait_until(check, seconds, about=appointment_id)
