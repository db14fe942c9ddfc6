"""Composition root of the worker process: consumer, relay, and the tasks that draw documents."""

import asyncio
from contextlib import AsyncExitStack

from common import vault
from common.clock import Clock
from common.db import engine_of, sessions_of
from common.messaging.housekeeping import House
from common.messaging.runner import WorkerHealth, run_worker
from common.telemetry import Metrics
from common.wake import Wake
from common.web.service_client import ServiceClient
from documents import signing
from documents.consumers import routes
from documents.rendering.renderer import Renderer
from documents.settings import Settings
from documents.signing import Seal
from documents.storage import Storage
from documents.tasks import Resources, tasks


def seal_of(settings: Settings, *, clock: Clock) -> Seal:
    """The configured seal, or in development the one made at the first start. Raises SealRefused."""
    if settings.seal_file is None:
        if settings.seal_directory is None:
            raise signing.SealRefused("no seal is configured")
        return signing.development_seal(settings.seal_directory, now=clock.now())
    passphrase = None
    if settings.seal_passphrase is not None:
        passphrase = settings.seal_passphrase.get_secret_value().encode()
    load = signing.load_pem if settings.seal_format == "pem" else signing.load_pkcs12
    return load(settings.seal_file.read_bytes(), passphrase=passphrase)


def house_of(settings: Settings) -> House:
    """Documents are kept as the law says: only what every service has is ever removed."""
    return House(retention=settings.retention)


async def run(
    settings: Settings,
    *,
    clock: Clock,
    wake: Wake,
    stop: asyncio.Event,
    health: WorkerHealth | None = None,
    metrics: Metrics | None = None,
) -> None:
    """Until `stop` is set; then drains."""
    if settings.booking_url is None:
        raise ValueError("the worker of documents asks booking: give booking_url")
    seal = await asyncio.to_thread(seal_of, settings, clock=clock)
    engine = engine_of(settings.postgres, name="documents-worker", pool=settings.postgres.worker_pool)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        renderer = Renderer(seal, workers=settings.render_workers)
        stack.push_async_callback(asyncio.to_thread, renderer.close)
        storage = Storage(settings.storage_url, metrics)
        if health is not None:
            health.also(storage.problems)
        resources = Resources(
            booking=await stack.enter_async_context(ServiceClient(settings.booking_url, settings.identity)),
            claims=await stack.enter_async_context(ServiceClient(settings.claims_url, settings.identity)),
            renderer=renderer,
            storage=storage,
            keyring=vault.keyring_of(settings.keys, service="documents"),
            public_url=settings.public_url,
        )
        await run_worker(
            service="documents",
            routes=routes,
            tasks=tasks,
            sessions=sessions_of(engine, wake),
            engine=engine,
            postgres=settings.postgres,
            kafka=settings.kafka,
            clock=clock,
            wake=wake,
            resources=resources,
            stop=stop,
            health=health,
            metrics=metrics,
            house=house_of(settings),
        )
