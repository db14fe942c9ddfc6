"""What a card provider says, in our words, whichever provider it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from common.money import Cents


class ProviderStatus(StrEnum):
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    DECLINED = "declined"
    CANCELED = "canceled"
    EXPIRED = "expired"


class SetupStatus(StrEnum):
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"


class AnswerUnreadable(Exception):
    """The provider, or who says to be it, sent something we cannot read."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Where the patient proves to be the card's holder, and until when."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """One refund of a payment. `reference` is ours; None: the provider made it by itself."""

    id: str
    reference: str | None
    amount_cents: Cents


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """The provider's state of one payment: four amounts in cents, and what is still to do."""

    id: str
    reference: str  # ours: the id of a hold or of a balance
    status: ProviderStatus
    authorized_cents: Cents
    captured_cents: Cents
    released_cents: Cents
    refunded_cents: Cents
    capture_before: datetime | None
    challenge: Challenge | None
    decline_code: str | None
    refunds: Sequence[ProviderRefund] = ()


@dataclass(frozen=True, slots=True)
class ProviderSetup:
    """The provider's state of saving a card for charges without the patient."""

    id: str
    reference: str  # ours: the id of a card
    status: SetupStatus
    challenge: Challenge | None
    network: str
    last4: str
    expiry_month: int
    expiry_year: int


def payment_of(body: Mapping[str, Any]) -> ProviderPayment:
    """Raises AnswerUnreadable."""
    try:
        return ProviderPayment(
            id=str(body["id"]),
            reference=str(body["reference"]),
            status=ProviderStatus(body["status"]),
            authorized_cents=_cents(body["authorized_cents"]),
            captured_cents=_cents(body["captured_cents"]),
            released_cents=_cents(body["released_cents"]),
            refunded_cents=_cents(body["refunded_cents"]),
            capture_before=_time(body["capture_before"]),
            challenge=_challenge(body["action"]),
            decline_code=body["decline_code"],
            refunds=tuple(_refund(each) for each in body["refunds"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerUnreadable("not a payment") from error


def setup_of(body: Mapping[str, Any]) -> ProviderSetup:
    """Raises AnswerUnreadable."""
    try:
        card = body["card"]
        return ProviderSetup(
            id=str(body["id"]),
            reference=str(body["reference"]),
            status=SetupStatus(body["status"]),
            challenge=_challenge(body["action"]),
            network=str(card["network"]),
            last4=str(card["last4"]),
            expiry_month=int(card["expiry_month"]),
            expiry_year=int(card["expiry_year"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerUnreadable("not a setup") from error


def _refund(body: Mapping[str, Any]) -> ProviderRefund:
    reference = body["reference"]
    return ProviderRefund(
        id=str(body["id"]),
        reference=None if reference is None else str(reference),
        amount_cents=_cents(body["amount_cents"]),
    )


def _cents(value: object) -> Cents:
    if type(value) is not int or value < 0:
        raise ValueError("an amount is a whole number of cents, not below zero")
    return Cents(value)


def _time(value: str | None) -> datetime | None:
    if value is None:
        return None
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError("a time without its zone")
    return at


def _challenge(value: Mapping[str, Any] | None) -> Challenge | None:
    if value is None:
        return None
    until = _time(value["expires_at"])
    if until is None:
        raise ValueError("a challenge without an end")
    return Challenge(str(value["url"]), until)
