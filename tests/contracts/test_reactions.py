"""What each event does in each state of each reader is decided in docs/reactions.toml, and is so."""

import tomllib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from claims.usecases.config import Terms
from common.events.base import AppointmentFact
from common.events.catalogue import CATALOGUE
from common.events.topics import SERVICES, TOPICS
from common.settings import KeySettings, sample_key
from support.postgres import Server
from support.reactions import Reader, outcome_of, readers

DECIDED: dict[str, Any] = tomllib.loads(
    (Path(__file__).parents[2] / "docs/reactions.toml").read_text(encoding="utf-8")
)["reaction"]
KEYS = KeySettings(
    master={"one": SecretStr(sample_key("master"))},
    active="one",
    index=SecretStr(sample_key("index")),
    cursor=SecretStr(sample_key("cursor")),
)
READERS: dict[str, Reader] = readers(KEYS, Terms())
PAIRS = [
    (kind, event, service)
    for (kind, _), event in CATALOGUE.items()
    for service in TOPICS[event.topic].readers
]
STATES = [
    pytest.param(kind, service, state, id=f"{kind}-{service}-{state}")
    for kind, event, service in PAIRS
    if issubclass(event, AppointmentFact) and READERS[service].routes.reads(kind)
    for state in READERS[service].states
]


@pytest.fixture(scope="session")
async def engines(server: Server) -> AsyncIterator[dict[str, AsyncEngine]]:
    async with AsyncExitStack() as stack:
        made: dict[str, AsyncEngine] = {}
        for service in SERVICES:
            template = await stack.enter_async_context(server.template(service))
            url = await stack.enter_async_context(server.clone(template))
            made[service] = create_async_engine(url)
            stack.push_async_callback(made[service].dispose)
        yield made


@pytest.mark.parametrize(("kind", "event", "service"), PAIRS, ids=str)
def test_somebody_decided_what_an_event_does_in_each_state(kind: str, event: type, service: str) -> None:
    decided = DECIDED.get(kind, {}).get(service)
    assert decided is not None, f"nobody decided what {service} does with {kind}"

    if isinstance(decided, str):
        by_state = issubclass(event, AppointmentFact) and READERS[service].routes.reads(kind)
        assert not by_state, f"{service} reads {kind}: say what it does in each state"
        assert READERS[service].routes.reads(kind) != decided.startswith("not read")
    else:
        assert set(decided) == set(READERS[service].states)


def test_nothing_is_decided_about_what_does_not_exist() -> None:
    known = {(kind, service) for kind, _, service in PAIRS}

    assert {(kind, service) for kind, by_reader in DECIDED.items() for service in by_reader} == known


@pytest.mark.parametrize(("kind", "service", "state"), STATES)
async def test_a_reader_does_what_was_decided(
    engines: dict[str, AsyncEngine], kind: str, service: str, state: str
) -> None:
    outcome = await outcome_of(service, READERS[service], state, kind, engines[service])

    ending = f"{outcome.ending} {outcome.code}".strip()
    assert DECIDED[kind][service][state].partition(":")[0] == ending
