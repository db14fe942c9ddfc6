"""Previews and quotes: HTTP in, use case, HTTP out."""

from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter

from claims import store
from claims.api.auth import ConfigDep, sees_reasons, wait_for
from claims.api.schemas import PreviewCreate, PreviewRead, QuoteList, QuoteRead, RecomputationRead
from claims.domain.asking import When
from claims.domain.calendar import day_at
from claims.domain.refusals import PricingRefused
from claims.usecases import coverage, quotes, reading
from claims.usecases.statements import CoverageRefused, IdentifierRefused, inside
from common.errors import at_field
from common.web.access import AccessDep
from common.web.auth import CallerDep
from common.web.deps import Now, Prefer, Transaction
from common.web.openapi import bounded
from common.web.problems import problem, responses
from common.web.progress import ProgressDep

router = APIRouter(prefix="/claims/v1", tags=["quotes"])


@router.post("/previews", status_code=201, responses=responses(404))
async def create_preview(
    body: PreviewCreate,
    access: AccessDep,
    caller: CallerDep,
    config: ConfigDep,
    transaction: Transaction,
    now: Now,
) -> PreviewRead:
    """Who would pay what. Its id, passed on with a booking, says which advance the patient has seen."""
    if (body.practitioner_id is None) == (body.practice is None):
        detail = "Give practitioner_id or practice."
        wrong = at_field("/body/practitioner_id", "one-of-two", detail)["errors"]
        raise problem(422, "one-of-two", detail, errors=wrong)
    _refuse_impossible(body)
    if body.patient_id is not None:
        await access.patient(transaction, body.patient_id, what="coverage", purpose="preview")
    practitioner = (
        await store.get_practitioner(transaction, body.practitioner_id) if body.practitioner_id else None
    )
    consultation = body.consultation(practitioner)
    care_on = _care_on(body, consultation.clock)
    try:
        insurance, offer = await coverage.for_preview(
            transaction,
            config,
            body.patient_id,
            body.coverage.statement() if body.coverage else None,
            care_on=care_on,
            now=now,
        )
    except (IdentifierRefused, CoverageRefused) as error:
        raise inside(error, "coverage") from None
    try:
        row = await quotes.preview(
            transaction,
            config,
            consultation,
            insurance,
            offer=offer,
            when=When(care_on=care_on, starts_at=body.starts_at, ordinary_fee=body.is_fee_ordinary()),
            patient_id=body.patient_id,
            practitioner_id=body.practitioner_id,
            created_by=caller.subject,
            now=now,
        )
    except PricingRefused as error:
        raise error.at(body.pointer(error.field)) from None
    return PreviewRead.of(row, await reading.preview_result(transaction, config, row))


@router.get("/previews/{preview_id}", responses=responses(404))
async def read_preview(
    preview_id: UUID, caller: CallerDep, config: ConfigDep, transaction: Transaction
) -> PreviewRead:
    """A preview of the caller, as it was answered."""
    row = await store.get_preview(transaction, preview_id, created_by=caller.subject)
    return PreviewRead.of(row, await reading.preview_result(transaction, config, row))


@router.get("/appointments/{appointment_id}/quote", responses=responses(404))
async def read_quote(
    appointment_id: UUID,
    access: AccessDep,
    config: ConfigDep,
    transaction: Transaction,
    progress: ProgressDep,
    prefer: Prefer,
) -> QuoteRead:
    """The latest revision. 404 with Retry-After until the first one; `Prefer: wait=N` waits for it."""
    await wait_for(
        access, progress, appointment_id, lambda s: store.find_last_revision(s, appointment_id), prefer
    )
    await _see(access, transaction, appointment_id, what="quote")
    quote, result = await reading.latest_quote(transaction, config, appointment_id)
    return QuoteRead.of(quote, result, reasons=sees_reasons(access.caller))


@router.get(
    "/appointments/{appointment_id}/quotes",
    responses=responses(404),
    openapi_extra=bounded("one revision for each change before the consultation"),
)
async def list_quotes(
    appointment_id: UUID, access: AccessDep, config: ConfigDep, transaction: Transaction
) -> QuoteList:
    """Every revision, oldest first."""
    await _see(access, transaction, appointment_id, what="quote")
    seen = await reading.all_quotes(transaction, config, appointment_id)
    reasons = sees_reasons(access.caller)
    return QuoteList(items=[QuoteRead.of(quote, result, reasons=reasons) for quote, result in seen])


@router.get("/appointments/{appointment_id}/quotes/{revision}/recomputation", responses=responses(404))
async def recompute_quote(
    appointment_id: UUID, revision: int, access: AccessDep, config: ConfigDep, transaction: Transaction
) -> RecomputationRead:
    """Prices the stored question again and says whether the cents are the same."""
    await _see(access, transaction, appointment_id, what="quote")
    recomputed = await reading.recomputed_quote(transaction, config, appointment_id, revision=revision)
    return RecomputationRead.of(recomputed)


def _care_on(body: PreviewCreate, clock: ZoneInfo) -> date:
    """The date of care: as given, or of the start by the clock of the place where the practitioner works."""
    if body.starts_at is None:
        if body.care_on is None:
            detail = "Give care_on or starts_at."
            raise problem(
                422, "one-of-two", detail, errors=at_field("/body/care_on", "one-of-two", detail)["errors"]
            )
        return body.care_on
    try:
        care_on = day_at(body.starts_at, clock)
    except OverflowError:
        code, detail = "no-tariff", "There is no such day."
        wrong = at_field("/body/starts_at", code, detail)
        raise problem(422, code, detail, errors=wrong["errors"]) from None
    if body.care_on not in {None, care_on}:
        code, detail = "care-date-contradicted", f"Where the practitioner works that is on {care_on}."
        wrong = at_field("/body/care_on", code, detail)
        raise problem(422, code, detail, errors=wrong["errors"])
    return care_on


def _refuse_impossible(body: PreviewCreate) -> None:
    """What the fields of a body say against each other."""
    flag = body.contradicted()
    if flag is not None:
        code, detail = "age-group-contradicted", "Nobody of this age group answers so."
        raise problem(422, code, detail, errors=at_field(f"/body/{flag}", code, detail)["errors"])
    practice = body.practice
    if practice is not None and practice.permanent_overrun and practice.sector != "s1":
        code, detail = "permanent-overrun-not-possible", "The permanent right belongs to sector 1."
        wrong = at_field("/body/practice/permanent_overrun", code, detail)
        raise problem(422, code, detail, errors=wrong["errors"])


async def _see(access: AccessDep, transaction: Transaction, appointment_id: UUID, *, what: str) -> None:
    patient_id = await reading.find_patient_of(transaction, appointment_id)
    await access.appointment(transaction, appointment_id, patient_id=patient_id, what=what, purpose="billing")
