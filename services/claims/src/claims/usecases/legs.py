"""The legs of a care act: opened, sent, timed, corrected and sent again, given up."""

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain import calendar
from claims.domain.asking import inputs_of
from claims.domain.claimfile import invoice_no
from claims.domain.leg import SENDABLE, Move, State, after, allowed
from claims.domain.pricing import ClaimPart, Inputs, PaidTo, Payer, Priced, price
from claims.domain.rejects import Again, Family, find_reject
from claims.domain.rights import SUFFICIENT, RightsVerdict
from claims.models import AppointmentRoot, BatchState, CareAct, Invoice, Leg, Submission
from claims.usecases import balances, coverage, insured, pricing, quotes, story
from claims.usecases.config import ClaimsConfig, InsuredPerson
from common.errors import DomainError, Refusal
from common.events.claims import LegAcknowledgedV1, LegOpenedV1, LegSentV1
from common.ids import uuid7
from common.messaging import history, outbox, tasks
from common.transaction import Cause, notes_of

Deadline = Literal["rights-by", "send-by", "ack-by", "resend-by", "pay-by"]

SEND: Final = "send-leg"
SETTLE_BANK_LINES: Final = "settle-bank-lines"
_PLANNED: Final = "claims.planned"  # in session.info
_UNSENT: Final = frozenset({State.RIGHTS_PENDING, State.READY, State.BATCHED})
_FALL_BACK: Final = timedelta(hours=12)  # before the sending deadline: a degraded claim still leaves in time


class NeverSentAgain(DomainError):
    """The payer has settled this invoice: sending it again would be a duplicate claim."""

    code: ClassVar[str] = "leg-never-sent-again"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


class PractitionerDecides(DomainError):
    """A coding reject is never fixed by itself: the practitioner validates."""

    code: ClassVar[str] = "practitioner-decides"
    refusal: ClassVar[Refusal] = Refusal.FORBIDDEN


class PriceWouldChange(DomainError):
    """With the coverage of now the care act has another price; the sent amounts stay what they are."""

    code: ClassVar[str] = "price-would-change"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opening:
    """Legs of a priced care act that the end of the transaction opens."""

    root: AppointmentRoot
    act: CareAct
    parts: Sequence[ClaimPart]
    person: InsuredPerson
    awaiting_rights: AbstractSet[str]
    cause: Cause | None


def plan_legs(
    session: AsyncSession,
    root: AppointmentRoot,
    act: CareAct,
    priced: Priced,
    person: InsuredPerson,
    *,
    awaiting_rights: AbstractSet[str],
) -> None:
    """One leg per payer to claim from, opened by `open_planned` before the transaction ends.

    A leg whose payer's rights are not known is `parked`: it leaves once they are. The sheet of a direct
    payment is a leg too; it puts nobody's money at risk, and waits for none but the patient's.
    """
    cause: Cause | None = notes_of(session).cause
    parts = priced.claim_parts if priced.sheet is None else (*priced.claim_parts, priced.sheet)
    opening = _Opening(
        root=root, act=act, parts=parts, person=person, awaiting_rights=awaiting_rights, cause=cause
    )
    root.sheet_waits = priced.sheet is not None  # whose share is in the advance
    session.info.setdefault(_PLANNED, []).append(opening)


async def open_planned(session: AsyncSession, config: ClaimsConfig, *, now: datetime) -> None:
    """Takes the invoice numbers last: whoever prices for the same billers waits for them until the commit."""
    planned: list[_Opening] = session.info.pop(_PLANNED, [])
    wanted: Counter[UUID] = Counter(each.act.biller_id for each in planned for _ in each.parts)
    if not wanted:
        return
    await session.flush()  # the care acts, before legs that name them
    numbers = await store.take_invoice_numbers(session, wanted)
    opened = [
        (opening, _leg(config, opening, part, next(numbers[opening.act.biller_id]), now=now))
        for opening in planned
        for part in opening.parts
    ]
    session.add_all([leg for _, leg in opened])
    await session.flush()
    for opening, leg in opened:
        if opening.cause is not None:
            notes_of(session).cause = opening.cause
        _tell_opened(session, config, opening.root, leg, now=now)


def _leg(config: ClaimsConfig, opening: _Opening, part: ClaimPart, number: int, *, now: datetime) -> Leg:
    """The AMC's leaves after the fund's acknowledgement, or with it; a sheet once it is paid."""
    act, person, to_amo = opening.act, opening.person, part.payer is Payer.AMO
    sheet = part.paid_to is PaidTo.INSURED
    awaiting_rights = part.payer.value in opening.awaiting_rights and not sheet
    days = calendar.SEND_DIRECT_PAYMENT if sheet else calendar.SEND_THIRD_PARTY
    return Leg(
        id=uuid7(now),
        care_act_id=act.id,
        appointment_id=opening.root.id,
        biller_id=act.biller_id,
        payer_kind=part.payer.value,
        payer=f"amo:{person.scheme}" if to_amo else f"amc:{person.amc_number}",
        paid_to=part.paid_to.value,
        amount_cents=part.amount_cents,
        lines=_lines_of(part),
        state=after(State.DRAFT, Move.AWAIT_RIGHTS if awaiting_rights else Move.PREPARE),
        free_to_leave=not opening.root.sheet_waits if sheet else to_amo or not config.terms.amc_after_amo,
        attempt=0,
        invoice_no=invoice_no(number),
        paid_cents=0,
        owed_back_cents=0,
        reversed_cents=0,
        opened_at=now,
        changed_at=now,
        send_by=calendar.end_of(calendar.add_working_days(act.care_on, days, holidays=config.holidays)),
    )


def _lines_of(part: ClaimPart) -> dict[str, Any]:
    return {"lines": [{**line._asdict(), "benefit": line.benefit.value} for line in part.lines]}


def share_anew(leg: Leg, part: ClaimPart) -> None:
    """A claim that has not left asks for what its payer bears by now."""
    leg.amount_cents = part.amount_cents
    leg.lines = _lines_of(part)


def _tell_opened(
    session: AsyncSession, config: ClaimsConfig, root: AppointmentRoot, leg: Leg, *, now: datetime
) -> None:
    session.add(Invoice(biller_id=leg.biller_id, invoice_no=leg.invoice_no, leg_id=leg.id))
    outbox.add(session, root, LegOpenedV1(**about(leg)), now=now)
    awaiting_rights = leg.state is State.RIGHTS_PENDING
    story.tell(
        session,
        root.id,
        "leg",
        leg.state.value,
        now=now,
        leg=leg,
        amount_cents=leg.amount_cents,
        reason=(Move.AWAIT_RIGHTS if awaiting_rights else Move.PREPARE).value,
    )
    _watch(session, leg, "send-by", at=leg.send_by)
    if awaiting_rights:
        _watch(session, leg, "rights-by", at=leg.send_by - _FALL_BACK)
    elif leg.free_to_leave:
        _plan_sending(session, config, leg, now=now)


def about(leg: Leg) -> dict[str, Any]:
    """What every event of a leg says."""
    return {
        "appointment_id": leg.appointment_id,
        "leg_id": leg.id,
        "care_act_id": leg.care_act_id,
        "payer_kind": leg.payer_kind,
        "paid_to": leg.paid_to,
        "currency": "EUR",
        "amount_cents": leg.amount_cents,
    }


async def record_sent(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    leg: Leg,
    submission: Submission,
    *,
    now: datetime,
) -> None:
    story.move(session, leg, Move.SEND, now=now)
    submission.sent_at = now
    batch = await store.get_batch(session, submission.batch_id)
    batch.state, batch.sent_at = BatchState.SENT, batch.sent_at or now
    leg.resend_by = None
    leg.ack_by = calendar.deadline(now, calendar.ACKNOWLEDGE, holidays=config.holidays)
    _watch(session, leg, "ack-by", at=leg.ack_by)
    if leg.paid_to == PaidTo.PROVIDER.value:
        leg.pay_by = calendar.deadline(now, calendar.PAY, holidays=config.holidays)
        _watch(session, leg, "pay-by", at=leg.pay_by)
    sent = LegSentV1(**about(leg), attempt=submission.attempt, batch_id=submission.batch_id)
    outbox.add(session, root, sent, now=now)


async def acknowledge(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    leg: Leg,
    submission: Submission,
    *,
    now: datetime,
) -> None:
    """The file has arrived; of the fund's part, this lets the AMC's part leave."""
    story.move(session, leg, Move.ACKNOWLEDGE, now=now)
    leg.ack_by = leg.resend_by = None
    submission.acknowledged_at, submission.accepted = now, True
    _tell_acknowledged(session, root, leg, submission, accepted=True, now=now)
    if leg.payer_kind == Payer.AMO.value:
        other = await store.find_leg_of(session, leg.care_act_id, Payer.AMC.value)
        if other is not None and not other.free_to_leave:
            held = await store.lock_leg(session, other.id)
            held.free_to_leave = True
            if held.state in SENDABLE:
                _plan_sending(session, config, held, now=now)


def refuse_file(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    leg: Leg,
    submission: Submission,
    *,
    now: datetime,
) -> None:
    """The payer cannot read the file: it leaves again by itself, a few times."""
    story.move(session, leg, Move.REFUSE_FILE, now=now)
    submission.acknowledged_at, submission.accepted = now, False
    _tell_acknowledged(session, root, leg, submission, accepted=False, now=now)
    _send_file_again(session, config, leg, now=now)


async def pass_deadline(
    session: AsyncSession,
    config: ClaimsConfig,
    leg_id: UUID,
    deadline: Deadline,
    *,
    attempt: int,
    now: datetime,
) -> None:
    """What a deadline means depends on where the leg is when it passes; one that it has met means nothing."""
    known = await store.get_leg(session, leg_id)
    root = await store.lock_root(session, known.appointment_id)
    leg = await store.lock_leg(session, leg_id)
    match deadline:
        case "rights-by" if leg.state is State.RIGHTS_PENDING:
            await _fall_back(session, config, root, leg, now=now)
        case "send-by" if leg.attempt <= 1 and leg.state in _UNSENT:
            history.note(session, root.id, "claims.leg-send-overdue", at=now)
        case "ack-by" if leg.state is State.SENT and leg.attempt == attempt:
            story.move(session, leg, Move.MISS_ACKNOWLEDGEMENT, now=now)
            history.note(session, root.id, "claims.leg-acknowledgement-missed", at=now)
            _send_file_again(session, config, leg, now=now)
        case "resend-by" if leg.state in {State.NACKED, State.ACK_TIMEOUT} and leg.attempt == attempt:
            history.note(session, root.id, "claims.leg-resend-overdue", at=now)
        case "pay-by" if leg.state in {State.ACKED, State.ACCEPTED} and leg.attempt == attempt:
            story.move(session, leg, Move.MISS_PAYMENT, now=now)
            history.note(session, root.id, "claims.leg-payment-late", at=now)
        case _:
            pass


async def correct(
    session: AsyncSession,
    config: ClaimsConfig,
    appointment_id: UUID,
    leg_id: UUID,
    *,
    by_practitioner: bool,
    now: datetime,
) -> Leg:
    """Sends a rejected leg again, for the insured person as known now, under the same invoice number.

    Raises LegMoveRefused, NeverSentAgain, PractitionerDecides, PriceWouldChange.
    """
    root = await store.lock_root(session, appointment_id)
    leg = await _of_appointment(session, appointment_id, leg_id)
    after(leg.state, Move.CORRECT)
    reject = find_reject(leg.payer_kind, leg.reject_code or "")
    if reject.again is Again.NEVER:
        raise NeverSentAgain("the payer has settled this invoice; open an enquiry instead")
    if reject.family is Family.CODING and not by_practitioner:
        raise PractitionerDecides("a coding reject is corrected by the practitioner")
    act = await store.get_care_act(session, appointment_id)
    person = await _person_now(session, config, root, act)
    act.insured_encrypted = await insured.encrypt_person(session, config, act.patient_id, person, now=now)
    if leg.payer_kind == Payer.AMC.value:
        leg.payer = f"amc:{person.amc_number}"
    story.move(session, leg, Move.CORRECT, now=now, reason=leg.reject_code)
    story.move(session, leg, Move.PREPARE, now=now)
    leg.reject_code = leg.reject_family = None
    history.note(session, root.id, "claims.leg-corrected", at=now)
    _plan_sending(session, config, leg, now=now)
    return leg


async def dispute(
    session: AsyncSession, appointment_id: UUID, leg_id: UUID, *, reason: str, now: datetime
) -> Leg:
    """What a payer has not paid, rejects or takes back is contested. Raises LegMoveRefused, LegNotFound."""
    leg = await _of_appointment(session, appointment_id, leg_id)
    story.move(session, leg, Move.DISPUTE, now=now, reason=reason)
    history.note(session, appointment_id, "claims.leg-disputed", at=now)
    await _expect_less(session, leg, now=now)
    return leg


async def hand_over_paper(
    session: AsyncSession, appointment_id: UUID, leg_id: UUID, *, reason: str, now: datetime
) -> Leg:
    """The claim goes on paper: no file reaches its payer, or has a place for it. Money may still come.

    Out of a batch only when it is alone there, as a gateway's refusal leaves it (`batches.break_up`).

    Raises LegMoveRefused, LegNotFound.
    """
    leg = await _of_appointment(session, appointment_id, leg_id)
    if leg.state is State.BATCHED and await _is_alone(session, leg):
        story.move(session, leg, Move.BREAK_UP, now=now)
    story.move(session, leg, Move.HAND_OVER_PAPER, now=now, reason=reason)
    leg.ack_by = leg.resend_by = None
    history.note(session, appointment_id, "claims.leg-on-paper", at=now)
    return leg


async def _is_alone(session: AsyncSession, leg: Leg) -> bool:
    submission = await store.find_submission(session, leg.id, attempt=leg.attempt)
    return submission is not None and len(await store.list_batched(session, submission.batch_id)) == 1


async def write_off(
    session: AsyncSession, appointment_id: UUID, leg_id: UUID, *, reason: str, now: datetime
) -> Leg:
    """Nobody asks the payer any more. A reject or rights never proven are given up, the rest is written off.

    Raises LegMoveRefused, LegNotFound.
    """
    leg = await _of_appointment(session, appointment_id, leg_id)
    given_up = Move.ABANDON in allowed(leg.state)
    story.move(session, leg, Move.ABANDON if given_up else Move.WRITE_OFF, now=now, reason=reason)
    history.note(session, appointment_id, "claims.leg-written-off", at=now)
    await _expect_less(session, leg, now=now)
    await settle_pending(session, await store.get_care_act(session, appointment_id))
    return leg


def plan_bank_lines(session: AsyncSession, batch_id: UUID, because_of: str, *, now: datetime) -> None:
    """Bank lines that wait for the rest of a batch are tried again.

    In a transaction of their own: its claims are to be locked in the order of their appointments.
    """
    payload = {"batch_id": str(batch_id)}
    tasks.add(session, SETTLE_BANK_LINES, f"{batch_id}:{because_of}", due_at=now, payload=payload)


async def _expect_less(session: AsyncSession, leg: Leg, *, now: datetime) -> None:
    submission = await store.find_submission(session, leg.id, attempt=leg.attempt)
    if submission is not None:
        plan_bank_lines(session, submission.batch_id, f"{leg.id}:{leg.state.value}", now=now)


async def _of_appointment(session: AsyncSession, appointment_id: UUID, leg_id: UUID) -> Leg:
    await store.lock_root(session, appointment_id)
    leg = await store.lock_leg(session, leg_id)
    if leg.appointment_id != appointment_id:
        raise store.LegNotFound("no leg of this id")
    return leg


async def _person_now(
    session: AsyncSession, config: ClaimsConfig, root: AppointmentRoot, act: CareAct
) -> InsuredPerson:
    await store.share_coverage(session, act.patient_id)
    row = await store.find_current_coverage(session, act.patient_id)
    known = await coverage.opened(session, config, row, care_on=act.care_on)
    return await same_price(session, config, root, act, known)


async def same_price(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    act: CareAct,
    known: coverage.CoverageSnapshot,
) -> InsuredPerson:
    """Whom `known` names, if with its insurance the care has the price that it was given.

    Raises PriceWouldChange.
    """
    _, priced = await priced_again(session, config, root, act, known)
    if (priced.amo_cents, priced.amc_cents, priced.advance_cents) != (
        act.amo_cents,
        act.amc_cents,
        act.advance_cents,
    ):
        raise PriceWouldChange("the corrected coverage gives other amounts for this care")
    return known.person


async def priced_again(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    act: CareAct,
    known: coverage.CoverageSnapshot,
) -> tuple[Inputs, Priced]:
    """The care as it was done, with the insurance of `known`, by the tables of its first price.

    Raises PricingRefused.
    """
    consultation, booked_on = quotes.stored_consultation_of(root)
    asked = inputs_of(
        consultation, known.insurance, care_on=act.care_on, booked_on=booked_on, tables=config.tables
    )
    before = await pricing.inputs_again(session, config, act, owner=act.patient_id, kept=True)
    # What the practitioner coded stays; only what is known of the insurance may differ.
    again = pricing.with_insurance_of(before, asked)
    return again, price(again, config.tables, config.policy, as_known_at=act.known_at)


def _send_file_again(session: AsyncSession, config: ClaimsConfig, leg: Leg, *, now: datetime) -> None:
    leg.ack_by = None
    leg.resend_by = calendar.deadline(now, calendar.SEND_AGAIN, holidays=config.holidays)
    _watch(session, leg, "resend-by", at=leg.resend_by)
    if leg.attempt < config.terms.attempts:
        _plan_sending(session, config, leg, now=now)


def _plan_sending(session: AsyncSession, config: ClaimsConfig, leg: Leg, *, now: datetime) -> None:
    tasks.add(
        session,
        SEND,
        sending(leg, leg.attempt + 1),
        due_at=now + config.terms.gather_for,
        payload={"leg_id": str(leg.id)},
    )


def sending(leg: Leg, attempt: int) -> str:
    return f"{leg.id}:{attempt}"


def _watch(session: AsyncSession, leg: Leg, deadline: Deadline, *, at: datetime) -> None:
    tasks.add(
        session,
        "leg-deadline",
        f"{leg.id}:{deadline}:{leg.attempt}",
        due_at=at,
        payload={"leg_id": str(leg.id), "deadline": deadline, "attempt": leg.attempt},
    )


def _tell_acknowledged(
    session: AsyncSession,
    root: AppointmentRoot,
    leg: Leg,
    submission: Submission,
    *,
    accepted: bool,
    now: datetime,
) -> None:
    told = LegAcknowledgedV1(**about(leg), attempt=submission.attempt, accepted=accepted)
    outbox.add(session, root, told, now=now)


async def let_sheet_leave(
    session: AsyncSession, config: ClaimsConfig, root: AppointmentRoot, *, now: datetime
) -> None:
    """The patient has paid: the sheet that waited for it leaves (rule T0)."""
    root.sheet_waits = False
    act = await store.get_care_act(session, root.id)
    known = await store.find_leg_of(session, act.id, Payer.AMO.value)
    if known is None:
        return
    leg = await store.lock_leg(session, known.id)
    leg.free_to_leave = True
    if leg.state in SENDABLE:
        _plan_sending(session, config, leg, now=now)


async def resume_after_rights(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    leg: Leg,
    person: InsuredPerson,
    *,
    now: datetime,
) -> None:
    """The rights are proven, or the service stayed silent until the deadline: the claim leaves."""
    if leg.payer_kind == Payer.AMC.value:
        leg.payer = f"amc:{person.amc_number}"
    story.move(session, leg, Move.PREPARE, now=now)
    history.note(session, root.id, "claims.leg-rights-settled", at=now)
    if leg.free_to_leave:
        _plan_sending(session, config, leg, now=now)


async def _fall_back(
    session: AsyncSession, config: ClaimsConfig, root: AppointmentRoot, leg: Leg, *, now: datetime
) -> None:
    """Rights never proven: a silent service gets a degraded claim, a refusal becomes a receivable.

    Rights that are proven and did not let the claim leave give it another price: it is known to be wrong, and
    is neither sent nor asked of the patient. Support gives it up, or a corrected coverage lets it leave.
    """
    act = await store.get_care_act(session, root.id)
    await store.share_coverage(session, act.patient_id)
    row = await store.find_current_coverage(session, act.patient_id)
    known = await coverage.opened(session, config, row, care_on=act.care_on)
    verdicts = known.verdicts_for(leg.payer_kind, care_on=act.care_on)
    if RightsVerdict.PROVEN in verdicts and verdicts <= SUFFICIENT:
        history.note(session, root.id, "claims.leg-kept-from-sending", at=now)
        return
    if RightsVerdict.REFUSED in verdicts:
        story.move(session, leg, Move.ASK_PATIENT, now=now, reason="rights-never-proven")
        await balances.open_for_rights(session, config, root, leg, now=now)
    else:
        history.note(session, root.id, "claims.leg-sent-degraded", at=now)
        await resume_after_rights(
            session, config, root, leg, await insured.person_of(session, config, act), now=now
        )
    await settle_pending(session, act)


async def settle_pending(session: AsyncSession, act: CareAct) -> None:
    """Whether any claim of this care still waits for rights."""
    of_act = await store.list_legs(session, act.appointment_id)
    act.rights_pending = any(each.state is State.RIGHTS_PENDING for each in of_act)
