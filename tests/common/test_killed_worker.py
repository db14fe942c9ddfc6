"""A worker that is killed with -9 in the middle of a call: another one takes its tasks at once."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from textwrap import dedent

from sqlalchemy import select

from common.clock import Clock
from common.messaging import tasks
from common.messaging.tables import TaskRow
from common.messaging.task_worker import TaskWorker
from common.messaging.tasks import DONE, Done, TaskContext, Tasks
from support.eventually import eventually
from support.records import NOW

HANGS = dedent("""
    import asyncio, sys
    from datetime import timedelta
    from common.clock import Clock
    from common.db import engine_of, sessions_of
    from common.messaging.task_worker import TaskWorker
    from common.messaging.tasks import Tasks
    from common.settings import PostgresSettings
    from common.wake import LocalWake

    work = Tasks()

    @work.on("call", lease=timedelta(days=1))
    async def hang(context):
        await asyncio.Event().wait()

    async def main(dsn):
        engine = engine_of(PostgresSettings(dsn=dsn), name="killed", pool=2)
        wake = LocalWake()
        worker = TaskWorker("x", work, sessions_of(engine, wake), Clock(), wake, dsn=dsn, resources=None)
        await worker.run(asyncio.Event())

    asyncio.run(main(sys.argv[1]))
""")


async def test_the_tasks_of_a_killed_worker_go_on_at_once(pool, wake, dsn, tmp_path: Path) -> None:
    async with pool.begin() as session:
        for number in range(3):
            tasks.add(session, "call", str(number), due_at=NOW.replace(year=2020))
    script = tmp_path / "hangs.py"
    script.write_text(HANGS)
    child = await asyncio.create_subprocess_exec(sys.executable, script, dsn)

    async def leased() -> bool:
        async with pool() as session:
            return len((await session.scalars(select(TaskRow.lease_token).distinct())).all()) == 1 and all(
                await session.scalars(select(TaskRow.lease_until.is_not(None)))
            )

    try:
        await eventually(leased, within=20)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()

    work = Tasks()

    @work.on("call")
    async def finish(_: TaskContext) -> Done:
        return DONE

    stop = asyncio.Event()
    worker = TaskWorker("x", work, pool, Clock(), wake, dsn=dsn, resources=None)

    async def done() -> bool:
        async with pool() as session:
            rows = (await session.scalars(select(TaskRow))).all()
        assert [(row.outcome, row.attempt) for row in rows] == [("done", 2)] * 3
        return True

    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        await eventually(done, within=10)
        stop.set()
