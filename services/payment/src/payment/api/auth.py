"""Who may call what: people see what they pay for, support sees states and amounts."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.web.auth import Caller, Role
from payment import store
from payment.models import AppointmentRoot


def pays(caller: Caller, root: AppointmentRoot) -> bool:
    return Role.PATIENT in caller.roles and root.account_id == caller.subject


def may_read(caller: Caller, root: AppointmentRoot) -> bool:
    return pays(caller, root) or Role.SUPPORT in caller.roles


def not_found() -> store.AppointmentNotFound:
    """The same for what is not there, not there yet, and not for this caller."""
    return store.AppointmentNotFound("no such appointment", retry_after=1)


async def check_payer(session: AsyncSession, caller: Caller, appointment_id: UUID) -> None:
    """Raises AppointmentNotFound."""
    root = await store.find_root(session, appointment_id)
    if root is None or not pays(caller, root):
        raise not_found()
