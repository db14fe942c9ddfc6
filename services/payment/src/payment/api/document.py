"""What the OpenAPI document says of this API besides its routes."""

from typing import Final

from common.web.openapi import About, problems_of
from common.web.shared_enums import SHARED

ABOUT: Final = About(
    enums=SHARED,
    problems=problems_of("payment.api"),
    description="Cards on file, the hold of an appointment and what becomes of it, refunds, the ledger.",
    tags={
        "cards": "Cards on file, and the mandate for later charges",
        "ledger": "The books, for support",
        "payments": "The payment of one appointment: hold, capture, refunds, what the patient must do",
        "webhooks": "What the card provider sends",
    },
    names={
        "Account": "LedgerAccount",
        "AwaitedAction": "PaymentActionKind",
        "DifferenceRead": "LedgerDifferenceRead",
        "EntryRead": "LedgerEntryRead",
        "Origin": "RefundOrigin",
    },
)
