"""Waking the relay and the task worker, inside a process and between processes."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

from common.messaging import connections
from common.wake import LocalWake, NotifyWake
from support.eventually import eventually


async def test_a_wait_ends_by_the_wake_up_or_by_its_time() -> None:
    wake, loop = LocalWake(), asyncio.get_running_loop()
    wake.set("outbox")

    began = loop.time()
    await wake.wait("outbox", 60)
    at_once = loop.time() - began
    await wake.wait("outbox", 0.05)
    in_time = loop.time() - began

    assert at_once < 0.05 <= in_time < 10


async def test_a_wake_up_of_one_kind_is_none_of_the_other() -> None:
    wake, loop = LocalWake(), asyncio.get_running_loop()
    wake.set("task")

    began = loop.time()
    await wake.wait("outbox", 0.05)

    assert loop.time() - began >= 0.04


async def test_one_process_wakes_another(dsn) -> None:
    api, worker = NotifyWake(dsn, hears="changed"), NotifyWake(dsn, hears="wake")
    async with api.running(), worker.running():
        waiting = asyncio.ensure_future(worker.wait("task", 30))

        async def woken() -> bool:
            api.set("task")  # again until the other one listens
            await asyncio.sleep(0)
            return waiting.done()

        await eventually(woken, within=10)


async def test_many_commits_are_few_notifications(dsn) -> None:
    heard: list[str] = []
    listener = await connections.connect(dsn, name="test")
    await listener.add_listener("wake", lambda *told: heard.append(told[-1]))
    wake = NotifyWake(dsn, hears="changed")
    async with wake.running():
        for _ in range(200):
            wake.set("outbox")
            await asyncio.sleep(0)
        await eventually(lambda: heard)
        wake.set("task")
        await eventually(lambda: heard[-1] == "task")
    await listener.close()

    assert heard.count("outbox") < 100


async def test_a_cut_connection_is_made_again(dsn) -> None:
    wake = NotifyWake(dsn, hears="changed")
    heard: list[str] = []
    listener = await connections.connect(dsn, name="listener")
    await listener.add_listener("wake", lambda *told: heard.append(told[-1]))
    async with wake.running():
        wake.set("outbox")
        await eventually(lambda: heard)
        await listener.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

        async def heard_again() -> bool:
            wake.set("task")
            await asyncio.sleep(0)
            return "task" in heard

        await eventually(heard_again, within=10)
    await listener.close()


async def test_a_request_of_one_process_hears_what_another_changed(dsn) -> None:
    worker, api = NotifyWake(dsn, hears="wake"), NotifyWake(dsn, hears="changed")
    things = [uuid4() for _ in range(500)]  # more than one notification holds
    async with worker.running(), api.running(), AsyncExitStack() as watching:
        watchers = [watching.enter_context(api.changes.watch(each)) for each in things]

        async def all_told() -> bool:
            worker.changed(things)  # again until the other one listens
            await asyncio.sleep(0)
            return all(each.changed.is_set() for each in watchers)

        await eventually(all_told, within=10)


async def test_a_new_connection_tells_all_who_wait(dsn) -> None:
    api = NotifyWake(dsn, hears="changed")
    with api.changes.watch(uuid4()) as watcher:
        async with api.running():
            await eventually(watcher.changed.is_set, within=10)
