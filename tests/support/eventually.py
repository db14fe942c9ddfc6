"""Waiting for what other processes bring about, with a deadline and never with a fixed pause."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(check: Callable[[], Awaitable[T]], *, within: float = ..., every: float = ...) -> T: ...
@overload
async def eventually(check: Callable[[], T], *, within: float = ..., every: float = ...) -> T: ...
async def eventually(check: Callable[[], Any], *, within: float = 5.0, every: float = 0.02) -> Any:
    """What `check` answers, once it is true and raises no AssertionError; polled `every` so many seconds.

    Raises AssertionError after `within` seconds, saying what the last try answered or raised.
    """
    began = time.monotonic()
    tries = 0
    while True:
        last: AssertionError | None = None
        answer: object = None
        tries += 1
        try:
            answer = check()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return answer
        except AssertionError as error:
            last = error
        waited = time.monotonic() - began
        if waited >= within:
            name = getattr(check, "__qualname__", repr(check))
            found = f"it raised {last}" if last is not None else f"the last answer was {answer!r}"
            raise AssertionError(f"{name}: not within {within} s ({tries} tries): {found}") from last
        await asyncio.sleep(every)
