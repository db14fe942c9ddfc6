"""An outside system that fails is warned about once a minute, however many parts of a process notice it."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from common import outages, telemetry
from common.outages import OutageFilter


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def said(self) -> list[tuple[str, int]]:
        return [(record.getMessage(), getattr(record, "suppressed", 0)) for record in self.records]


@pytest.fixture
def seconds() -> list[float]:
    return [0.0]


@pytest.fixture
def kept(seconds: list[float]) -> Iterator[Kept]:
    handler = Kept()
    handler.addFilter(OutageFilter(lambda: telemetry.bound().get("service", "x"), now=lambda: seconds[0]))
    loggers = [logging.getLogger(name) for name in ("test.outages", "aiokafka")]
    for each in loggers:
        each.addHandler(handler)
    yield handler
    for each in loggers:
        each.removeHandler(handler)


LOG = logging.getLogger("test.outages")


def test_one_warning_a_minute_for_each_system_and_error(kept, seconds) -> None:
    for _ in range(1000):
        outages.report(LOG, "database", ConnectionRefusedError("10.0.0.1"), "no tasks are leased")
        outages.report(LOG, "database", ConnectionRefusedError("10.0.0.1"), "the relay begins again")
        outages.report(LOG, "card-provider", "ReadTimeout", "a refund waits")
    seconds[0] = 61
    outages.report(LOG, "database", ConnectionRefusedError(), "no tasks are leased")

    assert kept.said() == [
        ("no tasks are leased: ConnectionRefusedError", 0),
        ("a refund waits: ReadTimeout", 0),
        ("no tasks are leased: ConnectionRefusedError", 1999),
    ]


def test_each_service_of_a_process_warns_for_itself_and_other_lines_pass(kept) -> None:
    for service in ("booking", "claims"):
        bound = telemetry.bind(service=service)
        for _ in range(5):
            outages.report(LOG, "kafka", OSError(), "the relay begins again")
            LOG.warning("something else")
        telemetry.unbind(bound)

    assert len([said for said, _ in kept.said() if said.startswith("the relay")]) == 2
    assert len([said for said, _ in kept.said() if said == "something else"]) == 10


def test_the_warnings_of_aiokafka_are_limited_by_their_template(kept) -> None:
    chatty = logging.getLogger("aiokafka.client")
    for number in range(500):
        chatty.error("Unable connect to node with id %s: %s", number, "refused")
        chatty.error("Unable to update metadata from %s", [number])

    assert [said for said, _ in kept.said()] == [
        "Unable connect to node with id 0: refused",
        "Unable to update metadata from [0]",
    ]
    extras: list[Any] = [record.__dict__["system"] for record in kept.records]
    assert extras == ["kafka", "kafka"]
