"""The test cards of the simulated provider, and how long a network keeps an authorisation."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final


class Behaviour(StrEnum):
    """What the issuing bank does with this card."""

    ACCEPTS = "accepts"
    THREE_D_SECURE = "three-d-secure"  # asks the patient each time, even to save the card
    DECLINES = "declines"
    INSUFFICIENT_FUNDS = "insufficient-funds"
    EXPIRES_EARLY = "expires-early"  # authorises, then lets go within the hour
    OFF_SESSION_ACTION = "off-session-action"  # asks the patient whenever the patient is not there


@dataclass(frozen=True, slots=True)
class TestCard:
    network: str
    behaviour: Behaviour


TEST_CARDS: Final = {
    "4242424242424242": TestCard("visa", Behaviour.ACCEPTS),
    "5555555555554444": TestCard("mastercard", Behaviour.ACCEPTS),
    "378282246310005": TestCard("amex", Behaviour.ACCEPTS),
    "4000002500001001": TestCard("cartes-bancaires", Behaviour.ACCEPTS),
    "4000002760003184": TestCard("visa", Behaviour.THREE_D_SECURE),
    "4000000000000002": TestCard("visa", Behaviour.DECLINES),
    "4000000000009995": TestCard("visa", Behaviour.INSUFFICIENT_FUNDS),
    "4000000000005126": TestCard("visa", Behaviour.EXPIRES_EARLY),
    "4000002500003155": TestCard("visa", Behaviour.OFF_SESSION_ACTION),
}

EARLY: Final = timedelta(hours=1)
CHALLENGE: Final = timedelta(minutes=15)  # how long a 3-D Secure page stays open

# (with the patient there, without): rules on the lifetimes of online authorisations
_LIFETIMES: Final = {
    "visa": (timedelta(days=7), timedelta(days=4, hours=18)),
    "mastercard": (timedelta(days=7), timedelta(days=7)),
    "amex": (timedelta(days=7), timedelta(days=7)),
    "cartes-bancaires": (timedelta(days=7), timedelta(days=7)),
}


def lifetime(network: str, behaviour: Behaviour, *, off_session: bool) -> timedelta:
    """From the authorisation to the last moment of a capture."""
    if behaviour is Behaviour.EXPIRES_EARLY:
        return EARLY
    with_patient, without = _LIFETIMES[network]
    return without if off_session else with_patient


def has_check_digit(number: str) -> bool:
    """The Luhn check that every card number passes."""
    total = 0
    for position, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value  # noqa: PLR2004  the sum of its digits
    return total % 10 == 0
