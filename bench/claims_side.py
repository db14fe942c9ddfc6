"""A claims worker with payers, a broker and a database of its own, fed as booking feeds it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from secrets import token_bytes
from time import perf_counter, process_time
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import psutil
from aiokafka import AIOKafkaProducer

from bench import client
from bench.ground import PARTITIONS, Ground, migrate
from bench.report import CountsDiffer
from claims.domain.asking import AmcDeclared
from claims.domain.terms import Terms
from claims.usecases.config import ClaimsConfig, config_of
from claims.usecases.statements import AmcStatement, Statement, checked
from common import vault
from common.clock import wall
from common.crypto import KEY_BYTES
from common.events.booking import AppointmentRequestedV1, ConsultationCompletedV1
from common.events.topics import topics_of, topics_read_by
from common.ids import uuid7
from common.messaging import outbox
from common.messaging.kafka import producer_options
from common.settings import KafkaSettings, KeySettings
from local import broker as embedded
from local.configuration import PAYERS, Addresses, Broker, as_environment, settings_of
from local.front import Front, start_lifespan
from local.kept_clock import KeptClock
from local.platform import claim_port, free_ports, serving
from local.processes import Child
from simulators import payers

LEGS: Final = 2  # of each care act: one of the fund, one of a complementary insurer
_PRACTITIONERS: Final = 20
_AMC: Final = "99100001"  # has an agreement with everybody
_LOOK: Final = 0.1
_ARCHIVED_WITHIN: Final = 60.0
_SINCE: Final = timedelta(days=30)

_ADD_PRACTITIONERS: Final = """
    INSERT INTO practitioner (id, sequence, withdrawn, rpps, biller_id, profession, specialty, sector, zone,
        agreed_company, third_party_payment, fee_cents)
    SELECT id, 1, false, '10001234565', id, 'physician', '01', 's1', 'metropole', false, 'full', 2500
    FROM unnest($1::uuid[]) AS id
"""
_LEFT: Final = """
    SELECT $2 * cardinality($1::uuid[]) - count(*) FROM leg
    WHERE appointment_id = ANY ($1) AND state = 'paid'
"""
_STAGES: Final = """
    SELECT CASE WHEN about = 'leg' THEN state ELSE about END AS stage, max(at) AS at FROM story_entry
    WHERE appointment_id = ANY ($1) AND (state IN ('sent', 'acked', 'paid') OR about = 'care-act')
    GROUP BY 1
"""
_COUNT: Final = """
    SELECT (SELECT count(*) * 2 FROM care_act) AS twice_the_care_acts,
        (SELECT count(*) FROM leg WHERE payer_kind = 'amo') * 2 AS twice_the_legs_of_the_fund,
        (SELECT count(*) FROM leg WHERE payer_kind = 'amc') * 2 AS twice_the_legs_of_complementary_insurers,
        (SELECT count(*) FROM leg WHERE state = 'paid' AND paid_cents = amount_cents) AS paid_in_full,
        (SELECT count(*) FROM submission) AS sent_once,
        (SELECT count(*) FROM posting) AS payments_posted,
        (SELECT count(DISTINCT (topic, key, sequence)) FROM outbox_archive
            WHERE headers->>'ce_type' = 'claims.leg-paid') AS payments_told
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """How long a number of claims took, and who worked how long for them."""

    claims: int
    seconds: float
    stages: Mapping[str, float]  # seconds until the last claim was priced, sent, acknowledged, paid
    worker_seconds: float  # of a processor
    payers_seconds: float  # of a processor: the payers, and what feeds the broker


@dataclass(frozen=True, slots=True)
class Side:
    pool: Any
    producer: Any
    worker: Child
    config: ClaimsConfig
    practitioners: Sequence[UUID]
    numbers: Any = field(default_factory=count)

    async def pay(self, claims: int, *, within: float) -> Batch:
        """So many claims from the facts that price them to the payers' money.

        Raises CountsDiffer when some are not paid `within` seconds.
        """
        care = await self._insured(claims // LEGS)
        process = psutil.Process(self.worker.pid)
        worked, ours = _worked(process), process_time()
        began_at, began = wall(), perf_counter()
        await self._send([each.requested() for each in care], sequence=1)
        await self._send([each.completed() for each in care], sequence=2)
        ids = [each.appointment_id for each in care]
        deadline = began + within
        while left := await self.pool.fetchval(_LEFT, ids, LEGS):
            if perf_counter() > deadline:
                raise CountsDiffer(f"(j) after {within:.0f} s {left} of {claims} claims are not paid")
            await asyncio.sleep(_LOOK)
        seconds = perf_counter() - began
        worked, ours = _worked(process) - worked, process_time() - ours
        rows = await self.pool.fetch(_STAGES, ids)
        stages = {row["stage"]: (row["at"] - began_at).total_seconds() for row in rows}
        return Batch(claims, seconds, stages, worked, ours)

    async def counts(self) -> dict[str, int]:
        """Rows that have to be equal, once everything published is in the archive."""
        await self.told()
        return dict(await self.pool.fetchrow(_COUNT))

    async def told(self) -> None:
        """Waits until everything published is in the archive. Raises TimeoutError."""
        async with asyncio.timeout(_ARCHIVED_WITHIN):
            while await self.pool.fetchval("SELECT EXISTS (SELECT FROM outbox)"):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(_LOOK)

    async def _insured(self, number: int) -> list["_Care"]:
        """As many patients, each insured by the fund and a complementary insurer and seen once."""
        now = wall()
        heads, keys, versions, care = [], [], [], []
        for _ in range(number):
            order = next(self.numbers)
            patient_id, key = uuid7(now), token_bytes(KEY_BYTES)
            facts = checked(self.config, _stated(order), now=now)
            amc = facts.pop("amc_number")
            wrapped, master = self.config.keyring.wrap(key, owner=f"{patient_id}/erasable")
            opened = vault.PatientKey(self.config.keyring, patient_id, key)
            encrypted = opened.encrypt(json.dumps(facts), field="coverage")
            heads.append((patient_id, 1))
            keys.append((patient_id, "erasable", wrapped, master, now))
            versions.append(
                (patient_id, 1, now - _SINCE, patient_id, "yes", "general", amc, "none", encrypted)
            )
            practitioner = self.practitioners[order % len(self.practitioners)]
            care.append(_Care(uuid4(), patient_id, practitioner, now - timedelta(hours=1)))
        await self._copy("coverage", heads, "patient_id version")
        await self._copy("data_key", keys, "patient_id kind wrapped master_key created_at")
        columns = "patient_id version valid_from stated_by insured scheme amc_number amc_declared sealed"
        await self._copy("coverage_version", versions, columns)
        return care

    async def _copy(self, table: str, rows: Sequence[tuple[Any, ...]], columns: str) -> None:
        await self.pool.copy_records_to_table(table, records=rows, columns=columns.split())

    async def _send(self, events: Sequence[Any], *, sequence: int) -> None:
        acknowledged = []
        now = wall()
        for event in events:
            row = outbox.row(event, sequence=sequence, now=now)
            headers = [(name, value.encode()) for name, value in row.headers.items()]
            sent = await self.producer.send(row.topic, row.body, key=row.key.encode(), headers=headers)
            acknowledged.append(sent)
        await asyncio.gather(*acknowledged)


@asynccontextmanager
async def side(ground: Ground, name: str) -> AsyncIterator[Side]:
    """`python -m claims worker`; the payers answer from this process."""
    directory = ground.directory / name
    directory.mkdir()
    dsn, books = await ground.create(name), await ground.create(f"{name}-payers")
    await asyncio.to_thread(migrate, "claims", dsn)
    topics = (*topics_read_by("claims"), *topics_of("claims"))
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(
            embedded.running({topic.name: PARTITIONS for topic in topics})
        )
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, profile="embedded")
        port, operations = free_ports(2)
        listener = stack.enter_context(claim_port(port))
        app = payers.create_app(books, KeptClock(directory), key=ground.secrets["gateway"])
        await start_lifespan(stack, app)
        front = Front({})
        front.mount(PAYERS, app)
        await stack.enter_async_context(serving(front, listener))
        told = settings_of(
            "claims",
            dsn=dsn,
            broker=Broker(broker.bootstrap_servers, "embedded"),
            addresses=Addresses.behind_one_port(port),
            kept=ground.secrets,
            directory=directory,
            shift=timedelta(),
        ) | {"ops": {"port": operations}}
        pool = await stack.enter_async_context(asyncpg.create_pool(dsn, min_size=1, max_size=2))
        practitioners = [uuid7(wall()) for _ in range(_PRACTITIONERS)]
        await pool.execute(_ADD_PRACTITIONERS, practitioners)
        producer = AIOKafkaProducer(**producer_options(kafka))
        await producer.start()
        stack.push_async_callback(producer.stop)
        worker = await ground.start(name, "-m", "claims", "worker", told=as_environment("claims", told))
        stack.push_async_callback(worker.kill)
        await client.until_ready(operations, "/claims/health/ready", [worker])
        keys = KeySettings.model_validate(told["keys"])
        yield Side(pool, producer, worker, config_of(keys, Terms()), practitioners)
    for each in (name, f"{name}-payers"):
        await ground.drop(each)


def _worked(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@dataclass(frozen=True, slots=True)
class _Care:
    appointment_id: UUID
    patient_id: UUID
    practitioner_id: UUID
    starts_at: datetime

    def requested(self) -> AppointmentRequestedV1:
        return AppointmentRequestedV1(
            **self._about(), decide_by=self.starts_at - timedelta(hours=1), preview_id=None
        )

    def completed(self) -> ConsultationCompletedV1:
        return ConsultationCompletedV1(
            **self._about(),
            completed_at=self.starts_at + timedelta(minutes=14),
            acts=[],
            overrun_qualifier=None,
            outcome="treated",
        )

    def _about(self) -> dict[str, Any]:
        return {
            "appointment_id": self.appointment_id,
            "patient_id": self.patient_id,
            "account_id": self.patient_id,
            "practitioner_id": self.practitioner_id,
            "biller_id": self.practitioner_id,
            "schedule_no": 1,
            "starts_at": self.starts_at,
            "ends_at": self.starts_at + timedelta(minutes=15),
            "profession": "physician",
            "specialty": "01",
            "sector": "s1",
            "zone": "metropole",
            "agreed_company": False,
            "third_party_payment": "full",
            "currency": "EUR",
            "fee_cents": 2500,
            "pathway": "regular-doctor",
            "territory": "near",
            "exemption_related": False,
            "under_16": False,
            "minor_on_1_january": False,
        }


def _stated(order: int) -> Statement:
    body = f"2850575{1 + order // 999:03d}{1 + order % 999:03d}"
    return Statement(
        nir=f"{body}{97 - int(body) % 97:02d}",
        nia=None,
        ame_number=None,
        born_on=date(1985, 5, 14),
        insured=None,
        amc=AmcStatement(number=_AMC, member_number=f"{order:08d}", first_on=None, last_on=None),
        amc_declared=AmcDeclared.NONE,
        exemptions=[],
        scheme="general",
        sponsor_code=None,
        holder_name=None,
    )
