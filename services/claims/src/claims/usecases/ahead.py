"""What a batch of facts needs, read and locked before the first of them is applied."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from claims import store
from claims.usecases import encryption
from claims.usecases.config import ClaimsConfig
from common.events.base import AppointmentFact, Event
from common.events.booking import AppointmentRequestedV1, ConsultationCompletedV1


async def prepare(session: AsyncSession, config: ClaimsConfig, events: Sequence[Event]) -> None:
    """As many statements for many facts as for one, and locks in one order: batches do not cross."""
    await store.lock_roots(
        session, [each.appointment_id for each in events if isinstance(each, AppointmentFact)]
    )
    requested = [each for each in events if isinstance(each, AppointmentRequestedV1)]
    completed = [each for each in events if isinstance(each, ConsultationCompletedV1)]
    patients = {each.patient_id for each in (*requested, *completed)}
    if patients:
        await store.lock_coverages(session, patients, exclusive=bool(completed))
        await encryption.read_keys(session, config, patients, kept=False)
    if completed:
        await encryption.read_keys(session, config, {each.patient_id for each in completed}, kept=True)
        await store.read_issued_quotes(session, {each.appointment_id for each in completed})
