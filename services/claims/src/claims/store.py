"""Every query of the claims service, by name."""

from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from claims.domain.leg import OUTSTANDING, OWED, SENDABLE, State
from claims.domain.priced import PaidTo
from claims.domain.returns import PayerReturn
from claims.models import (
    AppointmentRoot,
    Balance,
    BalanceState,
    Batch,
    CareAct,
    Coverage,
    CoverageVersion,
    EarlyFact,
    GatewayCursor,
    Invoice,
    InvoiceCounter,
    Leg,
    LineState,
    Posting,
    Practitioner,
    Preview,
    Quote,
    QuoteState,
    ReturnLine,
    RightsAnswer,
    SponsorOffer,
    Status,
    StoryEntry,
    Submission,
    UnpricedCare,
)
from common.errors import DomainError, Refusal
from common.messaging import roots
from common.messaging.housekeeping import Purge
from common.money import Cents
from common.web.tables import PractitionerKeyRow

RETRY_SECONDS: Final = 1  # what another service's event will bring is usually there by then

_HELD: Final = "claims.held"  # in session.info

_BLANK: Final[Mapping[str, Any]] = {
    "version": 0,
    "status": Status.UNKNOWN,
    "schedule_no": 0,
    "revision": 0,
    "facts_wait": False,
}


# What a booking took from a preview stands with its quote.
PURGES: Final = (
    Purge(
        "preview",
        "previews",
        "SELECT ctid FROM preview WHERE created_at < :before LIMIT :limit FOR UPDATE SKIP LOCKED",
    ),
)


# Somebody owes the next move: us, the payer, or whoever corrects what was rejected.
_WAITING: Final = sorted(
    OUTSTANDING | SENDABLE | {State.RIGHTS_PENDING, State.REJECTED, State.DISPUTED, State.REVERSED}
)
# Of a sheet that the fund has, it settles with the insured person: no answer to us is due.
_ANSWERED: Final = and_(Leg.paid_to != PaidTo.PROVIDER.value, Leg.state.in_([State.ACKED, State.ACCEPTED]))
_PAYERS: Final = ("amo", "amc")
_REVISIONS: Final = range(1, 2**31)  # what the column holds


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenThisYear:
    """What counts towards the ceilings of a person in the civil year of a care date."""

    year_cents: Cents  # flat contributions
    today_cents: Cents  # of them that day with that practitioner
    partner_sessions: int  # reimbursed sessions with partner psychologists (rule A6)


class AppointmentNotFound(DomainError):
    code: ClassVar[str] = "appointment-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class CoverageNotFound(DomainError):
    code: ClassVar[str] = "coverage-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class QuoteNotFound(DomainError):
    code: ClassVar[str] = "quote-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class CareActNotFound(DomainError):
    code: ClassVar[str] = "care-act-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class LegNotFound(DomainError):
    code: ClassVar[str] = "leg-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class UnpricedCareNotFound(DomainError):
    code: ClassVar[str] = "unpriced-care-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class BalanceNotFound(DomainError):
    code: ClassVar[str] = "balance-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class PreviewNotFound(DomainError):
    code: ClassVar[str] = "preview-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


class PractitionerNotFound(DomainError):
    code: ClassVar[str] = "practitioner-not-found"
    refusal: ClassVar[Refusal] = Refusal.NOT_FOUND


# what a batch reads at once


@dataclass(slots=True)
class _Held:
    """What this transaction has locked for all of its batch, with what else is asked about it."""

    coverages: dict[UUID, Coverage] = field(default_factory=dict)
    exclusive: bool = False  # else the coverages are shared
    versions: dict[UUID, list[CoverageVersion]] = field(default_factory=dict)  # newest first
    quotes: dict[UUID, Quote | None] = field(default_factory=dict)  # the last one of an appointment
    new_care: set[UUID] = field(default_factory=set)  # patients whose care is not written yet
    legs: dict[UUID, Leg] = field(default_factory=dict)
    of_acts: dict[tuple[UUID, str], Leg] = field(default_factory=dict)
    waiting: dict[UUID, list[ReturnLine]] = field(default_factory=dict)
    bank_lines: Sequence[ReturnLine] = ()  # of a whole batch, and waiting
    owing: set[UUID] = field(default_factory=set)  # legs with an open balance
    read: list[object] = field(default_factory=list)  # found by their keys as long as somebody has them


def _held(session: AsyncSession) -> _Held:
    held: _Held = session.info.setdefault(_HELD, _Held())
    return held


# roots of appointments


async def lock_root(session: AsyncSession, appointment_id: UUID) -> AppointmentRoot:
    """The root row, held until the transaction ends; the first fact of an appointment creates it."""
    return await roots.lock(session, AppointmentRoot, appointment_id, blank=_BLANK)


async def lock_roots(session: AsyncSession, appointment_ids: Iterable[UUID]) -> None:
    """All of a batch, made where they are missing, in the order of their ids; `lock_root` then has them."""
    await roots.lock_or_make_all(session, AppointmentRoot, appointment_ids, blank=_BLANK)


async def locked_root(session: AsyncSession, appointment_id: UUID) -> AppointmentRoot:
    """The root row that this transaction has locked already."""
    return await session.get_one(AppointmentRoot, appointment_id)


async def get_root(session: AsyncSession, appointment_id: UUID) -> AppointmentRoot:
    root = await session.get(AppointmentRoot, appointment_id)
    if root is None or root.status is Status.UNKNOWN:
        raise AppointmentNotFound("no appointment of this id is known here", retry_after=RETRY_SECONDS)
    return root


async def list_live_appointments(session: AsyncSession, patient_id: UUID) -> Sequence[UUID]:
    query = select(AppointmentRoot.id).where(
        AppointmentRoot.patient_id == patient_id, AppointmentRoot.status == Status.LIVE
    )
    return (await session.scalars(query.order_by(AppointmentRoot.id))).all()


async def keep_early_fact(session: AsyncSession, fact: EarlyFact) -> None:
    row = {column.key: getattr(fact, column.key) for column in EarlyFact.__table__.columns}
    await session.execute(insert(EarlyFact).values(**row).on_conflict_do_nothing())


async def take_early_facts(session: AsyncSession, appointment_id: UUID) -> Sequence[EarlyFact]:
    """The facts that waited, oldest first; they are gone from the table when the transaction commits."""
    query = delete(EarlyFact).where(EarlyFact.appointment_id == appointment_id).returning(EarlyFact)
    rows = (await session.scalars(query, execution_options={"synchronize_session": False})).all()
    return sorted(rows, key=lambda row: (row.topic, row.sequence))


# coverage


async def lock_coverages(session: AsyncSession, patient_ids: Iterable[UUID], *, exclusive: bool) -> None:
    """All of a batch with their versions, made where they are missing, in the order of their ids."""
    ids = sorted(set(patient_ids))
    held = _held(session)
    held.exclusive = exclusive
    query = select(Coverage).order_by(Coverage.patient_id).with_for_update(read=not exclusive)
    for again in (True, False):
        missing = [each for each in ids if each not in held.coverages]
        if not missing:
            break
        rows = await session.scalars(query.where(Coverage.patient_id.in_(missing)))
        held.coverages |= {row.patient_id: row for row in rows}
        blank = [{"patient_id": each, "version": 0} for each in missing if each not in held.coverages]
        if blank and again:
            await session.execute(insert(Coverage).values(blank).on_conflict_do_nothing())
    newest = select(CoverageVersion).where(CoverageVersion.patient_id.in_(ids))
    held.versions |= {each: [] for each in ids}
    for version in await session.scalars(newest.order_by(CoverageVersion.version.desc())):
        held.versions[version.patient_id].append(version)


async def lock_coverage(session: AsyncSession, patient_id: UUID) -> Coverage:
    """Held until the transaction ends: versions are added, or chosen for a final price, one by one."""
    held = _held(session)
    if held.exclusive and patient_id in held.coverages:
        return held.coverages[patient_id]
    query = select(Coverage).where(Coverage.patient_id == patient_id).with_for_update()
    return await _existing_coverage(session, patient_id, query)


async def share_coverage(session: AsyncSession, patient_id: UUID) -> Coverage:
    """No version is added while this transaction runs; others may read."""
    if patient_id in _held(session).coverages:
        return _held(session).coverages[patient_id]
    query = select(Coverage).where(Coverage.patient_id == patient_id).with_for_update(read=True)
    return await _existing_coverage(session, patient_id, query)


async def _existing_coverage(session: AsyncSession, patient_id: UUID, locking: Select[Coverage]) -> Coverage:
    """The head row is made when it is missing: nobody can add a first version beside who reads none."""
    locking = locking.execution_options(populate_existing=True)
    known = await session.scalar(locking)
    if known is not None:
        return known
    blank = insert(Coverage).values(patient_id=patient_id, version=0).on_conflict_do_nothing()
    made = (await session.scalars(blank.returning(Coverage))).one_or_none()
    return made or (await session.scalars(locking)).one()


async def find_coverage_version(
    session: AsyncSession, patient_id: UUID, *, version: int
) -> CoverageVersion | None:
    return await session.get(CoverageVersion, (patient_id, version))


async def find_current_coverage(session: AsyncSession, patient_id: UUID) -> CoverageVersion | None:
    query = select(CoverageVersion).where(CoverageVersion.patient_id == patient_id)
    return await session.scalar(query.order_by(CoverageVersion.version.desc()).limit(1))


async def find_coverage_at(
    session: AsyncSession, patient_id: UUID, *, instant: datetime
) -> CoverageVersion | None:
    versions = _held(session).versions.get(patient_id)
    if versions is not None:
        return next((each for each in versions if each.valid_from <= instant), None)
    query = select(CoverageVersion).where(
        CoverageVersion.patient_id == patient_id, CoverageVersion.valid_from <= instant
    )
    return await session.scalar(query.order_by(CoverageVersion.version.desc()).limit(1))


async def list_rights_answers(
    session: AsyncSession, patient_id: UUID, *, version: int, known_at: datetime | None
) -> Sequence[RightsAnswer]:
    """About this version, oldest first."""
    query = select(RightsAnswer).where(
        RightsAnswer.patient_id == patient_id, RightsAnswer.coverage_version == version
    )
    if known_at is not None:
        query = query.where(RightsAnswer.known_from <= known_at)
    return (await session.scalars(query.order_by(RightsAnswer.known_from, RightsAnswer.id))).all()


async def list_care_awaiting_rights(session: AsyncSession, patient_id: UUID) -> Sequence[UUID]:
    """The appointments whose claims wait for rights."""
    query = select(CareAct.appointment_id).where(
        CareAct.patient_id == patient_id, CareAct.rights_pending.is_(True)
    )
    return (await session.scalars(query.order_by(CareAct.appointment_id))).all()


async def sum_taken(
    session: AsyncSession,
    patient_id: UUID,
    *,
    practitioner_id: UUID | None,
    care_on: date,
) -> TakenThisYear:
    """Of all care that has a price: what was priced first counts first, whenever it was done."""
    await _write_care_of(session, patient_id)
    cents = CareAct.flat_contribution_cents
    with_them = cents if practitioner_id is None else case((_same_day(practitioner_id, care_on), cents))
    query = select(
        func.coalesce(func.sum(cents), 0),
        func.coalesce(func.sum(with_them), 0),
        func.count().filter(CareAct.partner_session),
    ).where(
        CareAct.patient_id == patient_id,
        CareAct.care_on.between(date(care_on.year, 1, 1), date(care_on.year, 12, 31)),
    )
    row = (await session.execute(query)).one()
    return TakenThisYear(
        year_cents=Cents(int(row[0])),
        today_cents=Cents(int(row[1]) if practitioner_id is not None else 0),
        partner_sessions=row[2],
    )


async def _write_care_of(session: AsyncSession, patient_id: UUID) -> None:
    """Most people have one consultation in a batch: only for others it is written before the end."""
    if patient_id in _held(session).new_care:
        await session.flush()
        _held(session).new_care.clear()


def _same_day(practitioner_id: UUID, care_on: date) -> ColumnElement[bool]:
    return and_(CareAct.practitioner_id == practitioner_id, CareAct.care_on == care_on)


async def sum_sponsored(session: AsyncSession, patient_id: UUID, offer_id: UUID, *, month_of: date) -> Cents:
    """What a sponsor pays for a person in a civil month, of all care that has a price."""
    await _write_care_of(session, patient_id)
    _, days = monthrange(month_of.year, month_of.month)
    query = select(func.coalesce(func.sum(CareAct.sponsor_cents), 0)).where(
        CareAct.patient_id == patient_id,
        CareAct.sponsor_offer_id == offer_id,
        CareAct.care_on.between(month_of.replace(day=1), month_of.replace(day=days)),
    )
    return Cents(int(await session.scalar(query) or 0))


async def forget_indexes(session: AsyncSession, patient_id: UUID) -> None:
    """Every keyed hash of the person and of what they were priced by; those of care acts are kept by law."""
    versions = update(CoverageVersion).where(CoverageVersion.patient_id == patient_id)
    await session.execute(versions.values(nir_index=None, member_index=None))
    await session.execute(update(Preview).where(Preview.patient_id == patient_id).values(inputs_index=b""))
    theirs = select(AppointmentRoot.id).where(AppointmentRoot.patient_id == patient_id)
    await session.execute(update(Quote).where(Quote.appointment_id.in_(theirs)).values(inputs_index=b""))


async def find_sponsor_offer(session: AsyncSession, *, code_index: bytes, day: date) -> SponsorOffer | None:
    offer = await session.scalar(select(SponsorOffer).where(SponsorOffer.code_index == code_index))
    return offer if offer is not None and _holds(offer, day) else None


async def get_sponsor_offer(session: AsyncSession, offer_id: UUID) -> SponsorOffer:
    return await session.get_one(SponsorOffer, offer_id)


def _holds(offer: SponsorOffer, day: date) -> bool:
    return offer.valid_from <= day and (offer.valid_to is None or day <= offer.valid_to)


# practitioners and previews


async def put_practitioner(session: AsyncSession, row: Practitioner) -> None:
    """The row with the highest sequence stays, in whatever order they come."""
    values = {column.key: getattr(row, column.key) for column in Practitioner.__table__.columns}
    statement = insert(Practitioner).values(**values)
    newer = {name: statement.excluded[name] for name in values if name != "id"}
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Practitioner.id],
            set_=newer,
            where=Practitioner.sequence < statement.excluded.sequence,
        )
    )


async def find_practitioner(session: AsyncSession, practitioner_id: UUID) -> Practitioner | None:
    return await session.get(Practitioner, practitioner_id)


async def list_practitioners(session: AsyncSession, ids: Iterable[UUID]) -> Mapping[UUID, Practitioner]:
    rows = await session.scalars(select(Practitioner).where(Practitioner.id.in_(set(ids))))
    return {row.id: row for row in rows}


async def get_practitioner(session: AsyncSession, practitioner_id: UUID) -> Practitioner:
    found = await find_practitioner(session, practitioner_id)
    if found is None or found.withdrawn:
        raise PractitionerNotFound("no practitioner of this id is known here", retry_after=RETRY_SECONDS)
    return found


async def get_preview(session: AsyncSession, preview_id: UUID, *, created_by: UUID) -> Preview:
    preview = await session.get(Preview, preview_id)
    if preview is None or preview.created_by != created_by:
        raise PreviewNotFound("no preview of this id is yours")
    return preview


async def find_accepted_advance(
    session: AsyncSession, preview_id: UUID | None, *, account_id: UUID, patient_id: UUID
) -> Cents | None:
    """What the payer saw before booking; somebody else's preview, or another patient's, is nothing."""
    preview = await session.get(Preview, preview_id) if preview_id else None
    if preview is None or preview.created_by != account_id:
        return None
    return preview.advance_cents if preview.patient_id in {None, patient_id} else None


# quotes and care acts


async def find_quote(session: AsyncSession, appointment_id: UUID, *, revision: int) -> Quote | None:
    """None too for a number that no revision can have: PostgreSQL refuses to look for it."""
    return await session.get(Quote, (appointment_id, revision)) if revision in _REVISIONS else None


async def get_latest_quote(session: AsyncSession, appointment_id: UUID) -> Quote:
    query = select(Quote).where(Quote.appointment_id == appointment_id)
    quote = await session.scalar(query.order_by(Quote.revision.desc()).limit(1))
    if quote is None:
        raise QuoteNotFound("this appointment has no quote yet", retry_after=RETRY_SECONDS)
    return quote


async def find_last_revision(session: AsyncSession, appointment_id: UUID) -> int | None:
    query = select(func.max(Quote.revision)).where(Quote.appointment_id == appointment_id)
    return await session.scalar(query)


def add_quote(session: AsyncSession, quote: Quote) -> None:
    session.add(quote)
    _held(session).quotes[quote.appointment_id] = quote


async def read_issued_quotes(session: AsyncSession, appointment_ids: Iterable[UUID]) -> None:
    """Of a batch whose roots are locked: `find_issued_quote` then has them."""
    ids = set(appointment_ids)
    query = select(Quote).where(Quote.appointment_id.in_(ids), Quote.state == QuoteState.ISSUED)
    quotes = _held(session).quotes
    quotes |= dict.fromkeys(ids)
    quotes |= {row.appointment_id: row for row in await session.scalars(query)}


async def find_issued_quote(session: AsyncSession, appointment_id: UUID) -> Quote | None:
    if appointment_id in _held(session).quotes:
        last = _held(session).quotes[appointment_id]
        return last if last is not None and last.state is QuoteState.ISSUED else None
    query = select(Quote).where(Quote.appointment_id == appointment_id, Quote.state == QuoteState.ISSUED)
    return await session.scalar(query)


async def list_quotes(session: AsyncSession, appointment_id: UUID) -> Sequence[Quote]:
    query = select(Quote).where(Quote.appointment_id == appointment_id)
    return (await session.scalars(query.order_by(Quote.revision))).all()


async def find_care_act(session: AsyncSession, appointment_id: UUID) -> CareAct | None:
    return await session.scalar(select(CareAct).where(CareAct.appointment_id == appointment_id))


def add_care_act(session: AsyncSession, act: CareAct) -> None:
    """Written with the others of its batch, or when care of the person is summed up."""
    session.add(act)
    _held(session).new_care.add(act.patient_id)


async def get_care_act(session: AsyncSession, appointment_id: UUID) -> CareAct:
    act = await find_care_act(session, appointment_id)
    if act is None:
        raise CareActNotFound("this consultation is not priced yet", retry_after=RETRY_SECONDS)
    return act


# care without a price


async def find_unpriced(session: AsyncSession, appointment_id: UUID) -> UnpricedCare | None:
    return await session.get(UnpricedCare, appointment_id)


async def get_unpriced(session: AsyncSession, appointment_id: UUID) -> UnpricedCare:
    found = await find_unpriced(session, appointment_id)
    if found is None:
        raise UnpricedCareNotFound("this consultation is not waiting for a price")
    return found


async def list_unpriced(
    session: AsyncSession, *, rpps: str | None, after: UUID | None, limit: int
) -> Sequence[UnpricedCare]:
    """Of the practitioners whom this RPPS number names; of everybody without one."""
    query = select(UnpricedCare).order_by(UnpricedCare.appointment_id).limit(limit)
    if rpps is not None:
        theirs = select(PractitionerKeyRow.practitioner_id).where(PractitionerKeyRow.rpps == rpps)
        query = query.where(UnpricedCare.practitioner_id.in_(theirs))
    if after is not None:
        query = query.where(UnpricedCare.appointment_id > after)
    return (await session.scalars(query)).all()


async def list_refused_by_others(session: AsyncSession, table_version: str, *, limit: int) -> Sequence[UUID]:
    """Care that other tables refused than these."""
    query = select(UnpricedCare.appointment_id).where(UnpricedCare.table_version != table_version)
    return (await session.scalars(query.order_by(UnpricedCare.appointment_id).limit(limit))).all()


async def find_oldest_unpriced(session: AsyncSession) -> datetime | None:
    return await session.scalar(select(func.min(UnpricedCare.since)))


# legs


async def take_invoice_numbers(
    session: AsyncSession, wanted: Mapping[UUID, int]
) -> Mapping[UUID, Iterator[int]]:
    """So many of each biller, unique for it; a transaction that rolls back leaves no gap.

    The counters are locked in the order of their ids until the transaction ends: take them last.
    """
    rows = [{"biller_id": biller_id, "last": wanted[biller_id]} for biller_id in sorted(wanted)]
    statement = insert(InvoiceCounter).values(rows)
    after = InvoiceCounter.last + statement.excluded.last
    statement = statement.on_conflict_do_update(
        index_elements=[InvoiceCounter.biller_id], set_={"last": after}
    )
    taken = await session.execute(statement.returning(InvoiceCounter.biller_id, InvoiceCounter.last))
    return {biller_id: iter(range(last - wanted[biller_id] + 1, last + 1)) for biller_id, last in taken}


async def lock_claims(session: AsyncSession, appointment_ids: Iterable[UUID]) -> None:
    """Known roots with all their legs, in the order of their ids; `lock_root` and `lock_leg` have them."""
    ids = sorted(set(appointment_ids))
    if not ids:
        return
    await roots.lock_all(session, AppointmentRoot, ids)
    query = select(Leg).where(Leg.appointment_id.in_(ids)).order_by(Leg.id).with_for_update()
    held = _held(session)
    for leg in await session.scalars(query, execution_options={"populate_existing": True}):
        held.legs[leg.id] = leg
        held.of_acts[leg.care_act_id, leg.payer_kind] = leg


async def lock_answered(session: AsyncSession, items: Sequence[PayerReturn]) -> None:
    """Everything that lines of returns are about, read and locked at once, however many lines there are."""
    named = {(each.biller_id, each.invoice_no) for each in items if each.invoice_no is not None}
    invoices: Sequence[Invoice] = ()
    if named:
        query = select(Invoice).where(tuple_(Invoice.biller_id, Invoice.invoice_no).in_(named))
        invoices = (await session.scalars(query)).all()
    _held(session).read += invoices
    whole = {each.batch_id for each in items if each.invoice_no is None}
    await _lock_with_returns(
        session, {each.batch_id for each in items}, whole=whole, legs={each.leg_id for each in invoices}
    )


async def lock_batch(session: AsyncSession, batch_id: UUID) -> None:
    """As `lock_answered`, for all that a batch claims."""
    await _lock_with_returns(session, {batch_id}, whole={batch_id}, legs=set())


async def _lock_with_returns(
    session: AsyncSession, batches: AbstractSet[UUID], *, whole: AbstractSet[UUID], legs: AbstractSet[UUID]
) -> None:
    held = _held(session)
    held.read += await session.scalars(select(Batch).where(Batch.id.in_(batches)))
    concerned = or_(
        Leg.id.in_(legs), Leg.id.in_(select(Submission.leg_id).where(Submission.batch_id.in_(whole)))
    )
    await lock_claims(session, await session.scalars(select(Leg.appointment_id).where(concerned)))
    if not held.legs:
        return
    ids = set(held.legs)
    submissions = (await session.scalars(select(Submission).where(Submission.leg_id.in_(ids)))).all()
    held.read += submissions
    held.waiting = {each: [] for each in ids}
    lines = select(ReturnLine).where(
        or_(
            ReturnLine.leg_id.in_(ids),
            and_(
                ReturnLine.leg_id.is_(None), ReturnLine.batch_id.in_({each.batch_id for each in submissions})
            ),
        ),
        ReturnLine.state == LineState.WAITING,
    )
    found = (await session.scalars(lines.order_by(ReturnLine.imported_at, ReturnLine.line))).all()
    for line in found:
        if line.leg_id is not None:
            held.waiting[line.leg_id].append(line)
    held.bank_lines = [each for each in found if each.leg_id is None]
    owing = select(Balance.leg_id).where(Balance.leg_id.in_(ids), Balance.state == BalanceState.OPEN)
    held.owing = set(await session.scalars(owing))


async def lock_leg(session: AsyncSession, leg_id: UUID) -> Leg:
    held = _held(session).legs.get(leg_id)
    if held is not None:
        return held  # with all the others of its batch
    query = select(Leg).where(Leg.id == leg_id).with_for_update()
    leg = await session.scalar(query, execution_options={"populate_existing": True})
    if leg is None:
        raise LegNotFound("no leg of this id")
    return leg


async def get_leg(session: AsyncSession, leg_id: UUID) -> Leg:
    leg = await session.get(Leg, leg_id)
    if leg is None:
        raise LegNotFound("no leg of this id")
    return leg


async def find_leg_of(session: AsyncSession, care_act_id: UUID, payer_kind: str) -> Leg | None:
    held = _held(session)
    if any(act_id == care_act_id for act_id, _ in held.of_acts):
        return held.of_acts.get((care_act_id, payer_kind))
    query = select(Leg).where(Leg.care_act_id == care_act_id, Leg.payer_kind == payer_kind)
    return await session.scalar(query)


async def list_legs(session: AsyncSession, appointment_id: UUID) -> Sequence[Leg]:
    query = select(Leg).where(Leg.appointment_id == appointment_id)
    return (await session.scalars(query.order_by(Leg.payer_kind.desc()))).all()  # AMO before AMC


async def list_submissions(session: AsyncSession, leg_ids: Sequence[UUID]) -> Sequence[Submission]:
    query = select(Submission).where(Submission.leg_id.in_(leg_ids))
    return (await session.scalars(query.order_by(Submission.leg_id, Submission.attempt))).all()


async def take_sendable_legs(
    session: AsyncSession, *, payer: str, biller_id: UUID, paid_to: str, limit: int
) -> Sequence[Leg]:
    """Legs that may leave now, locked; one that somebody else holds is left to them."""
    query = (
        select(Leg)
        .where(
            Leg.payer == payer,
            Leg.biller_id == biller_id,
            Leg.paid_to == paid_to,
            Leg.state.in_(SENDABLE),
            Leg.free_to_leave.is_(True),
        )
        .order_by(Leg.opened_at, Leg.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return (await session.scalars(query, execution_options={"populate_existing": True})).all()


async def get_batch(session: AsyncSession, batch_id: UUID) -> Batch:
    return await session.get_one(Batch, batch_id)


async def find_batch(session: AsyncSession, batch_id: UUID) -> Batch | None:
    return await session.get(Batch, batch_id)


async def find_submission(session: AsyncSession, leg_id: UUID, *, attempt: int) -> Submission | None:
    return await session.get(Submission, (leg_id, attempt))


async def list_batched(session: AsyncSession, batch_id: UUID) -> Sequence[tuple[Submission, Leg]]:
    """The attempts of a batch with their legs, in the order in which their appointments are locked."""
    query = (
        select(Submission, Leg)
        .join(Leg, Leg.id == Submission.leg_id)
        .where(Submission.batch_id == batch_id)
        .order_by(Leg.appointment_id, Leg.id)
    )
    return [(row[0], row[1]) for row in (await session.execute(query)).all()]


async def list_care_acts(session: AsyncSession, act_ids: Sequence[UUID]) -> Sequence[CareAct]:
    return (await session.scalars(select(CareAct).where(CareAct.id.in_(act_ids)))).all()


async def is_anything_outstanding(session: AsyncSession, states: frozenset[State]) -> bool:
    return bool(await session.scalar(select(exists().where(Leg.state.in_(states), ~_ANSWERED))))


# what payers answered


async def find_cursor(session: AsyncSession, gateway: str) -> str | None:
    row = await session.get(GatewayCursor, gateway)
    return row.cursor if row else None


async def put_cursor(session: AsyncSession, gateway: str, cursor: str) -> None:
    statement = insert(GatewayCursor).values(gateway=gateway, cursor=cursor)
    await session.execute(
        statement.on_conflict_do_update(index_elements=[GatewayCursor.gateway], set_={"cursor": cursor})
    )


async def claim_return_lines(
    session: AsyncSession, items: Sequence[PayerReturn], *, now: datetime
) -> list[ReturnLine | None]:
    """The new row of each line; None where it was imported before, or stands earlier in `items`."""
    new = {
        (item.payer, item.return_id, item.line): {
            "payer": item.payer,
            "return_id": item.return_id,
            "line": item.line,
            "kind": item.kind.value,
            "batch_id": item.batch_id,
            "invoice_no": item.invoice_no,
            "attempt": item.attempt,
            "amount_cents": item.amount_cents,
            "code": item.code,
            "biller_id": item.biller_id,
            "accepted": item.accepted,
            "state": LineState.APPLIED,
            "imported_at": now,
        }
        for item in reversed(items)
    }
    ordered = [
        new[key] for key in sorted(new)
    ]  # two imports of one file wait for each other, and do not cross
    statement = insert(ReturnLine).values(ordered).on_conflict_do_nothing().returning(ReturnLine)
    rows = await session.scalars(statement)
    claimed = {(row.payer, row.return_id, row.line): row for row in rows}
    return [claimed.pop((item.payer, item.return_id, item.line), None) for item in items]


async def list_lines_named(session: AsyncSession, items: Sequence[PayerReturn]) -> Sequence[ReturnLine]:
    """What is kept under the names of these lines, in no order."""
    name = tuple_(ReturnLine.payer, ReturnLine.return_id, ReturnLine.line)
    named = {(item.payer, item.return_id, item.line) for item in items}
    return (await session.scalars(select(ReturnLine).where(name.in_(named)))).all()


def list_waiting_lines(session: AsyncSession, leg_id: UUID) -> Sequence[ReturnLine]:
    """Of a leg that `lock_answered` holds, oldest first."""
    waiting = [each for each in _held(session).waiting[leg_id] if each.state is LineState.WAITING]
    return sorted(waiting, key=lambda line: (line.imported_at, line.line))


def keep_waiting(session: AsyncSession, line: ReturnLine, leg: Leg) -> None:
    _held(session).waiting[leg.id].append(line)


def list_waiting_bank_lines(session: AsyncSession) -> Sequence[ReturnLine]:
    """Of a whole batch that anything concerns which `lock_answered` or `lock_batch` holds, oldest first."""
    return _held(session).bank_lines


async def find_invoice(session: AsyncSession, biller_id: UUID, invoice_no: str) -> Invoice | None:
    return await session.get(Invoice, (biller_id, invoice_no))


async def list_postings(session: AsyncSession, leg_id: UUID) -> Sequence[Posting]:
    return (await session.scalars(select(Posting).where(Posting.leg_id == leg_id).order_by(Posting.id))).all()


# balances


async def find_balance(session: AsyncSession, balance_id: UUID) -> Balance | None:
    return await session.get(Balance, balance_id)


async def find_balance_for(
    session: AsyncSession, appointment_id: UUID, *, reason: str, leg_id: UUID | None
) -> Balance | None:
    query = select(Balance).where(
        Balance.appointment_id == appointment_id, Balance.reason == reason, Balance.leg_id == leg_id
    )
    return await session.scalar(query)


def add_balance(session: AsyncSession, balance: Balance) -> None:
    session.add(balance)
    if balance.leg_id is not None:
        _held(session).owing.add(balance.leg_id)


async def find_open_balance_of_leg(session: AsyncSession, leg_id: UUID) -> Balance | None:
    """Of a leg that `lock_answered` holds."""
    if leg_id not in _held(session).owing:
        return None
    query = select(Balance).where(Balance.leg_id == leg_id, Balance.state == BalanceState.OPEN)
    return await session.scalar(query)


async def list_balances(session: AsyncSession, appointment_id: UUID) -> Sequence[Balance]:
    query = select(Balance).where(Balance.appointment_id == appointment_id)
    return (await session.scalars(query.order_by(Balance.opened_at, Balance.id))).all()


async def list_oldest_waiting(session: AsyncSession) -> Mapping[tuple[str, State], datetime | None]:
    """Of each kind of payer and state: since when the longest waiting leg is in it."""
    oldest = select(Leg.payer_kind, Leg.state, func.min(Leg.changed_at)).where(
        Leg.state.in_(_WAITING), ~_ANSWERED
    )
    rows = await session.execute(oldest.group_by(Leg.payer_kind, Leg.state))
    found = {(payer, state): since for payer, state, since in rows}
    return {(payer, state): found.get((payer, state)) for payer in _PAYERS for state in _WAITING}


# reports


async def list_story(
    session: AsyncSession, appointment_id: UUID, *, after: int, limit: int
) -> Sequence[StoryEntry]:
    query = select(StoryEntry).where(StoryEntry.appointment_id == appointment_id, StoryEntry.id > after)
    return (await session.scalars(query.order_by(StoryEntry.id).limit(limit))).all()


async def get_pricing(session: AsyncSession, appointment_id: UUID) -> StoryEntry:
    """When the care got its price."""
    query = select(StoryEntry).where(
        StoryEntry.appointment_id == appointment_id,
        StoryEntry.about == "care-act",
        StoryEntry.state == "priced",
    )
    return (await session.scalars(query)).one()


_OWED: Final = sorted(OWED)


async def list_ageing(
    session: AsyncSession, *, edges: Sequence[datetime], now: datetime, after: str | None, limit: int
) -> Sequence[Row[Any]]:
    """Per payer what it owes, and what of it was opened in each span between the edges, newest span first."""
    owed = Leg.amount_cents - Leg.paid_cents
    spans = []
    for number, edge in enumerate(edges):
        newer = edges[number - 1] if number else None
        inside = Leg.opened_at >= edge if newer is None else _between(edge, newer)
        spans += [func.count().filter(inside), func.coalesce(func.sum(owed).filter(inside), 0)]
    oldest = Leg.opened_at < edges[-1]
    spans += [func.count().filter(oldest), func.coalesce(func.sum(owed).filter(oldest), 0)]
    late = Leg.pay_by < now
    query = (
        select(
            Leg.payer,
            func.count(),
            func.sum(owed),
            func.count().filter(late),
            func.coalesce(func.sum(owed).filter(late), 0),
            func.min(Leg.opened_at),
            *spans,
        )
        .where(Leg.state.in_(_OWED), Leg.paid_to == PaidTo.PROVIDER.value)
        .group_by(Leg.payer)
        .order_by(Leg.payer)
        .limit(limit)
    )
    if after is not None:
        query = query.where(Leg.payer > after)
    rows: Sequence[Row[Any]] = (await session.execute(query)).all()  # type: ignore[assignment]  # spans vary
    return rows


def _between(edge: datetime, newer: datetime) -> ColumnElement[bool]:
    return and_(Leg.opened_at >= edge, Leg.opened_at < newer)


async def speaks_for(session: AsyncSession, rpps: str | None, practitioner_id: UUID) -> bool:
    """Whether a token with this RPPS number is the practitioner's."""
    query = select(
        exists().where(
            PractitionerKeyRow.practitioner_id == practitioner_id, PractitionerKeyRow.rpps == (rpps or "")
        )
    )
    return bool(await session.scalar(query))


async def list_statement(
    session: AsyncSession,
    practitioner_id: UUID,
    *,
    from_on: date,
    before: date,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[CareAct]:
    """Care of a practitioner in the order of its completion."""
    query = _care_of(practitioner_id, from_on, before)
    if after is not None:
        query = query.where(tuple_(CareAct.completed_at, CareAct.id) > after)
    return (await session.scalars(query.order_by(CareAct.completed_at, CareAct.id).limit(limit))).all()


def _care_of(practitioner_id: UUID, from_on: date, before: date) -> Select[CareAct]:
    return select(CareAct).where(
        CareAct.practitioner_id == practitioner_id, CareAct.care_on >= from_on, CareAct.care_on < before
    )


async def list_legs_of_acts(session: AsyncSession, act_ids: Sequence[UUID]) -> Sequence[Leg]:
    query = select(Leg).where(Leg.care_act_id.in_(act_ids))
    return (await session.scalars(query.order_by(Leg.care_act_id, Leg.payer_kind.desc()))).all()


async def sum_statement(
    session: AsyncSession, practitioner_id: UUID, *, from_on: date, before: date
) -> tuple[Cents, Cents, Cents, Cents]:
    """Of the whole period, in cents: fees, claimed from payers, paid by them, owed back to them."""
    acts = _care_of(practitioner_id, from_on, before).subquery()
    fees = await session.scalar(select(func.coalesce(func.sum(acts.c.fee_cents), 0)))
    legs = select(
        func.coalesce(func.sum(Leg.amount_cents), 0),
        func.coalesce(func.sum(Leg.paid_cents), 0),
        func.coalesce(func.sum(Leg.owed_back_cents), 0),
    )
    legs = legs.join(acts, acts.c.id == Leg.care_act_id).where(Leg.paid_to == PaidTo.PROVIDER.value)
    claimed, paid, owed_back = (await session.execute(legs)).one()
    return Cents(int(fees or 0)), Cents(int(claimed)), Cents(int(paid)), Cents(int(owed_back))


async def list_return_lines(session: AsyncSession, payer: str, return_id: UUID) -> Sequence[ReturnLine]:
    query = select(ReturnLine).where(ReturnLine.payer == payer, ReturnLine.return_id == return_id)
    return (await session.scalars(query.order_by(ReturnLine.line))).all()
