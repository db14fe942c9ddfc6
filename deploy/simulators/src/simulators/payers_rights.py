"""The payers' rights services, as scripted: the fund's and those of complementary insurers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal, Protocol
from uuid import UUID, uuid5

import asyncpg
from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

Behaviour = Literal["open", "closed", "unknown", "slow", "down"]

DEFAULT_DELAY_SECONDS: Final = 10.0  # of a slow answer: longer than a caller waits
_ANSWERS: Final = UUID("0f4b7a52-93b0-4d0c-8f5e-5a9e3a2c1d44")  # a question names its answer
_MONTH: Final = timedelta(days=31)

TABLES: Final = """
    CREATE TABLE IF NOT EXISTS payer_rights_script (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, service text, member text,
        behaviour text NOT NULL,
        valid_from date, valid_to date, exemptions jsonb, delay_seconds double precision, remaining int
    );
"""


class _In(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FundQuestion(_In):
    care_on: date
    nir: str | None
    ame_number: str | None
    born_on: date | None


class AmcQuestion(_In):
    care_on: date
    amc_number: str
    member_number: str | None


class ExemptionOut(BaseModel):
    kind: Literal["ald", "maternity", "css"]
    valid_from: date
    valid_to: date | None = None


class Rights(BaseModel):
    """`exemptions` none: this service does not tell them."""

    status: Literal["open", "closed", "unknown"]
    valid_from: date | None
    valid_to: date | None
    exemptions: list[ExemptionOut] | None
    reference: str


class RightsScript(_In):
    """What to answer to the next questions that match; the narrowest match wins, then the newest."""

    service: Literal["amo", "amc"] | None = None
    member: str | None = None  # the NIR or AME number for the fund, the member number for an AMC
    behaviour: Behaviour
    valid_from: date | None = None
    valid_to: date | None = None
    exemptions: list[ExemptionOut] | None = None
    delay_seconds: Annotated[float | None, Field(ge=0, le=60)] = None
    times: Annotated[int | None, Field(ge=1)] = None  # none: always


class Pooled(Protocol):
    @property
    def pool(self) -> asyncpg.Pool: ...


async def answer(books: Pooled, service: str, member: str | None, care_on: date) -> Rights:
    script = await _script_for(books.pool, service, member)
    behaviour = script["behaviour"]
    if behaviour == "down":
        raise HTTPException(503, "the rights service is down")
    if behaviour == "slow":
        delay = script["delay_seconds"]
        await asyncio.sleep(DEFAULT_DELAY_SECONDS if delay is None else delay)
        behaviour = "open"
    exemptions = script["exemptions"]
    opened = behaviour == "open"
    return Rights(
        status=behaviour,
        valid_from=script["valid_from"] or (care_on.replace(day=1) if opened else None),
        valid_to=script["valid_to"] or (care_on.replace(day=1) + _MONTH if opened else None),
        exemptions=None if exemptions is None else json.loads(exemptions),
        reference=str(uuid5(_ANSWERS, f"{service}:{member}:{care_on}:{behaviour}")),
    )


async def _script_for(pool: asyncpg.Pool, service: str, member: str | None) -> Any:
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            """SELECT * FROM payer_rights_script
               WHERE (service IS NULL OR service = $1) AND (member IS NULL OR member = $2)
                 AND (remaining IS NULL OR remaining > 0)
               ORDER BY (member IS NOT NULL) DESC, (service IS NOT NULL) DESC, id DESC LIMIT 1 FOR UPDATE""",
            service,
            member,
        )
        if row is None:
            return {
                "behaviour": "open",
                "valid_from": None,
                "valid_to": None,
                "exemptions": None,
                "delay_seconds": None,
            }
        await connection.execute(
            "UPDATE payer_rights_script SET remaining = remaining - 1 WHERE id = $1", row["id"]
        )
        return row


async def add_script(pool: asyncpg.Pool, script: RightsScript) -> int:
    exemptions = script.exemptions
    told = None if exemptions is None else json.dumps([each.model_dump(mode="json") for each in exemptions])
    identifier: int = await pool.fetchval(
        """INSERT INTO payer_rights_script
               (service, member, behaviour, valid_from, valid_to, exemptions, delay_seconds, remaining)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id""",
        script.service,
        script.member,
        script.behaviour,
        script.valid_from,
        script.valid_to,
        told,
        script.delay_seconds,
        script.times,
    )
    return identifier


def services(authorised: Callable[..., Awaitable[None]]) -> APIRouter:
    """`POST /rights` and `POST /amc-rights`, beside the gateway and under its key."""
    router = APIRouter(prefix="/simulators/payers", dependencies=[Depends(authorised)])

    @router.post("/rights")
    async def read_fund_rights(question: FundQuestion, request: Request) -> Rights:
        member = question.nir or question.ame_number
        return await answer(request.app.state.books, "amo", member, question.care_on)

    @router.post("/amc-rights")
    async def read_amc_rights(question: AmcQuestion, request: Request) -> Rights:
        return await answer(request.app.state.books, "amc", question.member_number, question.care_on)

    return router


def controls() -> APIRouter:
    router = APIRouter(prefix="/simulators/controls/payers")

    @router.post("/rights-scripts", status_code=201)
    async def add_rights_script(script: RightsScript, request: Request) -> dict[str, int]:
        return {"id": await add_script(request.app.state.books.pool, script)}

    @router.delete("/rights-scripts", status_code=204)
    async def clear_rights_scripts(request: Request) -> None:
        await request.app.state.books.pool.execute("DELETE FROM payer_rights_script")

    return router
