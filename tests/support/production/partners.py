"""Those whom nobody can install: the card provider and the insurers' gateway.

They are the simulators behind other paths. Production refuses a simulator by its path, so that nobody takes
one of `make run` for a partner; here they stand for the partners on purpose.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from common.clock import Clock
from local.configuration import CARD_PROVIDER, PAYERS
from local.front import App, Front, Receive, Scope, Send, start_lifespan
from local.platform import claim_port, serving
from simulators import card_provider, payers

_CARDS: Final = "/cards"
_INSURERS: Final = "/insurers"


@dataclass(frozen=True, slots=True)
class Partners:
    address: str
    provider_key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    webhook_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    gateway_key: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def card_provider(self) -> str:
        return self.address + _CARDS

    @property
    def insurers(self) -> str:
        return self.address + _INSURERS


@dataclass(frozen=True, slots=True)
class _Renamed:
    """The app `inner`, which knows itself as `old`, under the path `new`."""

    inner: Any
    new: str
    old: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self.old + scope["path"].removeprefix(self.new)
        await self.inner({**scope, "path": path, "raw_path": path.encode()}, receive, send)


@asynccontextmanager
async def running(dsn: str, *, port: int, payment: str) -> AsyncIterator[Partners]:
    """Their books are in the database `dsn`; the card provider reports to the API of payment at `payment`."""
    partners = Partners(f"http://127.0.0.1:{port}")
    clock = Clock()
    apps: dict[str, tuple[str, App]] = {
        _CARDS: (
            CARD_PROVIDER,
            card_provider.create_app(
                dsn,
                clock=clock,
                public_url=partners.card_provider,
                api_key=partners.provider_key,
                webhook_url=f"{payment}/payment/v1/provider-events",
                webhook_secret=partners.webhook_secret,
            ),
        ),
        _INSURERS: (PAYERS, payers.create_app(dsn, clock, key=partners.gateway_key)),
    }
    front = Front({})
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(claim_port(port))
        for new, (old, app) in apps.items():
            await start_lifespan(stack, app)
            front.mount(new, _Renamed(app, new, old))
        await stack.enter_async_context(serving(front, listener))
        yield partners
