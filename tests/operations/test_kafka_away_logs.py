"""Kafka away: a worker says so in a few lines, does not spin, and goes on when Kafka is back."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from uuid import uuid4

from sqlalchemy import func, select

from common.events.payment import HoldWaivedV1
from common.messaging import outbox
from common.messaging.tables import OutboxArchiveRow, OutboxRow
from support.eventually import eventually
from support.records import NOW
from support.services import answers

AWAY_SECONDS = 12.0


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def test_a_worker_without_kafka_logs_tens_of_lines_and_idles(
    installed, sessions_on, own_broker
) -> None:
    payment = await installed("payment", bootstrap_servers=own_broker.bootstrap_servers)
    sessions = sessions_on(payment.database)
    log = payment.directory / "payment-worker.log"

    async def write_events(count: int) -> None:
        async with sessions.begin() as session:
            for _ in range(count):
                event = HoldWaivedV1(appointment_id=uuid4(), revision=1, schedule_no=1)
                session.add(outbox.row(event, sequence=1, now=NOW))

    async def sent(count: int) -> bool:
        async with sessions() as session:
            return await session.scalar(select(func.count()).select_from(OutboxArchiveRow)) == count

    async with payment.process("worker") as worker:
        await eventually(lambda: answers(f"{payment.ops}/health/ready", 200), within=60)
        await write_events(1)
        await eventually(lambda: sent(1), within=30)
        ended = len(lines_of(log))
        busy = processor_seconds(worker.pid)

        await own_broker.down()
        await write_events(50)
        await asyncio.sleep(AWAY_SECONDS)  # this long it is away: what is measured is this time
        during = lines_of(log)[ended:]
        busy = processor_seconds(worker.pid) - busy
        async with sessions() as session:
            waiting = await session.scalar(select(func.count()).select_from(OutboxRow))

        await own_broker.up()
        await eventually(lambda: sent(51), within=60)
        ended = len(lines_of(log))
        await own_broker.stop()  # its port refuses connections from now on
        await write_events(50)
        await asyncio.sleep(AWAY_SECONDS)
        after = lines_of(log)[ended:]

    assert waiting == 50
    for lines in (during, after):  # the second time falls in the minute of the first: it may say nothing new
        assert len(lines) < 40, Counter(each["message"] for each in lines).most_common(10)
    assert any(each.get("system") == "kafka" for each in during)
    assert busy < AWAY_SECONDS / 3, f"{busy} s of the processor in {AWAY_SECONDS} s"


def lines_of(log: Path) -> list[dict[str, str]]:
    return [json.loads(each) for each in log.read_text(encoding="utf-8").splitlines()]
