"""What payers answer: each line of a return is imported once, and money is posted, never overwritten."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain.leg import (
    OUTSTANDING,
    Move,
    State,
    allowed,
    implied_receipt,
    payment_move,
    reversal_move,
)
from claims.domain.pricing import PaidTo, Payer
from claims.domain.rejects import Again, find_reject, normal_code
from claims.domain.returns import PayerReturn, ReturnKind
from claims.models import AppointmentRoot, Leg, LineState, Posting, ReturnLine, Submission
from claims.usecases import balances, legs, story
from claims.usecases.config import ClaimsConfig
from common.events.claims import LegPaidV1, LegRejectedV1, LegReversedV1
from common.messaging import outbox
from common.money import Cents

_PAID: Final = frozenset({State.PAID, State.PARTIALLY_PAID})
_UNPOSTED: Final = frozenset({LineState.REFUSED, LineState.WAITING})
_AWAITS_MONEY: Final = frozenset(
    {
        State.BATCHED,  # whoever pays it has it
        State.SENT,
        State.ACK_TIMEOUT,
        State.ACKED,
        State.ACCEPTED,
        State.PARTIALLY_PAID,
        State.PAYMENT_LATE,
    }
)


async def import_returns(
    session: AsyncSession, config: ClaimsConfig, items: Sequence[PayerReturn], *, now: datetime
) -> list[LineState | None]:
    """Applies lines in their order, in as many statements for many as for one.

    None: imported before. What cannot be applied is kept with its reason.
    """
    lines = await store.claim_return_lines(session, items, now=now)
    new = [(item, line) for item, line in zip(items, lines, strict=True) if line is not None]
    await store.lock_answered(session, [item for item, _ in new])
    for item, line in new:
        await _apply(session, config, item, line, now=now)
    own = [line for _, line in new if line.leg_id is None and line.state is LineState.WAITING]
    await _settle_bank_lines(session, config, own, now=now)
    for each in own:
        await _tell_waiting(session, each, now=now)
    for item, _ in new[:1]:
        for batch_id in {each.batch_id for each in store.list_waiting_bank_lines(session)}:
            legs.plan_bank_lines(session, batch_id, f"{item.return_id}:{item.line}", now=now)
    return [None if line is None else line.state for line in lines]


async def _apply(
    session: AsyncSession, config: ClaimsConfig, item: PayerReturn, line: ReturnLine, *, now: datetime
) -> None:
    if item.kind is ReturnKind.ACKNOWLEDGEMENT:
        await _acknowledge(session, config, item, line, now=now)
    elif item.kind is ReturnKind.TRANSFER and item.invoice_no is None:
        await _transfer(session, config, line, now=now)
    else:
        await _apply_to_invoice(session, config, item, line, now=now)
    if line.state in _UNPOSTED and line.leg_id is not None:
        _tell(session, await store.get_leg(session, line.leg_id), line, now=now)


def _tell(session: AsyncSession, leg: Leg, line: ReturnLine, *, now: datetime) -> None:
    """Of a line that posts nothing, the story of its claim tells why."""
    story.tell(
        session,
        leg.appointment_id,
        "return",
        line.state.value,
        now=now,
        leg=leg,
        amount_cents=line.amount_cents,
        reason=line.reason,
    )


async def _acknowledge(
    session: AsyncSession, config: ClaimsConfig, item: PayerReturn, line: ReturnLine, *, now: datetime
) -> None:
    batch = await store.find_batch(session, item.batch_id)
    if batch is None or batch.payer != item.payer:
        _end(line, LineState.REFUSED, "unknown-batch")
        return
    if item.accepted is None:
        _end(line, LineState.REFUSED, "neither-accepted-nor-refused")
        return
    moved = False
    for submission, known in await store.list_batched(session, batch.id):
        root = await store.lock_root(session, known.appointment_id)
        leg = await store.lock_leg(session, known.id)
        if leg.state is State.BATCHED and leg.attempt == submission.attempt:
            await legs.record_sent(session, config, root, leg, submission, now=now)
        if item.accepted and implied_receipt(leg.state):
            await legs.acknowledge(session, config, root, leg, submission, now=now)
            moved = True
        elif not item.accepted and leg.state is State.SENT and leg.attempt == submission.attempt:
            legs.refuse_file(session, config, root, leg, submission, now=now)
            moved = True
    if not moved:
        _end(line, LineState.IGNORED, "nothing-waits-for-it")


async def _apply_to_invoice(
    session: AsyncSession, config: ClaimsConfig, item: PayerReturn, line: ReturnLine, *, now: datetime
) -> None:
    if await store.find_batch(session, item.batch_id) is None:
        _end(line, LineState.REFUSED, "unknown-batch")
        return
    invoice = await store.find_invoice(session, item.biller_id, item.invoice_no or "")
    known = await store.get_leg(session, invoice.leg_id) if invoice else None
    if known is None or known.payer != item.payer:
        _end(line, LineState.REFUSED, "unknown-invoice")
        return
    root = await store.lock_root(session, known.appointment_id)
    leg = await store.lock_leg(session, known.id)
    line.leg_id = leg.id
    attempts = [item.attempt] if item.attempt else range(leg.attempt, 0, -1)
    sent = [await store.find_submission(session, leg.id, attempt=each) for each in attempts]
    known_sent = [each for each in sent if each is not None]
    if not known_sent:
        _end(line, LineState.REFUSED, "unknown-attempt")
        return
    submission = next((each for each in known_sent if each.batch_id == item.batch_id), None)
    if submission is None:
        _end(line, LineState.REFUSED, "invoice-is-not-of-this-batch")
        return
    await _catch_up(session, config, root, leg, submission, now=now)
    match item.kind:
        case ReturnKind.ACCEPTANCE:
            _accept(session, leg, line, now=now)
        case ReturnKind.PAYMENT | ReturnKind.TRANSFER:
            await _pay(session, root, leg, line, now=now)
        case ReturnKind.REJECT:
            await _reject(session, config, root, leg, submission, line, now=now)
        case ReturnKind.REVERSAL:
            await _reverse(session, root, leg, line, now=now)
        case ReturnKind.ACKNOWLEDGEMENT:
            raise AssertionError("an acknowledgement is of a batch")


async def _catch_up(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    leg: Leg,
    submission: Submission,
    *,
    now: datetime,
) -> None:
    """A payer that answers an invoice has received it, whatever we have heard so far."""
    if leg.state is State.BATCHED and leg.attempt == submission.attempt:
        await legs.record_sent(session, config, root, leg, submission, now=now)
    if implied_receipt(leg.state):
        await legs.acknowledge(session, config, root, leg, submission, now=now)


async def _pay(
    session: AsyncSession, root: AppointmentRoot, leg: Leg, line: ReturnLine, *, now: datetime
) -> None:
    """A payment of 0 says that the payer pays nothing, and why; one above the claim is owed back in part."""
    amount = line.amount_cents
    move = payment_move(leg.amount_cents, paid_cents=Cents(leg.paid_cents + (amount or 0)))
    if leg.paid_to == PaidTo.INSURED.value:
        _end(line, LineState.REFUSED, "paid-to-the-insured")
    elif amount is None or amount < 0 or (amount == 0 and line.kind != ReturnKind.PAYMENT.value):
        _end(line, LineState.REFUSED, "amount-missing")
    elif leg.state is State.PAID and amount == 0:
        _end(line, LineState.IGNORED, "already-paid")
    elif leg.state is not State.PAID and move not in allowed(leg.state):
        _end(line, LineState.REFUSED, f"leg-is-{leg.state.value}")
    else:
        await _post_payment(session, root, leg, line, amount, now=now)
        await _settle_waiting(session, root, leg, now=now)


async def _reverse(
    session: AsyncSession, root: AppointmentRoot, leg: Leg, line: ReturnLine, *, now: datetime
) -> None:
    """A reversal may overtake the payment that it takes back: it waits until there is as much to take."""
    amount = line.amount_cents
    move = Move.PAY if leg.paid_cents == 0 else Move.REVERSE
    if leg.paid_to == PaidTo.INSURED.value:
        _end(line, LineState.REFUSED, "paid-to-the-insured")
    elif amount is None or amount <= 0:
        _end(line, LineState.REFUSED, "amount-missing")
    elif move not in allowed(leg.state):
        _end(line, LineState.REFUSED, f"leg-is-{leg.state.value}")
    else:
        _end(line, LineState.WAITING, "payment")
        store.keep_waiting(session, line, leg)
        await _settle_waiting(session, root, leg, now=now)


async def _settle_waiting(session: AsyncSession, root: AppointmentRoot, leg: Leg, *, now: datetime) -> None:
    """Posts what fits, until nothing more does: in every order of arrival the same lines are posted."""
    while True:
        waiting = store.list_waiting_lines(session, leg.id)
        # An earlier release let a payment wait while with it more than the claim would have been paid.
        paid = [each for each in waiting if each.kind != ReturnKind.REVERSAL.value]
        there = leg.paid_cents + leg.owed_back_cents
        fits = [each for each in waiting if each not in paid and _cents(each) <= there]
        if paid:
            await _post_payment(session, root, leg, paid[0], _cents(paid[0]), now=now)
        elif fits:
            _post_reversal(session, root, leg, fits[0], _cents(fits[0]), now=now)
        else:
            return


def _cents(line: ReturnLine) -> Cents:
    return Cents(line.amount_cents or 0)


def _share_out(leg: Leg, received: Cents) -> None:
    """`received` is what the payer has paid less what it took back; above the claim it is owed back."""
    leg.paid_cents = Cents(min(received, leg.amount_cents))
    leg.owed_back_cents = Cents(received - leg.paid_cents)


async def _post_payment(
    session: AsyncSession, root: AppointmentRoot, leg: Leg, line: ReturnLine, amount: Cents, *, now: datetime
) -> None:
    if amount:
        _post(session, leg, line, ReturnKind.PAYMENT, amount, now=now)
    before = leg.paid_cents
    _share_out(leg, Cents(before + leg.owed_back_cents + amount))
    move = payment_move(leg.amount_cents, paid_cents=leg.paid_cents)
    _end(line, LineState.APPLIED, None)
    paid_less = move is Move.PAY_PARTLY
    leg.reject_code = leg.reject_family = None
    leg.paid_less_code = line.code if paid_less else None
    if leg.state is not State.PAID:
        cents = Cents(leg.paid_cents - before)
        story.move(session, leg, move, now=now, amount_cents=cents, reason=leg.paid_less_code)
    if leg.owed_back_cents:
        _tell_owed_back(session, leg, now=now)
    if leg.paid_cents > before:
        outbox.add(session, root, LegPaidV1(**legs.about(leg), paid_cents=leg.paid_cents), now=now)
    if leg.state is State.PAID:
        await balances.settle_of_leg(session, root, leg, now=now)


def _post_reversal(
    session: AsyncSession, root: AppointmentRoot, leg: Leg, line: ReturnLine, amount: Cents, *, now: datetime
) -> None:
    _post(session, leg, line, ReturnKind.REVERSAL, amount, now=now)
    owed_back = leg.owed_back_cents
    _share_out(leg, Cents(leg.paid_cents + owed_back - amount))
    leg.reversed_cents = Cents(leg.reversed_cents + amount)
    if leg.paid_cents < leg.amount_cents:
        move = reversal_move(paid_cents=leg.paid_cents)
        story.move(session, leg, move, now=now, amount_cents=amount)
    else:
        story.tell(
            session,
            leg.appointment_id,
            "leg",
            leg.state.value,
            now=now,
            leg=leg,
            amount_cents=amount,
            reason="paid-again-before",
        )
    _end(line, LineState.APPLIED, None)
    outbox.add(session, root, LegReversedV1(**legs.about(leg), reversed_cents=amount), now=now)
    if owed_back and leg.paid_cents:  # of the payment that was above the claim nothing was told before
        outbox.add(session, root, LegPaidV1(**legs.about(leg), paid_cents=leg.paid_cents), now=now)


def _tell_owed_back(session: AsyncSession, leg: Leg, *, now: datetime) -> None:
    story.tell(
        session,
        leg.appointment_id,
        "leg",
        leg.state.value,
        now=now,
        leg=leg,
        amount_cents=leg.owed_back_cents,
        reason="owed-back-to-the-payer",
    )


async def _reject(
    session: AsyncSession,
    config: ClaimsConfig,
    root: AppointmentRoot,
    leg: Leg,
    submission: Submission,
    line: ReturnLine,
    *,
    now: datetime,
) -> None:
    code = normal_code(line.code or "")
    if code is None:
        _end(line, LineState.REFUSED, "no-reject-code")
        return
    reject = find_reject(leg.payer_kind, code)
    if leg.state in _PAID and reject.again is Again.NEVER:
        _end(line, LineState.IGNORED, "already-paid")  # the second sending of an invoice that was settled
        return
    if submission.attempt < leg.attempt:
        _end(line, LineState.IGNORED, "older-attempt")
        return
    if Move.REJECT not in allowed(leg.state):
        _end(line, LineState.REFUSED, f"leg-is-{leg.state.value}")
        return
    story.move(session, leg, Move.REJECT, now=now, reason=code)
    leg.reject_code, leg.reject_family = code, reject.family.value
    submission.reject_code = code
    rejected = LegRejectedV1.model_validate(
        {
            **legs.about(leg),
            "attempt": submission.attempt,
            "reject_code": code,
            "family": reject.family.value,
        }
    )
    outbox.add(session, root, rejected, now=now)
    if leg.payer_kind == Payer.AMC.value and reject.again is not Again.NEVER:  # else it is paid, it says
        await balances.open_for_leg(session, config, root, leg, now=now)


def _accept(session: AsyncSession, leg: Leg, line: ReturnLine, *, now: datetime) -> None:
    if Move.ACCEPT in allowed(leg.state):
        story.move(session, leg, Move.ACCEPT, now=now)
    else:
        _end(line, LineState.IGNORED, f"leg-is-{leg.state.value}")


async def settle_bank_lines(
    session: AsyncSession, config: ClaimsConfig, batch_id: UUID, *, now: datetime
) -> None:
    """Tries the waiting bank lines of a batch again: what it is owed has become less."""
    await store.lock_batch(session, batch_id)
    lines = [each for each in store.list_waiting_bank_lines(session) if each.batch_id == batch_id]
    await _settle_bank_lines(session, config, lines, now=now)


async def _settle_bank_lines(
    session: AsyncSession, config: ClaimsConfig, lines: Sequence[ReturnLine], *, now: datetime
) -> None:
    waiting = list(lines)
    while waiting:  # one that pays leaves less for those before it
        for each in waiting:
            await _transfer(session, config, each, now=now)
        left = [each for each in waiting if each.state is LineState.WAITING]
        if len(left) == len(waiting):
            return
        waiting = left


async def _tell_waiting(session: AsyncSession, line: ReturnLine, *, now: datetime) -> None:
    """A bank line that still waits stands in the story of every claim that it may pay."""
    if line.state is not LineState.WAITING:
        return
    for submission, leg in await store.list_batched(session, line.batch_id):
        if _is_due(leg, submission):
            _tell(session, leg, line, now=now)


def _is_due(leg: Leg, submission: Submission) -> bool:
    """Whether a bank line for the batch of this sending is to pay the claim."""
    waits = leg.state in _AWAITS_MONEY and leg.paid_to == PaidTo.PROVIDER.value
    return waits and leg.attempt == submission.attempt


async def _transfer(session: AsyncSession, config: ClaimsConfig, line: ReturnLine, *, now: datetime) -> None:
    """A bank line: one sum that pays what is still due for every invoice of a batch, or nothing at all.

    Less than is due waits for the lines that come with it, a reject or a part payment.
    """
    batch = await store.find_batch(session, line.batch_id)
    if batch is None or batch.payer != line.payer:
        _end(line, LineState.REFUSED, "unknown-batch")
        return
    amount = _cents(line)
    if amount <= 0:
        _end(line, LineState.REFUSED, "amount-missing")
        return
    due: list[tuple[AppointmentRoot, Leg, Submission]] = []
    for submission, known in await store.list_batched(session, batch.id):
        root = await store.lock_root(session, known.appointment_id)
        leg = await store.lock_leg(session, known.id)
        if _is_due(leg, submission):
            due.append((root, leg, submission))
    left = [Cents(leg.amount_cents - leg.paid_cents) for _, leg, _ in due]
    if len(due) == 1 and await _is_alone(session, due[0][2]):
        left = [Cents(max(amount, left[0]))]  # what is above the only claim is owed back
    if not due:
        _end(line, LineState.REFUSED, "nothing-is-due")
    elif amount > sum(left):
        _end(line, LineState.REFUSED, "amount-is-not-what-the-batch-is-owed")
    elif amount < sum(left):
        _end(line, LineState.WAITING, "rest-of-the-batch")
    else:
        for (root, leg, submission), cents in zip(due, left, strict=True):
            await _catch_up(session, config, root, leg, submission, now=now)
            await _post_payment(session, root, leg, line, cents, now=now)
            await _settle_waiting(session, root, leg, now=now)


async def _is_alone(session: AsyncSession, submission: Submission) -> bool:
    return len(await store.list_batched(session, submission.batch_id)) == 1


def _post(
    session: AsyncSession, leg: Leg, line: ReturnLine, kind: ReturnKind, amount: Cents, *, now: datetime
) -> None:
    session.add(
        Posting(
            leg_id=leg.id,
            kind=kind.value,
            amount_cents=amount,
            payer=line.payer,
            return_id=line.return_id,
            line=line.line,
            posted_at=now,
        )
    )


def _end(line: ReturnLine, state: LineState, reason: str | None) -> None:
    line.state, line.reason = state, reason


async def find_cursor(session: AsyncSession, gateway: str) -> str | None:
    return await store.find_cursor(session, gateway)


async def put_cursor(session: AsyncSession, gateway: str, cursor: str) -> None:
    await store.put_cursor(session, gateway, cursor)


async def is_anything_outstanding(session: AsyncSession) -> bool:
    """Whether some payer still owes an answer."""
    return await store.is_anything_outstanding(session, OUTSTANDING)
