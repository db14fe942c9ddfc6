"""The commands every service has for its messages: dead letters, replay, tasks, topics."""

import argparse
import sys
from typing import Any, Final

from sqlalchemy import select, update

from common.clock import Clock
from common.db import Sessions, engine_of, sessions_of
from common.events.topics import TOPICS, topics_of
from common.messaging import deadletter, topics
from common.messaging.delivery import redrive
from common.messaging.housekeeping import AlreadyAtWork, House, keep_house
from common.messaging.replay import replay
from common.messaging.routes import Routes
from common.messaging.tables import TaskRow
from common.messaging.tasks import FAILED
from common.settings import KafkaSettings, PostgresSettings

COMMANDS: Final = ("dead-letters", "housekeeping", "replay", "tasks", "topics")


def add_commands(service: str, chosen: "argparse._SubParsersAction[Any]") -> None:
    """Adds COMMANDS to those of a service; `run` takes what was parsed."""
    letters = chosen.add_parser("dead-letters", help="records that could not be applied")
    action = letters.add_subparsers(dest="action", required=True)
    action.add_parser("list", help="every parked key, and records without a readable envelope")
    for name, about in (
        ("show", "the letters of a key in their order, headers and body"),
        ("redrive", "apply the letters of a key in their order until one fails; --all takes every key"),
    ):
        keyed = action.add_parser(name, help=about)
        keyed.add_argument("topic", nargs="?", choices=sorted(TOPICS))
        keyed.add_argument("key", nargs="?")
        if name == "redrive":
            keyed.add_argument("--all", action="store_true")
    gone = action.add_parser("discard", help="give one letter up for good; then redrive what is behind it")
    gone.add_argument("id", type=int)

    again = chosen.add_parser("replay", help="publish archived events again; readers know what they applied")
    again.add_argument("--key")
    again.add_argument("--topic", choices=sorted(topic.name for topic in topics_of(service)))
    again.add_argument("--all", action="store_true")

    work = chosen.add_parser("tasks", help="work that calls out or waits for a time")
    action = work.add_subparsers(dest="action", required=True)
    shown = action.add_parser("list", help="what failed; --open: what is still to be done")
    shown.add_argument("--open", action="store_true")
    retry = action.add_parser("retry", help="a failed task is due again at once")
    retry.add_argument("kind")
    retry.add_argument("key")

    made = chosen.add_parser("topics", help="the topics this service writes")
    made.add_subparsers(dest="action", required=True).add_parser("create")

    chosen.add_parser("housekeeping", help="remove what is old now; a worker does it once an hour")


async def run(
    service: str,
    options: argparse.Namespace,
    *,
    routes: Routes,
    postgres: PostgresSettings,
    kafka: KafkaSettings,
    clock: Clock,
    house: House,
) -> int:
    """Runs one of COMMANDS; returns the exit status."""
    if options.command == "topics":
        made = await topics.create(kafka, topics_of(service))
        return _say(f"created {len(made)}", *made)
    if options.command == "replay":
        if options.all == bool(options.key or options.topic):
            return _refuse("choose --key, --topic or --all")
        dsn = postgres.dsn.get_secret_value()
        count = await replay(dsn, kafka, topic=options.topic, key=options.key, everything=options.all)
        return _say(f"published {count} again")
    engine = engine_of(postgres, name=f"{service} {options.command}", pool=1)
    sessions = sessions_of(engine, None)
    try:
        if options.command == "tasks":
            return await _tasks(options, sessions, clock)
        if options.command == "housekeeping":
            return await _keep_house(house, sessions, clock)
        return await _dead_letters(options, sessions, routes, clock)
    finally:
        await engine.dispose()


async def _dead_letters(options: argparse.Namespace, sessions: Sessions, routes: Routes, clock: Clock) -> int:
    match options.action:
        case "list":
            return await _list_letters(sessions)
        case "discard":
            async with sessions.begin() as session:
                found = await deadletter.discard(session, options.id)
            return _say(f"discarded {options.id}") if found else _refuse(f"no letter {options.id}")
        case "redrive" if options.all:
            async with sessions() as session:
                keys = [(each.topic, each.key) for each in await deadletter.list_parked(session)]
        case _ if options.topic is None or options.key is None:
            return _refuse("name a topic and a key")
        case "show":
            return await _show(sessions, options.topic, options.key)
        case _:
            keys = [(options.topic, options.key)]
    left = 0
    for topic, key in keys:
        redriven = await redrive(topic, key, routes, sessions, now=clock.now())
        left += redriven.left
        stopped = f", stopped: {redriven.reason}" if redriven.reason else ""
        _say(f"{topic} {key}: applied {len(redriven.outcomes)}, left {redriven.left}{stopped}")
    return 1 if left else 0


async def _list_letters(sessions: Sessions) -> int:
    async with sessions() as session:
        parked = await deadletter.list_parked(session)
        unreadable = await deadletter.list_unreadable(session)
    for each in parked:
        _say(f"{each.topic} {each.key}: {each.letters} letters since {each.parked_at:%FT%TZ}, {each.reason}")
    for letter in unreadable:
        _say(f"#{letter.id} {letter.topic} {letter.origin}: {letter.reason}")
    return _say(f"parked keys {len(parked)}, unreadable records {len(unreadable)}")


async def _show(sessions: Sessions, topic: str, key: str) -> int:
    async with sessions() as session:
        letters = await deadletter.letters_of(session, topic=topic, key=key)
    for letter in letters:
        _say(f"#{letter.id} {letter.origin} {letter.reason}")
        for name, value in sorted(letter.headers.items()):
            _say(f"  {name}: {value}")
        _say(f"  {letter.body.decode(errors='replace')}")
    return _say(f"letters {len(letters)}")


async def _tasks(options: argparse.Namespace, sessions: Sessions, clock: Clock) -> int:
    if options.action == "list":
        state = TaskRow.outcome.is_(None) if options.open else TaskRow.outcome == FAILED
        async with sessions() as session:
            rows = (await session.scalars(select(TaskRow).where(state).order_by(TaskRow.due_at))).all()
        for row in rows:
            reason = row.reason or "-"
            _say(f"{row.kind} {row.key}: due {row.due_at:%FT%TZ}, attempt {row.attempt}, {reason}")
        return _say(f"tasks {len(rows)}")
    failed = (TaskRow.kind == options.kind, TaskRow.key == options.key, TaskRow.outcome == FAILED)
    opened = (
        update(TaskRow)
        .where(*failed)
        .values(outcome=None, finished_at=None, reason=None, attempt=0, due_at=clock.now())
    )
    async with sessions.begin() as session:
        found = await session.scalar(opened.returning(TaskRow.kind))
    return _say("due again") if found else _refuse(f"no failed {options.kind} {options.key}")


async def _keep_house(house: House, sessions: Sessions, clock: Clock) -> int:
    try:
        removed = await keep_house(house, sessions, now=clock.now())
    except AlreadyAtWork:
        return _refuse("a worker is at it just now")
    return _say(*(f"{table}: removed {rows}" for table, rows in removed.items()))


def _say(*lines: str) -> int:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 2
