"""The commands every service has for its messages: dead letters, replay, tasks, topics."""

import argparse
import sys
from typing import Any, Final

from sqlalchemy import func, select, true, update

from common.clock import Clock
from common.db import Sessions, engine_of, sessions_of
from common.events.topics import TOPICS, topics_of
from common.messaging import deadletter, topics
from common.messaging.delivery import redrive
from common.messaging.housekeeping import AlreadyAtWork, House, keep_house
from common.messaging.replay import replay
from common.messaging.routes import Routes
from common.messaging.tables import DeadLetterRow, TaskRow
from common.messaging.tasks import FAILED
from common.settings import KafkaSettings, PostgresSettings

COMMANDS: Final = ("dead-letters", "housekeeping", "replay", "tasks", "topics")


_SHOWN: Final = 100  # tasks of a list, unless --limit says otherwise


def add_commands(service: str, chosen: "argparse._SubParsersAction[Any]") -> None:
    """Adds COMMANDS to those of a service; `run` takes what was parsed."""
    letters = chosen.add_parser("dead-letters", help="records that could not be applied")
    action = letters.add_subparsers(dest="action", required=True)
    action.add_parser("list", help="every parked key, and records without a readable envelope")
    shown = action.add_parser(
        "show", help="headers and body of one letter, or of all letters of a key in order"
    )
    shown.add_argument("topic", nargs="?", type=_topic_or_number, metavar="TOPIC|NUMBER")
    shown.add_argument("key", nargs="?")
    keyed = action.add_parser(
        "redrive", help="apply the letters of a key in their order until one fails; --all takes every key"
    )
    keyed.add_argument("topic", nargs="?", choices=sorted(TOPICS))
    keyed.add_argument("key", nargs="?")
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
    shown.add_argument("--kind", help="of this kind only")
    shown.add_argument(
        "--limit", type=_number, default=_SHOWN, help=f"at most so many; {_SHOWN} unless given"
    )
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
        return say(f"created {len(made)}", *made)
    if options.command == "replay":
        if options.all == bool(options.key or options.topic):
            return _refuse("choose --key, --topic or --all")
        dsn = postgres.url
        count = await replay(dsn, kafka, topic=options.topic, key=options.key, everything=options.all)
        return say(f"published {count} again")
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
            return say(f"discarded {options.id}") if found else _refuse(f"no letter {options.id}")
        case "redrive" if options.all:
            async with sessions() as session:
                keys = [(each.topic, each.key) for each in await deadletter.list_parked(session)]
        case "show" if isinstance(options.topic, int):
            return await _show_one(sessions, options.topic)
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
        say(f"{topic} {key}: applied {len(redriven.outcomes)}, left {redriven.left}{stopped}")
    return 1 if left else 0


async def _list_letters(sessions: Sessions) -> int:
    async with sessions() as session:
        parked = await deadletter.list_parked(session)
        unreadable = await deadletter.list_unreadable(session)
    for each in parked:
        say(f"{each.topic} {each.key}: {each.letters} letters since {each.parked_at:%FT%TZ}, {each.reason}")
    for letter in unreadable:
        say(f"#{letter.id} {letter.topic} {letter.origin}: {letter.reason}")
    return say(f"parked keys {len(parked)}, unreadable records {len(unreadable)}")


async def _show(sessions: Sessions, topic: str, key: str) -> int:
    async with sessions() as session:
        letters = await deadletter.letters_of(session, topic=topic, key=key)
    for letter in letters:
        _say_letter(letter)
    return say(f"letters {len(letters)}")


async def _show_one(sessions: Sessions, number: int) -> int:
    """Also a record without a readable envelope, which belongs to no key."""
    async with sessions() as session:
        letter = await session.get(DeadLetterRow, number)
    if letter is None:
        return _refuse(f"no letter {number}")
    _say_letter(letter)
    return 0


def _say_letter(letter: DeadLetterRow) -> None:
    say(f"#{letter.id} {letter.topic} {letter.origin} {letter.reason}")
    for name, value in sorted(letter.headers.items()):
        say(f"  {_printable(name)}: {_printable(value)}")
    say(f"  {_printable(letter.body.decode(errors='replace'))}")


def _printable(text: str) -> str:
    """A record that nobody could read may hold what a terminal obeys."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


async def _tasks(options: argparse.Namespace, sessions: Sessions, clock: Clock) -> int:
    if options.action == "list":
        state = TaskRow.outcome.is_(None) if options.open else TaskRow.outcome == FAILED
        listed = select(TaskRow).where(state, TaskRow.kind == options.kind if options.kind else true())
        async with sessions() as session:
            total = await session.scalar(select(func.count()).select_from(listed.subquery())) or 0
            rows = (await session.scalars(listed.order_by(TaskRow.due_at).limit(options.limit))).all()
        for row in rows:
            reason = row.reason or "-"
            say(f"{row.kind} {row.key}: due {row.due_at:%FT%TZ}, attempt {row.attempt}, {reason}")
        return say(f"tasks {total}" if total == len(rows) else f"tasks {len(rows)} of {total}")
    failed = (TaskRow.kind == options.kind, TaskRow.key == options.key, TaskRow.outcome == FAILED)
    opened = (
        update(TaskRow)
        .where(*failed)
        .values(outcome=None, finished_at=None, reason=None, attempt=0, due_at=clock.now())
    )
    async with sessions.begin() as session:
        found = await session.scalar(opened.returning(TaskRow.kind))
    return say("due again") if found else _refuse(f"no failed {options.kind} {options.key}")


async def _keep_house(house: House, sessions: Sessions, clock: Clock) -> int:
    try:
        removed = await keep_house(house, sessions, now=clock.now())
    except AlreadyAtWork:
        return _refuse("a worker is at it just now")
    return say(*(f"{table}: removed {rows}" for table, rows in removed.items()))


def _topic_or_number(given: str) -> str | int:
    number = given.removeprefix("#")
    if number.isascii() and number.isdecimal():
        return int(number)
    if given not in TOPICS:
        raise argparse.ArgumentTypeError(f"neither a number nor one of {', '.join(sorted(TOPICS))}")
    return given


def _number(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise argparse.ArgumentTypeError("not a number from 1 on")
    return int(given)


class OutputClosed(Exception):
    """Nobody reads what a command prints any more: `| head`, or a pager that was left."""


def say(*lines: str) -> int:
    """Prints lines; returns the exit status of success. Raises OutputClosed."""
    try:
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
    except BrokenPipeError:
        raise OutputClosed from None
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 2
