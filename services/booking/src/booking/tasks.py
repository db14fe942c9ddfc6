"""What waits for a time: the end of an undecided request, and the daily extension of every agenda."""

from uuid import UUID

from booking.domain.agenda import EXTEND_EVERY
from booking.usecases.appointments import let_lapse
from booking.usecases.practitioners import EXTEND_AGENDA, extend_agenda
from booking.usecases.requests import DECIDE_BY
from common.messaging.tasks import DONE, Done, TaskContext, Tasks

tasks = Tasks()


@tasks.on(DECIDE_BY)
async def end_undecided(context: TaskContext) -> Done:
    """The key is the appointment."""
    async with context.finish() as session:
        await let_lapse(session, UUID(context.key), now=context.clock.now())
    return DONE


@tasks.on(EXTEND_AGENDA)
async def extend(context: TaskContext) -> Done:
    """The key is the practitioner. Goes on for as long as they are here."""
    now = context.clock.now()
    async with context.finish() as session:
        if await extend_agenda(session, UUID(context.key), now=now):
            context.later(now + EXTEND_EVERY)
    return DONE
