"""What the facts of an appointment mean for its documents. Every order of arrival ends in the same state."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.events.base import AppointmentFact, Priced
from common.events.booking import BookingFact
from common.events.claims import CarePricedV1
from common.events.documents import WithdrawnV1
from common.events.envelope import Meta
from common.ids import uuid7
from common.messaging import history, outbox, tasks
from common.messaging.records import APPLIED, Outcome, ignored, waiting
from common.money import Cents
from documents import store
from documents.domain.content import SheetMode
from documents.domain.sheets import document_of
from documents.domain.visits import DocumentStatus, Visit, after, billing_is_due
from documents.models import AppointmentRoot, Document

RENDER: Final = "render-document"

_AMOUNTS: Final = (
    "fee_cents",
    "base_cents",
    "sponsor_cents",
    "advance_cents",
    "amo_claim_cents",
    "amc_claim_cents",
)


async def hear_of_visit(
    session: AsyncSession,
    event: BookingFact,
    meta: Meta,
    *,
    reached: Visit,
    profession: str | None = None,
    now: datetime,
) -> Outcome:
    """How far the visit is. Where it ended without care, whatever was written about it is withdrawn."""
    root = await _locked(session, event, meta)
    root.patient_id = event.patient_id
    root.practitioner_id = event.practitioner_id
    root.profession = profession or root.profession
    root.visit = after(root.visit, reached)
    if root.visit is Visit.ENDED:
        await withdraw_all(session, root, now=now)
        return APPLIED
    await _open_billing(session, root, now=now)
    return APPLIED


async def take_price(session: AsyncSession, event: CarePricedV1, meta: Meta, *, now: datetime) -> Outcome:
    """The highest revision holds; a document of an older one is withdrawn when the next is due."""
    root = await _locked(session, event, meta)
    known = 0 if root.price is None else int(root.price["revision"])
    if event.revision <= known:
        return ignored("older-revision")
    root.patient_id = event.patient_id
    root.practitioner_id = event.practitioner_id
    root.price = price_of(event)
    if root.visit is Visit.ENDED:
        return ignored("visit-ended")
    return await _open_billing(session, root, now=now)


async def take_payment(
    session: AsyncSession, event: AppointmentFact, meta: Meta, *, paid_cents: Cents, now: datetime
) -> Outcome:
    """What the card gave of the advance: all of it, less, or nothing."""
    root = await _locked(session, event, meta)
    # `captured` and `short` of one settlement say the same amount, in whichever order they come.
    root.paid_cents = max(paid_cents, root.paid_cents or Cents(0))
    if root.visit is Visit.ENDED:
        return ignored("visit-ended")
    return await _open_billing(session, root, now=now)


def price_of(event: CarePricedV1) -> dict[str, Any]:
    priced: Priced = event
    return {
        "revision": event.revision,
        "sheet_mode": priced.sheet_mode,
        **{name: getattr(priced, name) for name in _AMOUNTS},
    }


async def _locked(session: AsyncSession, event: AppointmentFact, meta: Meta) -> AppointmentRoot:
    root = await store.lock_root(session, event.appointment_id)
    history.note(session, root.id, meta.type, at=meta.time)
    return root


async def _open_billing(session: AsyncSession, root: AppointmentRoot, *, now: datetime) -> Outcome:
    """Asks for the billing document as soon as all that it states is known, once for each revision."""
    price = root.price
    if price is None or root.patient_id is None or root.practitioner_id is None:
        return waiting("care-priced")
    due = billing_is_due(
        root.visit,
        priced=True,
        advance_cents=Cents(price["advance_cents"]),
        paid_cents=root.paid_cents,
    )
    if not due:
        return waiting("captured")
    if await store.find_billing(session, root.id, revision=price["revision"]) is not None:
        return APPLIED
    for earlier in await store.list_live(session, root.id):
        if earlier.revision is not None:
            withdraw(session, root, earlier, now=now)
    kind = document_of(SheetMode(price["sheet_mode"]))
    add_document(
        session,
        Document(
            id=uuid7(now),
            appointment_id=root.id,
            patient_id=root.patient_id,
            practitioner_id=root.practitioner_id,
            kind=kind,
            folder=None,
            status=DocumentStatus.REQUESTED,
            revision=price["revision"],
            signer_rpps=None,
            content=None,
            created_at=now,
        ),
        now=now,
    )
    return APPLIED


def add_document(session: AsyncSession, document: Document, *, now: datetime) -> None:
    """A document that is asked for, and the task that draws it."""
    session.add(document)
    tasks.add(session, RENDER, str(document.id), due_at=now)


async def withdraw_all(session: AsyncSession, root: AppointmentRoot, *, now: datetime) -> None:
    for document in await store.list_live(session, root.id):
        withdraw(session, root, document, now=now)


def withdraw(session: AsyncSession, root: AppointmentRoot, document: Document, *, now: datetime) -> None:
    """It stays, and whoever verifies it learns that it no longer counts."""
    was_issued = document.status is DocumentStatus.ISSUED
    document.status = DocumentStatus.WITHDRAWN
    document.withdrawn_at = now
    if was_issued:
        outbox.add(session, root, WithdrawnV1(**event_fields(document)), now=now)


def event_fields(document: Document) -> dict[str, Any]:
    return {
        "appointment_id": document.appointment_id,
        "document_id": document.id,
        "patient_id": document.patient_id,
        "practitioner_id": document.practitioner_id,
        "kind": document.kind.value,
        "folder": None if document.folder is None else document.folder.value,
    }


async def erase_patient(session: AsyncSession, patient_id: UUID, *, now: datetime) -> Outcome:
    """Documents are a medical record: kept as long as the law says, and shown to nobody here any more."""
    await store.restrict_documents(session, patient_id, now=now)
    return APPLIED
