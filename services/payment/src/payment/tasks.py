"""What payment does outside of a transaction: calls to the card provider, and timers.

Each handler reads what to ask for in a first transaction, calls, and records what came of it in a second one,
which locks the root row and sees what arrived meanwhile.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import httpx

from common.messaging.tasks import DONE, Backoff, Done, TaskContext, Tasks
from payment.clients import CardProvider, HttpCardProvider, OutcomeUnknown, ProviderRefused
from payment.domain.provider import ProviderPayment, ProviderStatus
from payment.usecases import balances, cards, comparing, holds, observing, planning, refunds

tasks = Tasks()
_log: Final = logging.getLogger(__name__)

# An outcome nobody knows is asked for again and again: soon, because a patient waits, then ever more rarely.
_SECONDS: Final = (1, 2, 5, 10, 30, 60, 300, 3600, 86_400)
_RETRIES: Final = Backoff(attempts=16)
_LATER: Final = timedelta(seconds=5)
_COMPARE_EVERY: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Resources:
    provider: CardProvider


@asynccontextmanager
async def open_resources(
    provider_url: str, provider_key: str, *, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Resources]:
    async with HttpCardProvider(provider_url, provider_key, transport=transport) as provider:
        yield Resources(provider)


def _provider(context: TaskContext) -> CardProvider:
    resources: Resources = context.resources
    return resources.provider


def _pause(context: TaskContext) -> timedelta:
    return timedelta(seconds=_SECONDS[min(max(context.attempt, 1), len(_SECONDS)) - 1])


async def _nothing_to_do(context: TaskContext) -> Done:
    async with context.finish(outcome="not-needed"):
        pass
    return DONE


@tasks.on("place-hold", retries=_RETRIES)
async def place_hold(context: TaskContext) -> Done:
    """The first call, and every later one until there is an answer: always under the hold's own key."""
    hold_id = UUID(context.key)
    async with context.sessions.begin() as session:
        order = await holds.begin_hold(session, hold_id, now=context.clock.now())
    if order is None:
        return await _nothing_to_do(context)
    try:
        seen = await _placed(_provider(context), order)
    except OutcomeUnknown as unknown:
        async with context.sessions.begin() as session:
            await holds.mark_unknown(session, hold_id)
        context.retry(_pause(context), str(unknown), system="card-provider")
    except ProviderRefused as refused:
        async with context.finish(outcome=refused.code) as session:
            await holds.refuse_hold(session, hold_id, now=context.clock.now())
        return DONE
    async with context.finish() as session:
        if seen is None:
            await holds.give_up_hold(session, hold_id, now=context.clock.now())
        else:
            await observing.observe_hold(session, hold_id, seen, now=context.clock.now())
    return DONE


async def _placed(provider: CardProvider, order: holds.HoldOrder) -> ProviderPayment | None:
    """None: the provider has not heard of it, and it is not wanted any more."""
    reference = str(order.hold_id)
    if order.called_before:
        found = await provider.find(reference)
        if found is not None or not order.wanted:
            return found
    return await provider.authorise(
        reference=reference,
        token=order.token,
        amount_cents=order.amount_cents,
        off_session=order.off_session,
        capture=False,
        metadata={
            "hold_id": reference,
            "attempt": str(order.attempt),
            "appointment_id": str(order.appointment_id),
        },
        key=f"hold:{reference}",
    )


@tasks.on("settle-hold", retries=_RETRIES)
async def settle_hold(context: TaskContext) -> Done:
    """Captures or releases, as it was decided."""
    hold_id = UUID(context.key)
    async with context.sessions.begin() as session:
        order = await holds.begin_settlement(session, hold_id)
    if order is None:
        return await _nothing_to_do(context)
    provider = _provider(context)

    async def ask() -> ProviderPayment:
        if order.capture_cents is not None:
            # another amount is another capture, after the provider has captured a part by itself
            key = f"capture:{hold_id}" + (f":{order.captured_cents}" if order.captured_cents else "")
            return await provider.capture(order.provider_id, amount_cents=order.capture_cents, key=key)
        return await provider.void(order.provider_id, key=f"void:{hold_id}")

    seen = await _asked(context, ask, instead=lambda: provider.get(order.provider_id))
    async with context.finish() as session:
        hold = await observing.observe_hold(session, hold_id, seen, now=context.clock.now())
        if hold is not None and hold.awaits_settlement:
            context.later(context.clock.now() + _LATER)
    return DONE


async def _asked(
    context: TaskContext,
    ask: Callable[[], Awaitable[ProviderPayment]],
    *,
    instead: Callable[[], Awaitable[ProviderPayment]],
) -> ProviderPayment:
    """What the provider answers; when it refuses because its state has moved on, that state."""
    try:
        try:
            return await ask()
        except ProviderRefused:
            return await instead()
    except OutcomeUnknown as unknown:
        context.retry(_pause(context), str(unknown), system="card-provider")
    except ProviderRefused as refused:
        context.retry(_pause(context), refused.code)


@tasks.on("expire-challenge", retries=_RETRIES)
async def expire_challenge(context: TaskContext) -> Done:
    """The patient has not answered the bank in time. Who was quicker than this call has answered."""
    hold_id = UUID(context.key)
    async with context.sessions.begin() as session:
        provider_id = await holds.find_asking(session, hold_id)
    if provider_id is None:
        return await _nothing_to_do(context)
    provider = _provider(context)

    async def ask() -> ProviderPayment:
        seen = await provider.get(provider_id)
        if seen.status is not ProviderStatus.REQUIRES_ACTION:
            return seen
        return await provider.void(provider_id, key=f"void:{hold_id}")

    seen = await _asked(context, ask, instead=lambda: provider.get(provider_id))
    async with context.finish() as session:
        await observing.observe_hold(session, hold_id, seen, now=context.clock.now())
    return DONE


@tasks.on("watch-hold", retries=_RETRIES)
async def watch_hold(context: TaskContext) -> Done:
    """Reports a hold that will lapse soon; when its last moment has come, asks whether it has."""
    hold_id = UUID(context.key)
    async with context.sessions.begin() as session:
        live = await holds.find_live(session, hold_id)
    if live is None:
        return await _nothing_to_do(context)
    if context.clock.now() < live.capture_before:
        _log.warning("hold %s lapses at %s", hold_id, live.capture_before.isoformat())
        return context.later(live.capture_before)
    provider, provider_id = _provider(context), live.provider_id
    seen = await _asked(context, lambda: provider.get(provider_id), instead=lambda: provider.get(provider_id))
    async with context.finish() as session:
        await observing.observe_hold(session, hold_id, seen, now=context.clock.now())
        if seen.status is ProviderStatus.AUTHORIZED:
            context.later(context.clock.now() + timedelta(minutes=1))
    return DONE


@tasks.on("expire-action")
async def expire_action(context: TaskContext) -> Done:
    appointment_id, revision, action = context.key.split(":")
    async with context.finish() as session:
        again_at = await planning.expire_action(
            session, UUID(appointment_id), revision=int(revision), action=action, now=context.clock.now()
        )
        if again_at is not None:
            context.later(again_at)
    return DONE


@tasks.on("void-unconfirmed")
async def void_unconfirmed(context: TaskContext) -> Done:
    async with context.finish() as session:
        await planning.lapse(session, UUID(context.key.partition(":")[0]), now=context.clock.now())
    return DONE


@tasks.on("place-scheduled-hold")
async def place_scheduled_hold(context: TaskContext) -> Done:
    appointment_id, schedule_no = context.key.split(":")
    async with context.finish() as session:
        await planning.place_scheduled(
            session, UUID(appointment_id), schedule_no=int(schedule_no), now=context.clock.now()
        )
    return DONE


@tasks.on("review-scheduled-holds")
async def review_scheduled_holds(context: TaskContext) -> Done:
    async with context.finish() as session:
        await cards.review_holds(session, UUID(context.key), now=context.clock.now())
    return DONE


@tasks.on("save-card", retries=_RETRIES)
async def save_card(context: TaskContext) -> Done:
    card_id = UUID(context.key)
    async with context.sessions.begin() as session:
        order = await cards.begin_saving(session, card_id)
    if order is None:
        return await _nothing_to_do(context)
    try:
        seen = await _provider(context).save_card(
            token=order.token, reference=str(card_id), key=f"save:{card_id}"
        )
    except OutcomeUnknown as unknown:
        context.retry(_pause(context), str(unknown), system="card-provider")
    except ProviderRefused as refused:
        async with context.finish(outcome=refused.code) as session:
            await cards.refuse_card(session, card_id)
        return DONE
    async with context.finish() as session:
        await cards.observe_setup(session, card_id, seen, now=context.clock.now())
    return DONE


@tasks.on("forget-card", retries=_RETRIES)
async def forget_card(context: TaskContext) -> Done:
    card_id = UUID(context.key)
    async with context.sessions.begin() as session:
        token = await cards.begin_forgetting(session, card_id)
    if token is None:
        return await _nothing_to_do(context)
    try:
        await _provider(context).forget_card(token)
    except OutcomeUnknown as unknown:
        context.retry(_pause(context), str(unknown), system="card-provider")
    except ProviderRefused as refused:
        if refused.code not in {"not-found", "unknown-token"}:
            context.retry(_pause(context), refused.code)
    async with context.finish() as session:
        await cards.mark_forgotten(session, card_id, now=context.clock.now())
    return DONE


@tasks.on("charge-balance", retries=_RETRIES)
async def charge_balance(context: TaskContext) -> Done:
    """A charge of its own, under the mandate; what asks for the patient is given up at once."""
    balance_id = UUID(context.key)
    async with context.sessions.begin() as session:
        order = await balances.begin_charge(session, balance_id, now=context.clock.now())
    if order is None:
        return await _nothing_to_do(context)
    provider = _provider(context)
    try:
        seen = await provider.find(str(balance_id)) if order.called_before else None
        seen = seen or await provider.authorise(
            reference=str(balance_id),
            token=order.token,
            amount_cents=order.amount_cents,
            off_session=True,
            capture=True,
            metadata={"balance_id": str(balance_id), "appointment_id": str(order.appointment_id)},
            key=f"charge:{balance_id}",
        )
        if seen.status is ProviderStatus.REQUIRES_ACTION:
            seen = await provider.void(seen.id, key=f"void:{balance_id}")
    except OutcomeUnknown as unknown:
        context.retry(_pause(context), str(unknown), system="card-provider")
    except ProviderRefused as refused:
        async with context.finish(outcome=refused.code) as session:
            await balances.refuse_charge(session, balance_id, now=context.clock.now())
        return DONE
    async with context.finish() as session:
        await balances.observe_charge(session, balance_id, seen, now=context.clock.now())
    return DONE


@tasks.on("refund", retries=_RETRIES)
async def refund(context: TaskContext) -> Done:
    refund_id = UUID(context.key)
    async with context.sessions.begin() as session:
        order = await refunds.begin_refund(session, refund_id)
    if order is None:
        return await _nothing_to_do(context)
    try:
        seen = await _provider(context).refund(
            order.provider_id,
            amount_cents=order.amount_cents,
            reference=str(refund_id),
            key=f"refund:{refund_id}",
        )
    except OutcomeUnknown as unknown:
        context.retry(_pause(context), str(unknown), system="card-provider")
    except ProviderRefused as refused:
        return await _refused_refund(context, order, refused.code)
    async with context.finish() as session:
        await observing.observe_payment(session, seen, now=context.clock.now())
    return DONE


async def _refused_refund(context: TaskContext, order: refunds.RefundOrder, code: str) -> Done:
    """The provider may have given the money back by itself: its state says what is left."""
    try:
        seen = await _provider(context).get(order.provider_id)
    except (OutcomeUnknown, ProviderRefused) as error:
        context.retry(_pause(context), str(error))
    async with context.finish(outcome=code) as session:
        await observing.observe_payment(session, seen, now=context.clock.now())
        await refunds.refuse_refund(session, order.refund_id, code=code, now=context.clock.now())
    return DONE


@tasks.on("compare-with-provider", retries=_RETRIES)
async def compare_with_provider(context: TaskContext) -> Done:
    """Takes over what the provider did by itself; what still differs is kept for the check of the ledger."""
    comparison = comparing.Comparison(began_at=context.clock.now())
    after = ""
    try:
        while page := await _provider(context).list_payments(after):
            for listed in page:
                async with context.sessions.begin() as session:
                    same = await comparing.agrees(session, listed)
                seen = listed if same else await _provider(context).get(listed.id)
                async with context.sessions.begin() as session:
                    await comparing.compare(session, comparison, seen, now=context.clock.now())
            after = page[-1].id
    except (OutcomeUnknown, ProviderRefused) as error:
        context.retry(_pause(context), str(error))
    async with context.finish() as session:
        await comparing.record(session, comparison, now=context.clock.now())
        context.later(context.clock.now() + _COMPARE_EVERY)
    return DONE
