"""The issuer of development: tokens our verifier believes, also after a restart and a new key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from common.settings import TokenSettings
from common.web.auth import Role, Verifier
from common.web.problems import Problem
from simulators import issuer

URL = "http://front/simulators/issuer"
SETTINGS = TokenSettings(issuer=URL, jwks_url=f"{URL}/jwks.json", audience="platform")
CLIENT = {"grant_type": "client_credentials"}
SOMEBODY = {"grant_type": issuer.PERSON, "role": "patient", "subject": str(UUID(int=1))}
CLIENTS = {"booking": "secret"}


@pytest.fixture
async def dsn(server) -> AsyncIterator[str]:
    async with server.clone("template1") as url:
        yield url.set(drivername="postgresql").render_as_string(hide_password=False)


@asynccontextmanager
async def running(dsn) -> AsyncIterator[httpx.AsyncClient]:
    app = issuer.create_app(dsn, issuer=URL, audience="platform", clients=CLIENTS, environment="development")
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://front") as client,
    ):
        yield client


async def token(client, **form: str) -> httpx.Response:
    return await client.post("/simulators/issuer/token", data=form)


def verifier(client) -> Verifier:
    return Verifier(SETTINGS, transport=client._transport)  # noqa: SLF001


async def test_people_get_tokens_by_role(dsn) -> None:
    subject = uuid4()
    async with running(dsn) as client:
        answer = await token(
            client, grant_type=issuer.PERSON, role="practitioner", subject=str(subject), rpps="10001234567"
        )
        caller = await verifier(client).verify(answer.json()["access_token"])

    assert answer.headers["cache-control"] == "no-store"
    assert (caller.subject, caller.roles, caller.rpps) == (subject, {Role.PRACTITIONER}, "10001234567")


@pytest.mark.parametrize("basic", [False, True])
async def test_services_get_tokens_by_their_secret(dsn, basic) -> None:
    async with running(dsn) as client:
        if basic:
            answer = await client.post(
                "/simulators/issuer/token",
                data={"grant_type": "client_credentials"},
                auth=("booking", "secret"),
            )
        else:
            answer = await token(
                client, grant_type="client_credentials", client_id="booking", client_secret="secret"
            )
        caller = await verifier(client).verify(answer.json()["access_token"])

    assert (caller.roles, caller.client) == ({Role.SERVICE}, "booking")
    assert isinstance(caller.subject, UUID)


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({}, 400, "unsupported_grant_type"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        (CLIENT | {"client_id": "booking", "client_secret": "x"}, 401, "invalid_client"),
        (CLIENT | {"client_id": "nobody"}, 401, "invalid_client"),
        (SOMEBODY | {"subject": "dupont"}, 400, "invalid_request"),
        (SOMEBODY | {"role": "service"}, 400, "invalid_request"),
        (SOMEBODY | {"role": "practitioner"}, 400, "invalid_request"),
        (SOMEBODY | {"expires_in": "x"}, 400, "invalid_request"),
    ],
)
async def test_who_asks_wrongly_gets_no_token(dsn, form, status, error) -> None:
    async with running(dsn) as client:
        answer = await token(client, **form)

    assert (answer.status_code, answer.json()) == (status, {"error": error})


async def test_a_token_can_be_had_that_has_expired(dsn) -> None:
    async with running(dsn) as client:
        answer = await token(
            client, grant_type=issuer.PERSON, role="patient", subject=str(uuid4()), expires_in="-60"
        )
        with pytest.raises(Problem, match="expired"):
            await verifier(client).verify(answer.json()["access_token"])


async def test_tokens_outlive_a_restart(dsn) -> None:
    async with running(dsn) as client:
        answer = await token(client, grant_type=issuer.PERSON, role="patient", subject=str(uuid4()))
    async with running(dsn) as client:
        caller = await verifier(client).verify(answer.json()["access_token"])

    assert caller.roles == {Role.PATIENT}


async def test_after_a_rotation_old_and_new_tokens_are_good(dsn) -> None:
    form = {"grant_type": issuer.PERSON, "role": "patient", "subject": str(uuid4())}
    times = [datetime.now(UTC)]  # noqa: TID251
    controls = issuer.create_controls(dsn, environment="development")
    async with running(dsn) as client, controls.router.lifespan_context(controls):
        checks = Verifier(SETTINGS, transport=client._transport, now=lambda: times[-1])  # noqa: SLF001
        old = (await token(client, **form)).json()["access_token"]
        await checks.verify(old)
        scripted = httpx.AsyncClient(transport=httpx.ASGITransport(app=controls), base_url="http://controls")
        rotated = await scripted.post("/simulators/controls/issuer/rotation")
        new = (await token(client, **form)).json()["access_token"]
        times.append(times[-1] + timedelta(seconds=11))

        assert (await checks.verify(new)).roles == (await checks.verify(old)).roles
        keys = (await client.get("/simulators/issuer/jwks.json")).json()["keys"]
    await scripted.aclose()

    assert keys[0]["kid"] == rotated.json()["kid"]
    assert len(keys) == 2
    assert not [key for key in keys if "d" in key]


async def test_its_configuration_names_its_addresses(dsn) -> None:
    async with running(dsn) as client:
        said = (await client.get("/simulators/issuer/.well-known/openid-configuration")).json()

    assert (said["issuer"], said["jwks_uri"], said["token_endpoint"]) == (
        URL,
        f"{URL}/jwks.json",
        f"{URL}/token",
    )


def test_production_refuses_it() -> None:
    with pytest.raises(issuer.NotForProduction):
        issuer.create_app("postgresql://", issuer=URL, audience="platform", clients={})
    with pytest.raises(issuer.NotForProduction):
        issuer.create_controls("postgresql://")
