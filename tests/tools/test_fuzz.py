"""make fuzz finds what it is for: a small service with one fault of each kind, and one operation without."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from local.front import Front, Receive, Scope, Send
from local.platform import claim_port, serving
from tools.fuzz import runs
from tools.fuzz.people import People

pytestmark = pytest.mark.skipif(
    not (runs.ENVIRONMENT / "bin" / "st").exists(), reason="make fuzz installs schemathesis"
)

TOKEN: Final = "good"
REFUSALS: Final = {401: "unauthenticated", 403: "forbidden", 409: "taken", 422: "invalid-request"}


def _operation(path: str, *, body: Mapping[str, Any] | None = None, roles: str = "patient") -> dict[str, Any]:
    refusals = {
        str(status): {
            "description": code,
            "content": {"application/problem+json": {"schema": {"type": "object"}, "examples": {code: {}}}},
        }
        for status, code in REFUSALS.items()
    }
    answer = {"description": "done", "content": {"application/json": {"schema": {"type": "object"}}}}
    operation: dict[str, Any] = {
        "operationId": path,
        "description": f"Roles: {roles}.",
        "security": [{"bearer": []}],
        "responses": {"200": answer, **refusals},
    }
    if body:
        schema = {
            "type": "object",
            "properties": body,
            "required": list(body),
            "additionalProperties": False,
        }
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


DOCUMENT: Final = {
    "openapi": "3.1.0",
    "info": {"title": "small", "version": "1"},
    "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        "/small/fine": {"get": _operation("fine")},
        "/small/crashes": {"get": _operation("crashes")},
        "/small/for-all": {"get": _operation("for-all", roles="support")},
        "/small/unguarded": {"get": _operation("unguarded")},
        "/small/undocumented": {"get": _operation("undocumented")},
        "/small/too-strict": {"post": _operation("too-strict", body={"name": {"type": "string"}})},
        "/small/too-lax": {"post": _operation("too-lax", body={"count": {"type": "integer"}})},
    },
}
ANSWERS: Final[Mapping[str, tuple[int, str]]] = {
    "crashes": (500, "internal-error"),
    "undocumented": (409, "stolen"),
    "too-strict": (422, "invalid-request"),
}


async def _small(scope: Scope, receive: Receive, send: Send) -> None:
    headers = dict(scope["headers"])
    _, _, name = scope["path"].rpartition("/")
    while (await receive()).get("more_body"):
        pass
    method = "POST" if name.startswith("too-") else "GET"
    if name == "openapi.json":
        await _send(send, 200, DOCUMENT)
    elif scope["method"] != method:
        await _refuse(send, 405, "method-not-allowed", allow=method)
    elif headers.get(b"authorization") != f"Bearer {TOKEN}".encode() and name != "unguarded":
        await _refuse(send, 401, "unauthenticated")
    elif name in ANSWERS:
        await _refuse(send, *ANSWERS[name])
    else:
        await _send(send, 200, {})


async def _refuse(send: Send, status: int, code: str, **more: str) -> None:
    body = {"type": f"urn:problem:{code}", "status": status, "request_id": "r"}
    await _send(send, status, body, kind="application/problem+json", **more)


async def _send(
    send: Send, status: int, body: Mapping[str, Any], *, kind: str = "application/json", **more: str
) -> None:
    told = {"content-type": kind, "x-request-id": "r", **more}
    headers = [(name.encode(), value.encode()) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


OUR_CHECK: Final = "Custom check failed: `{}`"
FAULTS: Final = {
    ("GET /small/crashes", "Server error"),
    ("GET /small/crashes", "Undocumented status code"),
    ("GET /small/for-all", OUR_CHECK.format("only_named_roles")),
    ("GET /small/unguarded", "API accepts requests without authentication"),
    ("GET /small/unguarded", "Missing required header accepted"),
    ("GET /small/undocumented", OUR_CHECK.format("refusal_is_a_problem")),
    ("POST /small/too-strict", OUR_CHECK.format("valid_is_not_malformed")),
    ("POST /small/too-lax", "Schema-violating request accepted"),
}


async def _run(role: str, scratch: Path) -> runs.Outcome:
    pair = next(each for each in runs.pairs("small", DOCUMENT, deep=False) if each.role == role)
    front = Front({})
    front.mount("/small", _small)
    listener = claim_port(0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    whom = People({"patient": TOKEN, "impostor": "bad"}, {}, {})
    async with serving(front, listener):
        return await asyncio.to_thread(runs.run, address, pair, whom, scratch, seed=1, deep=False)


async def test_every_kind_of_fault_is_found_and_nothing_else(tmp_path: Path) -> None:
    outcome = await _run("patient", tmp_path)

    assert {(each.operation, each.title) for each in outcome.failures} == FAULTS
    assert all("Reproduce with" in each.block for each in outcome.failures)
    assert {name for name, count in outcome.accepted.items() if count} == {
        "fine",
        "for-all",
        "unguarded",
        "too-lax",
    }


@pytest.mark.parametrize("role", ["nobody", "impostor"])
async def test_who_has_no_token_that_counts_finds_the_unguarded_operation(role: str, tmp_path: Path) -> None:
    outcome = await _run(role, tmp_path)

    found = {
        each.operation for each in outcome.failures if each.title == OUR_CHECK.format("only_named_roles")
    }
    assert found == {"GET /small/unguarded"}
    assert {each.operation for each in outcome.failures} == found


def test_a_service_that_cannot_be_read_ends_the_run(tmp_path: Path) -> None:
    pair = runs.Pair("small", "patient", [], [], [])
    with pytest.raises(runs.RunFailed):
        runs.run("http://127.0.0.1:1", pair, People({}, {}, {}), tmp_path, seed=1, deep=False)
