"""Claims in batches: gathered, sent together, broken up when the gateway refuses what is in one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain.claimfile import Batch as ClaimBatch
from claims.domain.claimfile import Claim, ClaimedLine
from claims.domain.leg import SENDABLE, Move, State
from claims.domain.pricing import Payer
from claims.models import Batch, BatchState, CareAct, Leg, Practitioner, Submission
from claims.usecases import encryption, insured, legs, pricing, story
from claims.usecases.config import ClaimsConfig
from common.ids import uuid7
from common.messaging import tasks
from common.money import Cents

LEFT_WITH_ANOTHER: Final = "left-with-another"
BROKEN_UP: Final = "broken-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A batch that is to be sent by whoever asked."""

    batch_id: UUID
    file: ClaimBatch


async def gather(
    session: AsyncSession, config: ClaimsConfig, leg_id: UUID, *, now: datetime
) -> Gathered | None:
    """The batch that this leg's task is to send; None: it left, or leaves, with another one.

    Takes every leg of the same biller, payer and destination that may leave. Locks legs only, and waits for
    none but its own: their appointments are locked when what happened to the batch is recorded.
    """
    leg = await store.lock_leg(session, leg_id)
    if leg.state is State.BATCHED:
        submission = await store.find_submission(session, leg.id, attempt=leg.attempt)
        batch = await store.find_batch(session, submission.batch_id) if submission else None
        if batch is None or batch.leader_leg_id != leg.id or batch.state is BatchState.SENT:
            return None
        return Gathered(batch_id=batch.id, file=await _file(session, config, batch))
    if leg.state not in SENDABLE or not leg.free_to_leave:
        return None
    batch = await _made(session, leg, now=now)
    company = await store.take_sendable_legs(
        session,
        payer=leg.payer,
        biller_id=leg.biller_id,
        paid_to=leg.paid_to,
        limit=config.terms.batch_size,
    )
    others = [each for each in company if each.id != leg.id]
    for each in (leg, *others):
        story.move(session, each, Move.BATCH, now=now)
        each.attempt += 1
        session.add(
            Submission(leg_id=each.id, attempt=each.attempt, batch_id=batch.id, invoice_no=each.invoice_no)
        )
    await session.flush()
    planned = [legs.sending(each, each.attempt) for each in others]
    await tasks.settle(session, legs.SEND, planned, outcome=LEFT_WITH_ANOTHER, now=now)
    return Gathered(batch_id=batch.id, file=await _file(session, config, batch))


async def mark_sent(session: AsyncSession, config: ClaimsConfig, batch_id: UUID, *, now: datetime) -> None:
    """The gateway has the batch. Legs whose answer was quicker are past this already."""
    batch = await store.get_batch(session, batch_id)
    batched = await store.list_batched(session, batch_id)
    await store.lock_claims(session, [leg.appointment_id for _, leg in batched])
    for submission, leg in batched:
        root = await store.lock_root(session, leg.appointment_id)
        locked = await store.lock_leg(session, leg.id)
        if locked.state is State.BATCHED and locked.attempt == submission.attempt:
            await legs.record_sent(session, config, root, locked, submission, now=now)
    batch.state, batch.sent_at = BatchState.SENT, batch.sent_at or now
    await session.flush()  # before the task of the next poll, which every batch that was sent touches


async def break_up(session: AsyncSession, batch_id: UUID, *, now: datetime) -> None:
    """The gateway refuses a batch for what is in it: its halves go apart, down to the claim at fault."""
    batch = await store.get_batch(session, batch_id)
    batched = await store.list_batched(session, batch_id)
    await store.lock_claims(session, [leg.appointment_id for _, leg in batched])
    waiting = []
    for submission, known in batched:
        leg = await store.lock_leg(session, known.id)
        if leg.state is State.BATCHED and leg.attempt == submission.attempt:
            waiting.append((submission, leg))
    middle = (len(waiting) + 1) // 2
    for half in (waiting[:middle], waiting[middle:]):
        if half:
            await _batch_apart(session, half, now=now)
    if len(waiting) == len(batched):
        await session.delete(batch)  # it never left


async def _batch_apart(
    session: AsyncSession, claims: Sequence[tuple[Submission, Leg]], *, now: datetime
) -> None:
    """Under the same attempts: they have not been sent."""
    _, leader = claims[0]
    apart = await _made(session, leader, now=now)
    for submission, leg in claims:
        story.move(session, leg, Move.BREAK_UP, now=now)
        story.move(session, leg, Move.BATCH, now=now)
        submission.batch_id = apart.id
    key = f"{legs.sending(leader, leader.attempt)}:{apart.id}"
    tasks.add(session, legs.SEND, key, due_at=now, payload={"leg_id": str(leader.id)})
    await session.flush()  # before the batch that they were in is deleted


async def _made(session: AsyncSession, leader: Leg, *, now: datetime) -> Batch:
    """A new batch to the leader's payer, written before anything names it."""
    batch = Batch(
        id=uuid7(now),
        payer=leader.payer,
        biller_id=leader.biller_id,
        leader_leg_id=leader.id,
        state=BatchState.MADE,
        made_at=now,
    )
    session.add(batch)
    await session.flush()
    return batch


async def _file(session: AsyncSession, config: ClaimsConfig, batch: Batch) -> ClaimBatch:
    batched = await store.list_batched(session, batch.id)
    acts = {
        act.id: act for act in await store.list_care_acts(session, [leg.care_act_id for _, leg in batched])
    }
    await encryption.read_keys(session, config, {act.patient_id for act in acts.values()}, kept=True)
    practitioners = await store.list_practitioners(session, {act.practitioner_id for act in acts.values()})
    return ClaimBatch(
        id=batch.id,
        payer=batch.payer,
        paid_to=batched[0][1].paid_to,
        biller_id=batch.biller_id,
        made_at=batch.made_at,
        claims=[
            await _claim(session, config, submission, leg, acts[leg.care_act_id], practitioners)
            for submission, leg in batched
        ],
    )


async def _claim(
    session: AsyncSession,
    config: ClaimsConfig,
    submission: Submission,
    leg: Leg,
    act: CareAct,
    practitioners: Mapping[UUID, Practitioner],
) -> Claim:
    person = await insured.person_of(session, config, act)
    practitioner = practitioners.get(act.practitioner_id)
    result = await pricing.result_of(session, config, act, owner=act.patient_id, kept=True)
    lines: Sequence[dict[str, Any]] = leg.lines["lines"]
    return Claim(
        invoice_no=submission.invoice_no,
        attempt=submission.attempt,
        appointment_id=leg.appointment_id,
        care_on=act.care_on,
        rpps=practitioner.rpps if practitioner else None,
        nir=person.nir or person.nia,
        ame_number=person.ame_number,
        born_on=person.born_on,
        amc_number=person.amc_number if leg.payer_kind == Payer.AMC.value else None,
        amc_member_number=person.amc_member_number if leg.payer_kind == Payer.AMC.value else None,
        pathway_indicator=act.pathway_indicator,
        exemption_code=result["exemption_code"],
        amount_cents=leg.amount_cents,
        lines=[
            ClaimedLine(
                code=line["code"],
                benefit=line["benefit"],
                base_cents=Cents(line["base_cents"]),
                amount_cents=Cents(line["amount_cents"]),
            )
            for line in lines
        ],
    )
