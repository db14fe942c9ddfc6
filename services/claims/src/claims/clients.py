"""What claims calls: the gateway of lots and returns, and payers' rights services."""

import asyncio
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, Protocol
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from claims.domain.asking import Exemption, ExemptionKind
from claims.domain.claimfile import Batch, BatchUnrenderable
from claims.domain.rendering import Format, Renderer, renderer_of
from claims.domain.returns import PayerReturn, ReturnKind
from claims.domain.rights import RightsAnswer, RightsQuestion, RightsStatus
from common.money import Cents

_PAGE = 200
_OF_CONTENT = frozenset({400, 413, 422})  # any other refusal is of who asks, or where


class GatewayAway(Exception):
    """No answer, or one that says "later": whether the batch arrived is unknown; its id makes asking safe."""


class GatewayRefused(Exception):
    """The gateway will never take this: a person has to look at it.

    `content`: because of what is in it. A part of it may be taken.
    """

    def __init__(self, why: str, *, content: bool) -> None:
        super().__init__(why)
        self.content = content


@dataclass(frozen=True, slots=True)
class Page:
    items: list[PayerReturn]
    unreadable: int  # items without a name: nothing of them can be kept apart
    cursor: str
    more: bool


class ClaimsGateway(Protocol):
    """What sends lots and fetches returns. The same batch sent twice counts once."""

    async def send(self, batch: Batch) -> None:
        """Raises GatewayAway, GatewayRefused."""

    async def returns(self, *, after: str | None) -> Page:
        """The returns after a cursor, oldest first. Raises GatewayAway."""


class _Item(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    payer: str
    return_id: UUID
    line: int = Field(ge=1)
    kind: ReturnKind
    batch_id: UUID
    biller_id: UUID
    invoice_no: str | None
    attempt: int | None
    accepted: bool | None
    amount_cents: int | None
    code: str | None

    def as_return(self) -> PayerReturn:
        amount = None if self.amount_cents is None else Cents(self.amount_cents)
        return PayerReturn(**{**self.model_dump(), "amount_cents": amount})


class _Page(BaseModel):
    items: list[dict[str, Any]]
    next: str
    more: bool


class HttpGateway:
    """The gateway over HTTP: lots in a versioned format, returns in the neutral JSON."""

    def __init__(self, client: httpx.AsyncClient, renderer: Renderer) -> None:
        self._client = client
        self._renderer = renderer

    @classmethod
    def at(
        cls,
        url: str,
        key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        format_: Format = "json-2",
        unconfirmed: bool = False,
    ) -> "HttpGateway":
        return cls(
            httpx.AsyncClient(
                base_url=url.rstrip("/"),
                headers={"Authorization": f"Bearer {key}"},
                timeout=httpx.Timeout(timedelta(seconds=15).total_seconds(), connect=2),
                transport=transport,
            ),
            renderer_of(format_, unconfirmed=unconfirmed),
        )

    async def send(self, batch: Batch) -> None:
        try:
            rendered = self._renderer.render(batch)
        except BatchUnrenderable as error:
            raise GatewayRefused(f"{error.field}: {error.rule}", content=not error.whole) from error
        headers = {"Idempotency-Key": str(batch.id), "Content-Type": rendered.media_type}
        try:
            answer = await self._client.post("/batches", content=rendered.content, headers=headers)
        except httpx.HTTPError as error:
            raise GatewayAway(type(error).__name__) from error
        _check(answer)

    async def returns(self, *, after: str | None) -> Page:
        asked = {"limit": str(_PAGE)} | ({} if after is None else {"after": after})
        try:
            answer = await self._client.get("/returns", params=asked)
        except httpx.HTTPError as error:
            raise GatewayAway(type(error).__name__) from error
        _check(answer)
        page = _Page.model_validate_json(answer.content)
        items, unreadable = [], 0
        for each in page.items:
            try:
                items.append(_Item.model_validate(each).as_return())
            except ValidationError:
                unreadable += 1  # the rest of the page is processed
        return Page(items=items, unreadable=unreadable, cursor=page.next, more=page.more)

    async def close(self) -> None:
        await self._client.aclose()


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    if answer.status_code in {408, 425, 429} or answer.is_server_error:
        raise GatewayAway(f"status {answer.status_code}")
    raise GatewayRefused(f"status {answer.status_code}", content=answer.status_code in _OF_CONTENT)


class RightsAway(Exception):
    """No answer of a rights service, or none in time."""


class RightsService(Protocol):
    """What tells whether a person has rights on a care date. Asking twice changes nothing."""

    async def ask(self, question: RightsQuestion) -> RightsAnswer:
        """Raises RightsAway."""


class _Exemption(BaseModel):
    kind: ExemptionKind
    valid_from: date
    valid_to: date | None


class _Rights(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Literal["open", "closed", "unknown"]
    valid_from: date | None
    valid_to: date | None
    reference: str | None
    exemptions: list[_Exemption] | None = None


class HttpRights:
    """The two services over HTTP: `POST /rights` asks the fund, `POST /amc-rights` a complementary insurer.

    Numbers travel in bodies, never in addresses.
    """

    def __init__(self, client: httpx.AsyncClient, *, seconds: float) -> None:
        self._client = client
        self._seconds = seconds

    @classmethod
    def at(
        cls, url: str, key: str, *, transport: httpx.AsyncBaseTransport | None = None, seconds: float
    ) -> "HttpRights":
        client = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(seconds, connect=2),
            transport=transport,
        )
        return cls(client, seconds=seconds)

    async def ask(self, question: RightsQuestion) -> RightsAnswer:
        to_fund = question.payer_kind == "amo"
        body = {
            "care_on": question.care_on.isoformat(),
            **(
                {
                    "nir": question.nir,
                    "ame_number": question.ame_number,
                    "born_on": question.born_on.isoformat() if question.born_on else None,
                }
                if to_fund
                else {"amc_number": question.amc_number, "member_number": question.amc_member_number}
            ),
        }
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._client.post("/rights" if to_fund else "/amc-rights", json=body)
        except (httpx.HTTPError, TimeoutError) as error:
            raise RightsAway(type(error).__name__) from error
        if not answer.is_success:
            raise RightsAway(f"status {answer.status_code}")
        try:
            told = _Rights.model_validate_json(answer.content)
        except ValidationError as error:
            raise RightsAway("unreadable") from error
        return _answer_of(question, told)

    async def close(self) -> None:
        await self._client.aclose()


def _answer_of(question: RightsQuestion, told: _Rights) -> RightsAnswer:
    exemptions = told.exemptions
    return RightsAnswer(
        payer_kind=question.payer_kind,
        status=RightsStatus(told.status),
        valid_from=told.valid_from,
        valid_to=told.valid_to,
        exemptions=(
            None
            if exemptions is None
            else tuple(
                Exemption(kind=each.kind, first_on=each.valid_from, last_on=each.valid_to)
                for each in exemptions
            )
        ),
        reference=told.reference,
    )
