"""What is public about practitioners: previews price with it, claims name their RPPS number."""

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.models import Practitioner
from common.events.booking import PractitionerPublishedV1, PractitionerWithdrawnV1
from common.events.envelope import Meta
from common.money import Cents


async def take_publication(session: AsyncSession, event: PractitionerPublishedV1, meta: Meta) -> None:
    await store.put_practitioner(
        session,
        Practitioner(
            id=event.practitioner_id,
            sequence=meta.sequence,
            withdrawn=False,
            rpps=event.rpps,
            biller_id=event.biller_id,
            profession=event.profession,
            specialty=event.specialty,
            sector=event.sector,
            zone=event.zone,
            agreed_company=event.agreed_company,
            third_party_payment=event.third_party_payment,
            fee_cents=event.fee_cents,
            permanent_overrun=event.permanent_overrun,
            time_zone=event.time_zone,
        ),
    )


async def take_withdrawal(session: AsyncSession, event: PractitionerWithdrawnV1, meta: Meta) -> None:
    """Claims of care already given keep their number, so a withdrawal only forbids new previews."""
    known = await store.find_practitioner(session, event.practitioner_id)
    await store.put_practitioner(
        session,
        Practitioner(
            id=event.practitioner_id,
            sequence=meta.sequence,
            withdrawn=True,
            rpps=known.rpps if known else None,
            biller_id=known.biller_id if known else None,
            profession=known.profession if known else None,
            specialty=known.specialty if known else None,
            sector=known.sector if known else None,
            zone=known.zone if known else None,
            agreed_company=known.agreed_company if known else False,
            third_party_payment=known.third_party_payment if known else None,
            fee_cents=known.fee_cents if known else Cents(0),
            permanent_overrun=known.permanent_overrun if known else False,
            time_zone=known.time_zone if known else None,
        ),
    )
