"""Request ids, traces, health, metrics, limits and the clock: what every app has before it has a route."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI, Response
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import create_async_engine

from common import telemetry
from common.clock import Clock
from common.db import sessions_of
from common.settings import EdgeSettings
from common.telemetry import JsonFormatter, Metrics
from common.web.app import ops_app
from support.small_app import client_of, small_app
from support.tokens import Issuer


def app_of(sessions, **options: Any) -> FastAPI:
    return small_app(sessions, verifier=Issuer().verifier(), **options)


async def test_a_request_id_is_kept_when_it_is_one_and_made_otherwise(sessions) -> None:
    async with client_of(app_of(sessions)) as client:
        kept = await client.get("/small/v1/nothing", headers={"X-Request-Id": "order-12345"})
        made = [
            await client.get("/small/v1/nothing", headers={"X-Request-Id": given})
            for given in ("", "x y", "x" * 65, "a")
        ]

    assert kept.headers["x-request-id"] == kept.json()["request_id"] == "order-12345"
    assert all(re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"]) for answer in made)


async def test_a_request_leaves_one_line_and_its_span_with_the_template_and_the_request_id(
    sessions, caplog, monkeypatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    issuer, subject, thing = Issuer(), uuid4(), uuid4()
    app = small_app(sessions, verifier=issuer.verifier())
    caplog.set_level(logging.INFO)
    patient = issuer.bearer("patient", subject=subject)
    async with client_of(app) as client:
        await client.get("/small/v1/me", headers=patient | {"X-Request-Id": "order-12345"})
        await client.get(f"/small/v1/things/{thing}?code=4242", headers={"X-Request-Id": "x\tforged=1"})
        await client.get("/small/v1/nothing/4242")
        await client.get("/small/v1/broken")
        await client.get("/small/health/live")

    lines = [vars(record) for record in caplog.records if "ms" in vars(record)]
    told = [(line["method"], line["route"], line["status"], line["caller"]) for line in lines]
    assert told == [
        ("GET", "/small/v1/me", 200, "patient"),
        ("GET", "/small/v1/things/{thing_id}", 404, "nobody"),
        ("GET", "none", 404, "nobody"),
        ("GET", "/small/v1/broken", 500, "nobody"),
    ]
    assert all(line["ms"] >= 0 for line in lines)
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans[:2]] == ["GET /small/v1/me", "GET /small/v1/things/{thing_id}"]
    assert spans[0].attributes == {
        "http.request.method": "GET",
        "http.route": "/small/v1/me",
        "http.response.status_code": 200,
        "request_id": "order-12345",
    }
    written = [JsonFormatter("x").format(each) for each in caplog.records if each.name.startswith("common.")]
    everything = "".join(span.to_json() for span in spans) + "".join(written)
    for secret in ("4242", str(thing), str(subject), "forged", "Dupont"):
        assert secret not in everything, secret
    assert len(spans) == 5, "FastAPI makes no span beside ours"


async def test_a_trace_goes_on_under_the_one_that_came_in(sessions) -> None:
    app = app_of(sessions)

    @app.get("/small/v1/trace")
    async def read_trace() -> dict[str, str | None]:
        return {"traceparent": telemetry.traceparent()}

    came = f"00-{'a' * 32}-{'b' * 16}-01"
    async with client_of(app) as client:
        under = (await client.get("/small/v1/trace", headers={"traceparent": came})).json()["traceparent"]
        fresh = (await client.get("/small/v1/trace", headers={"traceparent": "junk"})).json()["traceparent"]

    assert re.fullmatch(f"00-{'a' * 32}-(?!{'b' * 16})[0-9a-f]{{16}}-01", under)
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", fresh)
    assert telemetry.traceparent() is None


async def test_health_says_when_the_database_is_away_or_the_process_ends(sessions) -> None:
    nowhere = sessions_of(create_async_engine("postgresql+asyncpg://127.0.0.1:1/none"), None)
    app, away = app_of(sessions), app_of(nowhere)
    async with client_of(app) as client, client_of(away) as other:
        live, ready = await client.get("/small/health/live"), await client.get("/small/health/ready")
        app.state.stopping.set()
        stopping = await client.get("/small/health/ready")
        still_live, not_ready = await other.get("/small/health/live"), await other.get("/small/health/ready")

    assert live.json() == {"status": "live", "degraded": []}
    assert ready.json() == {"status": "ready", "degraded": []}
    assert (stopping.status_code, stopping.json()["detail"]) == (503, "stopping")
    assert (still_live.status_code, not_ready.status_code) == (200, 503)
    assert not_ready.json()["type"] == "urn:problem:not-ready"


async def test_metrics_count_by_operation_and_each_app_counts_for_itself(sessions) -> None:
    one, other = app_of(sessions), app_of(sessions)
    async with client_of(one) as client, client_of(other) as stranger:
        await client.get(f"/small/v1/things/{uuid4()}")
        await client.get("/small/v1/nothing")
        text = (await client.get("/small/metrics")).text
        elsewhere = (await stranger.get("/small/metrics")).text

    samples = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "http_requests_total"
    }
    assert samples == {("read_thing", "404"): 1, ("none", "404"): 1}
    assert "read_thing" not in elsewhere
    assert 'http_requests_in_flight{service="small"} 1.0' in text


async def test_the_clock_is_shifted_in_development_and_nowhere_else(sessions) -> None:
    clock = Clock()
    async with client_of(app_of(sessions, clock=clock)) as client:
        shifted = await client.put("/small/development/clock", json={"shift_seconds": 3600})
        wrong = await client.put("/small/development/clock", json={"shift_seconds": "3600"})
    async with client_of(app_of(sessions, environment="production")) as client:
        production = await client.put("/small/development/clock", json={"shift_seconds": 3600})

    assert (shifted.status_code, shifted.json()["shift_seconds"]) == (200, 3600)
    assert clock.shift == timedelta(hours=1)
    assert (wrong.status_code, production.status_code) == (422, 404)


async def test_a_clock_that_keeps_its_shift_may_refuse_to_go_back(sessions) -> None:
    class Kept(Clock):
        def advance(self, shift: timedelta) -> None:
            raise ValueError(shift)

    async with client_of(app_of(sessions, clock=Kept())) as client:
        refused = await client.put("/small/development/clock", json={"shift_seconds": 1})

    assert (refused.status_code, refused.json()["type"]) == (409, "urn:problem:clock-goes-back")


async def test_a_worker_is_ready_when_nothing_is_missing() -> None:
    missing = ["kafka"]

    async def ready() -> list[str]:
        return missing

    app = ops_app(
        service="small", environment="production", clock=Clock(), metrics=Metrics("small"), ready=ready
    )
    async with client_of(app) as client:
        not_ready = await client.get("/small/health/ready")
        missing.clear()
        ready_now = await client.get("/small/health/ready")

    assert (not_ready.status_code, not_ready.json()["detail"]) == (503, "kafka")
    assert ready_now.status_code == 200


async def test_connections_dropped_in_mid_request_leave_the_pool_empty(committed) -> None:
    engine = create_async_engine(committed, pool_size=3, max_overflow=0)
    app = app_of(sessions_of(engine, None))

    async def dropped() -> None:
        async with client_of(app) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.002):
                    await client.get("/small/v1/slow-statement")

    for _ in range(10):
        await asyncio.gather(*(dropped() for _ in range(10)))

    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    async with client_of(app) as client:
        assert (await client.get("/small/health/ready")).status_code == 200
    await engine.dispose()


async def test_an_application_that_does_not_start_says_why_without_the_message(sessions, caplog) -> None:
    @asynccontextmanager
    async def broken(_: FastAPI) -> AsyncIterator[None]:
        raise RuntimeError("the patient is called Dupont")
        yield

    app = app_of(sessions, lifespan=broken)
    with pytest.raises(ExceptionGroup):
        async with app.router.lifespan_context(app):
            pass

    [line] = [each for each in caplog.records if each.getMessage() == "the application does not start"]
    written = JsonFormatter("x").format(line)
    assert "builtins.RuntimeError" in written
    assert "Dupont" not in written


SECURE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "content-security-policy": "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


async def test_every_answer_has_the_security_headers_once(sessions) -> None:
    async with client_of(app_of(sessions)) as client:
        answers = [
            await client.get("/small/health/live"),
            await client.get("/small/openapi.json"),
            await client.get("/small/v1/nothing"),
            await client.get("/small/v1/broken"),
            await client.get("/small/v1/me"),
            await client.post("/small/v1/plain", json={}),
            await client.post("/small/v1/plain", content=b"x" * 300_000),
            await client.options("/small/v1/plain"),
        ]
    async with client_of(app_of(sessions, edge=EdgeSettings(hsts_seconds=31_536_000))) as client:
        strict = await client.get("/small/v1/broken")

    assert {each.status_code for each in answers} == {200, 401, 404, 405, 413, 422, 500}
    for answer in answers:
        assert {name: answer.headers.get_list(name) for name in SECURE} == {
            name: [value] for name, value in SECURE.items()
        }
        assert "strict-transport-security" not in answer.headers
    assert strict.headers["strict-transport-security"] == "max-age=31536000"


ORIGIN = "https://app.example"


async def test_a_web_application_of_an_allowed_origin_may_call_and_read_our_headers(sessions) -> None:
    edge = EdgeSettings(allowed_origins=f"{ORIGIN}, https://desk.example:8443")
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,content-type,if-match,idempotency-key,prefer",
    }
    async with client_of(app_of(sessions, edge=edge)) as client:
        preflight = await client.options("/small/v1/things/1", headers=asked)
        answers = [
            await client.patch(f"/small/v1/things/{uuid4()}", headers={"Origin": ORIGIN, "If-Match": '"3"'}),
            await client.get("/small/v1/broken", headers={"Origin": ORIGIN}),
            await client.post("/small/v1/plain", content=b"x" * 300_000, headers={"Origin": ORIGIN}),
        ]

    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["x-content-type-options"] == "nosniff"
    assert [each.status_code for each in answers] == [200, 500, 413]
    for answer in answers:
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "Origin" in answer.headers["vary"]
        assert exposed >= {"ETag", "Retry-After", "Location", "Idempotency-Replayed", "X-Request-ID"}
        assert "access-control-allow-credentials" not in answer.headers


FOREIGN = ["https://app.example.evil.example", "https://app.example:444", "http://app.example", "null"]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_other_origins_are_refused_and_by_default_all_are(sessions, origin) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    async with client_of(app_of(sessions, edge=EdgeSettings(allowed_origins=ORIGIN))) as client:
        preflight = await client.options("/small/v1/nothing", headers=asked)
        answer = await client.get("/small/v1/nothing", headers={"Origin": origin})
    async with client_of(app_of(sessions)) as client:
        by_default = await client.options("/small/v1/nothing", headers=asked | {"Origin": ORIGIN})
        unasked = await client.get("/small/v1/nothing", headers={"Origin": ORIGIN})

    assert (preflight.status_code, preflight.json()["type"]) == (403, "urn:problem:cross-origin-refused")
    assert preflight.json()["request_id"] == preflight.headers["x-request-id"]
    for each in (preflight, answer, by_default, unasked):
        assert "access-control-allow-origin" not in each.headers


VERSIONED = "/small/v1/versioned"


async def test_who_has_the_current_version_is_told_so_without_a_body(sessions) -> None:
    app = app_of(sessions)

    @app.get(VERSIONED)
    @app.put(VERSIONED)
    async def read_versioned(response: Response) -> dict[str, str]:
        response.headers["ETag"] = '"3"'
        return {"name": "Dupont"}

    async with client_of(app) as client:
        known = [
            await client.get(VERSIONED, headers={"If-None-Match": value})
            for value in ('"3"', 'W/"3"', '"1", W/"3"', "*", '"3-gzip"')
        ]
        lines = await client.get(VERSIONED, headers=[("If-None-Match", '"1"'), ("If-None-Match", '"3"')])
        other = [await client.get(VERSIONED, headers={"If-None-Match": value}) for value in ('"1"', "3", "")]
        written = await client.put(VERSIONED, headers={"If-None-Match": '"3"'})
        missing = await client.get("/small/v1/nothing", headers={"If-None-Match": "*"})

    for answer in (*known, lines):
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"3"')
        assert "content-length" not in answer.headers
        assert "x-request-id" in answer.headers
    assert [each.status_code for each in (*other, written, missing)] == [200, 200, 200, 200, 404]
    assert other[0].json() == {"name": "Dupont"}
