"""The database away: each process says so in a few lines, however many of its parts try again."""

import asyncio
import json
from collections import Counter

import pytest

from support.eventually import eventually
from support.services import answers, get

AWAY_SECONDS = 8.0


@pytest.mark.parametrize(
    ("service", "role"),
    [
        ("claims", "api"),
        ("booking", "worker"),
        ("booking", "api"),
        ("documents", "api"),
    ],
)
async def test_a_process_without_its_database_logs_a_few_lines(installed, own_broker, service, role) -> None:
    ours = await installed(
        service,
        told={f"{service.upper()}_POSTGRES__DSN": "postgresql://x:x@127.0.0.1:1/x"},
        bootstrap_servers=own_broker.bootstrap_servers,
    )
    base = ours.api if role == "api" else ours.ops
    log = ours.directory / f"{service}-{role}.log"

    async with ours.process(role):
        await eventually(lambda: answers(f"{base}/health/live", 200), within=40)
        await asyncio.sleep(AWAY_SECONDS)  # this long the parts of the process try again
        for _ in range(20):
            assert (await get(f"{base}/health/ready")).status_code == 503
        lines = [json.loads(each) for each in log.read_text(encoding="utf-8").splitlines()]

    warnings = [each for each in lines if each["level"] in {"warning", "error", "critical"}]
    assert any(each.get("system") == "database" for each in warnings)
    assert len(warnings) < 12, Counter((each["message"], each.get("error")) for each in warnings).most_common(
        10
    )
