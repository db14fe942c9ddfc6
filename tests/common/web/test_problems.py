"""Each way a request can go wrong has its problem details, and none says again what was sent."""

import gzip
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from common.web.problems import MEDIA_TYPE
from support.small_app import client_of, small_app
from support.tokens import Issuer

SECRET = "185057800608436"


@pytest.fixture
async def client(sessions) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(small_app(sessions, verifier=Issuer().verifier())) as client:
        yield client


def said(response) -> dict:
    """The problem, after what every problem must have."""
    assert response.headers["content-type"] == MEDIA_TYPE
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"].startswith("urn:problem:")
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["instance"] == response.request.url.path
    assert SECRET not in response.text
    return problem


async def test_an_unknown_path_is_404(client) -> None:
    response = await client.get("/small/v1/nothing")

    assert response.status_code == 404
    assert said(response)["type"] == "urn:problem:not-found"


async def test_a_wrong_method_is_405_and_names_every_method_of_the_path(client) -> None:
    response = await client.post(f"/small/v1/things/{uuid4()}", json={})

    assert response.status_code == 405
    assert said(response)["type"] == "urn:problem:method-not-allowed"
    assert response.headers["allow"] == "GET, PATCH, DELETE"


async def test_a_body_over_256_kib_is_413(client) -> None:
    response = await client.post("/small/v1/plain", json={"rpps": "x" * 300_000})

    assert response.status_code == 413
    assert said(response)["type"] == "urn:problem:body-too-large"


async def test_a_chunked_body_over_256_kib_is_413_too(client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 10_000

    response = await client.post(
        "/small/v1/plain", content=chunks(), headers={"content-type": "application/json"}
    )

    assert response.status_code == 413
    assert said(response)["type"] == "urn:problem:body-too-large"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_that_is_not_sent_as_json_is_415(client, content_type) -> None:
    response = await client.post(
        "/small/v1/plain", content=b'{"rpps": "1"}', headers={"content-type": content_type}
    )

    assert response.status_code == 415
    assert said(response)["type"] == "urn:problem:media-type-not-supported"


@pytest.mark.parametrize("body", [b"{", b'{"rpps": ' + SECRET.encode(), b"\xff\xfe{}", b"[1,]"])
async def test_malformed_json_is_400(client, body) -> None:
    response = await client.post(
        "/small/v1/plain", content=body, headers={"content-type": "application/json"}
    )

    assert response.status_code == 400
    assert said(response)["type"] == "urn:problem:malformed-json"


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/body/rpps", "missing"),
        ({"rpps": "1", "unknown": SECRET}, "/body/unknown", "extra-forbidden"),
        ({"rpps": "1", SECRET: 1}, "/body/?", "extra-forbidden"),
        ({"rpps": 1}, "/body/rpps", "string-type"),
        ({"rpps": SECRET * 9}, "/body/rpps", "string-too-long"),
        ({"rpps": "1", "count": SECRET}, "/body/count", "int-type"),
        ({"rpps": "1", "count": 2.0}, "/body/count", "int-type"),
        ({"rpps": "1", "count": True}, "/body/count", "int-type"),
        ({"rpps": "1", "count": 3}, "/body/count", "not-even"),
        ({"rpps": "1", "due_at": "2030-01-01T10:00:00"}, "/body/due_at", "timezone-aware"),
        ({"rpps": "1", "due_at": int(SECRET)}, "/body/due_at", "time-as-number"),
        ({"rpps": "1", "due_at": SECRET}, "/body/due_at", "time-as-number"),
        ({"rpps": "1", "born_on": 12}, "/body/born_on", "time-as-number"),
        ({"rpps": "1", "owner_id": f"x{SECRET}"}, "/body/owner_id", "uuid-parsing"),
        ({"rpps": "1", "colour": SECRET}, "/body/colour", "enum"),
        ({"rpps": "1", "tags": {SECRET: "x"}}, "/body/tags/?", "int-type"),
        # pydantic names the member of the union too, which is nothing that was sent
        ({"rpps": "1", "parts": [{"shape": "round", "radius": SECRET}]}, "/body/parts/0/radius", "int-type"),
        ({"rpps": "1", "parts": [{"shape": "square"}]}, "/body/parts/0/side2", "missing"),
        ({"rpps": "1", "parts": [{"shape": SECRET}]}, "/body/parts/0", "union-tag-invalid"),
        ([SECRET], "/body", "model-attributes-type"),
        ("text", "/body", "model-attributes-type"),
    ],
)
async def test_what_does_not_fit_the_schema_is_422_with_its_place(client, body, pointer, code) -> None:
    response = await client.post("/small/v1/plain", json=body)

    assert response.status_code == 422
    problem = said(response)
    assert problem["type"] == "urn:problem:invalid-request"
    assert [(each["pointer"], each["code"]) for each in problem["errors"]] == [(pointer, code)]
    assert "input" not in problem["errors"][0]


async def test_a_path_that_is_no_identifier_is_422_without_what_was_sent(client) -> None:
    response = await client.get("/small/v1/things/x1850578006084")

    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert error == {
        "pointer": "/path/thing_id",
        "code": "uuid-parsing",
        "detail": "Input should be a valid UUID",
    }


async def test_valid_input_passes_in_its_json_form(client) -> None:
    body = {"rpps": "1", "count": 2, "due_at": "2030-01-01T10:00:00+01:00", "colour": "blue"}

    response = await client.post("/small/v1/plain", json=body | {"owner_id": str(uuid4())})

    assert response.status_code == 200
    assert response.json() == {"colour": "blue", "due_at": "2030-01-01T10:00:00+01:00"}


async def test_a_text_the_database_cannot_store_is_422(sessions) -> None:
    issuer = Issuer()
    async with client_of(small_app(sessions, verifier=issuer.verifier())) as client:
        headers = issuer.bearer() | {"Idempotency-Key": "a"}
        response = await client.post("/small/v1/things", json={"rpps": "a\x00b"}, headers=headers)

    assert response.status_code == 422
    assert said(response)["type"] == "urn:problem:invalid-request"


async def test_a_domain_error_names_its_code_its_members_and_when_to_come_back(client) -> None:
    missing = uuid4()

    response = await client.get(f"/small/v1/things/{missing}")

    assert response.status_code == 404
    assert said(response)["type"] == "urn:problem:thing-not-found"
    assert response.headers["retry-after"] == "1"


async def test_a_route_may_raise_a_problem_of_its_own(client) -> None:
    response = await client.delete(f"/small/v1/things/{uuid4()}")

    assert response.status_code == 503
    assert said(response)["type"] == "urn:problem:paused"
    assert response.headers["retry-after"] == "5"


async def test_what_nobody_expected_is_500_with_an_id_and_nothing_else(client, caplog) -> None:
    response = await client.get("/small/v1/broken")

    assert response.status_code == 500
    problem = said(response)
    assert problem["type"] == "urn:problem:internal-error"
    assert "Dupont" not in response.text
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "unexpected RuntimeError"
    ]


async def test_a_commit_that_fails_is_an_error_and_not_a_201(client) -> None:
    response = await client.post("/small/v1/twice")

    assert response.status_code == 500
    assert said(response)["type"] == "urn:problem:internal-error"


async def test_a_statement_that_takes_too_long_is_503_to_be_tried_again(client) -> None:
    response = await client.get("/small/v1/slow-statement")

    assert response.status_code == 503
    assert said(response)["type"] == "urn:problem:database-busy"
    assert response.headers["retry-after"] == "1"


async def test_an_answer_that_breaks_off_is_not_turned_into_another(sessions) -> None:
    async with client_of(small_app(sessions, verifier=Issuer().verifier())) as client:
        with pytest.raises(RuntimeError, match="gone"):
            await client.get("/small/v1/half")


async def test_if_match_is_asked_for_and_compared(client) -> None:
    path = f"/small/v1/things/{uuid4()}"

    missing = await client.patch(path)
    stale = await client.patch(path, headers={"If-Match": '"2"'})
    current = await client.patch(path, headers={"If-Match": '"1", "3"'})

    assert (missing.status_code, said(missing)["type"]) == (428, "urn:problem:precondition-required")
    assert (stale.status_code, said(stale)["type"]) == (412, "urn:problem:precondition-failed")
    assert (current.status_code, current.headers["etag"]) == (200, '"4"')


async def test_times_go_out_in_utc(sessions) -> None:
    issuer = Issuer()
    async with client_of(small_app(sessions, verifier=issuer.verifier())) as client:
        headers = issuer.bearer() | {"Idempotency-Key": "b"}
        response = await client.post("/small/v1/things", json={"rpps": "1"}, headers=headers)

    assert response.status_code == 201
    assert json.loads(response.text)["made_at"].endswith("Z")


async def test_the_title_is_french_where_french_is_preferred(client) -> None:
    english = await client.get("/small/v1/nothing")
    french = await client.get("/small/v1/nothing", headers={"Accept-Language": "fr-FR,fr;q=0.9,en;q=0.8"})

    assert (said(english)["title"], english.headers["content-language"]) == ("Not found", "en")
    assert (said(french)["title"], french.headers["content-language"]) == ("Introuvable", "fr")
    assert said(english)["type"] == said(french)["type"]


ENCODED = [
    ("gzip", "gzip"),
    ("GZIP", "GZIP"),
    ("identity, br", "br"),
    ("deflate", "deflate"),
    ("185057800608436-which-is-nobodys-business", "that was named"),
]


@pytest.mark.parametrize(("encoding", "named"), ENCODED)
async def test_an_encoded_body_is_415_that_names_the_encoding(client, encoding, named) -> None:
    body = gzip.compress(b'{"rpps": "1"}')
    for path in ("/small/v1/plain", "/small/v1/things", "/small/v1/nothing"):
        response = await client.post(
            path, content=body, headers={"Content-Encoding": encoding, "Content-Type": "application/json"}
        )

        assert response.status_code == 415
        problem = said(response)
        assert problem["type"] == "urn:problem:content-encoding-not-supported"
        assert named in problem["detail"]
        assert response.headers["accept-encoding"] == "identity"


async def test_a_body_as_it_is_may_say_so_and_a_request_without_one_may_say_anything(client) -> None:
    plain = await client.post("/small/v1/plain", json={"rpps": "1"}, headers={"Content-Encoding": "identity"})
    empty = await client.get(
        "/small/v1/public", headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"}
    )

    assert (plain.status_code, empty.status_code) == (200, 200)


TYPES = [
    ("application/json; charset=iso-8859-1", 415, "not in iso-8859-1"),
    ('application/json;charset="UTF-16"', 415, "not in UTF-16"),
    ("text/plain; charset=utf-8", 415, "application/json"),
    ("application/x-www-form-urlencoded", 415, "application/json"),
    ("application/json; charset=UTF-8", 200, ""),
    ("application/json; charset=us-ascii", 200, ""),
    ("application/merge-patch+json", 200, ""),
]


@pytest.mark.parametrize(("media_type", "status", "detail"), TYPES)
async def test_a_body_is_json_in_utf_8(client, media_type, status, detail) -> None:
    response = await client.post(
        "/small/v1/plain", content=b'{"rpps": "1"}', headers={"Content-Type": media_type}
    )

    assert response.status_code == status
    if status == 415:
        assert said(response)["type"] == "urn:problem:media-type-not-supported"
        assert detail in said(response)["detail"]
