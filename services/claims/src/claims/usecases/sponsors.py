"""What schools and companies offer their people; a joining code is told once and kept as a keyed hash."""

import secrets
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain.pricing import SponsorKind
from claims.models import SponsorOffer
from claims.usecases.config import ClaimsConfig
from common.crypto import Keyring
from common.errors import DomainError, Refusal, at_field
from common.ids import uuid7
from common.money import Cents

_CODE_BYTES: Final = 16
CODE_FIELD: Final = "sponsor-code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    name: str
    kind: SponsorKind
    cents: Cents | None
    percent: int | None
    max_cents: Cents | None
    monthly_cap_cents: Cents | None
    covered_specialties: tuple[str, ...] | None  # words of the specialties table; none: all of them
    valid_from: date
    valid_to: date | None


class SpecialtyNotFound(DomainError):
    code: ClassVar[str] = "specialty-unknown"
    refusal: ClassVar[Refusal] = Refusal.INVALID

    def __init__(self, number: int) -> None:
        detail = "no specialty or profession of this word is known"
        pointer = f"/body/covered_specialties/{number}"
        super().__init__(detail, extra=at_field(pointer, self.code, detail))


class OfferRefused(DomainError):
    """What is offered contradicts itself."""

    code: str  # type: ignore[misc]  # says what contradicts what
    refusal: ClassVar[Refusal] = Refusal.INVALID

    def __init__(self, code: str, detail: str, *, field: str) -> None:
        super().__init__(detail, extra=at_field(f"/body/{field}", code, detail))
        self.code = code


def _refuse_impossible(offer: Offer) -> None:
    """A fixed sum has its cents, a share its percent, and nothing else has either."""
    for field, value, kind in (
        ("cents", offer.cents, SponsorKind.FIXED),
        ("percent", offer.percent, SponsorKind.PERCENT),
    ):
        if (value is None) is (offer.kind is kind):
            detail = f"{kind.value} has {field}, and no other kind has"
            raise OfferRefused("sponsor-amount", detail, field=field)
    if offer.valid_to is not None and offer.valid_to < offer.valid_from:
        raise OfferRefused("dates-reversed", "the offer ends before it begins", field="valid_to")


async def add_offer(
    session: AsyncSession, config: ClaimsConfig, offer: Offer, *, now: datetime
) -> tuple[SponsorOffer, str]:
    """The row, and the code that its people join with. Raises OfferRefused, SpecialtyNotFound."""
    _refuse_impossible(offer)
    for number, word in enumerate(offer.covered_specialties or ()):
        known = config.tables.known_at(None).specialties.find((word,), on=offer.valid_from)
        if known is None or known.specialty != word:
            raise SpecialtyNotFound(number)
    identifier = uuid7(now)
    code = secrets.token_urlsafe(_CODE_BYTES)
    row = SponsorOffer(
        id=identifier,
        code_index=code_index(config.keyring, code),
        name=offer.name,
        kind=offer.kind.value,
        cents=offer.cents,
        percent=offer.percent,
        max_cents=offer.max_cents,
        monthly_cap_cents=offer.monthly_cap_cents,
        covered_specialties=(
            None if offer.covered_specialties is None else sorted(set(offer.covered_specialties))
        ),
        valid_from=offer.valid_from,
        valid_to=offer.valid_to,
        created_at=now,
    )
    session.add(row)
    await session.flush()
    return row, code


async def get_offer(session: AsyncSession, offer_id: UUID) -> SponsorOffer:
    return await store.get_sponsor_offer(session, offer_id)


def code_index(keyring: Keyring, code: str) -> bytes:
    return keyring.blind_index(code, field=CODE_FIELD)
