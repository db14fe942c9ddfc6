"""Where the payment of an appointment stands, from its rows."""

from collections.abc import Sequence

from common.money import Cents
from payment.domain.holds import OPEN, HoldStatus
from payment.domain.status import PaymentFacts
from payment.models import HoldRow, ReleaseReason, Stream


def payment_facts(stream: Stream, holds: Sequence[HoldRow]) -> PaymentFacts:
    """`holds`: oldest attempt first."""
    return PaymentFacts(
        held=any(hold.status is HoldStatus.HELD and not _is_replaced(hold) for hold in holds),
        awaits_action=stream.action is not None,
        attempt_open=any(hold.status in OPEN and not hold.is_going for hold in holds),
        scheduled=is_scheduled(stream, holds),
        captured=any(hold.captured_cents > 0 for hold in holds),
        short=short_of(stream, holds) > 0,
        failed=stream.failed_at is not None,
        expired=bool(holds) and holds[-1].status is HoldStatus.EXPIRED,
        released=any(hold.status in {HoldStatus.VOIDED, HoldStatus.HELD} for hold in holds),
        ended=stream.ended_at is not None or stream.lapsed_at is not None,
        waived=stream.priced_at is not None or (_is_quoted(stream) and stream.advance_cents == 0),
    )


def _is_replaced(hold: HoldRow) -> bool:
    return hold.release_reason is ReleaseReason.REPLACED


def _is_quoted(stream: Stream) -> bool:
    """There is a price for the time that the appointment has now."""
    return stream.revision > 0 and stream.quote_schedule_no >= stream.schedule_no


def _is_over(stream: Stream) -> bool:
    ends = (stream.ended_at, stream.lapsed_at, stream.failed_at, stream.priced_at)
    return any(end is not None for end in ends)


def is_scheduled(stream: Stream, holds: Sequence[HoldRow]) -> bool:
    """A hold follows by itself: its time is set, and no attempt was made at that time."""
    if stream.place_at is None or _is_over(stream) or not _is_quoted(stream) or stream.advance_cents == 0:
        return False
    return all(hold.created_at < stream.place_at for hold in holds)


def short_of(stream: Stream, holds: Sequence[HoldRow]) -> Cents:
    """Cents that become a balance.

    Before the final price: what of the advance no hold covers, once nobody is asked for it any more.
    """
    if stream.priced_at is not None:
        return stream.short_cents
    coming = stream.action is not None or is_scheduled(stream, holds)
    open_ = any(hold.status in OPEN and not hold.is_going for hold in holds)
    if _is_over(stream) or not _is_quoted(stream) or coming or open_:
        return Cents(0)
    covered = sum(
        hold.held_cents - hold.released_cents
        for hold in holds
        if hold.status in {HoldStatus.HELD, HoldStatus.CAPTURED} and not hold.is_going
    )
    return Cents(max(stream.advance_cents - covered, 0))
