"""Inboxes are emptied and everything is published again: business keys are unique, so nothing changes."""

import random
from collections.abc import Mapping
from typing import Any, Final

import pytest

from journeys.conftest import Stage
from journeys.order import Act, Order, in_order
from journeys.script import STORIES, Story, acts_of, play
from journeys.state import broken_rules, differences, state_of
from journeys.world import SERVICES, World
from local.journeys.script import JOURNEYS

# What tells about deliveries and work, and not about appointments.
_RUNTIME: Final = frozenset(
    {"inbox", "outbox", "dead_letter", "task", "history", "idempotency", "access_log", "alembic_version"}
)
_TABLES: Final = """
    SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'public' AND relkind = 'r' AND NOT relispartition ORDER BY relname
"""


async def contents(world: World) -> dict[str, list[str]]:
    """Every row of every table of the four services, ids and times and all."""
    found = {}
    for service in SERVICES:
        lens = world.lens(service)
        for table in [row[0] for row in await lens.fetch(_TABLES)]:
            if table not in _RUNTIME:
                rows = await lens.fetch(f'SELECT "{table}"::text FROM "{table}"')  # noqa: S608
                found[f"{service}.{table}"] = sorted(row[0] for row in rows)
    return found


def changes(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> dict[str, Any]:
    return {
        name: (sorted(set(before[name]) - set(after[name])), sorted(set(after[name]) - set(before[name])))
        for name in before
        if before[name] != after[name]
    }


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True], ids=["in the order of their topics", "across topics"])
def test_with_empty_inboxes_everything_is_replayed_and_no_row_changes(
    stage: Stage, *, shuffled: bool
) -> None:
    world = stage.world
    archive = world.archive = []
    for journey in JOURNEYS:
        stage.run(play(world, STORIES[journey.number], in_order))
    before = stage.run(contents(world))
    chance = random.Random(1).randrange if shuffled else in_order

    async def replay() -> Order:
        order = Order(world, chance)
        await order.replay(archive)
        await order.play()
        return order

    order = stage.run(replay())

    assert len(archive) > 10 * len(JOURNEYS)
    assert sum(" -> " in step for step in order.trace) > len(archive)  # notes come in company
    assert changes(before, stage.run(contents(world))) == {}
    assert order.sent == []  # nobody says anything twice
    assert stage.run(broken_rules(world)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("number", [journey.number for journey in JOURNEYS])
def test_a_replay_after_every_step_ends_as_if_there_had_been_none(stage: Stage, number: str) -> None:
    world, story = stage.world, STORIES[number]
    plain, _ = stage.run(play(world, story, in_order))
    wanted = stage.run(state_of(plain))

    def acts(case: Any, order: Order) -> Any:
        doubled = acts_of(case, order)
        for place in range(len(doubled), 1, -1):

            async def replay() -> None:
                await order.replay(order.sent)

            doubled.insert(place, Act("replay", replay, case.always))
        return doubled

    case, order = stage.run(play(world, Story(story.name, story.journey, acts), in_order))

    assert differences(wanted, stage.run(state_of(case))) == {}, "\n".join(order.trace)
    assert stage.run(broken_rules(world, case.appointment)) == {}
