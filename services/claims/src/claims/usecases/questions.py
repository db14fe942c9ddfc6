"""The question for the calculator: with the contributions already taken and the sponsor's money left."""

from dataclasses import replace
from datetime import date
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.domain.asking import NOTHING_TAKEN, Consultation, Insurance, Taken, When, counted, inputs_of
from claims.domain.pricing import Inputs
from claims.models import SponsorOffer
from claims.usecases.config import ClaimsConfig
from common.money import Cents


async def asked(
    session: AsyncSession,
    config: ClaimsConfig,
    consultation: Consultation,
    insurance: Insurance,
    *,
    offer: SponsorOffer | None,
    patient_id: UUID | None,
    practitioner_id: UUID | None,
    when: When,
) -> Inputs:
    """All care of the person that has a price by now counts towards ceilings and caps; nobody has had none.

    Care that was done later and priced first counts too: no order of arrival exceeds a ceiling.
    """
    taken, care_on = NOTHING_TAKEN, when.care_on
    if patient_id is not None:
        known = await store.sum_taken(session, patient_id, practitioner_id=practitioner_id, care_on=care_on)
        taken = Taken(
            this_year_cents=known.year_cents,
            today_cents=known.today_cents,
            partner_sessions=known.partner_sessions,
        )
    return inputs_of(
        consultation,
        await _within_cap(session, insurance, offer, patient_id, care_on=care_on),
        care_on=care_on,
        booked_on=when.booked_on,
        starts_at=when.starts_at,
        ordinary_fee=when.ordinary_fee,
        tables=config.tables,
        taken=counted(taken, care_on=care_on, tables=config.tables),
    )


async def _within_cap(
    session: AsyncSession,
    insurance: Insurance,
    offer: SponsorOffer | None,
    patient_id: UUID | None,
    *,
    care_on: date,
) -> Insurance:
    """A sponsor pays a person at most its monthly cap; what is left of it is the cap of this consultation."""
    sponsor = insurance.sponsor
    if sponsor is None or offer is None or offer.monthly_cap_cents is None:
        return insurance
    spent = 0
    if patient_id is not None:
        spent = await store.sum_sponsored(session, patient_id, offer.id, month_of=care_on)
    left = Cents(max(offer.monthly_cap_cents - spent, 0))
    if left == 0:
        return replace(insurance, sponsor=None)
    cap = left if sponsor.max_cents is None else Cents(min(left, sponsor.max_cents))
    return replace(insurance, sponsor=replace(sponsor, max_cents=cap))
