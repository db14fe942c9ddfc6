"""Who may call what: people see what they pay for, support sees states and amounts."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.web.auth import Caller, Role
from payment import store
from payment.models import Stream


def pays(caller: Caller, stream: Stream) -> bool:
    return Role.PATIENT in caller.roles and stream.account_id == caller.subject


def may_read(caller: Caller, stream: Stream) -> bool:
    return pays(caller, stream) or Role.SUPPORT in caller.roles


def not_found() -> store.AppointmentNotFound:
    """The same for what is not there, not there yet, and not for this caller."""
    return store.AppointmentNotFound("no such appointment", retry_after=1)


async def check_payer(session: AsyncSession, caller: Caller, appointment_id: UUID) -> None:
    """Raises AppointmentNotFound."""
    stream = await store.find_stream(session, appointment_id)
    if stream is None or not pays(caller, stream):
        raise not_found()
