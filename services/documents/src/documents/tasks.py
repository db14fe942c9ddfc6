"""Drawing documents: asks booking and claims, renders and seals in threads, stores, and records it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from common.crypto import Keyring
from common.messaging.tasks import DONE, Backoff, Done, TaskContext, Tasks
from common.money import Cents
from common.web.service_client import ServiceClient
from documents import clients, store
from documents.domain.assembly import SignerDiffers, billed, issue_of, written
from documents.domain.content import AnyDocument, Issue, Kind
from documents.domain.numbers import content_hash
from documents.domain.sources import Charged, Identity, KnownInsured
from documents.domain.visits import DocumentStatus
from documents.models import Document
from documents.rendering.read_back import TextDiffers
from documents.rendering.render import RenderFailed
from documents.rendering.renderer import Renderer
from documents.rendering.view import practitioner_name
from documents.storage import Storage, StorageAway
from documents.usecases import writing
from documents.usecases.visits import RENDER

tasks = Tasks()

_SOON: Final = timedelta(milliseconds=500)  # the other service is about to hear of it
_LATER: Final = timedelta(seconds=30)
_IMPATIENT: Final = 8  # attempts before it is asked less often
_RETRIES: Final = Backoff(first=timedelta(milliseconds=500), longest=_LATER, attempts=300)  # some hours


@dataclass(frozen=True, slots=True)
class Resources:
    """What the worker gives its tasks."""

    booking: ServiceClient
    claims: ServiceClient
    renderer: Renderer
    storage: Storage
    keyring: Keyring
    public_url: str


@dataclass(frozen=True, slots=True)
class _Work:
    """A document that is to be drawn, with what was written for it."""

    row: Document
    content: Mapping[str, Any]
    price: Mapping[str, Any] | None
    paid_cents: Cents


async def _given_up(session: AsyncSession, key: str, _reason: str) -> None:
    await writing.fail(session, UUID(key), failure="given-up")


@tasks.on(RENDER, lease=timedelta(seconds=60), retries=_RETRIES, given_up=_given_up)
async def render_document(context: TaskContext) -> Done:
    """From what is known to an issued file. A failed attempt leaves at most an object nobody names."""
    resources: Resources = context.resources
    asked = await _work(context, resources)
    if asked is None:
        return DONE
    try:
        document, issue = await _assembled(asked, resources)
        pdf = await resources.renderer.render_and_sign(document, now=context.clock.now())
    except (SignerDiffers, RenderFailed, TextDiffers) as refused:
        return await _failed(context, asked.row, refused.code)
    except clients.NotKnownYet as problem:
        pause = _SOON if context.attempt < _IMPATIENT else _LATER
        context.retry(pause, problem.code, system=problem.system)
    except ValueError:  # a document may not state such values
        return await _failed(context, asked.row, "values-impossible")
    try:
        key = await _stored(context, resources, asked.row, pdf)
    except StorageAway:
        context.retry(_SOON if context.attempt < _IMPATIENT else _LATER, "storage-away", system="storage")
    drawn = writing.Drawn(
        issue=issue,
        practitioner_name=practitioner_name(document.practitioner),
        practitioner_rpps=document.practitioner.rpps,
        pdf_sha256=content_hash(pdf),
        size_bytes=len(pdf),
        storage_key=key,
    )
    async with context.finish() as session:
        await writing.issue(session, resources.keyring, asked.row.id, drawn, now=context.clock.now())
    return DONE


async def _failed(context: TaskContext, row: Document, failure: str) -> Done:
    async with context.finish(outcome=failure) as session:
        await writing.fail(session, row.id, failure=failure)
    return DONE


async def _work(context: TaskContext, resources: Resources) -> _Work | None:
    async with context.sessions() as session:
        row = await store.find_document(session, UUID(context.key))
        if row is None or row.status is not DocumentStatus.REQUESTED:
            return None
        root = await store.find_root(session, row.appointment_id)
        if root is None:
            return None
        content = await writing.open_content(session, resources.keyring, row)
        return _Work(row, content, root.price, root.paid_cents or Cents(0))


async def _assembled(asked: _Work, resources: Resources) -> tuple[AnyDocument, Issue]:
    row = asked.row
    identity = await clients.identity(resources.booking, row.appointment_id, purpose=row.kind.value)
    issue = issue_of(row.kind, identity=identity, written_at=row.created_at, public_url=resources.public_url)
    if row.signer_rpps is not None:
        return (
            written(asked.content, kind=row.kind, issue=issue, identity=identity, by_rpps=row.signer_rpps),
            issue,
        )
    return await _billed(asked, resources, identity=identity, issue=issue), issue


async def _billed(asked: _Work, resources: Resources, *, identity: Identity, issue: Issue) -> AnyDocument:
    row, price = asked.row, asked.price
    if price is None or price["revision"] != row.revision:
        raise clients.NotKnownYet("another-revision")
    care_act = await clients.care_act(resources.claims, row.appointment_id)
    if care_act.revision < price["revision"]:
        raise clients.NotKnownYet("care-act-older")
    known = KnownInsured(nir=None)
    if row.kind is not Kind.INVOICE:  # an invoice is for nobody's insurance: the number is not asked for
        known = await clients.insured(resources.claims, row.appointment_id, purpose=row.kind.value)
    return billed(
        Charged(**price),
        issue=issue,
        identity=identity,
        care_act=care_act,
        known_insured=known,
        paid_cents=asked.paid_cents,
    )


async def _stored(context: TaskContext, resources: Resources, row: Document, pdf: bytes) -> str:
    async with context.sessions.begin() as session:
        sealed = await writing.seal_file(session, resources.keyring, row, pdf, now=context.clock.now())
    # A name of its own for every attempt: an object is never written over.
    key = f"{row.created_at:%Y/%m/%d}/{row.id}/{uuid4().hex}"
    await resources.storage.put(key, sealed)
    return key
