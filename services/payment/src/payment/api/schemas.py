"""What goes in and out over HTTP. Amounts are cents, with one currency."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field

from common.web.schemas import In, Out
from payment.domain.cards import expires_at
from payment.domain.holds import HoldStatus
from payment.domain.ledger import Account
from payment.domain.plan import CardState
from payment.domain.status import PaymentStatus, status_of
from payment.models import (
    AppointmentRoot,
    AwaitedAction,
    CardRow,
    CardStatus,
    HoldRow,
    LedgerRow,
    Origin,
    ProviderComparisonRow,
    RefundFailure,
    RefundRow,
    RefundStatus,
)
from payment.usecases.showing import is_scheduled, payment_facts, short_of

Currency = Literal["EUR"]
Amount = Annotated[int, Field(gt=0, le=10_000_000)]


class MandateCreate(In):
    """The patient's word on later charges; without `accepted` there will be none."""

    text_version: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}$")]
    accepted: bool
    currency: Currency = "EUR"
    ceiling_cents: Amount


class CardCreate(In):
    provider_token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{8,200}$")]
    mandate: MandateCreate


class MandateRead(Out):
    text_version: str
    reason: str
    currency: Currency
    ceiling_cents: int
    within_days: int
    accepted_at: datetime


class CardRead(Out):
    id: UUID
    status: CardStatus
    network: str | None
    last4: str | None
    expiry_month: int | None
    expiry_year: int | None
    ready_for_later: bool
    action_url: str | None
    mandate: MandateRead | None
    created_at: datetime

    @classmethod
    def of(cls, card: CardRow, *, now: datetime) -> Self:
        end = expires_at(card.facts)
        return cls(
            id=card.id,
            status=card.status,
            network=card.network,
            last4=card.last4,
            expiry_month=card.expiry_month,
            expiry_year=card.expiry_year,
            ready_for_later=card.state is CardState.READY and (end is None or now <= end),
            action_url=card.action_url,
            mandate=_mandate(card),
            created_at=card.created_at,
        )


def _mandate(card: CardRow) -> MandateRead | None:
    if (
        card.mandate is None
        or card.mandate_text_version is None
        or card.mandate_reason is None
        or card.mandate_ceiling_cents is None
        or card.mandate_within_days is None
        or card.mandate_accepted_at is None
    ):
        return None
    return MandateRead(
        text_version=card.mandate_text_version,
        reason=card.mandate_reason,
        currency="EUR",
        ceiling_cents=card.mandate_ceiling_cents,
        within_days=card.mandate_within_days,
        accepted_at=card.mandate_accepted_at,
    )


class CardList(Out):
    items: list[CardRead]


class PaymentActionRead(Out):
    kind: AwaitedAction
    url: str | None
    currency: Currency
    advance_cents: int
    expires_at: datetime | None


class PaymentRead(Out):
    """`held_cents` is all that was ever reserved: in the end captured and released add up to it."""

    appointment_id: UUID
    status: PaymentStatus
    currency: Currency
    advance_cents: int
    held_cents: int
    live_hold_cents: int
    captured_cents: int
    released_cents: int
    refunded_cents: int
    short_cents: int
    place_at: datetime | None
    capture_before: datetime | None
    action: PaymentActionRead | None

    @classmethod
    def of(cls, root: AppointmentRoot, holds: Sequence[HoldRow], card: CardRow | None) -> Self:
        captured = sum(hold.captured_cents for hold in holds)
        held = sum(hold.held_cents for hold in holds)
        released = sum(hold.released_cents for hold in holds)
        live = [hold for hold in holds if hold.status is HoldStatus.HELD]
        return cls(
            appointment_id=root.id,
            status=status_of(payment_facts(root, holds)),
            currency="EUR",
            # the final price counts, whether or not a last quote came before it
            advance_cents=root.advance_cents if root.priced_at is None else root.due_cents,
            held_cents=held,
            live_hold_cents=held - captured - released,
            captured_cents=captured,
            released_cents=released,
            refunded_cents=sum(hold.refunded_cents for hold in holds),
            short_cents=short_of(root, holds),
            place_at=root.place_at if is_scheduled(root, holds) else None,
            capture_before=live[-1].capture_before if live else None,
            action=_action(root, holds, card),
        )


def _action(
    root: AppointmentRoot, holds: Sequence[HoldRow], card: CardRow | None
) -> PaymentActionRead | None:
    if root.action is None:
        return None
    url = None
    if root.action is AwaitedAction.THREE_D_SECURE:
        asking = [hold.action_url for hold in holds if hold.status is HoldStatus.ACTION_REQUIRED]
        url = asking[-1] if asking else card.action_url if card is not None else None
    return PaymentActionRead(
        kind=root.action,
        url=url,
        currency="EUR",
        advance_cents=root.advance_cents,
        expires_at=root.action_expires_at,
    )


class PriceAcceptanceCreate(In):
    currency: Currency = "EUR"
    advance_cents: Annotated[int, Field(ge=0, description="The advance the patient was shown")]


class CardChoiceCreate(In):
    card_id: UUID


class RefundCreate(In):
    currency: Currency = "EUR"
    amount_cents: Amount


class RefundRead(Out):
    id: UUID
    appointment_id: UUID
    status: RefundStatus
    currency: Currency
    amount_cents: int
    origin: Origin
    failure: RefundFailure | None
    created_at: datetime
    made_at: datetime | None

    @classmethod
    def of(cls, refund: RefundRow) -> Self:
        return cls(
            id=refund.id,
            appointment_id=refund.appointment_id,
            status=refund.status,
            currency="EUR",
            amount_cents=refund.amount_cents,
            origin=refund.origin,
            failure=refund.failure,
            created_at=refund.created_at,
            made_at=refund.made_at,
        )


class RefundList(Out):
    items: list[RefundRead]


class EntryRead(Out):
    id: int
    journal: str
    account: Account
    amount_cents: int
    currency: Currency
    at: datetime

    @classmethod
    def of(cls, row: LedgerRow) -> Self:
        return cls(
            id=row.id,
            journal=row.journal,
            account=row.account,
            amount_cents=row.amount_cents,
            currency=row.currency,
            at=row.at,
        )


class LedgerRead(Out):
    """Above zero a debit, below a credit; every journal sums to zero."""

    appointment_id: UUID
    items: list[EntryRead]


class DifferenceRead(Out):
    """`ours_cents` is what the holds and charges say; `other_cents` what the other book says instead."""

    book: Literal["ledger", "provider"]
    reference: str | None
    amount: Literal["held", "captured", "refunded", "captured-less-refunded"]
    currency: Currency
    ours_cents: int
    other_cents: int


class ProviderBooksRead(Out):
    """The sums of all payments at the card provider, when they were last compared with ours."""

    compared_at: datetime
    currency: Currency
    held_cents: int
    captured_cents: int
    refunded_cents: int


class LedgerCheckRead(Out):
    """What the ledger says beside the sums of all holds and charges, and what differs."""

    currency: Currency
    totals: dict[Account, int]
    held_cents: int
    captured_cents: int
    refunded_cents: int
    unbalanced_journals: list[str]
    provider: ProviderBooksRead | None
    differences: list[DifferenceRead]
    agrees: bool

    @classmethod
    def of(
        cls,
        totals: Mapping[Account, int],
        books: Mapping[str, int],
        unbalanced: list[str],
        comparison: ProviderComparisonRow | None,
    ) -> Self:
        net = books["captured_cents"] - books["refunded_cents"]
        differences = [
            DifferenceRead(
                book="ledger",
                reference=None,
                amount=amount,
                currency="EUR",
                ours_cents=ours,
                other_cents=posted,
            )
            for amount, ours, posted in (
                ("held", books["held_cents"], totals.get(Account.CARD_HOLDS, 0)),
                ("captured-less-refunded", net, totals.get(Account.PROVIDER, 0)),
            )
            if ours != posted
        ]
        differences += [
            DifferenceRead(
                book="provider",
                reference=each["reference"],
                amount=each["amount"],
                currency="EUR",
                ours_cents=each["ours_cents"],
                other_cents=each["provider_cents"],
            )
            for each in (comparison.differences if comparison is not None else ())
        ]
        return cls(
            currency="EUR",
            totals=dict(totals),
            held_cents=books["held_cents"],
            captured_cents=books["captured_cents"],
            refunded_cents=books["refunded_cents"],
            unbalanced_journals=unbalanced,
            provider=_provider_books(comparison),
            differences=differences,
            agrees=not unbalanced and not differences,
        )


def _provider_books(comparison: ProviderComparisonRow | None) -> ProviderBooksRead | None:
    if comparison is None:
        return None
    return ProviderBooksRead(
        compared_at=comparison.compared_at,
        currency="EUR",
        held_cents=comparison.held_cents,
        captured_cents=comparison.captured_cents,
        refunded_cents=comparison.refunded_cents,
    )
