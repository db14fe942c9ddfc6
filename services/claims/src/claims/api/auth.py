"""What routes need besides the common dependencies: the configuration, and how much a caller sees."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from claims.usecases.config import ClaimsConfig
from common.web.access import Access
from common.web.auth import Caller, Role
from common.web.progress import Progress


async def _config(request: Request) -> ClaimsConfig:
    config: ClaimsConfig = request.app.state.config
    return config


ConfigDep = Annotated[ClaimsConfig, Depends(_config)]


def sees_reasons(caller: Caller) -> bool:
    """Support sees states and amounts; the reasons of a price would tell it the illness."""
    return Role.SUPPORT not in caller.roles


async def wait_for(
    access: Access,
    progress: Progress,
    appointment_id: UUID,
    check: Callable[[AsyncSession], Awaitable[Any]],
    seconds: float,
) -> None:
    """`Prefer: wait` for whoever may see the appointment, without a connection in between."""
    if seconds > 0:
        async with progress.sessions() as session:
            await access.permissions.may_see_appointment(session, access.caller, appointment_id)
        await progress.wait_until(check, seconds, about=appointment_id)
