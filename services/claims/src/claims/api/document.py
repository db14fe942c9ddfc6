"""What the OpenAPI document says of this API besides its routes."""

from typing import Final

from claims.domain.leg import State
from claims.domain.sentences import RULES
from claims.models import BalanceState
from common.web.openapi import About, problems_of
from common.web.openapi_enums import Coded
from common.web.shared_enums import SHARED, facts

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
    enums=SHARED,
    coded={
        "ClaimFactType": Coded(facts(), ["ClaimFactRead.fact"]),
        "PriceRule": Coded(RULES, ["PriceStepRead.rule"]),
        "StoryState": Coded([*State, *BalanceState], ["StoryEntryRead.state"]),
    },
    problems=problems_of("claims.api"),
    growing=frozenset({"LegState"}),  # payers find new ways to answer
)
