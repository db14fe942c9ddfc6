"""For which uses a card on file is good."""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime

from common.money import Cents
from payment.domain.mandates import Mandate
from payment.domain.plan import CardState


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What is known of a card: `state` says how far it is saved, the expiry is the printed one."""

    state: CardState
    mandate: Mandate | None
    expiry_month: int | None
    expiry_year: int | None


def expires_at(card: CardFacts) -> datetime | None:
    """The end of the month that is printed on it, in UTC; None while the provider has not told."""
    if card.expiry_month is None or card.expiry_year is None:
        return None
    last_day = calendar.monthrange(card.expiry_year, card.expiry_month)[1]
    return datetime(card.expiry_year, card.expiry_month, last_day, 23, 59, 59, tzinfo=UTC)


def usable_for(
    card: CardFacts | None, *, amount_cents: Cents, charged_cents: Cents, starts_at: datetime, now: datetime
) -> CardState:
    """For a hold of `amount_cents` for a visit at `starts_at`, after `charged_cents` without the holder.

    A card that expires before the visit is not used without its holder, nor one whose mandate has a lower
    ceiling.
    """
    if card is None or card.state is CardState.MISSING:
        return CardState.MISSING
    end = expires_at(card)
    if end is not None and end < now:
        return CardState.MISSING
    covered = card.mandate is not None and charged_cents + amount_cents <= card.mandate.ceiling_cents
    if not covered or (end is not None and end < starts_at):
        return CardState.HOLDER_ONLY
    return card.state
