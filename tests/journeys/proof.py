"""Plays a journey in many orders and compares each end with that of the plain one."""

import os
from typing import Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from journeys.conftest import Stage
from journeys.order import in_order
from journeys.script import BY_NUMBER, STORIES, play
from journeys.state import broken_rules, differences, state_of

# CI says 200 orders of each journey; a laptop is content with some.
ORDERS: Final = int(os.environ.get("JOURNEY_ORDERS", "200" if os.environ.get("CI") else "10"))  # noqa: TID251
_CHOICES: Final = 400  # more than an order asks for; after them everything is in order


def wanted_orders(name: str) -> int:
    """The journeys of the demonstration get all, what is tried beside them a quarter."""
    return ORDERS if name in BY_NUMBER else ORDERS // 4


def prove(stage: Stage, name: str) -> int:
    """Fails with the steps of the shortest order that ends otherwise; answers how many orders there were."""
    story, world = STORIES[name], stage.world
    plain, order = stage.run(play(world, story, in_order))
    wanted = stage.run(state_of(plain))
    assert stage.run(broken_rules(world, plain.appointment)) == {}
    traces = {tuple(order.trace)}

    examples = wanted_orders(name)
    examples += examples // 20 + 2  # a few may be the same

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=True,
        derandomize=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(min_size=_CHOICES, max_size=_CHOICES))
    def any_order(choices: bytes) -> None:
        left = iter(choices)
        try:
            case, order = stage.run(play(world, story, lambda count: next(left, 0) % count))
        except BaseException:
            stage.run(world.clean(name))
            raise
        traces.add(tuple(order.trace))
        steps = "\n".join(order.trace)
        different = differences(wanted, stage.run(state_of(case)))
        assert different == {}, f"{different} after\n{steps}"
        broken = stage.run(broken_rules(world, case.appointment))
        assert broken == {}, f"{broken} after\n{steps}"

    any_order()
    assert stage.run(broken_rules(world)) == {}
    return len(traces)
