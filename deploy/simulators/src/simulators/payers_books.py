"""The payers' books: lots of claims that came, scripts, and the returns that are due."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg

from common.clock import Clock
from simulators import payers_rights
from simulators.payers_messages import BatchIn, ClaimIn, Kind, Received, ReturnItem, ReturnPage, Script

UNKNOWN_INSURED: Final = {"amo": "0250-050", "amc": "7001-001"}
ALREADY_PAID: Final = {"amo": "2900-005", "amc": "7001-003"}
DEFAULT_DELAY: Final = timedelta(days=14)  # of a late payment: well over the seven working days
_RETURNS: Final = UUID("5e1c2d0e-6b1f-4b3e-9a50-6d9f3f0c7a11")  # a batch names its returns

_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS payer_batch (
        id uuid PRIMARY KEY, payer text NOT NULL, body jsonb NOT NULL, received_at timestamptz NOT NULL
    );
    CREATE TABLE IF NOT EXISTS payer_claim (
        payer text NOT NULL, biller_id uuid NOT NULL, invoice_no text NOT NULL, attempt int NOT NULL,
        batch_id uuid NOT NULL, amount_cents bigint NOT NULL, paid_cents bigint NOT NULL,
        reject_code text, PRIMARY KEY (payer, biller_id, invoice_no)
    );
    CREATE TABLE IF NOT EXISTS payer_script (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payer text, member text, behaviour text NOT NULL,
        code text, cents bigint, delay_seconds bigint, remaining int
    );
    CREATE TABLE IF NOT EXISTS payer_return (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payer text NOT NULL, return_id uuid NOT NULL,
        line int NOT NULL, kind text NOT NULL, batch_id uuid NOT NULL, biller_id uuid NOT NULL,
        invoice_no text, attempt int, accepted boolean, amount_cents bigint, code text,
        due_at timestamptz NOT NULL, position bigint UNIQUE
    );
    CREATE INDEX IF NOT EXISTS payer_return_unpublished ON payer_return (due_at) WHERE position IS NULL;
"""
_LOCK: Final = 7_352_411  # tables are made and positions are given by one at a time


class Books:
    """The payers' PostgreSQL books; every answer is given after its commit."""

    def __init__(self, dsn: str, clock: Clock) -> None:
        self._dsn = dsn
        self._clock = clock
        self._pool: asyncpg.Pool | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[asyncpg.Pool]:
        async with asyncpg.create_pool(self._dsn, min_size=0, max_size=4) as pool:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await connection.execute(_TABLES)
                await connection.execute(payers_rights.TABLES)
            self._pool = pool
            yield pool
            self._pool = None

    @property
    def pool(self) -> asyncpg.Pool:
        if self._pool is None:
            raise RuntimeError("the books are closed: the app's lifespan has not started")
        return self._pool

    async def receive(self, batch: BatchIn) -> Received:
        """A lot whose id is known already changes nothing: the sender did not hear our answer."""
        now = self._clock.now()
        payer = f"{batch.payer.kind}:{batch.payer.number}"
        async with self.pool.acquire() as connection, connection.transaction():
            new = await connection.fetchval(
                """INSERT INTO payer_batch (id, payer, body, received_at) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (id) DO NOTHING RETURNING received_at""",
                batch.batch_id,
                payer,
                json.dumps({"claims": len(batch.claims), "total_cents": batch.total_cents}),
                now,
            )
            if new is not None:
                await _work(connection, batch, payer, now)
            received_at = new or await connection.fetchval(
                "SELECT received_at FROM payer_batch WHERE id = $1", batch.batch_id
            )
        return Received(batch_id=batch.batch_id, received_at=received_at)

    async def returns(self, after: int, limit: int) -> ReturnPage:
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            # A return takes its place when it is due, so a reader's cursor never passes one by.
            await connection.execute(
                """WITH due AS (
                       SELECT id, row_number() OVER (ORDER BY due_at, id) AS nth FROM payer_return
                       WHERE position IS NULL AND due_at <= $1
                   ), top AS (SELECT coalesce(max(position), 0) AS last FROM payer_return)
                   UPDATE payer_return SET position = top.last + due.nth FROM due, top
                   WHERE payer_return.id = due.id""",
                self._clock.now(),
            )
            rows = await connection.fetch(
                "SELECT * FROM payer_return WHERE position > $1 ORDER BY position LIMIT $2", after, limit + 1
            )
        shown = rows[:limit]
        return ReturnPage(
            items=[ReturnItem(**{**dict(row), "made_at": row["due_at"]}) for row in shown],
            next=str(shown[-1]["position"] if shown else after),
            more=len(rows) > limit,
        )

    async def add_script(self, script: Script) -> int:
        identifier: int = await self.pool.fetchval(
            """INSERT INTO payer_script (payer, member, behaviour, code, cents, delay_seconds, remaining)
               VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id""",
            script.payer,
            script.member,
            script.behaviour,
            script.code,
            script.cents,
            script.delay_seconds,
            script.times,
        )
        return identifier

    async def clear_scripts(self) -> None:
        await self.pool.execute("DELETE FROM payer_script")

    async def claims(self) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("SELECT * FROM payer_claim ORDER BY payer, biller_id, invoice_no")
        return [dict(row) for row in rows]

    async def take_back(self, payer: str, invoice_no: str, cents: int | None) -> int:
        """A reversal of what was paid for an invoice. Answers how many claims it concerned."""
        now = self._clock.now()
        async with self.pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                """SELECT * FROM payer_claim WHERE payer = $1 AND invoice_no = $2 AND paid_cents > 0
                   FOR UPDATE""",
                payer,
                invoice_no,
            )
            for row in rows:
                taken = min(cents or row["paid_cents"], row["paid_cents"])
                await _add_return(
                    connection,
                    row,
                    kind="reversal",
                    due_at=now,
                    tag=f"take-back:{now.isoformat()}",
                    cents=taken,
                )
                await connection.execute(
                    """UPDATE payer_claim SET paid_cents = paid_cents - $4
                       WHERE payer = $1 AND biller_id = $2 AND invoice_no = $3""",
                    row["payer"],
                    row["biller_id"],
                    row["invoice_no"],
                    taken,
                )
        return len(rows)


async def _work(connection: Any, batch: BatchIn, payer: str, now: datetime) -> None:
    scripts = [await _script_for(connection, payer, claim) for claim in batch.claims]
    whole = {script["behaviour"] for script in scripts}
    if "silence" in whole:
        return  # the file is lost: nothing is known of its claims
    refused = "negative-acknowledgement" in whole
    slow = [s["delay_seconds"] for s in scripts if s["behaviour"] == "late-acknowledgement"]
    acknowledged_at = now + (timedelta(seconds=max(s or 0 for s in slow)) if slow else timedelta())
    await _insert_return(
        connection,
        payer=payer,
        batch=batch.batch_id,
        biller=batch.biller_id,
        kind="acknowledgement",
        tag="acknowledgement",
        due_at=acknowledged_at,
        accepted=not refused,
    )
    if refused:
        return
    for line, (claim, script) in enumerate(zip(batch.claims, scripts, strict=True), start=1):
        await _answer(connection, batch, payer, claim, script, line=line, at=acknowledged_at)


async def _answer(
    connection: Any,
    batch: BatchIn,
    payer: str,
    claim: ClaimIn,
    script: Any,
    *,
    line: int,
    at: datetime,
) -> None:
    behaviour = script["behaviour"]
    delay = script["delay_seconds"]
    due_at = at if behaviour == "late-acknowledgement" else at + timedelta(seconds=delay or 0)
    if behaviour == "late" and delay is None:
        due_at = at + DEFAULT_DELAY
    key = (payer, batch.biller_id, claim.invoice_no)
    paid = await connection.fetchval(
        "SELECT paid_cents FROM payer_claim WHERE payer = $1 AND biller_id = $2 AND invoice_no = $3", *key
    )
    code = _reject_code(batch.payer.kind, claim, script, already_paid=bool(paid))
    cents = 0 if code else claim.amount_cents
    if behaviour == "partial" and not code:
        cents = min(script["cents"] or claim.amount_cents // 2, claim.amount_cents)
    if not paid:
        await connection.execute(
            """INSERT INTO payer_claim
                   (payer, biller_id, invoice_no, attempt, batch_id, amount_cents, paid_cents, reject_code)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (payer, biller_id, invoice_no) DO UPDATE
               SET attempt = excluded.attempt, batch_id = excluded.batch_id,
                   amount_cents = excluded.amount_cents, paid_cents = excluded.paid_cents,
                   reject_code = excluded.reject_code""",
            *key,
            claim.attempt,
            batch.batch_id,
            claim.amount_cents,
            cents,
            code,
        )
    row = {
        "payer": payer,
        "batch_id": batch.batch_id,
        "biller_id": batch.biller_id,
        "invoice_no": claim.invoice_no,
        "attempt": claim.attempt,
    }
    if batch.paid_to == "insured" and not code:
        return  # the insured person hears of it, not the sender
    kind: Kind = "reject" if code else "payment"
    for _ in range(2 if behaviour == "duplicate" else 1):
        await _add_return(
            connection, row, kind=kind, due_at=due_at, tag=kind, line=line, cents=cents, code=code
        )
    if behaviour == "reversal" and not code:
        await _add_return(
            connection,
            row,
            kind="reversal",
            due_at=due_at,
            tag="reversal",
            line=line,
            cents=script["cents"] or cents,
        )


def _reject_code(kind: str, claim: ClaimIn, script: Any, *, already_paid: bool) -> str | None:
    if already_paid:
        return ALREADY_PAID[kind]
    if script["behaviour"] == "reject":
        return str(script["code"] or UNKNOWN_INSURED[kind])
    identified = claim.amc.member_number if kind == "amc" and claim.amc else claim.insured.nir
    return None if identified or claim.insured.ame_number else UNKNOWN_INSURED[kind]


async def _script_for(connection: Any, payer: str, claim: ClaimIn) -> Any:
    kind = payer.partition(":")[0]
    member = claim.insured.nir if kind == "amo" else claim.amc.member_number if claim.amc else None
    row = await connection.fetchrow(
        """SELECT * FROM payer_script
           WHERE (payer IS NULL OR payer = $1 OR payer = $2) AND (member IS NULL OR member = $3)
             AND (remaining IS NULL OR remaining > 0)
           ORDER BY (member IS NOT NULL) DESC, (payer IS NOT NULL) DESC, id DESC LIMIT 1 FOR UPDATE""",
        payer,
        kind,
        member,
    )
    if row is None:
        return {"behaviour": "accept", "code": None, "cents": None, "delay_seconds": None}
    await connection.execute("UPDATE payer_script SET remaining = remaining - 1 WHERE id = $1", row["id"])
    return row


async def _add_return(
    connection: Any,
    claim: Any,
    *,
    kind: Kind,
    due_at: datetime,
    tag: str,
    line: int = 1,
    cents: int | None = None,
    code: str | None = None,
) -> None:
    await _insert_return(
        connection,
        payer=claim["payer"],
        batch=claim["batch_id"],
        biller=claim["biller_id"],
        kind=kind,
        tag=tag,
        due_at=due_at,
        line=line,
        invoice_no=claim["invoice_no"],
        attempt=claim["attempt"],
        cents=None if code else cents,
        code=code,
    )


async def _insert_return(  # noqa: PLR0913  the columns of one row
    connection: Any,
    *,
    payer: str,
    batch: UUID,
    biller: UUID,
    kind: Kind,
    tag: str,
    due_at: datetime,
    line: int = 1,
    invoice_no: str | None = None,
    attempt: int | None = None,
    accepted: bool | None = None,
    cents: int | None = None,
    code: str | None = None,
) -> None:
    await connection.execute(
        """INSERT INTO payer_return (payer, return_id, line, kind, batch_id, biller_id, invoice_no, attempt,
                                     accepted, amount_cents, code, due_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)""",
        payer,
        uuid5(_RETURNS, f"{payer}:{batch}:{tag}"),
        line,
        kind,
        batch,
        biller,
        invoice_no,
        attempt,
        accepted,
        cents,
        code,
        due_at,
    )
