"""The life of a hold: which moves exist, and what a provider's word means for it."""

from enum import StrEnum
from typing import ClassVar, Final, Literal

from common.errors import DomainError, Refusal
from payment.domain.provider import ProviderPayment, ProviderStatus


class HoldStatus(StrEnum):
    PENDING = "pending"  # decided, not answered
    UNKNOWN = "unknown"  # the call ended without an answer: we ask by our own reference
    ACTION_REQUIRED = "action-required"
    HELD = "held"
    CAPTURED = "captured"
    VOIDED = "voided"
    EXPIRED = "expired"
    FAILED = "failed"  # never held
    WITHDRAWN = "withdrawn"  # given up before the provider heard of it, as far as we know


OPEN: Final = frozenset({HoldStatus.PENDING, HoldStatus.UNKNOWN, HoldStatus.ACTION_REQUIRED})
_NOT_YET_HELD: Final = OPEN | {HoldStatus.WITHDRAWN}

_ANSWERS: Final = frozenset({HoldStatus.ACTION_REQUIRED, HoldStatus.HELD, HoldStatus.FAILED})
MOVES: Final = {
    HoldStatus.PENDING: _ANSWERS | {HoldStatus.UNKNOWN, HoldStatus.WITHDRAWN},
    HoldStatus.UNKNOWN: _ANSWERS | {HoldStatus.WITHDRAWN},
    HoldStatus.ACTION_REQUIRED: frozenset({HoldStatus.HELD, HoldStatus.FAILED}),
    HoldStatus.HELD: frozenset({HoldStatus.CAPTURED, HoldStatus.VOIDED, HoldStatus.EXPIRED}),
    HoldStatus.CAPTURED: frozenset[HoldStatus](),
    HoldStatus.VOIDED: frozenset[HoldStatus](),
    HoldStatus.EXPIRED: frozenset[HoldStatus](),
    HoldStatus.FAILED: frozenset[HoldStatus](),
    HoldStatus.WITHDRAWN: _ANSWERS,  # a call thought lost arrived after all
}

FailureReason = Literal[
    "declined", "action-refused", "action-expired", "decide-by-passed", "provider-refused"
]


class HoldMoveRefused(DomainError):
    code: ClassVar[str] = "hold-move-refused"
    refusal: ClassVar[Refusal] = Refusal.CONFLICT


def after(status: HoldStatus, target: HoldStatus) -> HoldStatus:
    """The only setter of a status. Raises HoldMoveRefused."""
    if target not in MOVES[status]:
        raise HoldMoveRefused(f"a hold that is {status} does not become {target}")
    return target


def path(status: HoldStatus, seen: ProviderPayment, *, released_by_us: bool) -> tuple[HoldStatus, ...]:
    """The moves from what we know to what the provider says; none when it is old news.

    A capture seen before its authorisation walks through HELD: each move has its own event.
    """
    if status in _NOT_YET_HELD:
        return _first_answer(status, ProviderStatus.CAPTURED if _is_captured(seen) else seen.status)
    if status is not HoldStatus.HELD:
        return ()
    match seen.status:
        case _ if _is_captured(seen):
            return (HoldStatus.CAPTURED,)  # of an authorisation that ended, only the rest was let go
        case ProviderStatus.CANCELED:
            # Nobody here asked for it: to everyone else it is a hold that lapsed.
            return (HoldStatus.VOIDED if released_by_us else HoldStatus.EXPIRED,)
        case ProviderStatus.EXPIRED:
            return (HoldStatus.EXPIRED,)
        case _:
            return ()


def _is_captured(seen: ProviderPayment) -> bool:
    """Captured, all or in part, and nothing of it is reserved any more."""
    over = {ProviderStatus.CANCELED, ProviderStatus.EXPIRED}
    return seen.status is ProviderStatus.CAPTURED or (seen.captured_cents > 0 and seen.status in over)


def _first_answer(status: HoldStatus, seen: ProviderStatus) -> tuple[HoldStatus, ...]:
    match seen:
        case ProviderStatus.REQUIRES_ACTION:
            return () if status is HoldStatus.ACTION_REQUIRED else (HoldStatus.ACTION_REQUIRED,)
        case ProviderStatus.AUTHORIZED:
            return (HoldStatus.HELD,)
        case ProviderStatus.CAPTURED:
            return (HoldStatus.HELD, HoldStatus.CAPTURED)
        case ProviderStatus.DECLINED | ProviderStatus.CANCELED | ProviderStatus.EXPIRED:
            return (HoldStatus.FAILED,)  # nobody was ever told of a hold


def failure_of(seen: ProviderPayment) -> FailureReason:
    match seen.status, seen.decline_code:
        case ProviderStatus.DECLINED, "authentication-failed":
            return "action-refused"
        case ProviderStatus.DECLINED, _:
            return "declined"
        case ProviderStatus.CANCELED, _:
            return "action-expired"
        case _:
            return "provider-refused"
