"""What the OpenAPI document says of this API besides its routes."""

from typing import Final

from common.web.openapi import About

ABOUT: Final = About(
    description=(
        "Coverage of patients, previews and quotes, the priced care act and its claims to both payers."
    ),
    tags={
        "access log": "Who read what about a patient",
        "claims support": "What support and practitioners see and do about claims that need a person",
        "claims": "The final price, the claims and what the payers answered",
        "coverage": "Who insures a patient; the directory of complementary insurers",
        "internal": "Between services: needs the role service",
        "quotes": "Who would pay what, before and after the booking",
    },
    names={
        "AccessPage": "AccessLogPage",
        "AccessRead": "AccessLogEntryRead",
        "AmcDeclared": "AmcDeclaration",
        "AttemptRead": "LegAttemptRead",
        "HistoryPage": "ClaimFactPage",
        "Insured": "InsuranceAnswer",
        "State": "LegState",
        "TraceRead": "PriceStepRead",
    },
    growing=frozenset({"LegState"}),  # payers find new ways to answer
)
