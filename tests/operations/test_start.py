"""A start that cannot end well says so in one line; and the commands that the runbooks name exist."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from common.events.topics import SERVICES
from common.process import parser
from local import postgres
from local.configuration import most_connections
from local.errors import LocalError
from local.platform import check_connections
from support.eventually import eventually
from support.services import answers, get

RUNBOOKS = sorted((Path(__file__).parents[2] / "docs" / "runbooks").glob("*.md"))
COMMANDS = [
    (path.stem, found)
    for path in RUNBOOKS
    for found in re.findall(r"`python -m ([^`]+)`", path.read_text(encoding="utf-8"))
]
EXAMPLES = {"TOPIC": "{topic}", "KEY": "6d1f", "KIND": "place-hold", "ID": "7"}
OWN_TOPIC = {
    "booking": "booking.appointment",
    "payment": "payment.appointment",
    "claims": "claims.appointment",
    "documents": "documents.appointment",
}


@pytest.mark.parametrize("role", ["api", "worker"])
async def test_a_process_whose_pools_do_not_fit_ends_with_one_clear_line(installed, role: str) -> None:
    booking = await installed("booking", told={f"BOOKING_POSTGRES__{role.upper()}_POOL": "10000"})

    status, said = await booking.run(role)

    assert status == 1
    assert re.fullmatch(r"the pools may open 100\d\d connections, the server takes \d+", said)


async def test_a_platform_whose_pools_together_do_not_fit_does_not_start(tmp_path: Path) -> None:
    said = f"may open {most_connections()} connections, the server takes 17"
    with postgres.running(tmp_path, databases=("booking",), max_connections=20, durable=False) as server:
        checked = await asyncio.gather(check_connections(server), return_exceptions=True)

    assert said in str(checked[0])
    assert isinstance(checked[0], LocalError)


async def test_a_process_whose_database_is_away_waits_for_it_and_is_not_ready(installed) -> None:
    away = {"CLAIMS_POSTGRES__DSN": "postgresql://claims:x@127.0.0.1:1/claims"}
    claims = await installed("claims", told=away)

    async with claims.process("api") as child:
        await eventually(lambda: answers(f"{claims.api}/health/live", 200), within=30)
        ready = await get(f"{claims.api}/health/ready")
        status = await child.stop()

    assert (ready.status_code, ready.headers["retry-after"]) == (503, "1")
    assert status == 0, child.last_lines(5)


@pytest.mark.parametrize(("runbook", "found"), COMMANDS)
def test_a_command_of_a_runbook_exists(runbook: str, found: str) -> None:
    named, *rest = shlex.split(found)
    for service in SERVICES if named == "SERVICE" else [named]:
        arguments = [EXAMPLES.get(each, each).format(topic=OWN_TOPIC[service]) for each in rest]
        assert parser(service).parse_args(arguments).command == arguments[0], runbook


def test_every_command_stands_in_a_runbook() -> None:
    named = {shlex.split(found)[1] for _, found in COMMANDS}

    assert named >= {"dead-letters", "replay", "tasks", "keys", "housekeeping"}


async def test_an_api_serves_metrics_openapi_and_internal_routes_on_its_internal_port_alone(
    installed,
) -> None:
    booking = await installed("booking")
    inside = ["metrics", "openapi.json", "v1/internal/rights"]

    async with booking.process("api"):
        await eventually(lambda: answers(f"{booking.api}/health/ready", 200), within=30)
        public = {path: (await get(f"{booking.api}/{path}")).status_code for path in [*inside, "v1/reasons"]}
        internal = {
            path: (await get(f"{booking.internal}/{path}")).status_code for path in [*inside, "v1/reasons"]
        }

    assert public == {**dict.fromkeys(inside, 404), "v1/reasons": 200}
    assert internal == {"metrics": 200, "openapi.json": 200, "v1/internal/rights": 401, "v1/reasons": 200}
