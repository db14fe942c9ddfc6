"""Where the payment of an appointment stands, from its rows."""

from collections.abc import Sequence

from common.money import Cents
from payment.domain.holds import OPEN, HoldStatus
from payment.domain.status import PaymentFacts
from payment.models import AppointmentRoot, HoldRow, ReleaseReason


def payment_facts(root: AppointmentRoot, holds: Sequence[HoldRow]) -> PaymentFacts:
    """`holds`: oldest attempt first."""
    return PaymentFacts(
        held=any(hold.status is HoldStatus.HELD and not _is_replaced(hold) for hold in holds),
        awaits_action=root.action is not None,
        attempt_open=any(hold.status in OPEN and not hold.is_going for hold in holds),
        scheduled=is_scheduled(root, holds),
        captured=any(hold.captured_cents > 0 for hold in holds),
        short=short_of(root, holds) > 0,
        failed=root.failed_at is not None,
        expired=bool(holds) and holds[-1].status is HoldStatus.EXPIRED,
        released=any(hold.status in {HoldStatus.VOIDED, HoldStatus.HELD} for hold in holds),
        ended=root.ended_at is not None or root.lapsed_at is not None,
        waived=root.priced_at is not None or (_is_quoted(root) and root.advance_cents == 0),
    )


def _is_replaced(hold: HoldRow) -> bool:
    return hold.release_reason is ReleaseReason.REPLACED


def _is_quoted(root: AppointmentRoot) -> bool:
    """There is a price for the time that the appointment has now."""
    return root.revision > 0 and root.quote_schedule_no >= root.schedule_no


def _is_over(root: AppointmentRoot) -> bool:
    ends = (root.ended_at, root.lapsed_at, root.failed_at, root.priced_at)
    return any(end is not None for end in ends)


def is_scheduled(root: AppointmentRoot, holds: Sequence[HoldRow]) -> bool:
    """A hold follows by itself: its time is set, and no attempt was made at that time."""
    if root.place_at is None or _is_over(root) or not _is_quoted(root) or root.advance_cents == 0:
        return False
    return all(hold.created_at < root.place_at for hold in holds)


def short_of(root: AppointmentRoot, holds: Sequence[HoldRow]) -> Cents:
    """Cents that become a balance.

    Before the final price: what of the advance no hold covers, once nobody is asked for it any more.
    """
    if root.priced_at is not None:
        return root.short_cents
    coming = root.action is not None or is_scheduled(root, holds)
    open_ = any(hold.status in OPEN and not hold.is_going for hold in holds)
    if _is_over(root) or not _is_quoted(root) or coming or open_:
        return Cents(0)
    covered = sum(
        hold.held_cents - hold.released_cents
        for hold in holds
        if hold.status in {HoldStatus.HELD, HoldStatus.CAPTURED} and not hold.is_going
    )
    return Cents(max(root.advance_cents - covered, 0))
