"""How often a root row goes to the database: every fact of an appointment locks it."""

from typing import Any
from uuid import uuid4

from sqlalchemy import event

from payment import store


async def statements_of_a_lock(sessions: Any, appointment_id: Any) -> list[str]:
    seen: list[str] = []

    def remember(*about: Any) -> None:
        seen.append(about[2].split()[0])

    async with sessions.begin() as session:
        connection = (await session.connection()).sync_connection
        event.listen(connection, "before_cursor_execute", remember)
        root = await store.lock_root(session, appointment_id)
        event.remove(connection, "before_cursor_execute", remember)
    assert root.id == appointment_id
    return seen


async def test_a_root_that_is_known_is_locked_in_one_statement(sessions) -> None:
    appointment_id = uuid4()

    first, second = [await statements_of_a_lock(sessions, appointment_id) for _ in range(2)]

    assert (first, second) == (["SELECT", "INSERT"], ["SELECT"])
