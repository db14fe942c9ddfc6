"""The outside world on this machine: card provider, payers, issuer, and what a demonstration scripts."""

from contextlib import AsyncExitStack
from typing import Final

from local.configuration import AUDIENCE, CARD_PROVIDER, ISSUER, PAYERS, SERVICES, Addresses, Secrets
from local.front import Front, start_lifespan
from local.kept_clock import KeptClock
from simulators import card_provider, payers
from simulators import issuer as token_issuer

CONTROLS: Final = "/simulators/controls"


async def mount_simulators(
    stack: AsyncExitStack, front: Front, *, dsn: str, clock: KeptClock, kept: Secrets, addresses: Addresses
) -> None:
    """Each keeps durable books in the database `dsn`; their controls are apps of their own."""
    apps = {
        ISSUER: token_issuer.create_app(
            dsn,
            issuer=addresses.front + ISSUER,
            audience=AUDIENCE,
            clients={service: kept[f"{service}.client"] for service in SERVICES},
            environment="development",
        ),
        CARD_PROVIDER: card_provider.create_app(
            dsn,
            clock=clock,
            public_url=addresses.front + CARD_PROVIDER,
            api_key=kept["provider"],
            webhook_url=addresses.apis["payment"] + "/payment/v1/provider-events",
            webhook_secret=kept["webhook"],
        ),
        PAYERS: payers.create_app(dsn, clock, key=kept["gateway"]),
        f"{CONTROLS}/card": card_provider.create_controls(
            dsn, clock=clock, public_url=addresses.front + CARD_PROVIDER
        ),
        f"{CONTROLS}/payers": payers.create_controls(dsn, clock),
    }
    for prefix, app in apps.items():
        await start_lifespan(stack, app)
        front.mount(prefix, app)
