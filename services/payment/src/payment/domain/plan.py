"""What to do about a price: hold it, keep the hold there is, ask the patient, or nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from common.money import Cents

WINDOW: Final = timedelta(days=6)  # farther ahead an authorisation would lapse before the visit
LEAD: Final = timedelta(days=4)  # inside Visa's 4 days 18 hours without the patient
ACTION_MARGIN: Final = timedelta(seconds=60)  # the patient's action ends before booking decides
FREE_UNTIL: Final = timedelta(hours=2)  # until then a time can be given up without harm
ANSWER_TIME: Final = timedelta(hours=12)  # a patient who is asked with less than this left keeps the time
LAPSES: Final = 3  # authorisations of one time that may lapse before another card is asked for
WARNING: Final = timedelta(hours=12)  # a hold this near to its lapse is reported
CONFIRMATION_MARGIN: Final = timedelta(minutes=10)

Action = Literal["three-d-secure", "card-missing", "price-above-preview"]


class CardState(StrEnum):
    """For what the card of a situation may be used."""

    MISSING = "missing"
    HOLDER_ONLY = "holder-only"  # only while its holder is there: no mandate covers a use without them
    SAVED = "saved"  # like HOLDER_ONLY until its holder has agreed at the bank to have it saved
    READY = "ready"  # without its holder too, under an accepted mandate


@dataclass(frozen=True, slots=True)
class Situation:
    now: datetime
    starts_at: datetime
    decide_by: datetime
    told: bool  # booking has had its answer for this time
    secured: bool  # the appointment stands: what comes now no longer decides about it
    advance_cents: Cents
    agreed_cents: Cents  # the most the patient has seen and accepted
    held_cents: Cents | None  # of the live hold
    open_cents: Cents | None  # of the attempt on its way
    card: CardState
    present: bool  # the patient is there: books, answers or has just agreed at the bank
    lapsed: int  # authorisations for this time that the provider let lapse
    place_at: datetime | None  # when a scheduled hold is due


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


@dataclass(frozen=True, slots=True)
class Waive:
    pass


@dataclass(frozen=True, slots=True)
class Keep:
    """The live hold covers the price: less of it will be captured."""


@dataclass(frozen=True, slots=True)
class Place:
    amount_cents: Cents


@dataclass(frozen=True, slots=True)
class Schedule:
    place_at: datetime


@dataclass(frozen=True, slots=True)
class Ask:
    action: Action
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TooLate:
    """No hold is started any more."""


Step = Nothing | Waive | Keep | Place | Schedule | Ask | TooLate


def action_deadline(
    *, decide_by: datetime, starts_at: datetime, secured: bool, live: bool, scheduled: bool
) -> datetime:
    """Until when the patient may act: not yet secured, the time is free again after it."""
    if not secured:
        return decide_by - ACTION_MARGIN
    return starts_at if live or not scheduled else starts_at - FREE_UNTIL


def plan(situation: Situation) -> Step:
    advance, held, coming = situation.advance_cents, situation.held_cents, situation.open_cents
    if held is not None and held >= advance:
        return Keep()
    if coming is not None and coming >= advance:
        return Nothing()
    if advance == 0:
        return Nothing() if situation.told else Waive()
    return _beyond_the_hold(situation)


def _beyond_the_hold(situation: Situation) -> Step:
    until = action_deadline(
        decide_by=situation.decide_by,
        starts_at=situation.starts_at,
        secured=situation.secured,
        live=situation.held_cents is not None,
        scheduled=situation.place_at is not None,
    )
    last_call = until if situation.secured else situation.decide_by
    if situation.now >= last_call:
        return TooLate()
    lacking = _lacking(situation)
    if lacking is not None:
        return _ask(lacking, until, situation.now)
    if situation.card is CardState.READY:
        return _with_a_mandate(situation)
    return _without_a_mandate(situation, until)


def _with_a_mandate(situation: Situation) -> Step:
    now, place_at = situation.now, situation.place_at
    if place_at is not None and now < place_at:
        return Nothing()  # the scheduled hold will be for the newest price
    # An authorisation that the patient does not take part in lasts less long.
    if situation.starts_at - now > (WINDOW if situation.present else LEAD):
        return Schedule(max(now, situation.starts_at - LEAD))
    return Place(situation.advance_cents)


def _without_a_mandate(situation: Situation, until: datetime) -> Step:
    """The card is used with its holder there, or not at all."""
    if situation.present and situation.starts_at - situation.now <= WINDOW:
        return Place(situation.advance_cents)
    action: Action = "three-d-secure" if situation.card is CardState.SAVED else "card-missing"
    return _ask(action, until, situation.now)


def place_again_at(*, starts_at: datetime, now: datetime) -> datetime | None:
    """When the hold that replaces a lapsed one is due, as a scheduled hold; None: only while there is time.

    The time of a scheduled hold that never comes about is given back two hours before the visit. Nobody who
    hears of it too late to answer loses their time.
    """
    return now if now + ANSWER_TIME <= starts_at - FREE_UNTIL else None


def _lacking(situation: Situation) -> Action | None:
    if situation.advance_cents > situation.agreed_cents:
        return "price-above-preview"
    if situation.card is CardState.MISSING or situation.lapsed >= LAPSES:
        return "card-missing"
    return None


def _ask(action: Action, until: datetime, now: datetime) -> Ask | TooLate:
    return Ask(action, until) if now < until else TooLate()
