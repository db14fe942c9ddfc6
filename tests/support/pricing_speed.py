"""Quotes per second of the calculator on one core, over the worked cases."""

import time

from claims.domain.pricing import price
from claims.domain.tables import Tables
from support.worked_cases import money_cases


def quotes_per_second(tables: Tables, *, rounds: int = 50) -> float:
    """A mixed set, all worked cases `rounds` times over, by processor time: other load does not count."""
    questions = [(case.inputs, case.policy) for case in money_cases()]
    started = time.process_time()
    for _ in range(rounds):
        for inputs, policy in questions:
            price(inputs, tables, policy)
    return rounds * len(questions) / (time.process_time() - started)
