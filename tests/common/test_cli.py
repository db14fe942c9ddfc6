"""The commands for dead letters, tasks and replays, as an operator types them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text, update

from common.clock import Clock
from common.events.envelope import Meta
from common.events.payment import HoldWaivedV1
from common.messaging import cli, history, tasks
from common.messaging.delivery import deliver, park
from common.messaging.housekeeping import House
from common.messaging.records import APPLIED, Outcome
from common.messaging.routes import Routes
from common.messaging.tables import TaskRow
from common.process import parser
from common.settings import KafkaSettings, PostgresSettings
from support.records import NOW, record

NOWHERE = KafkaSettings(bootstrap_servers="127.0.0.1:1", profile="embedded")
TOPIC = "payment.appointment"

routes = Routes()


@routes.on(HoldWaivedV1)
async def apply(session: Any, event: HoldWaivedV1, meta: Meta, _: datetime) -> Outcome:
    history.note(session, event.appointment_id, meta.type, at=meta.time)
    return APPLIED


@pytest.fixture
def command(dsn, capsys) -> Callable[..., Awaitable[tuple[int, str]]]:
    async def command(*arguments: str) -> tuple[int, str]:
        """The exit status, and what was printed."""
        options = parser("booking").parse_args(arguments)
        status = await cli.run(
            "booking",
            options,
            routes=routes,
            postgres=PostgresSettings(dsn=dsn),
            kafka=NOWHERE,
            clock=Clock(read=lambda: NOW),
            house=House(),
        )
        told = capsys.readouterr()
        return status, told.out + told.err

    return command


async def test_a_parked_key_is_listed_shown_and_redriven(pool, command) -> None:
    key = uuid4()
    event = HoldWaivedV1(appointment_id=key, revision=1, schedule_no=1)
    await park(record(event), pool, reason="LookupError", now=NOW)
    await deliver(record(event, sequence=2), routes, pool, now=NOW)

    listed = await command("dead-letters", "list")
    shown = await command("dead-letters", "show", TOPIC, str(key))
    redriven = await command("dead-letters", "redrive", "--all")
    empty = await command("dead-letters", "list")

    assert listed[0] == 0
    assert listed[1].splitlines() == [
        f"{TOPIC} {key}: 2 letters since 2030-06-01T09:00:00Z, LookupError",
        "parked keys 1, unreadable records 0",
    ]
    assert "  ce_type: payment.hold-waived\n" in shown[1]
    assert shown[1].endswith("letters 2\n")
    assert redriven == (0, f"{TOPIC} {key}: applied 2, left 0\n")
    assert empty == (0, "parked keys 0, unreadable records 0\n")


async def test_a_redrive_that_stops_again_says_so_and_fails(pool, command) -> None:
    event = HoldWaivedV1(appointment_id=uuid4(), revision=1, schedule_no=1)
    broken = record(event)
    await park(
        type(broken)(broken.topic, broken.key, broken.origin, broken.headers, b"{}"),
        pool,
        reason="body-unreadable",
        now=NOW,
    )

    status, told = await command("dead-letters", "redrive", TOPIC, broken.key)

    assert (status, told) == (1, f"{TOPIC} {broken.key}: applied 0, left 1, stopped: body-unreadable\n")


async def test_a_failed_task_is_listed_and_tried_again(pool, command) -> None:
    async with pool.begin() as session:
        tasks.add(session, "call", "k", due_at=NOW)
        await session.flush()
        failed = {"outcome": "failed", "finished_at": NOW, "reason": "LookupError", "attempt": 12}
        await session.execute(update(TaskRow).values(**failed))

    listed = await command("tasks", "list")
    retried = await command("tasks", "retry", "call", "k")
    again = await command("tasks", "retry", "call", "k")
    still_open = await command("tasks", "list", "--open")

    assert listed == (0, "call k: due 2030-06-01T09:00:00Z, attempt 12, LookupError\ntasks 1\n")
    assert (retried, again) == ((0, "due again\n"), (2, "no failed call k\n"))
    assert still_open == (0, "call k: due 2030-06-01T09:00:00Z, attempt 0, -\ntasks 1\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("replay",), "choose --key, --topic or --all\n"),
        (("replay", "--all", "--topic", "booking.patient"), "choose --key, --topic or --all\n"),
        (("dead-letters", "show"), "name a topic and a key\n"),
        (("dead-letters", "redrive", TOPIC), "name a topic and a key\n"),
        (("dead-letters", "discard", "7"), "no letter 7\n"),
    ],
)
async def test_an_incomplete_command_says_what_is_missing(command, arguments, told) -> None:
    assert await command(*arguments) == (2, told)


async def test_topics_of_the_embedded_broker_need_no_command(command) -> None:
    assert await command("topics", "create") == (0, "created 0\n")


async def test_a_record_without_an_envelope_is_shown_by_its_number(pool, command) -> None:
    body = "\x1b[2Jcleared \u00e9".encode() + b"\xff"
    broken = record(HoldWaivedV1(appointment_id=uuid4(), revision=1, schedule_no=1))
    await deliver(type(broken)(TOPIC, "k", "c/0@7", {"odd": "x\ny"}, body), routes, pool, now=NOW)
    async with pool() as session:
        [number] = await session.scalars(text("SELECT id FROM dead_letter"))

    shown = await command("dead-letters", "show", str(number))
    marked = await command("dead-letters", "show", f"#{number}")
    missing = await command("dead-letters", "show", "999999")

    assert shown == marked
    assert shown[0] == 0
    assert shown[1].splitlines() == [
        f"#{number} {TOPIC} c/0@7 envelope-unreadable",
        "  odd: x\\u000ay",
        "  \\u001b[2Jcleared é\ufffd",
    ]
    assert missing == (2, "no letter 999999\n")


async def test_tasks_are_listed_by_kind_and_up_to_a_limit(pool, command) -> None:
    async with pool.begin() as session:
        for number in range(3):
            tasks.add(session, "refund", f"r{number}", due_at=NOW)
        tasks.add(session, "void", "v1", due_at=NOW)

    every = await command("tasks", "list", "--open")
    refunds = await command("tasks", "list", "--open", "--kind", "refund")
    first = await command("tasks", "list", "--open", "--kind", "refund", "--limit", "2")

    assert every[1].endswith("tasks 4\n")
    assert refunds[1].endswith("tasks 3\n")
    assert "void" not in refunds[1]
    assert len(first[1].splitlines()) == 3
    assert first[1].endswith("tasks 2 of 3\n")


@pytest.mark.parametrize("limit", ["0", "-1", "all"])
async def test_a_limit_that_is_no_number_is_refused(command, limit) -> None:
    with pytest.raises(SystemExit):
        await command("tasks", "list", "--limit", limit)
