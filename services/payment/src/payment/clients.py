"""Calls to the card provider. A timeout is not a no: what came of it is unknown until it is asked for."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, Self
from urllib.parse import quote

import httpx

from common import telemetry
from common.money import Cents
from payment.domain.provider import AnswerUnreadable, ProviderPayment, ProviderSetup, payment_of, setup_of

_TIMEOUT: Final = httpx.Timeout(5, connect=1)
_CAP: Final = 20
_IN_FLIGHT: Final = "request-in-flight"
_CODE: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class OutcomeUnknown(Exception):
    """It may have been done or not: ask by our own reference, or again under the same key."""


class ProviderRefused(Exception):
    """A no, and nothing was done."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class CardProvider(Protocol):
    """What payment needs of a card provider. Amounts in cents; `key` makes a call safe to repeat.

    Every method raises OutcomeUnknown and ProviderRefused.
    """

    async def authorise(
        self,
        *,
        reference: str,
        token: str,
        amount_cents: Cents,
        off_session: bool,
        capture: bool,
        metadata: Mapping[str, str],
        key: str,
    ) -> ProviderPayment:
        """A hold, or with `capture` a charge. `reference` is ours and can be used once."""

    async def find(self, reference: str) -> ProviderPayment | None: ...

    async def get(self, provider_id: str) -> ProviderPayment: ...

    async def list_payments(self, after: str) -> Sequence[ProviderPayment]:
        """A page of all payments, in the order of the provider's ids after this one; empty at the end."""

    async def capture(self, provider_id: str, *, amount_cents: Cents, key: str) -> ProviderPayment:
        """Closes the authorisation: what is not captured is released."""

    async def void(self, provider_id: str, *, key: str) -> ProviderPayment: ...

    async def refund(
        self, provider_id: str, *, amount_cents: Cents, reference: str, key: str
    ) -> ProviderPayment: ...

    async def save_card(self, *, token: str, reference: str, key: str) -> ProviderSetup:
        """Makes the card good for charges without its holder, who may have to agree on a page first."""

    async def forget_card(self, token: str) -> None: ...


class HttpCardProvider:
    """A CardProvider behind HTTP and JSON."""

    def __init__(self, base_url: str, key: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url,
            transport=transport,
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=_CAP, max_keepalive_connections=_CAP),
            headers={"Authorization": f"Bearer {key}"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def authorise(
        self,
        *,
        reference: str,
        token: str,
        amount_cents: Cents,
        off_session: bool,
        capture: bool,
        metadata: Mapping[str, str],
        key: str,
    ) -> ProviderPayment:
        body = {
            "reference": reference,
            "token": token,
            "amount_cents": amount_cents,
            "currency": "EUR",
            "off_session": off_session,
            "capture": "automatic" if capture else "manual",
            "metadata": dict(metadata),
        }
        return _payment(await self._ask("POST", "/v1/payments", body=body, key=key))

    async def find(self, reference: str) -> ProviderPayment | None:
        try:
            return _payment(await self._ask("GET", "/v1/payments", params={"reference": reference}))
        except ProviderRefused as refused:
            if refused.code == "not-found":
                return None
            raise

    async def get(self, provider_id: str) -> ProviderPayment:
        return _payment(await self._ask("GET", f"/v1/payments/{_part(provider_id)}"))

    async def list_payments(self, after: str) -> Sequence[ProviderPayment]:
        page = await self._ask("GET", "/v1/payment-list", params={"after": after})
        items = page.get("items")
        if not isinstance(items, list):
            raise OutcomeUnknown("answer-unreadable")
        return [_payment(item) for item in items]

    async def capture(self, provider_id: str, *, amount_cents: Cents, key: str) -> ProviderPayment:
        path = f"/v1/payments/{_part(provider_id)}/capture"
        return _payment(await self._ask("POST", path, body={"amount_cents": amount_cents}, key=key))

    async def void(self, provider_id: str, *, key: str) -> ProviderPayment:
        return _payment(await self._ask("POST", f"/v1/payments/{_part(provider_id)}/void", key=key))

    async def refund(
        self, provider_id: str, *, amount_cents: Cents, reference: str, key: str
    ) -> ProviderPayment:
        path = f"/v1/payments/{_part(provider_id)}/refunds"
        body = {"amount_cents": amount_cents, "reference": reference}
        return _payment(await self._ask("POST", path, body=body, key=key))

    async def save_card(self, *, token: str, reference: str, key: str) -> ProviderSetup:
        body = {"token": token, "reference": reference}
        try:
            return setup_of(await self._ask("POST", "/v1/setups", body=body, key=key))
        except AnswerUnreadable as error:
            raise OutcomeUnknown("answer-unreadable") from error

    async def forget_card(self, token: str) -> None:
        await self._ask("DELETE", f"/v1/methods/{_part(token)}")

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Mapping[str, Any]:
        headers = {} if key is None else {"Idempotency-Key": key}
        try:
            with telemetry.span(f"{method} card-provider", kind="client"):
                answer = await self._http.request(method, path, json=body, params=params, headers=headers)
        except httpx.HTTPError as error:
            raise OutcomeUnknown(type(error).__name__) from error
        read = _object(answer)
        if answer.is_success:
            return read
        code = _code_of(read)
        if (
            answer.is_client_error
            and answer.status_code != httpx.codes.TOO_MANY_REQUESTS
            and code != _IN_FLIGHT
        ):
            raise ProviderRefused(code)
        raise OutcomeUnknown(code)


def _code_of(answer: Mapping[str, Any]) -> str:
    """The provider's code of a refusal; it is logged and counted, so nothing but a code passes."""
    code = answer.get("code", "refused")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "unreadable-code"


def _object(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        read = answer.json()
    except ValueError:
        read = None
    return read if isinstance(read, dict) else {}


def _payment(body: Mapping[str, Any]) -> ProviderPayment:
    try:
        return payment_of(body)
    except AnswerUnreadable as error:
        raise OutcomeUnknown("answer-unreadable") from error


def _part(identifier: str) -> str:
    return quote(identifier, safe="")
