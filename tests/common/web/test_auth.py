"""Whose token is believed, for how long, and what everybody else is told."""

import base64
import json
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from joserfc.jwk import OctKey, OKPKey, RSAKey

from common.clock import Clock
from common.settings import TokenSettings
from common.telemetry import JsonFormatter
from common.web.auth import Caller, Role, Verifier
from common.web.problems import Problem
from support.small_app import client_of, small_app
from support.tokens import TOKENS, Issuer, elliptic_key


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def client(issuer) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(small_app(None, verifier=issuer.verifier())) as client:
        yield client


async def refused(client, headers) -> tuple[int, str, str]:
    response = await client.get("/small/v1/me", headers=headers)
    return response.status_code, response.json()["type"], response.headers.get("www-authenticate", "")


async def test_a_token_says_who_calls(client, issuer) -> None:
    subject = uuid4()

    response = await client.get(
        "/small/v1/me", headers=issuer.bearer("practitioner", subject=subject, rpps="10001234567")
    )

    assert response.json() == {"subject": str(subject), "roles": ["practitioner"], "rpps": "10001234567"}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}])
async def test_without_a_token_the_answer_says_so(client, headers) -> None:
    assert await refused(client, headers) == (401, "urn:problem:token-missing", "Bearer")


INVALID = (401, "urn:problem:token-invalid", 'Bearer error="invalid_token"')


@pytest.mark.parametrize(
    "overrides",
    [
        {"iss": "http://other.test"},
        {"aud": "other"},
        {"aud": None},
        {"exp": None},
        {"exp": "soon"},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": None},
        {"nbf": 4_102_444_800},  # the year 2100, however long the tests take to come to this one
        {"roles": 7},
    ],
)
async def test_a_token_for_somebody_else_or_without_its_claims_is_invalid(client, issuer, overrides) -> None:
    assert await refused(client, issuer.bearer(**overrides)) == INVALID


KEYCLOAK = {"roles_claim": "realm_access.roles", "client_claim": "azp"}


async def caller_of(issuer: Issuer, token: str, **paths: str) -> Caller:
    return await issuer.verifier(settings=TOKENS.model_copy(update=paths)).verify(token)


async def test_the_claims_are_where_the_settings_say(issuer) -> None:
    keycloak = {
        "roles": None,
        "realm_access": {"roles": ["offline_access", "practitioner", "default-roles-platform"]},
        "resource_access": {"account": {"roles": ["administrator"]}},
        "azp": "app",
        "rpps": "10001234567",
    }
    token = issuer.token(**keycloak)

    told = await caller_of(issuer, token, **KEYCLOAK)

    assert (told.roles, told.rpps, told.client) == ({Role.PRACTITIONER}, "10001234567", "app")
    assert (await caller_of(issuer, token)).roles == frozenset()
    inner = await caller_of(issuer, token, roles_claim="resource_access.account.roles")
    assert inner.roles == {Role.ADMINISTRATOR}


@pytest.mark.parametrize(
    ("path", "claims", "roles"),
    [
        ("roles", {"roles": "patient  support"}, {"patient", "support"}),  # one text, as a scope is written
        ("https://x.example/roles", {"https://x.example/roles": ["patient"]}, {"patient"}),
        (
            "a.b.c.roles",
            {"a": {"b.c": {"roles": ["support"]}}},
            {"support"},
        ),  # a name with a dot in the middle
        ("a.roles", {"a": ["roles"]}, set()),
        ("roles", {"roles": None, "role": ["patient"]}, set()),
        ("roles", {"roles": ["patient", 7, None, "root"]}, {"patient"}),
    ],
)
async def test_roles_are_found_however_an_issuer_writes_them(issuer, path, claims, roles) -> None:
    token = issuer.token(**({"roles": None} | claims))

    assert (await caller_of(issuer, token, roles_claim=path)).roles == roles


@pytest.mark.parametrize(
    ("claim", "rpps"), [(["10001234567"], "10001234567"), (["1", "2"], None), ("", None), (10001234567, None)]
)
async def test_a_number_is_one_text_also_in_a_list_of_its_own(issuer, claim, rpps) -> None:
    assert (
        await caller_of(issuer, issuer.token(extra={"number": claim}), rpps_claim="extra.number")
    ).rpps == rpps


async def test_a_subject_that_is_no_uuid_is_always_the_same_account(issuer) -> None:
    other = TOKENS.model_copy(update={"issuer": "http://other.test"})

    dupont = await caller_of(issuer, issuer.token(sub="dupont"))
    again = await caller_of(issuer, issuer.token(sub="dupont"))
    durand = await caller_of(issuer, issuer.token(sub="durand"))
    elsewhere = await issuer.verifier(settings=other).verify(issuer.token(sub="dupont", iss=other.issuer))

    assert dupont.subject == again.subject == UUID("aaa6a786-9825-5d27-81a5-713c3d7b89b0")
    assert len({dupont.subject, durand.subject, elsewhere.subject}) == 3


async def test_the_account_can_be_another_claim(issuer) -> None:
    account = uuid4()

    told = await caller_of(issuer, issuer.token(sub="dupont", account=str(account)), subject_claim="account")

    assert told.subject == account


async def test_a_token_signed_by_another_key_of_the_same_name_is_invalid(client, issuer) -> None:
    assert await refused(client, issuer.bearer(key=elliptic_key("first"))) == INVALID


async def test_a_token_that_was_changed_is_invalid(client, issuer) -> None:
    header, body, signature = issuer.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    other = base64.urlsafe_b64encode(json.dumps(claims | {"roles": ["administrator"]}).encode())

    changed = f"{header}.{other.rstrip(b'=').decode()}.{signature}"

    assert await refused(client, {"Authorization": f"Bearer {changed}"}) == INVALID


@pytest.mark.parametrize("token", ["x", "a.b.c", "é.é.é", "eyJhbGciOiJub25lIn0.e30.", "x" * 10_000])
async def test_what_is_no_token_is_invalid(client, token) -> None:
    assert await refused(client, {"Authorization": f"Bearer {token}".encode()}) == INVALID


async def test_a_shared_secret_is_no_signature_even_if_the_issuer_lists_it(client, issuer) -> None:
    shared = OctKey.generate_key(256, {"kid": "shared"})
    issuer.keys.append(shared)

    assert await refused(client, issuer.bearer(key=shared, algorithm="HS256")) == INVALID


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSAKey.generate_key(2048, {"kid": "rsa"}, private=True), "RS256"),
        (OKPKey.generate_key("Ed25519", {"kid": "ed"}, private=True), "EdDSA"),
    ],
)
async def test_the_other_two_algorithms_are_good(client, issuer, key, algorithm) -> None:
    issuer.keys = [key]

    response = await client.get("/small/v1/me", headers=issuer.bearer(key=key, algorithm=algorithm))

    assert response.status_code == 200


async def test_an_expired_token_is_told_apart(client, issuer) -> None:
    answer = await refused(client, issuer.bearer(exp=int(time.time()) - 60))

    assert answer == (401, "urn:problem:token-expired", 'Bearer error="invalid_token"')


async def test_expiry_is_real_time_however_the_clock_is_shifted(issuer) -> None:
    clock = Clock(shift=timedelta(days=30))
    async with client_of(small_app(None, verifier=issuer.verifier(), clock=clock)) as client:
        response = await client.get("/small/v1/me", headers=issuer.bearer())

    assert response.status_code == 200


async def test_a_token_that_was_verified_ends_with_its_expiry_and_not_with_the_cache() -> None:
    issuer, now = Issuer(), datetime(2030, 1, 1, tzinfo=UTC)
    times = [now]
    verifier = issuer.verifier(now=lambda: times[-1])
    token = issuer.token(exp=int(now.timestamp()) + 20, iat=None)

    caller = await verifier.verify(token)
    times.append(now + timedelta(seconds=10))
    again = await verifier.verify(token)
    times.append(now + timedelta(seconds=26))

    assert again is caller
    with pytest.raises(Problem, match="expired"):
        await verifier.verify(token)


async def test_the_issuer_is_asked_once_for_many_tokens_and_again_for_a_new_key() -> None:
    issuer, now = Issuer(), datetime.now(UTC)  # noqa: TID251
    times = [now]
    verifier = issuer.verifier(now=lambda: times[-1])

    for _ in range(5):
        await verifier.verify(issuer.token())
    first = issuer.asked
    issuer.keys.insert(0, elliptic_key("second"))
    times.append(now + timedelta(seconds=11))
    await verifier.verify(issuer.token())

    assert (first, issuer.asked) == (1, 2)


async def test_tokens_that_name_unknown_keys_do_not_flood_the_issuer() -> None:
    issuer = Issuer()
    verifier = issuer.verifier()
    await verifier.verify(issuer.token())

    for _ in range(5):
        with pytest.raises(Problem):
            await verifier.verify(issuer.token(key=elliptic_key("unknown")))

    assert issuer.asked == 1  # ten seconds have not passed since the keys were read


async def test_an_issuer_that_is_away_is_503_and_not_a_refusal(client, issuer) -> None:
    issuer.away = True

    response = await client.get("/small/v1/me", headers=issuer.bearer())

    assert (response.status_code, response.json()["type"]) == (503, "urn:problem:issuer-away")
    assert response.headers["retry-after"] == "2"


async def test_known_keys_stay_good_while_the_issuer_is_away() -> None:
    issuer, now = Issuer(), datetime.now(UTC)  # noqa: TID251
    times = [now]
    verifier = issuer.verifier(now=lambda: times[-1])
    await verifier.verify(issuer.token())

    issuer.away = True
    times.append(now + timedelta(seconds=601))
    token = issuer.token(exp=int(times[-1].timestamp()) + 60)

    assert (await verifier.verify(token)).roles == {Role.PATIENT}
    assert issuer.asked == 2


async def test_a_role_that_is_missing_is_403(client, issuer) -> None:
    patient = await client.post("/small/v1/administration", headers=issuer.bearer("patient"))
    nobody = await client.post("/small/v1/administration", headers=issuer.bearer("emperor"))
    support = await client.post("/small/v1/administration", headers=issuer.bearer("support"))

    assert (patient.status_code, patient.json()["type"]) == (403, "urn:problem:role-missing")
    assert (nobody.status_code, support.status_code) == (403, 200)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda issuer: issuer.token("patient", iss="http://other.test"), "issuer"),
        (lambda issuer: issuer.token("patient", aud="other"), "audience"),
        (lambda issuer: issuer.token("patient", exp=time.time() - 60), "expired"),
        (lambda issuer: issuer.token("patient", nbf=time.time() + 600), "not-yet-valid"),
        (lambda issuer: issuer.token("patient", sub=["Camille Le Goff"]), "claims"),
        (lambda issuer: issuer.token("patient", exp="soon"), "times"),
        (lambda issuer: issuer.token("patient")[:-6] + "AAAAAA", "signature"),
        (lambda _: Issuer().token("patient"), "signature"),
        (lambda _: "x" * 9000, "too-long"),
        (lambda _: "Camille.Le.Goff", "not-a-token"),
    ],
    ids=["issuer", "audience", "old", "early", "subject", "times", "altered", "stranger", "long", "junk"],
)
async def test_a_rejected_token_leaves_a_line_with_the_reason_and_nothing_of_itself(
    client, issuer, caplog, spoil, reason
) -> None:
    caplog.set_level(logging.INFO, logger="common")
    token = spoil(issuer)

    status, _, _ = await refused(client, {"Authorization": f"Bearer {token}"})

    [line] = [each for each in caplog.records if each.getMessage().startswith("token rejected")]
    written = JsonFormatter("x").format(line)
    assert status == 401
    assert line.reason == reason
    for part in (token, *token.split("."), "Camille", "other.test"):
        assert part not in written


async def test_readiness_says_when_the_signing_keys_cannot_be_fetched(issuer, sessions) -> None:
    moment = [datetime(2030, 1, 1, tzinfo=UTC)]
    answers = [httpx.Response(503)]
    keys = {"keys": [key.as_dict(private=False) for key in issuer.keys]}
    transport = httpx.MockTransport(lambda _: answers[-1])
    settings = TokenSettings(
        issuer=TOKENS.issuer, jwks_url="http://issuer.test/jwks", audience=TOKENS.audience
    )
    verifier = Verifier(settings, transport=transport, now=lambda: moment[0])

    async with client_of(small_app(sessions, verifier=verifier)) as client:

        async def degraded() -> tuple[int, list[str]]:
            answer = await client.get("/small/health/ready")
            return answer.status_code, answer.json()["degraded"]

        away = await degraded()
        answers.append(httpx.Response(200, json=keys))
        moment[0] += timedelta(seconds=2)
        back = await degraded()
        answers.append(httpx.Response(200, text="not JSON"))
        moment[0] += timedelta(seconds=700)
        away_again = await degraded()

    assert away == (200, ["signing-keys"])
    assert back == (200, [])
    assert away_again == (200, ["signing-keys"])
