"""A bare FastAPI endpoint: the same claim of a time, with its event, as one statement on raw asyncpg.

No token, no rights, no idempotency, no consent, no encryption, no timer, no history.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import uvicorn
import uvloop
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

from common.clock import wall
from common.ids import uuid7

_CLAIM: Final = """
    WITH claimed AS (
        INSERT INTO appointment (id, version, status, schedule_no, practitioner_id, practitioner_no,
            patient_id, account_id, starts_at, ends_at, decide_by, requested_at, consent_id, pathway,
            territory, exemption_related, under_16, minor_on_1_january, biller_id, profession, specialty,
            sector, zone, agreed_company, third_party_payment, currency, fee_cents, payment_sequence)
        SELECT $1, 1, 'requested', 1, p.id, p.no, $2, $3, o.starts_at, o.ends_at, $4, $5, $1, $6, $7, $8,
            false, false, p.biller_id, p.profession, p.specialty, p.sector, p.zone, p.agreed_company,
            p.third_party_payment, p.currency, p.fee_cents, 0
        FROM offer AS o JOIN practitioner AS p ON p.id = o.practitioner_id
        WHERE o.id = $9
        ON CONFLICT ON CONSTRAINT ex_appointment_one_at_a_time DO NOTHING
        RETURNING id, status, starts_at, ends_at, practitioner_id, patient_id, fee_cents, currency
    ), published AS (
        INSERT INTO outbox (topic, key, sequence, headers, body)
        SELECT 'booking.appointment', claimed.id::text, 1, $10, $11 FROM claimed
    ), taken AS (
        UPDATE offer SET taken_by = claimed.id FROM claimed WHERE offer.id = $9
    )
    SELECT * FROM claimed
"""
_DECIDE: Final = timedelta(minutes=15)


class Create(BaseModel):
    offer_id: UUID
    patient_id: UUID
    account_id: UUID
    reason_code: str
    pathway: str
    territory: str
    exemption_related: bool


class Read(BaseModel):
    id: UUID
    status: str
    starts_at: datetime
    ends_at: datetime
    practitioner_id: UUID
    patient_id: UUID
    fee_cents: int
    currency: str


def create_app(dsn: str, *, connections: int) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn, min_size=connections, max_size=connections) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/ready")
    async def read_ready() -> str:
        return "ready"

    @app.post("/appointments", status_code=201)
    async def request_appointment(body: Create, request: Request) -> Read:
        now = wall()
        appointment_id = uuid7(now)
        headers = {"ce_id": str(uuid7(now)), "ce_type": "booking.appointment-requested"}
        row = await request.app.state.pool.fetchrow(
            _CLAIM,
            appointment_id,
            body.patient_id,
            body.account_id,
            now + _DECIDE,
            now,
            body.pathway,
            body.territory,
            body.exemption_related,
            body.offer_id,
            json.dumps(headers),
            body.model_dump_json().encode(),
        )
        if row is None:
            raise HTTPException(409)
        return Read(**row)

    return app


def main(port: int, connections: int, dsn: str) -> None:
    app = create_app(dsn, connections=connections)
    config = uvicorn.Config(app, port=port, log_config=None, access_log=False, server_header=False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
