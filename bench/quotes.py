"""(e) Quotes per second of the calculator, over all worked cases, and how much of it is looking up tables."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from time import process_time
from typing import Any, Final

from bench.ground import Ground, Scale
from bench.report import Part
from claims.domain.dated import Dated, Key
from claims.domain.pricing import price
from claims.domain.tables import Tables, load_tables
from local.paths import REPOSITORY

_ROUNDS: Final = 50
_FIND: Final = "find"

LookUp = tuple[Dated[Any], Key, date]


async def measure(_ground: Ground, scale: Scale) -> Part:
    part = Part("e", "quotes")
    tables, cases, rounds = load_tables(), _worked_cases(), scale.of(_ROUNDS)
    with _looked_up() as look_ups:
        _price(tables, cases, 1)
    wholes, shares = [], []
    for _ in range(scale.repetitions):
        whole = _price(tables, cases, rounds)
        wholes.append(rounds * len(cases) / whole)
        shares.append(100 * _look_up(look_ups, rounds) / whole)
    part.state("quotes on one core, mixed worked cases", "/s", wholes)
    part.state("of it looking up tables", "%", shares)
    part.counts["worked_cases"] = len(cases)
    part.counts["look_ups_per_round"] = len(look_ups)
    return part


def _worked_cases() -> list[Any]:
    """Those of the tests: the measure and the proof are about the same questions."""
    sys.path.append(str(REPOSITORY / "tests"))
    cases: list[Any] = import_module("support.worked_cases").money_cases()
    return cases


def _price(tables: Tables, cases: list[Any], rounds: int) -> float:
    """Seconds of processor time: what others do on this machine does not count."""
    questions = [(case.inputs, case.policy) for case in cases]
    began = process_time()
    for _ in range(rounds):
        for inputs, policy in questions:
            price(inputs, tables, policy)
    return process_time() - began


def _look_up(look_ups: list[LookUp], rounds: int) -> float:
    began = process_time()
    for _ in range(rounds):
        for table, key, on in look_ups:
            table.find(key, on=on)
    return process_time() - began


@contextmanager
def _looked_up() -> Iterator[list[LookUp]]:
    """Writes down what is looked up meanwhile, so that it can be timed alone."""
    seen: list[LookUp] = []
    original = Dated.find

    def find(self: Dated[Any], key: Key, *, on: date) -> Any:
        seen.append((self, key, on))
        return original(self, key, on=on)

    setattr(Dated, _FIND, find)
    try:
        yield seen
    finally:
        setattr(Dated, _FIND, original)
