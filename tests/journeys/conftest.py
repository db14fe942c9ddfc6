"""One world for all orders of a module, in an event loop of its own: hypothesis calls plain functions."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from journeys.world import World, open_world
from support.postgres import Server

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stage:
    world: World
    run: Callable[[Coroutine[Any, Any, T]], T]


@pytest.fixture(scope="module")
def stage(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("world")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()
        world = runner.run(stack.enter_async_context(open_world(server, folder)))
        gc.collect()
        gc.freeze()  # what stays for good is not looked through again and again
        yield Stage(world, runner.run)
        gc.unfreeze()
        runner.run(stack.aclose())
